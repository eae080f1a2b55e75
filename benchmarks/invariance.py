#!/usr/bin/env python3
"""How far scores move between copies of a clip that sound the same.

> python benchmarks/invariance.py recipes/SimulatedSQA/data/wide/test.jsonl --clips 60

Each clip of a manifest is heard as it is and in four copies: softer by 24 dB, louder by 12 dB, with
a second of silence behind it, and shifted by 5 ms. Clips that would be too long for the model with
that second are left out. Printed are the mean and the largest movement of a score, over all
dimensions and clips, and the dimension of the largest.
"""

import argparse

import numpy as np
from tabulate import tabulate

from speechqa_plugin import EMBEDDED
from speechqa_plugin.light import load_light
from speechqa_plugin.manifest import read_manifest

COPIES = {
    "-24 dB": lambda wav, rate_hz: wav * np.float32(10 ** (-24 / 20)),
    "+12 dB": lambda wav, rate_hz: wav * np.float32(10 ** (12 / 20)),
    "1 s of silence behind": lambda wav, rate_hz: np.pad(wav, (0, rate_hz)),
    "5 ms later": lambda wav, rate_hz: np.pad(wav, (rate_hz // 200, 0)),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", help="JSON-lines manifest")
    parser.add_argument("--clips", type=int, default=60, help="how many to hear, from its start")
    parser.add_argument("--model", default=str(EMBEDDED), help="folder of a compact export")
    options = parser.parse_args()
    assessor = load_light(options.model)
    if assessor is None:
        parser.error(f"{options.model}: is no export of a compact model")
    answerer = assessor.answerer
    llm, names = answerer.audio_llm, answerer.taxonomy.names

    def scores(wav):
        (heard,) = answerer.hear([wav], "scores")
        return [heard.assessment.scores[name] for name in names]

    moved = {name: [] for name in COPIES}
    for utterance in read_manifest(options.manifest, answerer.taxonomy)[: options.clips]:
        if utterance.duration_s + 1 > llm.max_audio_s:
            continue
        wav = np.asarray(answerer.load(utterance.path))
        right = np.array(scores(wav))
        for name, copy in COPIES.items():
            moved[name].append(np.abs(scores(copy(wav, llm.sample_rate_hz)) - right))
    if not moved["5 ms later"]:
        parser.error(f"{options.manifest}: no clip is shorter than {llm.max_audio_s - 1:g} s")
    rows = []
    for name, rows_of in moved.items():
        moves = np.array(rows_of)
        rows.append(
            [name, len(moves), moves.mean(), moves.max(), names[moves.max(axis=0).argmax()]]
        )
    head = ["copy", "clips", "mean movement", "largest", "of"]
    print(tabulate(rows, head, "github", floatfmt=("", "", ".3f", ".2f", "")))


if __name__ == "__main__":
    main()
