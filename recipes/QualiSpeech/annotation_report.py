#!/usr/bin/env python3
"""Report what the parser understands of the annotators' free text, column by column.

Run it by itself::

    python annotation_report.py data
    python annotation_report.py data --split val --n_texts 50
"""

import argparse
import sys

from annotation_coverage import coverage
from qualispeech_corpus import (
    ANNOTATIONS,
    SPLITS,
    QualiSpeechError,
    find_audio,
    read_rows,
)

from speechqa_plugin.audio import AudioError, audio_duration_s
from speechqa_plugin.schema import load_taxonomy


def annotation_report(data_folder, split="train", n_texts=20):
    """Coverage of each column, and its most frequent texts that are not understood.

    Arguments
    ---------
    data_folder : path
        Holds ``<split>.csv`` and ``wav/``. A clip that is not there has no known length, so its
        times are not held against it.
    split : str
        ``train``, ``val`` or ``test``.
    n_texts : int
        How many texts to show of a column.

    Returns
    -------
    str
        Markdown.
    """
    taxonomy = load_taxonomy("qualispeech")
    rows = read_rows(data_folder, split)
    durations_s = [_duration_s(find_audio(row, data_folder)) for row in rows]
    parts = []
    for kind, column in ANNOTATIONS.items():
        texts = [row.cells[column] for row in rows]
        table = coverage(texts, taxonomy.kind(kind), durations_s).table(n_texts)
        parts.append(f"{column} ({split})\n\n{table}")
    return "\n\n".join(parts)


def _duration_s(audio):
    try:
        return audio and audio_duration_s(audio)
    except AudioError:
        return None


def main():
    """Command line of `annotation_report`; ``--help`` lists the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_folder", help="holds the CSV files and wav/")
    parser.add_argument("--split", choices=sorted(SPLITS.values()), default="train")
    parser.add_argument("--n_texts", type=int, default=20, help="texts to show of a column")
    try:
        print(annotation_report(**vars(parser.parse_args())))
    except QualiSpeechError as error:
        sys.exit(f"annotation_report.py: {error}")


if __name__ == "__main__":
    main()
