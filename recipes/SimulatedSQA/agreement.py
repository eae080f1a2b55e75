#!/usr/bin/env python3
"""Print how well measures, the labels made of them, and a trained model agree with listeners.

For development only: a set that labels are chosen by must not be trained on. Run it by itself::

    python agreement.py codec_mushra/labels.csv results/codec_mushra.jsonl
    python agreement.py codec_mushra/labels.csv results/codec_mushra.jsonl \
        --model results/calibration_wide/1234/exported
"""

import argparse
import csv
import logging
from pathlib import Path

import numpy as np

from speechqa_plugin.measures.agreement import agreement, agreement_table
from speechqa_plugin.measures.instruments import NAMES, MeasureError, installed
from speechqa_plugin.measures.measuring import Pair, measure_all
from speechqa_plugin.simulate.wide.clip import load_settings
from speechqa_plugin.simulate.wide.labels import combine

PAIRED = ("pesq", "visqol")
"""Two that are worth a row beside the label: what the third adds."""


def read_ratings(labels, rating_column, reference):
    """Files, their references and their ratings, from a CSV file.

    Arguments
    ---------
    labels : Path
        With the columns ``path``, relative to its folder, and ``rating_column``.
    rating_column : str
    reference : str
        Name of the clean recording in the folder of each file.

    Returns
    -------
    jobs : dict from str to dict from str to Pair
        One pair, named ``overall``, by the file's path.
    ratings : list of float

    Raises
    ------
    MeasureError
        If there is no such file or column, or a recording is missing.
    """
    try:
        with open(labels, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as err:
        raise MeasureError(f"{labels}: cannot be read ({err.strerror}); correct the path") from err
    jobs, ratings = {}, []
    for number, row in enumerate(rows, start=2):
        try:
            path, rating = labels.parent / row["path"], float(row[rating_column])
        except (KeyError, ValueError, TypeError) as err:
            raise MeasureError(
                f"{labels}, line {number}: needs a path and a number as {rating_column!r}, "
                f"found {row}; name the column with --rating_column"
            ) from err
        for needed in (path, path.with_name(reference)):
            if not needed.is_file():
                raise MeasureError(f"{labels}, line {number}: {needed} is not there")
        pair = Pair(str(path), str(path.with_name(reference)), tuple(installed()))
        jobs[row["path"]] = {"overall": pair}
        ratings.append(rating)
    return jobs, ratings


def columns_of(measures):
    """Values by measure, and by label made of several, of `measure_all`'s result."""
    of_files = [of_pairs["overall"] for of_pairs in measures.values()]
    there = [name for name in NAMES if of_files and name in of_files[0]]
    columns = {n: [np.nan if v[n] is None else v[n] for v in of_files] for n in there}
    means = {
        PAIRED,
        *(tuple(s["measures"]) for s in load_settings()["labels"]["measured"].values()),
    }
    for names in sorted(means):
        if set(names) <= set(there):
            columns[f"mean of {', '.join(names)}"] = [combine(v, names) for v in of_files]
    return columns


def model_columns(model, labels, paths):
    """Scores of a trained model for each of its dimensions, NaN where a file cannot be heard."""
    from speechqa_plugin import SpeechQualityAssessor

    assessor = SpeechQualityAssessor.from_hparams(source=model)
    heard = list(assessor.score_files([labels.parent / path for path in paths]))
    return {
        f"model: {name}": [
            np.nan if r.assessment is None else r.assessment.scores[name] for r in heard
        ]
        for name in assessor.answerer.taxonomy.names
    }


def main():
    """Command line; ``--help`` lists the options."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("labels", type=Path, help="CSV file with a row for each rated recording")
    parser.add_argument("measures", type=Path, help="where values are kept, as JSON lines")
    parser.add_argument("--rating_column", default="mos_linear", help="listeners' mean rating")
    parser.add_argument("--reference", default="ref.wav", help="clean recording in each folder")
    parser.add_argument("--model", help="folder of an exported model, which needs no reference")
    parser.add_argument("--num_workers", type=int, help="processes; one per core if not given")
    args = parser.parse_args()
    try:
        jobs, ratings = read_ratings(args.labels, args.rating_column, args.reference)
        args.measures.parent.mkdir(parents=True, exist_ok=True)
        measures = measure_all(args.measures, jobs, args.num_workers)
    except MeasureError as err:
        raise SystemExit(f"agreement: {err}") from err
    columns = columns_of(measures)
    if args.model:
        columns |= model_columns(args.model, args.labels, jobs)
    print(agreement_table(agreement(ratings, columns)))


if __name__ == "__main__":
    main()
