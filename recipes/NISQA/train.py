#!/usr/bin/env python3
"""Train a speech quality assessor on the NISQA Corpus.

> python train.py hparams/calibration.yaml --data_folder=NISQA_Corpus \
>     --start_folder=../../results/demo/exported

Prepares the data, goes on from the exported model (an interrupted run goes on where it was), says
by how much it got better than that on the test split, and exports it to a folder that
`SpeechQualityAssessor.from_hparams` loads. HyperPyYAML runs the code that a YAML file names: use
files of people you trust.
"""

import sys

import speechbrain as sb
from speechbrain.utils.distributed import run_on_main

from speechqa_plugin import running
from speechqa_plugin.dataio import Collate, make_dataset
from speechqa_plugin.export import export_assessor

if __name__ == "__main__":
    hparams, run_opts, hparams_file, overrides = running.load_recipe(sys.argv[1:])
    sb.create_experiment_directory(hparams["output_folder"], hparams_file, overrides)
    running.say_data_errors()

    run_on_main(hparams["prepare"])
    train, valid = running.read_training(hparams)

    running.load_pretrained(hparams)
    answerer = hparams["answerer"]
    collate = Collate(answerer)
    train_set = make_dataset(train, hparams["answer_forms"], answerer)
    running.check_total_steps(hparams, len(train_set))
    brain = hparams["brain_class"](
        modules=hparams["modules"],
        opt_class=hparams["opt_class"],
        hparams=hparams,
        run_opts=run_opts,
        checkpointer=hparams["checkpointer"],
        answerer=answerer,
        valid_utterances=valid,
    )
    brain.fit(
        hparams["epoch_counter"],
        train_set,
        make_dataset(valid, [brain.valid_form], answerer),
        train_loader_kwargs={**hparams["train_dataloader_opts"], "collate_fn": collate},
        valid_loader_kwargs={**hparams["valid_dataloader_opts"], "collate_fn": collate},
    )
    running.evaluate(hparams, brain.device)
    run_on_main(export_assessor, args=[answerer, hparams["export_folder"]])
    running.ddp_end_group()
