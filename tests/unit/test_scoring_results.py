"""A file of results, and what stands beside it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from scored_rows import bad, good, run_of, silent, write

from speechqa_plugin.scoring.results import (
    ResultsError,
    Run,
    WriteError,
    Writer,
    check_same,
    finished_size,
    format_of,
    judged,
    model_hash,
    read_rows,
    run_file,
)

NAMES = ["a b.wav", "line\nend.wav", 'quo"te,.wav', "naïve 声\u2028.wav", os.fsdecode(b"\xff.wav")]


@pytest.mark.parametrize("format_", ["jsonl", "csv"])
def test_rows_come_back_as_they_were(tmp_path, format_):
    rows = [*map(bad, NAMES), *map(good, NAMES), good("x") | {"failure": "unknown_line"}]
    rows += [good("y") | {"warnings": ["no speech: none", 'channel "1", alone']}]
    out = write(tmp_path / "o", rows, format=format_)
    assert list(read_rows(out, format_)) == rows
    assert finished_size(out, format_) == out.stat().st_size


@pytest.mark.parametrize("format_", ["jsonl", "csv"])
def test_rows_say_whether_anything_was_judged(tmp_path, format_):
    unsure = good("c") | {"confidence": {"mos": 0.0, "noise": 0.1}}
    rows = [good("a"), silent("b"), unsure, bad("d")]
    out = write(tmp_path / "o", rows, format=format_)
    assert [judged(row) for row in read_rows(out, format_)] == [True, False, True, False]
    assert judged({"path": "e", "scores": {"mos": 3.0}})  # nobody said how sure


@pytest.mark.parametrize("format_", ["jsonl", "csv"])
def test_half_a_row_is_none_wherever_it_was_cut(tmp_path, format_):
    """For every byte at which a kill can have stopped the writing of the last two rows."""
    rows = [bad("a\nb.wav"), good("c"), bad("d\ne")]
    out = write(tmp_path / "o", rows, format=format_)
    data = out.read_bytes()
    ends = []
    for n in range(len(rows) + 1):
        part = write(tmp_path / f"{n}", rows[:n], format=format_)
        ends.append(part.stat().st_size if part.exists() else 0)
    for size in range(ends[1], len(data) + 1):
        out.write_bytes(data[:size])
        n = sum(end <= size for end in ends[1:])
        assert list(read_rows(out, format_)) == rows[:n]
        assert finished_size(out, format_) == ends[n]


def test_a_csv_that_people_can_open(tmp_path):
    out = write(tmp_path / "o.csv", [good("a"), bad("b")], format="csv")
    assert out.read_text().splitlines()[:2] == [
        "path,id,duration_s,mos,noise,confidence_mos,confidence_noise,warnings,failure,error",
        "a,id a,1.5,4.0,2.0,0.75,0.5,,,",
    ]


@pytest.mark.parametrize(
    ("format_", "content"),
    [
        ("jsonl", b"dear\n"),
        ("jsonl", b"{}\n"),
        ("jsonl", b'{"path": 7}\n'),
        ("csv", b"a,b\n1,2\n"),
        ("csv", b"path,id,duration_s,mos,warnings,failure,error\na,a,1\n"),
        ("csv", b"path,id,duration_s,mos,warnings,failure,error\na,a,1,high,,,\n"),
        ("csv", b"path,id,duration_s,mos,failure,error\na,a,1,2,,\n"),
    ],
)
def test_what_is_no_row_is_named(tmp_path, format_, content):
    (tmp_path / "o").write_bytes(content)
    with pytest.raises(ResultsError, match=r"o, line \d: not a result of this command; found b'"):
        list(read_rows(tmp_path / "o", format_))


@pytest.mark.parametrize(("format_", "content"), [("jsonl", b'{"a": 1'), ("csv", b"a,b")])
def test_what_is_no_start_of_a_row_is_named(tmp_path, format_, content):
    (tmp_path / "o").write_bytes(content)
    with pytest.raises(ResultsError, match="does not end in a result of this command"):
        finished_size(tmp_path / "o", format_)


@pytest.mark.parametrize("beside", [True, False])
def test_csv_is_known_by_what_stands_beside_it_or_by_its_columns(tmp_path, beside):
    out = write(tmp_path / "o.csv", [good("a")], format="csv")
    if not beside:
        run_file(out).unlink()
    assert format_of(out) == "csv"


def test_what_holds_no_results_has_no_format(tmp_path):
    (tmp_path / "list.csv").write_text("ID,duration,wav\nu1,1.5,a.wav\n")
    (tmp_path / "said.jsonl").write_text('{"path": "a.wav"}\n')
    for name in ("list.csv", "said.jsonl", "gone.csv", "."):
        assert format_of(tmp_path / name) is None


def test_no_file_without_a_row(tmp_path):
    write(tmp_path / "o", [])
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_no_file(tmp_path):
    (tmp_path / "o").symlink_to("/dev/full")
    writer = Writer(tmp_path / "o", run_of())
    with pytest.raises(WriteError, match=r"o: can't be written \(No space left on device\)"):
        writer.write(good("a"))


def test_what_a_failed_write_left_is_taken_back(tmp_path):
    """The system writes half of the second row and then has no room."""
    code = """
