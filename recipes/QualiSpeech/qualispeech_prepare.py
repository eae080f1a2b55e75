#!/usr/bin/env python3
"""Prepare QualiSpeech (arXiv 2503.20290): its CSV files and clips become manifests.

Run it by itself::

    python qualispeech_prepare.py data save
    python qualispeech_prepare.py data save --bvcc_folder BVCC/wav --valid_share 0.15
"""

import argparse
import hashlib
import re
import sys
from collections import Counter
from pathlib import Path

from qualispeech_corpus import (
    ANNOTATIONS,
    REMARKS,
    SCORES,
    SPLITS,
    QualiSpeechError,
    find_audio,
    read_rows,
)
from tabulate import tabulate

from speechqa_plugin.annotations import Annotation, Flag, parse_annotation, without_times
from speechqa_plugin.audio import AudioError, audio_duration_s
from speechqa_plugin.files import write_json
from speechqa_plugin.manifest import ManifestError, write_manifest
from speechqa_plugin.schema import (
    SCORE_MAX,
    SCORE_MIN,
    Artifact,
    Assessment,
    Utterance,
    load_taxonomy,
)
from speechqa_plugin.text.sections import join_sections

REPORT_FILE = "preparation.json"


class _Dropped(Exception):
    """A row that is left out, and why."""


def prepare_qualispeech(
    data_folder,
    save_folder,
    bvcc_folder=None,
    valid_share=None,
    n_calibration=None,
    n_grpo=800,
    disjoint=True,
    seed=1234,
    skip_prep=False,
):
    """Write the manifests ``train``, ``valid``, ``test``, ``calibration`` and ``grpo`` (.jsonl).

    A row whose audio is not there or whose scores are not whole is left out. How many and why is
    printed and written to ``preparation.json``, with how many annotations have which flag.

    Arguments
    ---------
    data_folder : path
        Holds ``train.csv``, ``val.csv``, ``test.csv`` and ``wav/<split>/<id>``.
    save_folder : path
        Where the manifests go.
    bvcc_folder : path, optional
        Where the clips of the BVCC corpus are, which QualiSpeech rates but cannot hand on.
        Without it, and where they do not lie beside the others, their rows are left out.
    valid_share : float, optional
        Share of the training and validation rows that validates, drawn by seed and id, so that a
        clip's side does not depend on which other clips are there. None for the official splits;
        .15 for the paper's 85 to 15. The test split is always the official one.
    n_calibration : int, optional
        Rows of ``calibration.jsonl``, drawn from the training split; None for all there are.
    n_grpo : int, optional
        Rows of ``grpo.jsonl``, drawn from the training split; None for all there are.
    disjoint : bool
        Leave the rows of ``grpo.jsonl`` out of ``calibration.jsonl``, so that reinforcement meets
        clips that were not learned by heart.
    seed : int
        Of all draws.
    skip_prep : bool
        Do nothing.

    Returns
    -------
    dict
        What ``preparation.json`` holds; None if nothing was done.

    Raises
    ------
    QualiSpeechError
        If a CSV file or a column is missing, a share or a number does not make sense, or no row
        of a split is left.

    Example
    -------
    >>> prepare_qualispeech("data", "save", skip_prep=True)
    """
    if skip_prep:
        return None
    if valid_share is not None and not 0 < valid_share < 1:
        raise QualiSpeechError(f"valid_share is {valid_share}; need a number between 0 and 1")
    data_folder, save_folder = Path(data_folder), Path(save_folder)
    bvcc_folder = bvcc_folder and Path(bvcc_folder)
    rows = {ours: read_rows(data_folder, theirs) for ours, theirs in SPLITS.items()}
    if valid_share is not None:
        pool = _drawn(rows["train"] + rows["valid"], f"{seed}/valid")
        n_valid = round(valid_share * len(pool))
        rows |= {"valid": pool[:n_valid], "train": pool[n_valid:]}
    kept, report = {}, {"splits": {}, "flags": {}}
    flags = {kind: Counter() for kind in ANNOTATIONS}
    for split, some in rows.items():
        kept[split], dropped = _convert(some, data_folder, bvcc_folder, flags)
        report["splits"][split] = {"rows": len(some), "kept": len(kept[split])}
        report["splits"][split]["dropped"] = dict(dropped.most_common())
    report["flags"] = {kind: dict(c.most_common()) for kind, c in flags.items()}
    kept |= _subsets(kept["train"], n_calibration, n_grpo, disjoint, seed)
    report["subsets"] = {name: len(kept[name]) for name in ("calibration", "grpo")}
    save_folder.mkdir(parents=True, exist_ok=True)
    print(drop_table(report))
    for name, utterances in kept.items():
        try:
            write_manifest(save_folder / f"{name}.jsonl", utterances)
        except ManifestError as err:
            raise QualiSpeechError(
                f"{data_folder}: no row is left for {name}.jsonl; see the table above for why"
            ) from err
    write_json(save_folder / REPORT_FILE, report)
    return report


