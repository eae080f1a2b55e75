#!/usr/bin/env python3
"""Make the compact model's tokenizer from the answers of a manifest.

> python train_tokenizer.py data/simulated/train.jsonl compact_tokenizer.json

The file that ships with the package was made so, from the recipe's default training split. A new
one makes weights that were trained with another one of no use; a checkpoint brings its own along.
"""

import argparse

from speechqa_plugin.manifest import read_manifest
from speechqa_plugin.models.compact import train_tokenizer
from speechqa_plugin.models.compact_text import CHAT_FRAME
from speechqa_plugin.schema import load_taxonomy
from speechqa_plugin.text.answers import AnswerForm, render_answer
from speechqa_plugin.text.prompts import build_prompt


def texts(utterances, taxonomy):
    """What the model reads and writes: each prompt and answer of both forms."""
    for utterance in utterances:
        for form in AnswerForm:
            yield CHAT_FRAME.format(build_prompt(taxonomy, form))
            yield render_answer(utterance.reference, form)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", help="JSON-lines manifest with references")
    parser.add_argument("tokenizer", help="file to write")
    parser.add_argument("--taxonomy", default="qualispeech", help="name or YAML file")
    parser.add_argument("--vocab-size", type=int, default=2048, help="most tokens (2048)")
    args = parser.parse_args()
    taxonomy = load_taxonomy(args.taxonomy)
    rows = read_manifest(args.manifest, taxonomy)
    train_tokenizer(texts(rows, taxonomy), args.vocab_size).save(args.tokenizer)
