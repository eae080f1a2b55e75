"""What recipe scripts share; the scripts themselves run in tests/integration."""

import os
import subprocess
import sys

import pytest
import tiny
import torch
from recipe import ROOT, free_port
from speechbrain.utils.checkpoints import Checkpointer
from speechbrain.utils.epoch_loop import EpochCounter
from speechbrain.utils.parameter_transfer import Pretrainer

from speechqa_plugin.evaluation.records import read_summary, write_summary
from speechqa_plugin.manifest import ManifestError, write_manifest
from speechqa_plugin.running import (
    check_total_steps,
    evaluate,
    find_folders,
    load_checkpoint,
    load_pretrained,
    load_recipe,
    read_training,
)
from speechqa_plugin.schema import Assessment, SchemaError, Utterance, load_taxonomy

# --- a recipe


def test_a_recipe_is_its_file_with_what_it_includes_and_the_command_line(tmp_path):
    (tmp_path / "whole.yaml").write_text("lr: 0.1\nrates: [!ref <lr>, !ref <lr> * 2]\n")
    (tmp_path / "tiny.yaml").write_text("include: [whole.yaml]\nsize: tiny\n")
    arguments = [str(tmp_path / "tiny.yaml"), "--lr=3", "--device=cpu"]
    hparams, run_opts, hparams_file, overrides = load_recipe(arguments)
    assert hparams == {"size": "tiny", "lr": 3, "rates": [3, 6]}
    assert run_opts["device"] == "cpu"
    assert overrides == "lr: 3"
    assert "rates: [" in open(hparams_file).read()  # whole, for the experiment's folder


def test_a_recipe_that_is_not_there():
    with pytest.raises(FileNotFoundError, match="nowhere.yaml"):
        load_recipe(["nowhere.yaml"])


def test_a_recipe_names_modules_beside_the_script(tmp_path):
    (tmp_path / "beside.py").write_text("def prepare():\n    return 'prepared'\n")
    (tmp_path / "a.yaml").write_text("prepare: !name:beside.prepare\n")
    (tmp_path / "train.py").write_text(
        "import sys\nfrom speechqa_plugin.running import load_recipe\n"
        "print(load_recipe(sys.argv[1:])[0]['prepare']())\n"
    )
    script = [sys.executable, tmp_path / "train.py", tmp_path / "a.yaml"]
    done = subprocess.run(script, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "prepared\n", done.stderr


def test_what_is_wrong_with_the_data_is_a_sentence(tmp_path):
    (tmp_path / "a.yaml").write_text("lr: 1\n")
    script = (
        "import sys\nfrom speechqa_plugin.manifest import read_manifest\n"
        "import speechbrain as sb\n"
        "from speechqa_plugin.running import load_recipe, say_data_errors\n"
        "hparams, _, file, overrides = load_recipe(sys.argv[1:2])\n"
        f"sb.create_experiment_directory({str(tmp_path / 'out')!r}, file, overrides)\n"
        "say_data_errors()\n"
    )
    (tmp_path / "train.py").write_text(script + "read_manifest('none.jsonl', None)\n")
    (tmp_path / "other.py").write_text(script + "raise ValueError('broken code')\n")
    said = []
    for name in ("train.py", "other.py"):
        command = [sys.executable, tmp_path / name, tmp_path / "a.yaml"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == 1
        said.append(done.stderr)
        printed = done.stdout  # where SpeechBrain logs what its own hook gets
    assert said[0].startswith("train.py: manifest none.jsonl: no such file; run")
    assert said[0].count("\n") == 1
    assert "Traceback" in printed and "broken code" in printed


# --- clips to train on


def training(folder, score=3, n=2):
    """hparams with manifests of n clips."""
    taxonomy = load_taxonomy("nisqa")
    for split in ("train", "valid"):
        scores = dict.fromkeys(taxonomy.names, score if split == "train" else 3)
        rows = [Utterance(f"{i}", f"{i}.wav", 1.0, Assessment(taxonomy, scores)) for i in range(n)]
        write_manifest(folder / f"{split}.jsonl", rows)
    manifests = {f"{s}_manifest": folder / f"{s}.jsonl" for s in ("train", "valid")}
    save = folder / "save"
    return {"taxonomy": taxonomy, "output_folder": folder, "save_folder": save} | manifests


def test_a_run_goes_on_with_the_clips_it_began_with(tmp_path):
    train, valid = read_training(training(tmp_path))
    assert [len(train), len(valid)] == [2, 2]
    read_training(training(tmp_path, score=4))  # nothing was trained yet
    counter = EpochCounter(3)
    Checkpointer(tmp_path / "save", {"counter": counter}).save_checkpoint()
    read_training(training(tmp_path, score=4))
    for other in ({"score": 3}, {"score": 4, "n": 3}):
        with pytest.raises(ManifestError, match="train.jsonl; to train on these give another"):
            read_training(training(tmp_path, **other))
    read_training(training(tmp_path, score=4))


def test_clips_without_labels_are_refused_before_anything_is_trained(tmp_path):
    hparams = training(tmp_path)
    write_manifest(tmp_path / "valid.jsonl", [Utterance("a", "a.wav", 1.0)])
    with pytest.raises(SchemaError, match="1 of 1 rows have none"):
        read_training(hparams)


# --- a start


def test_a_recipe_without_a_pretrainer_starts_from_nothing():
    load_pretrained({})


def test_weights_to_start_from(tmp_path):
    trained, fresh = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    torch.save(trained.state_dict(), tmp_path / "linear.ckpt")
    paths = {"linear": str(tmp_path / "linear.ckpt")}
    load_pretrained({"pretrainer": Pretrainer(tmp_path / "here", {"linear": fresh}, paths)})
    assert torch.equal(fresh.weight, trained.weight)


def test_no_weights_to_start_from(tmp_path):
    paths = {"linear": str(tmp_path / "linear.ckpt")}
    pretrainer = Pretrainer(tmp_path / "here", {"linear": torch.nn.Linear(2, 2)}, paths)
    with pytest.raises(FileNotFoundError, match="linear.ckpt: no such weights .*--start_folder"):
        load_pretrained({"pretrainer": pretrainer})


# --- steps: 3 batches of 4 in an epoch, 2 epochs


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        ({}, 6),
        ({"num_iterations": 3}, 18),
        ({"train_dataloader_opts": {"rows_per_epoch": None}}, 6),
        ({"train_dataloader_opts": {"rows_per_epoch": 8}}, 4),
    ],
    ids=str,
)
def test_training_ends_with_the_schedule(changes, steps):
    hparams = {"train_dataloader_opts": {}, "batch_size": 4, "number_of_epochs": 2, **changes}
    check_total_steps({**hparams, "total_steps": steps}, 15)
    message = f"takes {steps} steps, .* at total_steps, {steps - 1}: give --total_steps={steps}$"
    with pytest.raises(ValueError, match=message):
        check_total_steps({**hparams, "total_steps": steps - 1}, 15)


