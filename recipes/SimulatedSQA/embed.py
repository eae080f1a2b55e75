#!/usr/bin/env python3
"""Put an exported model into the package, as the one that `SpeechQualityAssessor.embedded` loads.

> python embed.py results/calibration_wide/1234/exported

Weights are written in half precision. The model's card, README.md in that folder, is kept as it is:
bring its numbers up to date.
"""

import argparse

import torch

from speechqa_plugin import EMBEDDED
from speechqa_plugin.export import export_assessor, load_answerer


def embed(source, folder=EMBEDDED):
    """Write the export in ``source`` to the package's folder, or to another."""
    card = folder / "README.md"
    text = card.read_text(encoding="utf-8") if card.is_file() else None
    export_assessor(load_answerer(source), folder, torch.float16)
    if text is not None:
        card.write_text(text, encoding="utf-8")
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{folder}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", help="folder of an exported model")
    embed(parser.parse_args().source)
