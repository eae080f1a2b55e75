#!/usr/bin/env python3
"""Prepare the wide corpus: more talkers, what real systems do to speech, measured labels.

Three passes, each of which goes on where it was interrupted: simulate, measure, label. Run it by
itself::

    python wide_prepare.py data wide
    python wide_prepare.py data wide --n_train 6000 --n_valid 200 --n_test 200
"""

import argparse
import json
import logging
from pathlib import Path

from fetch_audio import fetch_noises
from fetch_talkers import fetch_talkers

from speechqa_plugin.manifest import write_manifest
from speechqa_plugin.measures.instruments import MeasureError, require
from speechqa_plugin.measures.measuring import measure_all
from speechqa_plugin.schema import Artifact, Utterance, load_taxonomy
from speechqa_plugin.simulate.corpus import build_corpus
from speechqa_plugin.simulate.signals import SimulationError
from speechqa_plugin.simulate.splits import find_audio, find_noises, find_speech, split_sources
from speechqa_plugin.simulate.wide.clip import load_settings
from speechqa_plugin.simulate.wide.labels import label, pairs_of
from speechqa_plugin.simulate.wide.worker import WideClipMaker

logger = logging.getLogger(__name__)

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
    noises = find_noises(fetch_noises(data_folder) if noise_folders is None else noise_folders)
    rooms = [path for _, path in find_audio([rir_folder])] if rir_folder else []
    sources, remarks = split_sources(speech, noises, rooms, seed, test_speakers)
    for remark in remarks:
        logger.warning(remark)
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
    """Command line of `prepare_wide`; ``--help`` lists the options."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_folder", help="where fetched speech and noise are kept")
    parser.add_argument("save_folder", help="where manifests, clips and measures go")
    parser.add_argument("--speech_folders", nargs="+", help="your own speech")
    parser.add_argument("--noise_folders", nargs="+", help="your own noise")
    parser.add_argument("--rir_folder", help="recorded room responses")
    for split, count in (("train", 6000), ("valid", 200), ("test", 200)):
        parser.add_argument(f"--n_{split}", type=int, default=count, help="number of clips")
    parser.add_argument("--seed", type=int, default=1234)
    parser.add_argument("--num_workers", type=int, help="processes; one per core if not given")
    parser.add_argument("--speaker_level", type=int, default=1, help="folder that names a speaker")
    try:
        prepare_wide(**vars(parser.parse_args()))
    except (SimulationError, MeasureError) as err:
        raise SystemExit(f"wide_prepare: {err}") from err


if __name__ == "__main__":
    main()