# --- a checkpoint


def test_evaluate_where_nothing_was_trained(tmp_path):
    hparams = {
        "checkpoint": "best",
        "best_metric": "utt/pcc",
        "save_folder": str(tmp_path / "save"),
        "audio_llm": tiny.tiny_answerer().audio_llm,
    }
    with pytest.raises(FileNotFoundError, match="no checkpoint in .*save; train first, or give"):
        load_checkpoint(hparams)


def test_evaluate_a_checkpoint_of_no_known_name():
    with pytest.raises(ValueError, match="checkpoint is 'bset'; need best, last or none"):
        load_checkpoint({"checkpoint": "bset"})


def test_evaluate_a_checkpoint_that_lacks_the_model(tmp_path):
    """Weights fresh from the dice must not be measured in its place."""
    counter = Checkpointer(tmp_path, {"counter": EpochCounter(1)})
    counter.save_checkpoint(meta={"utt/pcc": 0.5})
    hparams = {
        "checkpoint": "best",
        "best_metric": "utt/pcc",
        "save_folder": str(tmp_path),
        "audio_llm": tiny.tiny_answerer().audio_llm,
    }
    with pytest.raises(RuntimeError, match="audio_llm"):
        load_checkpoint(hparams)


# --- evaluation


def test_evaluation_writes_prints_and_returns_the_same(tmp_path, capsys):
    corpus, answerer = tiny.write_corpus(tmp_path / "corpus"), tiny.tiny_answerer()
    hparams = {
        "checkpoint": "none",
        "test_manifest": str(corpus / "test.jsonl"),
        "train_manifest": str(corpus / "train.jsonl"),
        "taxonomy": answerer.taxonomy,
        "answerer": answerer,
        "evaluation_forms": ["scores"],
        "evaluation_folder": str(tmp_path / "evaluation"),
        "evaluation_batch_size": 4,
    }
    summaries = evaluate(hparams, "cpu")
    assert list(summaries) == ["constant", "scores"]
    written = read_summary(tmp_path / "evaluation/none/scores")
    assert written["manifest"] == str(corpus / "test.jsonl")
    assert written["n"] == summaries["scores"]["n"] == 5
    printed = capsys.readouterr().out
    assert f"{corpus}/test.jsonl, checkpoint: none\n" in printed
    assert f"Records and metrics: {tmp_path}/evaluation/none\n" in printed


def test_results_on_another_manifest_are_kept(tmp_path):
    hparams = {
        "checkpoint": "best",
        "evaluation_forms": ["scores", "reasoned"],
        "evaluation_folder": str(tmp_path),
    }
    write_summary(tmp_path / "best/reasoned", {"manifest": "/a.jsonl"})
    write_summary(tmp_path / "best/scores", {})  # written before the manifest was noted
    assert find_folders(hparams, "/a.jsonl") == {
        form: str(tmp_path / "best" / form) for form in ("scores", "reasoned")
    }
    with pytest.raises(ValueError, match="reasoned holds results on /a.jsonl; give --evaluation_"):
        find_folders(hparams, "/b.jsonl")


# --- the end


@pytest.mark.parametrize(("launched", "printed"), [(False, "before\nafter\n"), (True, "before\n")])
def test_the_end_of_a_group_is_that_of_the_process(launched, printed, tmp_path):
    (tmp_path / "base.yaml").write_text("lr: 1\n")
    (tmp_path / "a.yaml").write_text("include: [base.yaml]\n")
    code = (
        "import sys; from speechqa_plugin.running import ddp_end_group, load_recipe\n"
        "load_recipe(sys.argv[1:]); print('before'); ddp_end_group(); print('after')"
    )
    script = [sys.executable, "-c", code, tmp_path / "a.yaml", "--distributed_backend=gloo"]
    place = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}
    place |= {"MASTER_PORT": str(free_port())}
    (tmp_path / "made").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "made")}
    done = subprocess.run(
        script, capture_output=True, text=True, env=environment | (place if launched else {})
    )
    assert (done.returncode, done.stdout) == (0, printed), done.stderr
    assert not list((tmp_path / "made").glob("*.yaml"))  # what the file was put together in
