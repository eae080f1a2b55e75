"""A run that is killed twice, in the middle of epochs, ends as if nothing had happened."""

import pytest
import recipe
import torch

STEPS_PER_EPOCH = 12
SETTINGS = {"dropout": 0.2, "batch_size": 2}  # dropout draws random numbers at every step


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
        recipe.kill_after(step, again, killed, tmp_path / f"killed-{step}.log")
        assert 0 < recipe.newest_step(killed) % STEPS_PER_EPOCH, "not in the middle of an epoch"
    result = recipe.run(*again)
    assert result.returncode == 0, result.stdout

    (last,) = recipe.checkpoints(whole)[-1:]
    (resumed,) = recipe.checkpoints(killed)[-1:]
    assert_same(*(recipe.weights(c / "audio_llm.ckpt") for c in (last, resumed)))
    assert (last / "brain.ckpt").read_text() == (resumed / "brain.ckpt").read_text()
    assert recipe.newest_step(killed) == 2 * STEPS_PER_EPOCH
    assert_same(*(torch.load(c / "optimizer.ckpt") for c in (last, resumed)))

    assert (whole / "train_log.txt").read_text() == (killed / "train_log.txt").read_text()
    assert not list((killed / "save").glob("partial*"))