def make_reference(cells, duration_s):
    """What a model should answer of a clip, from what the annotator said.

    Scores are those of the columns. Artifacts are what `parse_annotation` reads, with times where
    there are intervals. The description has a section for each dimension: the words of its score
    and then the annotator's own on it, the natural language description under the overall
    quality. Times that the artifacts can hold are taken out of it, so that prose and artifacts
    cannot contradict each other; any other wording stays as it was written.

    Arguments
    ---------
    cells : dict from str to str
        Column to text.
    duration_s : float
        Length of the clip.

    Returns
    -------
    tuple of Assessment and dict from str to Annotation
        The reference, and the reading of each artifact kind's column.

    Raises
    ------
    QualiSpeechError
        If a score is not a whole number from 1 to 5.
    """
    taxonomy = load_taxonomy("qualispeech")
    scores = {name: _score(column, cells[column]) for column, name in SCORES.items()}
    read = {
        kind: parse_annotation(cells[column], taxonomy.kind(kind), duration_s)
        for kind, column in ANNOTATIONS.items()
    }
    artifacts = [
        a for kind, annotation in read.items() for a in _artifacts(kind, annotation, duration_s)
    ]
    words = {
        taxonomy.kind(kind).dimension: cells[ANNOTATIONS[kind]] if annotation.present else ""
        for kind, annotation in read.items()
    }
    others = {" ".join(text.split()).casefold() for text in words.values()}
    for name, column in REMARKS.items():
        if " ".join(cells[column].split()).casefold() not in others:  # copied by mistake
            words[name] = cells[column]
    sections = {}
    for dimension in taxonomy.dimensions:
        anchor = dimension.anchor(scores[dimension.name])
        remark = without_times(words.get(dimension.name, ""), duration_s)
        said = f". {remark[0].upper()}{remark[1:]}" if re.search(r"[^\W\d_]", remark) else ""
        sections[dimension.name] = anchor + said
    return Assessment(taxonomy, scores, artifacts, join_sections(taxonomy, sections)), read


def drop_table(report):
    """A preparation's counts as a table, a row per split.

    Arguments
    ---------
    report : dict
        From `prepare_qualispeech`.

    Returns
    -------
    str
    """
    splits = report["splits"]
    reasons = list(dict.fromkeys(r for counts in splits.values() for r in counts["dropped"]))
    lines = [
        [split, counts["rows"], counts["kept"], *(counts["dropped"].get(r, 0) for r in reasons)]
        for split, counts in splits.items()
    ]
    table = tabulate(lines, ["split", "rows", "kept", *reasons], "github")
    subsets = ", ".join(f"{name} {n}" for name, n in report["subsets"].items())
    return f"{table}\n\nOut of the training split: {subsets}."


