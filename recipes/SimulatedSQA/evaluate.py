#!/usr/bin/env python3
"""Measure a checkpoint on a manifest.

> python evaluate.py hparams/calibration_compact.yaml
> python evaluate.py hparams/calibration_compact.yaml --checkpoint=none      # before training
> python evaluate.py hparams/calibration_compact.yaml --test_manifest=my.jsonl \
>     --evaluation_folder=results/my

Writes ``metrics.json`` and ``records.jsonl`` for each answer form and prints their tables, with
the answer that a model would give which has heard nothing (the training split's mean scores).
"""

import os
import sys

import speechbrain as sb
import torch
from hyperpyyaml import load_hyperpyyaml
from speechbrain.utils.checkpoints import Checkpointer
from speechbrain.utils.distributed import (
    ddp_init_group,
    if_main_process,
    infer_device,
    run_on_main,
)

from speechqa_plugin.evaluation.assess import assess_split
from speechqa_plugin.evaluation.records import (
    constant_records,
    read_summary,
    write_records,
    write_summary,
)
from speechqa_plugin.evaluation.summary import summarise
from speechqa_plugin.hparams import with_includes
from speechqa_plugin.manifest import read_manifest
from speechqa_plugin.report.tables import kind_table, score_table
from speechqa_plugin.text.answers import AnswerForm


def evaluate(hparams, device):
    """Evaluate the checkpoint that ``hparams["checkpoint"]`` names.

    Arguments
    ---------
    hparams : dict
        The loaded YAML file.
    device : str
        Where to run.

    Returns
    -------
    dict
        Name of the answer form to `summarise`'s numbers, and ``constant``.
    """
    load_checkpoint(hparams)
    test, train = (
        read_manifest(hparams[f"{split}_manifest"], hparams["taxonomy"])
        for split in ("test", "train")
    )
    listener = hparams["listener"]
    listener.audio_llm.to(device)
    manifest = os.path.abspath(hparams["test_manifest"])
    folders = find_folders(hparams, manifest)
    # Ranks know the same records: one of them is enough to ask a judge.
    judges = hparams.get("evaluation_rewards", ()) if if_main_process() else ()
    judges = [r for some in judges for r in (some if isinstance(some, list) else [some])]
    encode = hparams.get("evaluation_encoder") if if_main_process() else None
    summaries = {"constant": summarise(constant_records(test, train), AnswerForm.SCORES)}
    for form, folder in folders.items():
        records = assess_split(
            listener, test, form, hparams["evaluation_batch_size"], progressbar=True
        )
        run_on_main(write_records, args=[folder, records])  # whatever a judge does
        summaries[form] = summarise(records, form, judges, encode)
        run_on_main(write_summary, args=[folder, {"manifest": manifest} | summaries[form]])
    if if_main_process():
        print(f"\n{hparams['test_manifest']}, checkpoint: {hparams['checkpoint']}\n")
        print(score_table(summaries))
        if "reasoned" in summaries:
            print("\n" + kind_table(summaries["reasoned"]))
        print(f"\nRecords and metrics: {hparams['evaluation_folder']}/{hparams['checkpoint']}")
    return summaries


def find_folders(hparams, manifest):
    """Where the results of each form go; ValueError if those of another manifest are there."""
    folders = {}
    for form in hparams["evaluation_forms"]:
        folder = os.path.join(hparams["evaluation_folder"], hparams["checkpoint"], form)
        if os.path.exists(os.path.join(folder, "metrics.json")):
            there = read_summary(folder).get("manifest", manifest)
            if there != manifest:
                raise ValueError(
                    f"{folder} holds results on {there}; give --evaluation_folder another one for "
                    f"those on {manifest}"
                )
        folders[form] = folder
    return folders


def load_pretrained(hparams):
    """Load the weights that training starts from, where the YAML file has a ``pretrainer``."""
    if "pretrainer" in hparams:
        missing = [p for p in hparams["pretrainer"].paths.values() if not os.path.exists(p)]
        if missing:
            raise FileNotFoundError(
                f"{missing[0]}: no such weights to start from; train that stage first, or name "
                "another folder by --start_folder"
            )
        hparams["pretrainer"].collect_files()
        hparams["pretrainer"].load_collected()


def load_checkpoint(hparams):
    """Load ``best`` (by ``best_metric``), ``last`` or, for ``none``, nothing."""
    choice = hparams["checkpoint"]
    if choice not in ("best", "last", "none"):
        raise ValueError(f"checkpoint is {choice!r}; need best, last or none")
    if choice == "none":
        return
    checkpointer = Checkpointer(hparams["save_folder"])
    # Not as an argument above: only of what is added does it say that it is missing.
    checkpointer.add_recoverable("audio_llm", hparams["audio_llm"])
    key = {"max_key": hparams["best_metric"]} if choice == "best" else {}
    if checkpointer.recover_if_possible(**key) is None:
        raise FileNotFoundError(
            f"no checkpoint in {hparams['save_folder']}; train first, or give --checkpoint=none"
        )


def find_recipe(script):
    """Let a YAML file name what lies beside the script: of a link Python sees the target only."""
    sys.path.insert(0, os.path.dirname(os.path.abspath(script)))


def ddp_end_group():
    """End what `ddp_init_group` began and, if it began something, this process.

    DDP modules keep gloo's threads alive, which at times abort the interpreter's own way out, and
    a finished run would count as failed.
    """
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


if __name__ == "__main__":
    hparams_file, run_opts, overrides = sb.parse_arguments(sys.argv[1:])
    ddp_init_group(run_opts)
    find_recipe(__file__)
    hparams_file = with_includes(hparams_file)
    with open(hparams_file, encoding="utf-8") as file:
        hparams = load_hyperpyyaml(file, overrides)
    if hparams["checkpoint"] == "none":  # others hold all that it would load
        load_pretrained(hparams)
    evaluate(hparams, run_opts["device"] or infer_device())
    ddp_end_group()
