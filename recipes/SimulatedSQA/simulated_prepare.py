#!/usr/bin/env python3
"""Prepare SimulatedSQA: degraded clips with exact labels, from any speech and noise.

Without folders of your own it takes what `fetch_audio` fetches: four recorded
talkers, music and ambiences from Debian packages, without root.

Run it by itself::

    python simulated_prepare.py data save
    python simulated_prepare.py data save --speech_folders VCTK/wav48 --noise_folders MUSAN
"""

import argparse
import logging
import sys
from pathlib import Path

from fetch_audio import TEST_SPEAKER, fetch_noises, fetch_speech

from speechqa_plugin.simulate.corpus import build_corpus
from speechqa_plugin.simulate.signals import SimulationError
from speechqa_plugin.simulate.splits import find_audio, find_noises, find_speech, split_sources

logger = logging.getLogger(__name__)


def prepare_simulated(
    data_folder,
    save_folder,
    speech_folders=None,
    noise_folders=None,
    rir_folder=None,
    n_train=2400,
    n_valid=200,
    n_test=400,
    seed=1234,
    skip_prep=False,
    num_workers=None,
    speaker_level=1,
):
    """Write ``train.jsonl``, ``valid.jsonl`` and ``test.jsonl`` and their clips.

    A second call with the same settings does nothing; an interrupted one is
    finished. The test split shares no speaker, noise file or room file with the
    others; with one speaker only that cannot be, and a warning says so.

    Arguments
    ---------
    data_folder : path
        Where fetched speech and noise are kept.
    save_folder : path
        Where manifests and clips go.
    speech_folders, noise_folders : list of path, optional
        Your own audio in place of the fetched one, any rate. A noise is music if
        ``music`` stands in its path below the folder, else ambience.
    rir_folder : path, optional
        Recorded room responses in place of simulated ones.
    n_train, n_valid, n_test : int
        Numbers of clips.
    seed : int
    skip_prep : bool
        Do nothing.
    num_workers : int or None
        Processes; None for one per core. Does not change the result.
    speaker_level : int
        Which folder above a speech file names its speaker: 1 its parent, 2 the
        parent's parent (LibriSpeech).

    Raises
    ------
    SimulationError
        If nothing is usable or ``save_folder`` holds a corpus with other settings.

    Example
    -------
    >>> prepare_simulated("data", "save", skip_prep=True)
    """
    if skip_prep:
        return
    sources, ceiling = sources_of_splits(
        data_folder, speech_folders, noise_folders, rir_folder, seed, speaker_level
    )
    counts = {"train": n_train, "valid": n_valid, "test": n_test}
    build_corpus(save_folder, sources, counts, seed, ceiling=ceiling, num_workers=num_workers)


def sources_of_splits(
    data_folder,
    speech_folders=None,
    noise_folders=None,
    rir_folder=None,
    seed=1234,
    speaker_level=1,
):
    """What each split draws from; fetches what is not given.

    Arguments
    ---------
    data_folder, speech_folders, noise_folders, rir_folder, seed, speaker_level
        See `prepare_simulated`.

    Returns
    -------
    sources : dict from str to Sources
        For train, valid and test.
    ceiling : float
        Quality of the clean speech on the five-point scale.

    Raises
    ------
    SimulationError
        If nothing is usable.
    """
    data_folder = Path(data_folder)
    ceiling, test_speakers = 5.0, []
    if speech_folders is None:
        folder, ceiling = fetch_speech(data_folder)
        speech = find_speech([folder])
        test_speakers = [name for name in speech if Path(name).name == TEST_SPEAKER]
    else:
        speech = find_speech(speech_folders, speaker_level)
    return share_out(data_folder, speech, test_speakers, noise_folders, rir_folder, seed), ceiling


def share_out(data_folder, speech, test_speakers, noise_folders, rir_folder, seed):
    """Add noises and rooms to speech, and share all of it out; see `sources_of_splits`.

    Arguments
    ---------
    speech : dict from str to list of str
        Files of each speaker.
    test_speakers : list of str
        Those that are kept for the test split; none lets it draw.
    data_folder, noise_folders, rir_folder, seed
        See `prepare_simulated`.
    """
    noises = find_noises(fetch_noises(data_folder) if noise_folders is None else noise_folders)
    rooms = [path for _, path in find_audio([rir_folder])] if rir_folder else []
    sources, remarks = split_sources(speech, noises, rooms, seed, test_speakers)
    for remark in remarks:
        logger.warning(remark)
    return sources


def read_arguments(title, saved, counts):
    """Command line of a script that makes a corpus; ``--help`` lists the options.

    Arguments
    ---------
    title : str
        What the script does.
    saved : str
        What goes to its ``save_folder``.
    counts : dict from str to int
        Clips of each split, if not said.
    """
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("data_folder", help="where fetched speech and noise are kept")
    parser.add_argument("save_folder", help=f"where {saved} go")
    parser.add_argument("--speech_folders", nargs="+", help="your own speech")
    parser.add_argument("--noise_folders", nargs="+", help="your own noise")
    parser.add_argument("--rir_folder", help="recorded room responses")
    for split, count in counts.items():
        parser.add_argument(f"--n_{split}", type=int, default=count, help="number of clips")
    parser.add_argument("--seed", type=int, default=1234)
    parser.add_argument("--num_workers", type=int, help="processes; one per core if not given")
    parser.add_argument(
        "--speaker_level", type=int, default=1, help="folder above a file that names its speaker"
    )
    return vars(parser.parse_args())


def main():
    """Command line of `prepare_simulated`."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    counts = {"train": 2400, "valid": 200, "test": 400}
    arguments = read_arguments(__doc__.splitlines()[0], "manifests and clips", counts)
    try:
        prepare_simulated(**arguments)
    except SimulationError as error:
        sys.exit(f"simulated_prepare.py: {error}")


if __name__ == "__main__":
    main()
