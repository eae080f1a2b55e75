#!/usr/bin/env python3
"""Prepare the wide corpus: more talkers, what real systems do to speech, measured labels.

Three passes, each of which goes on where it was interrupted: simulate, measure, label. Run it by
itself::

    python wide_prepare.py data wide
    python wide_prepare.py data wide --n_train 6000 --n_valid 200 --n_test 200
"""

import json
import logging
from pathlib import Path

from fetch_talkers import fetch_talkers
from simulated_prepare import read_arguments, share_out

from speechqa_plugin.manifest import write_manifest
from speechqa_plugin.measures.instruments import MeasureError, require
from speechqa_plugin.measures.measuring import measure_all
from speechqa_plugin.schema import Artifact, Utterance, load_taxonomy
from speechqa_plugin.simulate.corpus import build_corpus
from speechqa_plugin.simulate.signals import SimulationError
from speechqa_plugin.simulate.splits import find_speech
from speechqa_plugin.simulate.wide.clip import load_settings
from speechqa_plugin.simulate.wide.labels import label, pairs_of
from speechqa_plugin.simulate.wide.worker import WideClipMaker

TAXONOMY = "wide"


def prepare_wide(
    data_folder,
    save_folder,
    speech_folders=None,
    noise_folders=None,
    rir_folder=None,
    n_train=6000,
    n_valid=200,
    n_test=200,
    seed=1234,
    skip_prep=False,
    num_workers=None,
    speaker_level=1,
):
    """Write ``<split>.jsonl`` with measured scores, and ``<split>_no_speech.jsonl`` without any.

    ``simulated/`` below holds the clips, their references and stems, and ``measures/`` what was
    measured of them, as JSON lines. The stems may be deleted afterwards.

    Arguments
    ---------
    data_folder, speech_folders, noise_folders, rir_folder, seed, speaker_level
        See `simulated_prepare.prepare_simulated`; the fetched talkers are those of
        `fetch_talkers`.
    save_folder : path
        Where manifests, clips and measures go.
    n_train, n_valid, n_test : int
        Numbers of clips.
    skip_prep : bool
        Do nothing.
    num_workers : int or None
        Processes; None for one per core. Does not change the result.

    Raises
    ------
    SimulationError
        If nothing is usable or ``save_folder`` holds a corpus with other settings.
    MeasureError
        If a measure is not installed or cannot be taken.

    Example
    -------
    >>> prepare_wide("data", "wide", skip_prep=True)
    """
    if skip_prep:
        return
    settings = load_settings()["labels"]
    require(sorted({n for source in settings["measured"].values() for n in source["measures"]}))
    data_folder, save_folder = Path(data_folder), Path(save_folder)
    test_speakers = []
    if speech_folders is None:
        speech, test_speakers = fetch_talkers(data_folder)
    else:
        speech = find_speech(speech_folders, speaker_level)
    sources = share_out(data_folder, speech, test_speakers, noise_folders, rir_folder, seed)
    counts = {"train": n_train, "valid": n_valid, "test": n_test}
    corpus = save_folder / "simulated"
    build_corpus(
        corpus, sources, counts, seed, TAXONOMY, num_workers=num_workers, maker=WideClipMaker
    )
    (save_folder / "measures").mkdir(exist_ok=True)
    for split in counts:
        label_split(save_folder, split, num_workers)


def label_split(save_folder, split, num_workers=None):
    """Measure the clips of a split and write its manifests.

    Arguments
    ---------
    save_folder : Path
        With the corpus in ``simulated``.
    split : str
    num_workers : int or None
    """
    corpus, taxonomy = save_folder / "simulated", load_taxonomy(TAXONOMY)
    with open(corpus / f"{split}_simulation.jsonl", encoding="ascii") as file:
        records = [json.loads(line) for line in file]
    jobs = {r["id"]: pairs_of(r, corpus) for r in records if r["stems"]}
    measures = measure_all(save_folder / "measures" / f"{split}.jsonl", jobs, num_workers)
    spoken, silent = [], []
    for record in records:
        name, assessment = record["id"], None
        if name in measures:
            artifacts = tuple(Artifact(**a) for a in record["artifacts"])
            assessment = label(name, record["duration_s"], artifacts, measures[name], taxonomy)
        row = Utterance(
            name,
            str(corpus / record["clip"]),
            record["duration_s"],
            assessment,
            record["system"],
        )
        (silent if assessment is None else spoken).append(row)
    write_manifest(save_folder / f"{split}.jsonl", spoken)
    if silent:
        write_manifest(save_folder / f"{split}_no_speech.jsonl", silent)


def main():
    """Command line of `prepare_wide`."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    counts = {"train": 6000, "valid": 200, "test": 200}
    saved = "manifests, clips and measures"
    arguments = read_arguments(__doc__.splitlines()[0], saved, counts)
    try:
        prepare_wide(**arguments)
    except (SimulationError, MeasureError) as err:
        raise SystemExit(f"wide_prepare: {err}") from err


if __name__ == "__main__":
    main()
