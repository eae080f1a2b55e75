#!/usr/bin/env python3
"""Measure a checkpoint on a manifest, beside the model that training started from.

> python evaluate.py hparams/calibration.yaml --csv_file=ratings.csv \
>     --start_folder=../../results/demo/exported
> python evaluate.py hparams/calibration.yaml --csv_file=ratings.csv \
>     --start_folder=../../results/demo/exported --test_manifest=my.jsonl \
>     --evaluation_folder=results/my

Writes ``metrics.json`` and ``records.jsonl`` and prints their table, with the answer that a model
would give which has heard nothing (the training split's mean scores).
"""

import sys

from speechbrain.utils.distributed import infer_device

from speechqa_plugin import running

if __name__ == "__main__":
    hparams, run_opts, *_ = running.load_recipe(sys.argv[1:])
    if hparams["checkpoint"] == "none":  # others hold all that it would load
        running.load_pretrained(hparams)
    running.evaluate(hparams, run_opts["device"] or infer_device())
    running.ddp_end_group()
