#!/usr/bin/env python3
"""Prepare a listening test of your own: a CSV file of ratings becomes manifests.

Run it by itself, to see what it makes of your file::

    python corpus_prepare.py ratings.csv data
    python corpus_prepare.py ratings.csv data --scale 0 100 --dimensions noise warmth
    python corpus_prepare.py ratings.csv data --columns file=clip rating=OVRL --audio_folder wav
"""

import argparse
import os
import sys
from collections import Counter
from pathlib import Path

import yaml
from tabulate import tabulate

from speechqa_plugin.files import write_json, write_whole
from speechqa_plugin.manifest import write_manifest
from speechqa_plugin.ratings.clips import find_clips
from speechqa_plugin.ratings.dimensions import known_dimensions, make_test_taxonomy
from speechqa_plugin.ratings.splits import SPLITS, split_of
from speechqa_plugin.ratings.table import OVERALL, RatingsError, read_layout, read_ratings
from speechqa_plugin.schema import SCORE_MAX, SCORE_MIN, SchemaError

REPORT_FILE = "preparation.json"


def read_taxonomy(csv_file, columns=None, dimensions=None):
    """Taxonomy of what a CSV file rates, from its first line; see `prepare_corpus`."""
    return make_test_taxonomy(_layout(csv_file, columns, dimensions).dimensions)


def prepare_corpus(
    csv_file,
    save_folder,
    audio_folder=None,
    columns=None,
    dimensions=None,
    scale=(SCORE_MIN, SCORE_MAX),
    valid_share=0.15,
    test_share=0.15,
    seed=1234,
    skip_prep=False,
):
    """Write ``train``, ``valid`` and ``test`` (.jsonl) and ``taxonomy.yaml``.

    Files that are not there or cannot be heard are left out; which and why is printed and written
    to ``preparation.json``. Anything else that is wrong stops it.

    Arguments
    ---------
    csv_file : path
        A row for each rating; README.md lists the columns.
    save_folder : path
        Where the manifests go.
    audio_folder : path, optional
        Where relative paths of the CSV file begin; its own folder, then the current one, if not
        given.
    columns : dict from str to str, optional
        What your columns are called, if not as README.md says: ``{rating: OVRL}``.
    dimensions : list of str, optional
        Columns with ratings of further dimensions; those whose names we know if not given.
    scale : (float, float)
        Worst and best rating of the test.
    valid_share, test_share : float
        Of all files, where the CSV file has no column for the split.
    seed : int
        Of the draw of splits.
    skip_prep : bool
        Do nothing.

    Returns
    -------
    dict
        What ``preparation.json`` holds; None if nothing was done.

    Raises
    ------
    RatingsError
        If the ratings cannot be used.
    """
    if skip_prep:
        return None
    layout = _layout(csv_file, columns, dimensions)
    taxonomy = make_test_taxonomy(layout.dimensions)
    rated = read_ratings(layout, scale)
    splits = split_of(rated, valid_share, test_share, seed)
    folders = [audio_folder] if audio_folder else [Path(csv_file).parent, Path.cwd()]
    clips, left_out = find_clips(rated, taxonomy, folders)
    save_folder = Path(save_folder)
    save_folder.mkdir(parents=True, exist_ok=True)
    report = {"dimensions": taxonomy.names, "unused_columns": layout.unused, "splits": {}}
    for split in SPLITS:
        some = [(row, clip) for row, clip in clips if splits[row.file] == split]
        if not some:
            raise RatingsError(f"{csv_file}: none of the files in {split} can be heard")
        write_manifest(save_folder / f"{split}.jsonl", [clip for _, clip in some])
        report["splits"][split] = _numbers(some)
    report["left_out"] = left_out
    text = yaml.safe_dump(taxonomy.to_dict(), sort_keys=False)
    write_whole(save_folder / "taxonomy.yaml", text)
    write_json(save_folder / REPORT_FILE, report)
    print(report_text(report, csv_file, save_folder))
    return report


def report_text(report, csv_file, save_folder):
    """What a preparation made, for people to read."""
    heads = list(next(iter(report["splits"].values())))
    rows = [[split, *numbers.values()] for split, numbers in report["splits"].items()]
    unused = ", ".join(map(repr, report["unused_columns"]))
    lines = [
        f"{csv_file}: dimensions {', '.join(report['dimensions'])}",
        f"columns that are not used: {unused} (--dimensions names ratings)" if unused else "",
        "\n" + tabulate(rows, ["split", *heads], "github", floatfmt=".2f") + "\n",
    ]
    left_out = report["left_out"]
    if left_out:
        reasons = Counter(left_out.values())
        lines += [f"left out because of {why!r}: {n}" for why, n in reasons.most_common(5)]
        lines += [f"the first is {next(iter(left_out))!r}; all are in {save_folder}/{REPORT_FILE}"]
    return "\n".join(line for line in lines if line)


def _layout(csv_file, columns, dimensions):
    return read_layout(csv_file, columns, dimensions, known=list(known_dimensions()))


def _numbers(clips):
    groups = {row.group for row, _ in clips if row.group}
    numbers = {
        "files": len(clips),
        "ratings of a file": sum(row.n_ratings for row, _ in clips) / len(clips),
        "minutes": sum(clip.duration_s for _, clip in clips) / 60,
        f"mean {OVERALL}": sum(row.scores[OVERALL] for row, _ in clips) / len(clips),
    }
    return numbers | ({"groups": len(groups)} if groups else {})


def _pair(text):
    role, equals, name = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(
            f"{text!r}: need what it is for and its name, as rating=MOS"
        )
    return role, name


def main():
    """Command line of `prepare_corpus`; ``--help`` lists the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("csv_file", help="a row for each rating")
    parser.add_argument("save_folder", help="where manifests go")
    parser.add_argument("--audio_folder", help="where relative paths begin, if not beside the CSV")
    parser.add_argument(
        "--columns", nargs="+", type=_pair, default=[], metavar="ROLE=NAME", help="e.g. rating=OVRL"
    )
    parser.add_argument(
        "--dimensions", nargs="+", metavar="NAME", help="further columns of ratings"
    )
    parser.add_argument(
        "--scale", nargs=2, type=float, default=(SCORE_MIN, SCORE_MAX), metavar=("WORST", "BEST")
    )
    parser.add_argument("--valid_share", type=float, default=0.15)
    parser.add_argument("--test_share", type=float, default=0.15)
    parser.add_argument("--seed", type=int, default=1234)
    options = vars(parser.parse_args())
    try:
        prepare_corpus(**{**options, "columns": dict(options["columns"])})
    except (RatingsError, SchemaError) as error:
        sys.exit(f"{os.path.basename(__file__)}: {error}")


if __name__ == "__main__":
    main()
