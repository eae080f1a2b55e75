#!/usr/bin/env python3
"""Write tiny stand-ins for the pretrained weights, to try the recipe on a CPU without a download.

Run it by itself::

    python make_tiny_base.py data/tiny

Makes ``audio_flamingo_3`` and ``sentence_encoder``: the published models' classes with random
weights, loaded like the published folders.
"""

import argparse
from pathlib import Path

import torch
from tiny_bases import write_tiny_base
from transformers import AudioFlamingo3ForConditionalGeneration, BertConfig, BertModel

from speechqa_plugin.models.compact import compact_tokenizer

HEAD_SCALE = 5.0
"""The output layer stays frozen; as it is drawn, no token could ever be likely."""


def make_tiny_base(folder, seed=1234):
    """Write both folders.

    Arguments
    ---------
    folder : path
        Made if it is not there; files of the same names are written over.
    seed : int
        Of the weights.
    """
    folder = Path(folder)
    base = write_tiny_base(folder / "audio_flamingo_3", "audio_flamingo_3", seed)
    model = AudioFlamingo3ForConditionalGeneration.from_pretrained(base)
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(HEAD_SCALE)
    model.save_pretrained(base)
    tokenizer = compact_tokenizer()
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=128,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BertModel(config)
    tokenizer.save_pretrained(folder / "sentence_encoder")
    model.save_pretrained(folder / "sentence_encoder")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="where to write them")
    parser.add_argument("--seed", type=int, default=1234)
    make_tiny_base(**vars(parser.parse_args()))
