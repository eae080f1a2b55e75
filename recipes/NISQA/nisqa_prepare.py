#!/usr/bin/env python3
"""Prepare the NISQA Corpus (Mittag et al., Interspeech 2021): its CSV files become manifests.

Run it by itself::

    python nisqa_prepare.py NISQA_Corpus data
"""

import argparse
import os
import sys
from pathlib import Path

from tabulate import tabulate

from speechqa_plugin.files import write_json
from speechqa_plugin.manifest import write_manifest
from speechqa_plugin.ratings.clips import find_clips
from speechqa_plugin.ratings.table import RatingsError, read_layout, read_ratings
from speechqa_plugin.schema import Utterance, load_taxonomy

DATABASES = {
    "train": ("NISQA_TRAIN_SIM", "NISQA_TRAIN_LIVE"),
    "valid": ("NISQA_VAL_SIM", "NISQA_VAL_LIVE"),
    "test": ("NISQA_TEST_FOR", "NISQA_TEST_LIVETALK", "NISQA_TEST_P501"),
}
"""The corpus's databases by split, each a folder with ``<name>_file.csv`` and ``deg/``."""

COLUMNS = {"file": "filepath_deg", "rating": "mos", "system": "con"}
"""Paths are relative to the corpus; scores are means over listeners."""

REPORT_FILE = "preparation.json"


def prepare_nisqa(data_folder, save_folder, skip_prep=False):
    """Write ``train``, ``valid`` and ``test``, and ``<database>`` for each database (.jsonl).

    Databases that are not there are left out, and so are files that cannot be heard; both is
    printed and written to ``preparation.json``. A system is a database's condition: so much in
    the test databases, where several files have one.

    Arguments
    ---------
    data_folder : path
        ``NISQA_Corpus`` as it is unpacked.
    save_folder : path
        Where the manifests go.
    skip_prep : bool
        Do nothing.

    Returns
    -------
    dict
        What ``preparation.json`` holds; None if nothing was done.

    Raises
    ------
    RatingsError
        If a split has no database, or a CSV file is not as published.
    """
    if skip_prep:
        return None
    data_folder, save_folder = Path(data_folder), Path(save_folder)
    save_folder.mkdir(parents=True, exist_ok=True)
    report = {"databases": {}, "left_out": {}}
    for split, names in DATABASES.items():
        there = [name for name in names if (data_folder / name / f"{name}_file.csv").is_file()]
        if not there:
            raise RatingsError(
                f"{data_folder}: has none of {', '.join(f'{n}/{n}_file.csv' for n in names)}; "
                "data_folder must be NISQA_Corpus as it is unpacked"
            )
        utterances = []
        for name in there:
            some, left_out = _read_database(data_folder, name)
            write_manifest(save_folder / f"{name}.jsonl", some)
            utterances += some
            report["databases"][name] = {
                "split": split,
                "files": len(some),
                "conditions": len({u.system for u in some}),
                "left out": len(left_out),
            }
            report["left_out"] |= left_out
        write_manifest(save_folder / f"{split}.jsonl", utterances)
        for name in (n for n in names if n not in there):
            report["databases"][name] = {"split": split, "files": 0, "conditions": 0, "left out": 0}
    write_json(save_folder / REPORT_FILE, report)
    rows = [[name, *numbers.values()] for name, numbers in report["databases"].items()]
    print(tabulate(rows, ["database", "split", "files", "conditions", "left out"], "github"))
    return report


def _read_database(data_folder, name):
    """Utterances of a database, and files that are left out with the reason."""
    taxonomy = load_taxonomy("nisqa")
    dimensions = [d for d in taxonomy.names if d != taxonomy.overall]
    path = data_folder / name / f"{name}_file.csv"
    rated = read_ratings(read_layout(path, COLUMNS, dimensions))
    clips, left_out = find_clips(rated, taxonomy, [data_folder])
    utterances = []
    for row, clip in clips:
        # Written 7 in one file and 7.0 in another.
        system = f"{name}/{row.system.removesuffix('.0')}" if row.system else ""
        utterances.append(Utterance(clip.id, clip.path, clip.duration_s, clip.reference, system))
    return utterances, left_out


def main():
    """Command line of `prepare_nisqa`; ``--help`` lists the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_folder", help="NISQA_Corpus as it is unpacked")
    parser.add_argument("save_folder", help="where manifests go")
    try:
        prepare_nisqa(**vars(parser.parse_args()))
    except RatingsError as error:
        sys.exit(f"{os.path.basename(__file__)}: {error}")


if __name__ == "__main__":
    main()
