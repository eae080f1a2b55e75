"""`speechqa score --shard` and `speechqa merge`; and the how-to, from beginning to end."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import commanding
import pytest
import soundfile
from commanding import COMMAND, one_sentence, score, speechqa
from readmes import blocks, commands
from recipe import ROOT
from tiny import CLEAN, RATE_HZ, write_clip

from speechqa_plugin.manifest import read_manifest
from speechqa_plugin.schema import load_taxonomy
from speechqa_plugin.scoring.results import read_rows

TAXONOMY = load_taxonomy("qualispeech")
model, folder = commanding.model, commanding.folder


# --- shares


def same_rows(ours, theirs):
    ours, theirs = ({row["path"]: row for row in read_rows(out, "jsonl")} for out in (ours, theirs))
    assert ours.keys() == theirs.keys()
    for path, row in theirs.items():
        scores, expected = ours[path].pop("scores", {}), row.pop("scores", {})
        assert scores == pytest.approx(expected, abs=1e-4)
        sure, expected = ours[path].pop("confidence", {}), row.pop("confidence", {})
        assert sure == pytest.approx(expected, abs=1e-3)
        assert ours[path] == row


@pytest.fixture
def seven(folder):
    for i in range(4):
        write_clip(folder / f"sub/{i}.wav", 0.5 + i / 5, noise=0.02 * i)
    (folder / "sub/bad.wav").write_text("not a sound")
    return folder


def test_shares_merge_to_what_one_process_writes(model, seven):
    assert score(model, ".", out="one.jsonl").exit_code == 0
    for i in (3, 1):
        result = score(model, ".", "--shard", f"{i}/3")
        assert result.exit_code == 0, result.output
        assert "when all 3 shares are finished" in result.stdout
    assert not Path("o.jsonl").exists()
    one_sentence(speechqa("merge", "o.jsonl"), "share 2 of 3 is missing (o.2-of-3.jsonl)")
    result = score(model, ".", "--shard", "2/3", "--filter", "mos > 3")
    assert "7 files, 1 unreadable" in result.stdout  # merged by the last
    same_rows("o.jsonl", "one.jsonl")
    assert Path("o.passed.jsonl").exists()

    result = speechqa("merge", "again.jsonl", *(f"o.{i}-of-3.jsonl" for i in (1, 2, 3)))
    assert result.exit_code == 0, result.output
    assert Path("again.jsonl").read_bytes() == Path("o.jsonl").read_bytes()
    one_sentence(speechqa("merge", "o.jsonl"), "o.jsonl is there")


def test_a_share_of_other_files_is_refused(model, seven):
    score(model, ".", "--shard", "1/2")
    result = score(model, "sub", "--shard", "1/2", "--resume")
    one_sentence(result, "o.1-of-2.jsonl: was made with list of files ")


def test_shards_that_are_refused(model, folder):
    one_sentence(score(model, ".", "--shard", "0/2"), "--shard 0/2: need i/n")


@pytest.mark.slow
def test_torchrun(model, seven):
    assert score(model, ".", out="one.jsonl").exit_code == 0
    run = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", *COMMAND[1:]]
    result = subprocess.run(
        [sys.executable, *run, ".", "--out", "o.jsonl", "--model", model],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    same_rows("o.jsonl", "one.jsonl")


# --- the how-to


def test_the_how_to_runs_as_written(model, folder, monkeypatch):
    """All its commands in order, in one process; torchrun has a test of its own."""
    for name in ("call.wav", "recordings/a.wav", "archive/x/b.flac", "data/c.wav"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, CLEAN.numpy(), RATE_HZ)
    shutil.copy("call.wav", "recordings/d.wav")
    Path("manifest.jsonl").write_text('{"path": "call.wav"}\n')
    Path("train.csv").write_text("ID,wav\nu1,$data_root/call.wav\n")
    Path("train.json").write_text('{"u2": {"wav": "{data_root}/clean.wav"}}')
    Path("data/wav.scp").write_text("u1 c.wav\n")
    monkeypatch.setenv("data_root", str(folder))
    monkeypatch.setenv("SPEECHQA_MODEL", str(model))
    text = (ROOT / "docs/scoring.md").read_text(encoding="utf-8")
    n = 0
    for program, *arguments in commands("\n".join(blocks(text, "bash"))):
        if program != "speechqa":
            assert program in ("export", "torchrun")
            continue
        if "<" in arguments:
            arguments = arguments[: arguments.index("<")]
        result = speechqa(*arguments, input="clean.wav\n")
        assert result.exit_code == 0, (arguments, result.output)
        n += 1
    assert n == 11
    (passed,) = re.findall(r"scores\.passed\.jsonl", "".join(os.listdir(folder)))
    assert len(read_manifest(passed, TAXONOMY)) == 2
    same_rows("merged.jsonl", "shared.jsonl")
    same_rows("merged.jsonl", "scores.jsonl")
