"""A checkpoint is there whole or not at all."""

import pytest
import torch
from speechbrain.utils.checkpoints import Checkpointer

from speechqa_plugin.brains.checkpointer import WholeCheckpointer


class Killed(BaseException):
    """Stands for what no handler sees."""


def kill_on_save(obj, path):
    path.write_bytes(b"half")
    raise Killed


@pytest.fixture
def layer():
    return torch.nn.Linear(2, 2)


@pytest.fixture
def interrupted(tmp_path, layer):
    """Folder with a checkpoint of `layer`, and a later one that was killed when half-written."""
    WholeCheckpointer(tmp_path, {"layer": layer}).save_checkpoint({"step": 1})
    killed = WholeCheckpointer(tmp_path, {"layer": layer})
    killed.add_recoverable("other", torch.nn.Linear(1, 1), custom_save_hook=kill_on_save)
    with pytest.raises(Killed):
        killed.save_checkpoint({"step": 2})
    return tmp_path


def test_half_written_checkpoint_is_passed_over(interrupted, layer):
    other = torch.nn.Linear(2, 2)
    found = WholeCheckpointer(interrupted, {"layer": other}).recover_if_possible()
    assert found.meta["step"] == 1
    assert torch.equal(other.weight, layer.weight)


def test_half_written_checkpoint_goes_with_the_next_one(interrupted, layer):
    checkpointer = WholeCheckpointer(interrupted, {"layer": layer})
    saved = checkpointer.save_checkpoint({"step": 3})
    assert len(list(interrupted.iterdir())) == 2
    assert checkpointer.find_checkpoint().meta["step"] == 3
    assert torch.load(saved.paramfiles["layer"]).keys() == {"weight", "bias"}


def test_speechbrains_own_checkpointer_reads_it(tmp_path, layer):
    WholeCheckpointer(tmp_path, {"layer": layer}).save_checkpoint(name="mine")
    other = torch.nn.Linear(2, 2)
    Checkpointer(tmp_path, {"layer": other}).recover_if_possible()
    assert torch.equal(other.weight, layer.weight)


def test_the_best_and_the_newest_are_kept(tmp_path, layer):
    checkpointer = WholeCheckpointer(tmp_path, {"layer": layer})
    for accuracy in (0.5, 0.9, 0.7, 0.6):
        checkpointer.save_and_keep_only({"accuracy": accuracy}, max_keys=["accuracy"])
    kept = [c.meta["accuracy"] for c in checkpointer.list_checkpoints()]
    assert sorted(kept) == [0.6, 0.9]


def test_checkpoints_of_one_second_have_names_of_their_own(tmp_path, layer):
    checkpointer = WholeCheckpointer(tmp_path, {"layer": layer})
    assert len({checkpointer.save_checkpoint().path for _ in range(3)}) == 3
