#!/usr/bin/env python3
"""Prepare SimulatedSQA: degraded clips with exact labels, from any speech and noise.

Without folders of your own it fetches recorded human speech and noise from
Debian packages, without root: four talkers who recorded telephone prompts in a
studio (``asterisk-core-sounds-{en,fr,it,ru}-g722``, CC BY-SA 3.0 and CC BY 3.0),
music on hold (``asterisk-moh-opsound-wav``, CC BY-SA) and ambiences and loops
(``sonic-pi-samples``, mostly CC0). Their licences are copied beside the audio.
Where that fails, a neural text-to-speech package from PyPI takes their place,
and the output says so.

Run it by itself::

    python simulated_prepare.py data save --speech_folders VCTK/wav48 --noise_folders MUSAN
"""

import argparse
import logging
import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import soundfile

from speechqa_plugin.simulate.corpus import build_corpus
from speechqa_plugin.simulate.signals import SAMPLE_RATE_HZ, SimulationError
from speechqa_plugin.simulate.sources import find_audio, find_noises, find_speech, split_sources

logger = logging.getLogger(__name__)

SPEECH_PACKAGES = {
    f"asterisk-core-sounds-{language}-g722": language for language in ("en", "fr", "it", "ru")
}
NOISE_PACKAGES = ("asterisk-moh-opsound-wav", "sonic-pi-samples")
TEST_LANGUAGE = "ru"
"""Training hears the other three, among them the only man."""

G722_CEILING = 4.5
"""The prompts went through G.722 at 64 kbit/s: near transparent, not quite."""

_SHORTEST_PROMPT_S = 1.0
_NOT_SPEECH = ("silence", "beep", "tone", "monkeys", "weasels")
_AMBIENCES = ("ambi_", "vinyl_hiss")
_MUSIC = ("loop_", "guit_")
_NOT_AMBIENCE = ("ambi_choir", "ambi_piano")
_SHORTEST_NOISE_S = 1.5


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
    others (with one speaker only that cannot be, and a warning says so).

    Arguments
    ---------
    data_folder : path
        Where fetched speech and noise are kept.
    save_folder : path
        Where manifests and clips go.
    speech_folders, noise_folders : list of path, optional
        Your own audio in place of the fetched one, any rate. A noise is music if
        ``music`` stands in its path below the folder.
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
    """
    if skip_prep:
        return
    ceiling, test_speakers = 5.0, ()
    if speech_folders is None:
        speech_folders, test_speakers, ceiling = fetch_speech(Path(data_folder))
    if noise_folders is None:
        noise_folders = fetch_noises(Path(data_folder))
    speech = find_speech(speech_folders, speaker_level)
    noises = find_noises(noise_folders) if noise_folders else {}
    rooms = [path for _, path in find_audio([rir_folder])] if rir_folder else []
    test_speakers = [s for s in speech if Path(s).name in test_speakers]
    sources, remarks = split_sources(speech, noises, rooms, seed, test_speakers)
    for remark in remarks:
        logger.warning(remark)
    counts = {"train": n_train, "valid": n_valid, "test": n_test}
    build_corpus(save_folder, sources, counts, seed, ceiling=ceiling, num_workers=num_workers)


def fetch_speech(data_folder):
    """Fetch and decode clean speech, once.

    Arguments
    ---------
    data_folder : Path

    Returns
    -------
    folders : list of Path
        One folder a speaker below them.
    test_speakers : tuple of str
        Names of the speakers' folders that are for test.
    ceiling : float
        Quality of this speech on the five-point scale.
    """
    folder = data_folder / "speech"
    if folder.is_dir():
        return [folder], (TEST_LANGUAGE,), G722_CEILING
    with_temporary = data_folder / "speech.tmp"
    shutil.rmtree(with_temporary, ignore_errors=True)
    for package, language in SPEECH_PACKAGES.items():
        unpacked = fetch_package(data_folder, package)
        for path in sorted(unpacked.rglob("*.g722")):
            if any(word in str(path.relative_to(unpacked)) for word in _NOT_SPEECH):
                continue
            audio = decode_g722(path)
            if len(audio) >= _SHORTEST_PROMPT_S * SAMPLE_RATE_HZ:
                target = with_temporary / language / f"{path.stem}.flac"
                target.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(target, audio, SAMPLE_RATE_HZ)
    with_temporary.rename(folder)
    return [folder], (TEST_LANGUAGE,), G722_CEILING


def fetch_noises(data_folder):
    """Fetch noises, once.

    Arguments
    ---------
    data_folder : Path

    Returns
    -------
    list of Path
    """
    folder = data_folder / "noise"
    if folder.is_dir():
        return [folder]
    temporary = data_folder / "noise.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    for package in NOISE_PACKAGES:
        for path in sorted(fetch_package(data_folder, package).rglob("*")):
            if path.suffix not in (".wav", ".flac"):
                continue
            if soundfile.info(path).duration < _SHORTEST_NOISE_S:
                continue
            ambience = path.name.startswith(_AMBIENCES) and not path.name.startswith(_NOT_AMBIENCE)
            music = package.startswith("asterisk") or path.name.startswith(_MUSIC + _NOT_AMBIENCE)
            if ambience or music:
                target = temporary / ("ambience" if ambience else "music") / path.name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
    temporary.rename(folder)
    return [folder]


def fetch_package(data_folder, package):
    """Download and unpack a Debian package, without root.

    Arguments
    ---------
    data_folder : Path
    package : str

    Returns
    -------
    Path
        Folder with the package's tree.
    """
    folder = data_folder / "packages" / package
    if folder.is_dir():
        return folder
    temporary = data_folder / "packages" / f"{package}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    subprocess.run(["apt-get", "download", package], cwd=temporary, check=True, capture_output=True)
    (deb,) = temporary.glob("*.deb")
    subprocess.run(["dpkg", "-x", deb, temporary], check=True)
    deb.unlink()
    temporary.rename(folder)
    return folder


def decode_g722(path):
    """Decode a raw G.722 file.

    Arguments
    ---------
    path : Path

    Returns
    -------
    numpy.ndarray of float32, shape (n,)
        At 16 kHz; no samples for an empty file.
    """
    with av.open(str(path), format="g722") as container:
        frames = [frame.to_ndarray().ravel() for frame in container.decode(audio=0)]
    return np.concatenate([np.zeros(0, np.int16), *frames]).astype(np.float32) / 32768


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_folder")
    parser.add_argument("save_folder")
    parser.add_argument("--speech_folders", nargs="+")
    parser.add_argument("--noise_folders", nargs="+")
    parser.add_argument("--rir_folder")
    parser.add_argument("--n_train", type=int, default=2400)
    parser.add_argument("--n_valid", type=int, default=200)
    parser.add_argument("--n_test", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1234)
    parser.add_argument("--num_workers", type=int)
    parser.add_argument("--speaker_level", type=int, default=1)
    try:
        prepare_simulated(**vars(parser.parse_args()))
    except SimulationError as error:
        sys.exit(f"simulated_prepare.py: {error}")
