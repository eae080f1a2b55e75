#!/usr/bin/env python3
"""Let the synthetic voice of ``hibari-tts`` speak sentences into the files of a folder.

For `fetch_audio`, which runs it in a process that finds the package where it was unpacked.
"""

import argparse
import itertools
from pathlib import Path

import soundfile
from hibari import Hibari
from tqdm import tqdm

RATE_HZ = 24000
WHO = ("The old captain", "My younger sister", "A careful driver", "Our new neighbour")
DOES = ("carried a bag of apples", "found the missing letter", "closed every window")
WHERE = ("across the quiet harbour", "behind the village school", "near the northern gate")
WHEN = ("before the rain began.", "while nobody was watching.", "on a cold Thursday morning.")


def synthesise(folder):
    """Write ``<folder>/<number>.flac``, a sentence each.

    Arguments
    ---------
    folder : path
        Is there and empty.
    """
    voice = Hibari()
    sentences = [" ".join(words) for words in itertools.product(WHO, DOES, WHERE, WHEN)]
    for i, sentence in enumerate(tqdm(sentences, "synthesise", unit="sentence")):
        soundfile.write(Path(folder) / f"{i:03d}.flac", voice(sentence, seed=i), RATE_HZ)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="where to write, is there")
    synthesise(**vars(parser.parse_args()))
