"""What the scripts of all recipes share: load a recipe, a start, a checkpoint; evaluate; end.

``hparams`` is the loaded YAML file, as `load_recipe` gives it.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import speechbrain as sb
import torch
from hyperpyyaml import load_hyperpyyaml
from speechbrain.utils.checkpoints import Checkpointer
from speechbrain.utils.distributed import ddp_init_group, if_main_process, run_on_main

from speechqa_plugin.evaluation.assess import assess_split
from speechqa_plugin.evaluation.records import (
    Record,
    constant_records,
    fill_dimensions,
    read_summary,
    write_records,
    write_summary,
)
from speechqa_plugin.evaluation.summary import summarise
from speechqa_plugin.export import load_answerer
from speechqa_plugin.files import write_json
from speechqa_plugin.hparams import remove_temporary, with_includes
from speechqa_plugin.manifest import ManifestError, check_labelled, read_manifest
from speechqa_plugin.ratings.table import RatingsError
from speechqa_plugin.report.comparison import compare, gain_table, score_numbers
from speechqa_plugin.report.tables import kind_table, score_table
from speechqa_plugin.schema import SchemaError, Utterance
from speechqa_plugin.text.answers import AnswerForm

TRAINED_ON = "trained_on.json"
"""In an output folder: the clips that its checkpoints were trained on, and were chosen by."""

_TRAINING = ("train", "valid")

DATA_ERRORS = (RatingsError, ManifestError, SchemaError)
"""What is wrong with a user's data, in a sentence that says where; a traceback adds nothing."""


def load_recipe(arguments: Sequence[str]) -> tuple[dict, dict, str, str]:
    r"""Load the YAML file that a script's command line names, and join the other processes.

    Modules that the file names are looked up beside the script, where Python looks first. From
    here on a script that `DATA_ERRORS` end says what is wrong and no traceback.

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
    say_data_errors()
    hparams_file, run_opts, overrides = sb.parse_arguments(list(arguments))
    ddp_init_group(run_opts)
    hparams_file = with_includes(hparams_file)
    with open(hparams_file, encoding="utf-8") as file:
        hparams = load_hyperpyyaml(file, overrides)
    return hparams, run_opts, hparams_file, overrides


def say_data_errors() -> None:
    """Let what is wrong with a user's data end the script in a sentence, all else as before.

    `load_recipe` has done so already; where SpeechBrain's experiment folder is made, its own hook
    takes the place of ours.
    """
    before = sys.excepthook

    def say(kind, error, traceback):
        if issubclass(kind, DATA_ERRORS):
            print(f"{os.path.basename(sys.argv[0])}: {error}", file=sys.stderr)
        else:
            before(kind, error, traceback)

    sys.excepthook = say


def read_training(hparams: dict) -> tuple[list[Utterance], list[Utterance]]:
    """Clips to train on and clips to choose a checkpoint by.

    They are noted in the output folder, and a run that goes on must have the same.

    Arguments
    ---------
    hparams : dict
        See `load_recipe`; its ``output_folder`` is there.

    Returns
    -------
    (list of Utterance, list of Utterance)
        Of the training and of the validation manifest.

    Raises
    ------
    ManifestError
        If a manifest breaks its rules, or the output folder has checkpoints of other clips or
        labels.
    SchemaError
        If a row has no labels.
    """
    splits = [read_manifest(hparams[f"{s}_manifest"], hparams["taxonomy"]) for s in _TRAINING]
    digests = {}
    for split, rows in zip(_TRAINING, splits, strict=True):
        check_labelled(rows)
        labels = [[row.id, row.reference.to_dict()] for row in rows]
        digests[split] = hashlib.sha256(json.dumps(labels).encode()).hexdigest()
    file = Path(hparams["output_folder"], TRAINED_ON)
    if file.exists() and Checkpointer(hparams["save_folder"]).list_checkpoints():
        there = json.loads(file.read_text(encoding="utf-8"))
        for split in _TRAINING:
            if there[split] != digests[split]:
                raise ManifestError(
                    f"{hparams['output_folder']} holds a run with other clips or labels than those "
                    f"of {hparams[f'{split}_manifest']}; to train on these give another "
                    "--output_folder, or delete that one"
                )
    run_on_main(write_json, args=[file, digests])
    return splits[0], splits[1]


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
        split's mean scores, the answer that a model would give which has heard nothing. With
        ``compare_with`` (the folder of an exported model, such as training's start) also
        ``start``, and a table of what was gained is printed. That model is asked in its own
        taxonomy; dimensions that it has not count with the training split's means.

    Raises
    ------
    FileNotFoundError
        If there is no checkpoint, or no model to compare with.
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
    constant = constant_records(test, train)
    manifest = os.path.abspath(hparams["test_manifest"])
    folders = find_folders(hparams, manifest)
    # Ranks know the same records: one of them is enough to ask a judge.
    judges = hparams.get("evaluation_rewards", ()) if if_main_process() else ()
    judges = [r for some in judges for r in (some if isinstance(some, list) else [some])]
    encode = hparams.get("evaluation_encoder") if if_main_process() else None
    summaries = {"constant": summarise(constant, AnswerForm.SCORES)}
    start = _other_records(hparams, device, constant)
    if start:
        summaries["start"] = summarise(start, AnswerForm.SCORES)
    gains = ""
    for form, folder in folders.items():
        records = assess_split(
            answerer, test, form, hparams["evaluation_batch_size"], progressbar=True
        )
        run_on_main(write_records, args=[folder, records])  # whatever a judge does
        summaries[form] = summarise(records, form, judges, encode)
        run_on_main(write_summary, args=[folder, {"manifest": manifest} | summaries[form]])
        if start and form == AnswerForm.SCORES:
            numbers = score_numbers(hparams["taxonomy"])
            gains = gain_table(compare([records], [start], numbers))
    if if_main_process():
        print(f"\n{hparams['test_manifest']}, checkpoint: {hparams['checkpoint']}\n")
        print(score_table(summaries))
        for form in (AnswerForm.REASONED, AnswerForm.EXPLAINED):
            if form in summaries:
                print("\n" + kind_table(summaries[form]))
        if gains:
            start_of, n = hparams["compare_with"], len(test)
            print(f"\nGain over the start, {start_of}, on the same {n} clips:\n\n{gains}")
        print(f"\nRecords and metrics: {hparams['evaluation_folder']}/{hparams['checkpoint']}")
    return summaries


def _other_records(hparams: dict, device: str, constant: Sequence[Record]) -> list[Record]:
    """What the model that the YAML file wants to ``compare_with`` says of the same clips."""
    if not hparams.get("compare_with"):
        return []
    answerer = load_answerer(hparams["compare_with"])
    answerer.audio_llm.to(device)
    heard = assess_split(
        answerer,
        [record.utterance for record in constant],
        AnswerForm.SCORES,
        hparams["evaluation_batch_size"],
        progressbar=True,
    )
    records = fill_dimensions(heard, constant)
    folder = os.path.join(hparams["evaluation_folder"], "start", AnswerForm.SCORES)
    run_on_main(write_records, args=[folder, records])
    return records


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
