"""What the scripts of all recipes share: load a recipe, a start, a checkpoint; evaluate; end.

``hparams`` is the loaded YAML file, as `load_recipe` gives it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import speechbrain as sb
import torch
from hyperpyyaml import load_hyperpyyaml
from speechbrain.utils.checkpoints import Checkpointer
from speechbrain.utils.distributed import ddp_init_group, if_main_process, run_on_main

from speechqa_plugin.evaluation.assess import assess_split
from speechqa_plugin.evaluation.records import (
    constant_records,
    read_summary,
    write_records,
    write_summary,
)
from speechqa_plugin.evaluation.summary import summarise
from speechqa_plugin.hparams import remove_temporary, with_includes
from speechqa_plugin.manifest import read_manifest
from speechqa_plugin.report.tables import kind_table, score_table
from speechqa_plugin.text.answers import AnswerForm


def load_recipe(arguments: Sequence[str]) -> tuple[dict, dict, str, str]:
    r"""Load the YAML file that a script's command line names, and join the other processes.

    Modules that the file names are looked up beside the script, where Python looks first.

    Arguments
    ---------
    arguments : sequence of str
        The YAML file, and ``--key=value`` for what to change in it or how to run it.

    Returns
    -------
    hparams : dict
        The loaded file.
    run_opts : dict
        How to run it: SpeechBrain's own options.
    hparams_file : str
        The file, or a temporary one that is whole if it includes others.
    overrides : str
        YAML of what the command line changes.

    Example
    -------
    >>> file = getfixture("tmp_path") / "tiny.yaml"
    >>> _ = file.write_text("lr: 0.1\ndouble: !ref <lr> * 2\n")
    >>> hparams, run_opts, hparams_file, overrides = load_recipe([str(file), "--lr=1"])
    >>> hparams["double"], overrides
    (2, 'lr: 1')
    """
    hparams_file, run_opts, overrides = sb.parse_arguments(list(arguments))
    ddp_init_group(run_opts)
    hparams_file = with_includes(hparams_file)
    with open(hparams_file, encoding="utf-8") as file:
        hparams = load_hyperpyyaml(file, overrides)
    return hparams, run_opts, hparams_file, overrides


def load_pretrained(hparams: dict) -> None:
    """Load the weights that training starts from, where the YAML file has a ``pretrainer``.

    Raises
    ------
    FileNotFoundError
        If the weights are not there.
    """
    if "pretrainer" in hparams:
        missing = [p for p in hparams["pretrainer"].paths.values() if not os.path.exists(p)]
        if missing:
            raise FileNotFoundError(
                f"{missing[0]}: no such weights to start from; train that stage first, or name "
                "another folder by --start_folder"
            )
        hparams["pretrainer"].collect_files()
        hparams["pretrainer"].load_collected()


def check_total_steps(hparams: dict, n_answers: int) -> None:
    """Refuse to train on where the learning rate has fallen to 0.

    Arguments
    ---------
    hparams : dict
        See `load_recipe`.
    n_answers : int
        Rows of the training set; an epoch may be ``rows_per_epoch`` of them.

    Raises
    ------
    ValueError
        If training takes more steps than ``total_steps``.

    Example
    -------
    >>> hparams = {"train_dataloader_opts": {}, "batch_size": 4, "number_of_epochs": 2}
    >>> check_total_steps({**hparams, "total_steps": 10}, 20)
    """
    rows = hparams["train_dataloader_opts"].get("rows_per_epoch") or n_answers
    steps = rows // hparams["batch_size"] * hparams["number_of_epochs"]
    steps *= hparams.get("num_iterations", 1)  # updates on a batch
    if steps > hparams["total_steps"]:
        raise ValueError(
            f"training takes {steps} steps, but the learning rate falls to 0 at total_steps, "
            f"{hparams['total_steps']}: give --total_steps={steps}"
        )


def load_checkpoint(hparams: dict) -> None:
    """Load ``best`` (by ``best_metric``), ``last`` or, for ``none``, nothing.

    Raises
    ------
    ValueError
        If the choice is another one.
    FileNotFoundError
        If there is no checkpoint.
    RuntimeError
        If the checkpoint lacks the model.
    """
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


def evaluate(hparams: dict, device: str) -> dict:
    """Evaluate the checkpoint that ``hparams["checkpoint"]`` names.

    Writes ``metrics.json`` and ``records.jsonl`` for each answer form and prints their tables.
    In a distributed run every process has to call this.

    Arguments
    ---------
    hparams : dict
        See `load_recipe`.
    device : str
        Where to run.

    Returns
    -------
    dict
        Name of the answer form to `summarise`'s numbers, and ``constant``: those of the training
        split's mean scores, the answer that a model would give which has heard nothing.

    Raises
    ------
    FileNotFoundError
        If there is no checkpoint.
    ValueError
        If the folders hold results on another manifest.
    """
    load_checkpoint(hparams)
    test, train = (
        read_manifest(hparams[f"{split}_manifest"], hparams["taxonomy"])
        for split in ("test", "train")
    )
    answerer = hparams["answerer"]
    answerer.audio_llm.to(device)
    manifest = os.path.abspath(hparams["test_manifest"])
    folders = find_folders(hparams, manifest)
    # Ranks know the same records: one of them is enough to ask a judge.
    judges = hparams.get("evaluation_rewards", ()) if if_main_process() else ()
    judges = [r for some in judges for r in (some if isinstance(some, list) else [some])]
    encode = hparams.get("evaluation_encoder") if if_main_process() else None
    summaries = {"constant": summarise(constant_records(test, train), AnswerForm.SCORES)}
    for form, folder in folders.items():
        records = assess_split(
            answerer, test, form, hparams["evaluation_batch_size"], progressbar=True
        )
        run_on_main(write_records, args=[folder, records])  # whatever a judge does
        summaries[form] = summarise(records, form, judges, encode)
        run_on_main(write_summary, args=[folder, {"manifest": manifest} | summaries[form]])
    if if_main_process():
        print(f"\n{hparams['test_manifest']}, checkpoint: {hparams['checkpoint']}\n")
        print(score_table(summaries))
        for form in (AnswerForm.REASONED, AnswerForm.EXPLAINED):
            if form in summaries:
                print("\n" + kind_table(summaries[form]))
        print(f"\nRecords and metrics: {hparams['evaluation_folder']}/{hparams['checkpoint']}")
    return summaries


def find_folders(hparams: dict, manifest: str) -> dict[str, str]:
    """Where the results of each answer form on a manifest (its absolute path) go.

    Raises
    ------
    ValueError
        If a folder holds results on another manifest.
    """
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


def ddp_end_group() -> None:
    """End what `ddp_init_group` began and, if it began something, this process.

    DDP modules keep gloo's threads alive, which at times abort the interpreter's own way out, and
    a finished run would count as failed.
    """
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
        remove_temporary()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
