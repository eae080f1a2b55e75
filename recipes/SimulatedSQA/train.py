#!/usr/bin/env python3
"""Train an audio-LLM speech quality assessor; the YAML file names the stage.

One script for all recipes: those beside this one link to it. To run, one stage after the other,
on one process or on two:

> python train.py hparams/calibration_compact.yaml
> python train.py hparams/grpo_compact.yaml
> torchrun --nproc_per_node=2 train.py hparams/calibration_compact.yaml \
>     --distributed_backend=gloo --device=cpu

Prepares the data, trains (an interrupted run goes on where it was), evaluates the best checkpoint
on the test split and exports it to a folder that `SpeechQualityAssessor.from_hparams` loads.
HyperPyYAML runs the code that a YAML file names: use files of people you trust.
"""

import sys

import speechbrain as sb
from evaluate import ddp_end_group, evaluate, find_recipe, load_pretrained
from hyperpyyaml import load_hyperpyyaml
from speechbrain.utils.distributed import ddp_init_group, run_on_main

from speechqa_plugin.dataio import Collate, make_dataset
from speechqa_plugin.export import export_assessor
from speechqa_plugin.hparams import with_includes
from speechqa_plugin.manifest import read_manifest

if __name__ == "__main__":
    hparams_file, run_opts, overrides = sb.parse_arguments(sys.argv[1:])
    ddp_init_group(run_opts)
    find_recipe(__file__)
    hparams_file = with_includes(hparams_file)
    with open(hparams_file, encoding="utf-8") as file:
        hparams = load_hyperpyyaml(file, overrides)
    sb.create_experiment_directory(hparams["output_folder"], hparams_file, overrides)

    run_on_main(hparams["prepare"])
    train = read_manifest(hparams["train_manifest"], hparams["taxonomy"])
    valid = read_manifest(hparams["valid_manifest"], hparams["taxonomy"])

    load_pretrained(hparams)
    listener = hparams["listener"]
    collate = Collate(listener)
    train_set = make_dataset(train, hparams["answer_forms"], listener)
    rows = hparams["train_dataloader_opts"].get("rows_per_epoch") or len(train_set)
    steps = rows // hparams["batch_size"] * hparams["number_of_epochs"]
    steps *= hparams.get("num_iterations", 1)  # updates on a batch
    if steps > hparams["total_steps"]:
        raise ValueError(
            f"training takes {steps} steps, but the learning rate falls to 0 at total_steps, "
            f"{hparams['total_steps']}: give --total_steps={steps}"
        )
    brain = hparams["brain_class"](
        modules=hparams["modules"],
        opt_class=hparams["opt_class"],
        hparams=hparams,
        run_opts=run_opts,
        checkpointer=hparams["checkpointer"],
        listener=listener,
        valid_utterances=valid,
    )
    brain.fit(
        hparams["epoch_counter"],
        train_set,
        make_dataset(valid, [brain.valid_form], listener),
        train_loader_kwargs={**hparams["train_dataloader_opts"], "collate_fn": collate},
        valid_loader_kwargs={**hparams["valid_dataloader_opts"], "collate_fn": collate},
    )
    evaluate(hparams, brain.device)
    run_on_main(export_assessor, args=[listener, hparams["export_folder"]])
    ddp_end_group()