def _convert(rows, data_folder, bvcc_folder, flags):
    """Utterances of the rows that can be used; why the others cannot."""
    kept, dropped, seen = [], Counter(), set()
    for row in rows:
        try:
            if not row.id:
                raise _Dropped("no id")
            if row.id in seen:
                raise _Dropped("id stands twice")
            seen.add(row.id)
            utterance, read = _utterance(row, data_folder, bvcc_folder)
        except _Dropped as reason:
            dropped[str(reason)] += 1
            continue
        kept.append(utterance)
        for kind, annotation in read.items():
            flags[kind].update(map(str, sorted(annotation.flags)))
    return kept, dropped


def _utterance(row, data_folder, bvcc_folder):
    audio = find_audio(row, data_folder, bvcc_folder)
    if audio is None:
        raise _Dropped("BVCC clip, not in the archive" if row.of_bvcc else "no audio file")
    try:
        duration_s = audio_duration_s(audio)
    except AudioError as err:
        raise _Dropped("unreadable audio") from err
    try:
        reference, read = make_reference(row.cells, duration_s)
    except QualiSpeechError as err:
        raise _Dropped("score is no whole number from 1 to 5") from err
    system = row.id.partition("-")[0]
    return Utterance(row.id, str(audio), duration_s, reference, system), read


def _score(column, text):
    try:
        score = float(text)
    except ValueError:
        score = 0.0
    if score not in range(SCORE_MIN, SCORE_MAX + 1):
        raise QualiSpeechError(f"{column} is {text!r}; need a whole number from 1 to 5")
    return score


def _artifacts(kind, annotation: Annotation, duration_s):
    if not annotation.present:
        return []
    times = [(i.start_s, i.end_s) for i in annotation.intervals]
    if not times:
        times = [(0.0, duration_s) if Flag.WHOLE_CLIP in annotation.flags else (None, None)]
    return [Artifact(kind, annotation.kind_type, *pair) for pair in times]


def _subsets(train, n_calibration, n_grpo, disjoint, seed):
    """The two stages' shares of the training split."""
    grpo = _take(_drawn(train, f"{seed}/grpo"), n_grpo, "n_grpo")
    rest = train
    if disjoint:
        taken = {u.id for u in grpo}
        rest = [u for u in train if u.id not in taken]
    calibration = _take(_drawn(rest, f"{seed}/calibration"), n_calibration, "n_calibration")
    return {"calibration": calibration, "grpo": grpo}


def _take(utterances, n, name):
    if n is None:
        return utterances
    if not 0 < n <= len(utterances):
        raise QualiSpeechError(
            f"{name} is {n}, and {len(utterances)} rows are there for it; give a number from 1 to "
            "that, or None for all"
        )
    return utterances[:n]


def _drawn(items, salt):
    """Items in an order that depends on salt and id alone."""

    def key(item):
        return hashlib.sha256(f"{salt}/{item.id}".encode()).hexdigest(), item.id

    return sorted(items, key=key)


def main():
    """Command line of `prepare_qualispeech`; ``--help`` lists the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_folder", help="holds the CSV files and wav/")
    parser.add_argument("save_folder", help="where manifests go")
    parser.add_argument("--bvcc_folder", help="where the clips of BVCC are")
    parser.add_argument("--valid_share", type=float, help="e.g. 0.15; official splits if not given")
    parser.add_argument("--n_calibration", type=int, help="rows; all if not given")
    parser.add_argument("--n_grpo", type=int, default=800, help="rows")
    parser.add_argument(
        "--overlapping",
        dest="disjoint",
        action="store_false",
        help="calibrate on the rows of GRPO as well",
    )
    parser.add_argument("--seed", type=int, default=1234)
    try:
        prepare_qualispeech(**vars(parser.parse_args()))
    except QualiSpeechError as error:
        sys.exit(f"qualispeech_prepare.py: {error}")


if __name__ == "__main__":
    main()
