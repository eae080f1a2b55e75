"""`speechqa score` and `merge` as a user gives them, in this process."""

import os
import sys

from typer.testing import CliRunner

from speechqa_plugin.cli import app
from speechqa_plugin.scoring.results import read_rows

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
