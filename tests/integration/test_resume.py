"""A run that is killed twice, in the middle of epochs, ends as if nothing had happened."""

import os
import signal
import subprocess
import sys
import time

import pytest
import recipe
import torch
import yaml

STEPS_PER_EPOCH = 12
SETTINGS = {"dropout": 0.2, "batch_size": 2}  # dropout draws random numbers at every step


def newest_step(output):
    """Optimizer steps in the newest checkpoint; 0 if there is none."""
    found = [yaml.safe_load(f.read_text()) for f in (output / "save").glob("CKPT*/brain.ckpt")]
    return max((f["optimizer_step"] for f in found), default=0)


def kill_after(step, arguments, output, log):
    """Run until a checkpoint of at least this step is there, then SIGKILL."""
    with open(log, "w") as out:
        process = subprocess.Popen([sys.executable, *arguments], stdout=out, stderr=out)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if newest_step(output) >= step:
                break
        except FileNotFoundError:  # an old checkpoint was deleted while we looked
            continue
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, log.read_text()


def assert_same(ours, theirs):
    """Bit for bit, through dicts and lists of tensors and numbers."""
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys()
        ours, theirs = list(ours.values()), list(theirs.values())
    if isinstance(ours, list):
        for our, their in zip(ours, theirs, strict=True):
            assert_same(our, their)
    elif isinstance(ours, torch.Tensor):
        assert torch.equal(ours, theirs)
    else:
        assert ours == theirs


@pytest.mark.slow
def test_killed_run_reaches_the_weights_of_an_uninterrupted_one(corpus, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    result = recipe.run(*recipe.command("train.py", corpus, whole, **SETTINGS))
    assert result.returncode == 0, result.stderr

    often = {"ckpt_interval_steps": 1, "ckpt_interval_minutes": 0}
    again = recipe.command("train.py", corpus, killed, **SETTINGS, **often)
    for step in (3, STEPS_PER_EPOCH + 3):
        kill_after(step, again, killed, tmp_path / f"killed-{step}.log")
        assert 0 < newest_step(killed) % STEPS_PER_EPOCH, "not in the middle of an epoch"
    result = recipe.run(*again)
    assert result.returncode == 0, result.stdout

    (last,) = recipe.checkpoints(whole)[-1:]
    (resumed,) = recipe.checkpoints(killed)[-1:]
    assert_same(*(recipe.weights(c / "audio_llm.ckpt") for c in (last, resumed)))
    assert (last / "brain.ckpt").read_text() == (resumed / "brain.ckpt").read_text()
    assert newest_step(killed) == 2 * STEPS_PER_EPOCH
    assert_same(*(torch.load(c / "optimizer.ckpt") for c in (last, resumed)))

    assert (whole / "train_log.txt").read_text() == (killed / "train_log.txt").read_text()
    assert not list((killed / "save").glob("partial*"))
