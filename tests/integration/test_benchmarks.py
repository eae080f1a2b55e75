"""The benchmarks run, in their smallest form; what they measure is no test's business."""

import re

import pytest
import recipe
from tiny import write_clip

from speechqa_plugin.manifest import write_manifest
from speechqa_plugin.schema import Utterance


@pytest.mark.slow
def test_grpo_step():
    options = "--models compact --clips_s 1 --groups 2 --prompts 2 --text_tokens 9 --new_tokens 4"
    file = recipe.ROOT / "benchmarks/grpo_step.py"
    result = recipe.run(file, *options.split(), "--repeats=1")
    assert result.returncode == 0, result.stderr
    row = result.stdout.splitlines()[-1]
    assert row.startswith("| compact |")
    ratios = [float(x) for x in re.findall(r"= ([\d.]+)", row)]
    assert len(ratios) == 4 and all(ratio > 0 for ratio in ratios)


@pytest.mark.slow
def test_score_spread(trained, corpus):
    output, _ = trained
    file = recipe.ROOT / "benchmarks/score_spread.py"
    manifest = corpus / "test.jsonl"
    result = recipe.run(file, output / "exported", manifest, "--n=4", "--group_size=2")
    assert result.returncode == 0, result.stderr
    rows = [line.split("|")[1:-1] for line in result.stdout.splitlines()[-4:]]
    names = [row[1].strip() for row in rows]
    assert names == ["no words", "right words", "own words", "mean of 2"]
    assert all(0 <= float(row[4]) <= 4 for row in rows)  # RMSE
    within, overall = map(float, rows[2][5].split("/"))
    assert 0 <= within and 0 <= overall


@pytest.mark.slow
def test_first_score(trained):
    output, _ = trained
    file = recipe.ROOT / "benchmarks/first_score.py"
    result = recipe.run(file, "--model", output / "exported", "--repeats=1")
    assert result.returncode == 0, result.stderr
    rows = [line.split("|")[1:-1] for line in result.stdout.splitlines()[2:]]
    assert [row[0].strip() for row in rows] == [
        "python -c 'import torch'",
        "speechqa --help",
        "speechqa score",
        "speechqa assess",
        "from_hparams, score_files",
    ]
    assert all(float(number) > 0 for row in rows for number in row[1:])


@pytest.mark.slow
def test_invariance(trained, tmp_path):
    output, _ = trained
    paths = [write_clip(tmp_path / f"{i}.wav", 0.9, 0.02 * i, i) for i in range(3)]
    rows = [Utterance(path.stem, str(path), 0.9) for path in paths]
    write_manifest(tmp_path / "test.jsonl", rows)
    file = recipe.ROOT / "benchmarks/invariance.py"
    model = output / "exported"
    result = recipe.run(file, tmp_path / "test.jsonl", "--model", model)
    assert result.returncode == 0, result.stderr
    rows = [line.split("|")[1:-1] for line in result.stdout.splitlines()[2:]]
    assert [row[0].strip() for row in rows] == [
        "-24 dB",
        "+12 dB",
        "1 s of silence behind",
        "5 ms later",
    ]
    assert all(0 <= float(row[2]) <= float(row[3]) <= 4 for row in rows)


@pytest.mark.slow
def test_score_many(trained):
    output, _ = trained
    file = recipe.ROOT / "benchmarks/score_many.py"
    options = ["--model", output / "exported", "--files=20", "--seconds=100"]
    result = recipe.run(file, *options)
    assert result.returncode == 0, result.stderr
    rows = re.findall(r"^\| ([a-z\d].*?) +\|(.*)\|$", result.stdout, re.MULTILINE)
    assert [name for name, _ in rows] == [
        "in memory, a tenth of the files",
        "speechqa score, a tenth of the files",
        "speechqa score",
        "two shares",
        "speechqa assess",
        *[f"{name}, {s} s" for name in ("16 kHz mono", "48 kHz stereo") for s in (10, 100)],
    ]
    numbers = [float(x) for _, cells in rows for x in re.findall(r"[\d.]+", cells)]
    assert len(numbers) == 2 + 2 + 3 + 3 + 4 * 2 and all(x > 0 for x in numbers)
    assert re.match(r"20 files, .*; two shares / one: \d", result.stdout)
