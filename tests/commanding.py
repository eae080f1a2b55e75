"""`speechqa score` and `merge` as a user gives them, in this process."""

import os
import sys

import pytest
import soundfile
from tiny import CLEAN, NOISY, RATE_HZ, trained_answerer
from typer.testing import CliRunner

from speechqa_plugin.cli import app
from speechqa_plugin.export import export_assessor
from speechqa_plugin.scoring.results import read_rows


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return export_assessor(trained_answerer(), tmp_path_factory.mktemp("model") / "exported")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two clips, the current folder."""
    for name, wav in (("clean.wav", CLEAN), ("sub/noisy.flac", NOISY)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / name, wav.numpy(), RATE_HZ)
    monkeypatch.chdir(tmp_path)
    return tmp_path


COMMAND = [sys.executable, "-m", "speechqa_plugin.cli", "score"]
"""For a process of its own."""


def speechqa(*arguments, **kwargs):
    return CliRunner().invoke(app, [str(a) for a in arguments], **kwargs)


def score(model, *arguments, out="o.jsonl", **kwargs):
    return speechqa("score", *arguments, "--out", out, "--model", model, **kwargs)


def paths(out="o.jsonl"):
    return sorted(row["path"] for row in read_rows(out, "csv" if "csv" in str(out) else "jsonl"))


def left_over(folder):
    """What lies in the folder besides the clips."""
    return sorted(set(os.listdir(folder)) - {"clean.wav", "sub"})


def one_sentence(result, *texts, code=2):
    """The command ended with this code and said so in one line."""
    assert result.exit_code == code, result.output
    (line,) = [x for x in result.stderr.splitlines() if x.startswith("speechqa: ")]
    assert "Traceback" not in result.output
    for text in texts:
        assert text in line
