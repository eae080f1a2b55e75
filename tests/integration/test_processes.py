"""Two processes compute what one computes, and fail together."""

import json
import re
import shutil

import pytest
import recipe
import tiny

from speechqa_plugin.schema import load_taxonomy
from speechqa_plugin.sounding import type_names

pytestmark = pytest.mark.slow

GLOO = {"distributed_backend": "gloo"}


def numbers(log):
    return [float(x) for x in re.findall(r": ([\d.e+-]+|nan)", log.read_text())]


def distance(ours, theirs):
    """Euclidean, over all weights."""
    assert ours.keys() == theirs.keys()
    return sum((ours[n] - theirs[n]).square().sum() for n in ours).sqrt().item()


def scores(output):
    """Expected scores of the test clips after training, by clip."""
    lines = (output / "evaluation/best/scores/records.jsonl").read_text().splitlines()
    return {
        row["id"]: row["prediction"] and row["prediction"]["scores"]
        for row in map(json.loads, lines)
    }


TYPES = type_names(load_taxonomy("qualispeech"))
OPTIONS = {"score_weight": 1.0, "hearing_weight": 1.0, "stem": "conv2d", "types": TYPES}
"""All that calibration of the compact model can do besides."""


@pytest.mark.parametrize(
    ("launch", "options"),
    [({"processes": 2}, {}), ({"processes": 1, "nodes": 2}, {}), ({"processes": 2}, OPTIONS)],
    ids=str,
)
def test_training_on_two_processes_equals_one(corpus, tmp_path, launch, options):
    """By plain descent without clipping, which passes on every error of the gradient as it is.

    The recipe's optimizer has steps of a fixed size and would not do for this. Both
    processes on one node, and one on each of two nodes with launchers of their own; the
    evaluation that follows the training is shared out in the same way.
    """
    plainly = {"opt_class": "!name:torch.optim.SGD", "max_grad_norm": 1000, "best_metric": "loss"}
    plainly |= options
    one, two = tmp_path / "one", tmp_path / "two"
    for result in (
        recipe.run(*recipe.command("train.py", corpus, one, **plainly)),
        recipe.run(*recipe.command("train.py", corpus, two, **plainly, **GLOO), **launch),
    ):
        assert result.returncode == 0, result.stdout + result.stderr

    changes = {name: options[name] for name in ("stem", "types") if name in options}
    start = tiny.tiny_answerer(**changes).audio_llm.model.state_dict()
    pairs = list(zip(recipe.checkpoints(one), recipe.checkpoints(two), strict=True))
    assert len(pairs) == 2  # after 6 and after 12 steps
    for pair in pairs:
        ours, theirs = (recipe.weights(c / "audio_llm.ckpt") for c in pair)
        assert distance(ours, theirs) < 1e-4 * distance(ours, start)
        assert max((ours[n] - theirs[n]).abs().max() for n in ours) < 1e-5
    # The shares' losses and validation records come together again.
    assert numbers(two / "train_log.txt") == pytest.approx(
        numbers(one / "train_log.txt"), abs=0.011, nan_ok=True
    )
    ours, theirs = scores(two), scores(one)
    assert list(ours) == list(theirs) == [f"test-{i}" for i in range(5)]
    for name, values in theirs.items():
        assert ours[name] == (values and pytest.approx(values, abs=1e-4))
    assert result.stdout.count("| constant ") == 1  # one process of all prints


def test_evaluation_on_two_processes_equals_one(trained, corpus, tmp_path):
    """An odd number of clips, shared out and gathered in order."""
    output, _ = trained
    arguments = recipe.command("evaluate.py", corpus, output, evaluation_folder=tmp_path, **GLOO)
    result = recipe.run(*arguments, "--best_metric=loss", processes=2)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("| constant ") == 1  # one process prints
    for form in ("scores", "reasoned"):
        ours, theirs = (
            [json.loads(x) for x in (folder / form / "records.jsonl").read_text().splitlines()]
            for folder in (output / "evaluation/best", tmp_path / "best")
        )
        assert [r["id"] for r in theirs] == [f"test-{i}" for i in range(5)]
        for our, their in zip(ours, theirs, strict=True):
            predictions = our.pop("prediction"), their.pop("prediction")
            assert their == our
            if form == "scores":
                ours_scores, theirs_scores = (p["scores"] for p in predictions)
                assert theirs_scores == pytest.approx(ours_scores, abs=1e-5)


def test_bad_training_file_ends_all_processes(corpus, tmp_path):
    damaged = shutil.copytree(corpus, tmp_path / "corpus")
    tiny.truncate(damaged / "train/train-5.wav")
    arguments = recipe.command("train.py", damaged, tmp_path / "out", **GLOO)
    result = recipe.run(*arguments, processes=2, timeout_s=120)  # instead of hanging
    assert result.returncode != 0
    said = result.stdout + result.stderr
    assert re.search(r"AudioError: \S*train/train-5.wav: is truncated, .* need a complete", said)
    assert not (tmp_path / "out/exported").exists()


SAVE = """
import pathlib, sys, time
import torch
from speechbrain.utils.distributed import ddp_init_group, if_main_process
from speechqa_plugin.brains.checkpointer import WholeCheckpointer

ddp_init_group({"distributed_launch": True, "distributed_backend": "gloo"})
rename = pathlib.Path.rename

def slow_rename(*paths):
    time.sleep(1)
    rename(*paths)

pathlib.Path.rename = slow_rename
checkpointer = WholeCheckpointer(sys.argv[1], {"layer": torch.nn.Linear(1, 1)})
for n in (1, 2):
    checkpointer.save_checkpoint({"step": n})
    assert len(checkpointer.list_checkpoints()) == n
torch.distributed.destroy_process_group()
"""


def test_all_processes_find_a_checkpoint_that_was_just_saved(tmp_path):
    script = tmp_path / "save.py"
    script.write_text(SAVE)
    result = recipe.run(script, tmp_path / "checkpoints", processes=2, timeout_s=120)
    assert result.returncode == 0, result.stderr
