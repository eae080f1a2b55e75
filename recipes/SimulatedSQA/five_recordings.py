#!/usr/bin/env python3
"""Make five recordings to try an assessor on, from a talker that no model of ours was trained on.

> python five_recordings.py data recordings

Writes clean.wav, noisy.wav, clipped.wav, gapped.wav and coded.wav: one studio recording, and what
was done to it.
"""

import argparse
from pathlib import Path

import numpy as np
import soundfile
from fetch_audio import TEST_SPEAKER, fetch_speech

from speechqa_plugin.audio import load_audio
from speechqa_plugin.schema import load_taxonomy
from speechqa_plugin.simulate.clip import Step
from speechqa_plugin.simulate.signals import SAMPLE_RATE_HZ
from speechqa_plugin.simulate.splits import find_speech
from speechqa_plugin.simulate.wide.clip import simulate_wide

RECORDINGS = {
    "clean": (),
    "noisy": (Step("white noise", 0.7, False),),
    "clipped": (Step("clipping", 0.8, False),),
    "gapped": (Step("packet loss", 0.8, False),),
    "coded": (Step("codec", 0.8, False),),
}
"""What is done to each: type, severity, whether to a part alone."""

LONGEST_S = 8.0


def make_recordings(data_folder, folder, seed=0):
    """Write the five recordings.

    Arguments
    ---------
    data_folder : Path
        Where fetched speech is kept.
    folder : Path
        Where the recordings go.
    seed : int

    Returns
    -------
    list of Path
        In the order of `RECORDINGS`.
    """
    prompts, _ = fetch_speech(Path(data_folder))
    talkers = find_speech([prompts])
    (talker,) = [name for name in talkers if Path(name).name == TEST_SPEAKER]
    longest = max(sorted(talkers[talker]), key=_length_s)
    clean = load_audio(longest, SAMPLE_RATE_HZ, 1.0, 600.0).numpy()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, plan in RECORDINGS.items():
        rng = np.random.default_rng(seed)
        made = simulate_wide(clean, rng, load_taxonomy("wide"), plan=plan)
        paths.append(folder / f"{name}.wav")
        soundfile.write(paths[-1], made.audio, SAMPLE_RATE_HZ)
    return paths


def _length_s(path):
    """Length of a file in seconds, 0 of one that is too long to be heard in one piece."""
    length = soundfile.info(path).duration
    return length if length <= LONGEST_S else 0.0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data_folder", type=Path, help="where fetched speech is kept")
    parser.add_argument("folder", type=Path, help="where the recordings go")
    args = parser.parse_args()
    for path in make_recordings(args.data_folder, args.folder):
        print(path)
