#!/usr/bin/env python3
"""Measure a checkpoint on a manifest, beside the model that training started from.

> python evaluate.py hparams/calibration.yaml --data_folder=NISQA_Corpus \
>     --start_folder=../../results/demo/exported --test_manifest=data/NISQA_TEST_P501.jsonl \
>     --evaluation_folder=results/p501

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