import resource, signal, sys
from pathlib import Path
from scored_rows import good, run_of
from speechqa_plugin.scoring.results import Writer, WriteError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
out = Path(sys.argv[1])
writer = Writer(out, run_of())
row = good("a")
writer.write(row)
size = out.stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, size + 10))
try:
    writer.write(row)
except WriteError as err:
    print(err)
assert out.stat().st_size == size
"""
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "o"], capture_output=True, text=True, env=env
    )
    assert done.returncode == 0, done.stderr
    assert "can't be written (File too large)" in done.stdout
    assert list(read_rows(tmp_path / "o", "jsonl")) == [good("a")]


def test_a_first_row_that_fails_leaves_nothing(tmp_path, monkeypatch):
    writer = Writer(tmp_path / "o", run_of())

    class Full:
        def write(self, data):
            raise OSError(28, "No space left on device")

        def tell(self):
            return 0

        def fileno(self):
            raise OSError

    def full(*args, **kwargs):
        open(*args, **kwargs).close()
        return Full()

    monkeypatch.setattr("speechqa_plugin.scoring.results.open", full, raising=False)
    with pytest.raises(WriteError):
        writer.write(good("a"))
    assert not list(tmp_path.iterdir())


# --- how they were made


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "n" * 64}, f"was made with model m, not {'n' * 12};"),
        ({"form": "reasoned"}, "was made with form scores, not reasoned"),
        ({"format": "csv"}, "was made with format jsonl, not csv"),
        ({"shard": [1, 2]}, r"was made with shard None, not \[1, 2\]"),
    ],
)
def test_results_of_two_kinds_do_not_mix(change, message):
    with pytest.raises(ResultsError, match=message):
        check_same("o", run_of(), run_of(**change))


def test_more_files_are_no_other_kind_but_other_shares_are():
    check_same("o", run_of(), run_of(sources="t", n_sources=7, version="2", dimensions=[]))
    with pytest.raises(ResultsError, match="was made with list of files s, not t"):
        check_same("o", run_of(shard=[1, 2]), run_of(shard=[1, 2], sources="t"))


def test_a_file_beside_which_nothing_says_how_it_was_made(tmp_path):
    (tmp_path / "o.jsonl").write_text('{"path": "a.wav"}\n')
    with pytest.raises(ResultsError, match=r"was not made by this command \(no o.jsonl.run.json"):
        Run.read(tmp_path / "o.jsonl")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"model": 1, "colour": 2}'])
def test_a_damaged_one(tmp_path, content):
    run_file(tmp_path / "o").write_text(content)
    with pytest.raises(ResultsError, match="o.run.json: is damaged"):
        Run.read(tmp_path / "o")


def test_the_run_comes_back(tmp_path):
    run = run_of(shard=[1, 2])
    run.write(tmp_path / "o")
    assert Run.read(tmp_path / "o") == run
    assert json.loads(run_file(tmp_path / "o").read_text())["version"] == "1"


@pytest.mark.parametrize("name", ["audio_llm.ckpt", "hyperparams.yaml"])
def test_another_model_has_another_hash(tmp_path, name):
    for file in ("audio_llm.ckpt", "hyperparams.yaml"):
        (tmp_path / file).write_text("x")
    before = model_hash(tmp_path)
    assert model_hash(tmp_path) == before and len(before) == 64
    (tmp_path / name).write_text("y")
    assert model_hash(tmp_path) != before
