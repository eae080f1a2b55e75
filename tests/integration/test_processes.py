"""Two processes compute what one computes, and fail together."""

import json
import re
import shutil

import pytest
import recipe
import tiny
import torch

pytestmark = pytest.mark.slow


def numbers(log):
    return [float(x) for x in re.findall(r": ([\d.e+-]+|nan)", log.read_text())]


def test_two_processes_equal_one(trained, corpus, tmp_path):
    one, two = trained[0], tmp_path / "two"
    arguments = recipe.command(
        "train.py", corpus, two, best_metric="loss", distributed_backend="gloo"
    )
    result = recipe.run(*arguments, processes=2)
    assert result.returncode == 0, result.stdout + result.stderr

    pairs = list(zip(recipe.checkpoints(one), recipe.checkpoints(two), strict=True))
    assert len(pairs) == 2  # after 6 and after 12 steps
    for ours, theirs in pairs:
        ours, theirs = (recipe.weights(c / "audio_llm.ckpt") for c in (ours, theirs))
        assert ours.keys() == theirs.keys()
        for name in ours:
            torch.testing.assert_close(theirs[name], ours[name], atol=1e-5, rtol=0)

    # Validation is sharded, and its loss and correlations come together again.
    assert numbers(two / "train_log.txt") == pytest.approx(
        numbers(one / "train_log.txt"), abs=0.01, nan_ok=True
    )
    for form in ("scores", "reasoned"):
        file = f"evaluation/best/{form}/records.jsonl"
        ours, theirs = (
            [json.loads(line) for line in (output / file).read_text().splitlines()]
            for output in (one, two)
        )
        assert [r["id"] for r in theirs] == [f"test-{i}" for i in range(5)]
        for our, their in zip(ours, theirs, strict=True):
            predictions = our.pop("prediction"), their.pop("prediction")
            assert their == our
            if predictions[0] is not None:
                ours_scores, theirs_scores = (p["scores"] for p in predictions)
                assert theirs_scores == pytest.approx(ours_scores, abs=1e-4)


def test_bad_training_file_ends_all_processes(corpus, tmp_path):
    damaged = shutil.copytree(corpus, tmp_path / "corpus")
    tiny.truncate(damaged / "train/train-5.wav")
    arguments = recipe.command("train.py", damaged, tmp_path / "out", distributed_backend="gloo")
    result = recipe.run(*arguments, processes=2, timeout_s=120)  # instead of hanging
    assert result.returncode != 0
    said = result.stdout + result.stderr
    assert re.search(r"AudioError: \S*train/train-5.wav: is truncated, .* need a complete", said)
    assert not (tmp_path / "out/exported").exists()
