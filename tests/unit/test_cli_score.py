"""`speechqa score` and `merge`: what a user does with many files, and what can go wrong."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import commanding
import pytest
import soundfile
import torch
from commanding import COMMAND, left_over, one_sentence, paths, score, speechqa
from recipe import ROOT
from safetensors.torch import load_file, save_file
from tiny import CLEAN, RATE_HZ, write_bad_files, write_clip

from speechqa_plugin.assessor import Assessor
from speechqa_plugin.cli.score import by_length
from speechqa_plugin.manifest import read_manifest
from speechqa_plugin.schema import load_taxonomy
from speechqa_plugin.scoring.results import Run, read_rows
from speechqa_plugin.sources import Source

TAXONOMY = load_taxonomy("qualispeech")
model, folder = commanding.model, commanding.folder


# --- what is scored


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["clean.wav"], ["clean.wav"]),
        (["clean.wav", "sub/noisy.flac"], ["clean.wav", "sub/noisy.flac"]),
        (["**/*.*"], ["clean.wav", "sub/noisy.flac"]),
        (["sub", "clean.wav"], ["clean.wav", "sub/noisy.flac"]),
    ],
)
def test_files_folders_and_globs(model, folder, arguments, expected):
    result = score(model, *arguments)
    assert result.exit_code == 0, result.output
    assert paths() == expected


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("l.csv", "ID,duration,wav\nu1,1,clean.wav\nu2,1.5,sub/noisy.flac\n"),
        ("l.json", '{"u1": {"wav": "clean.wav"}, "u2": {"wav": "sub/noisy.flac"}}'),
        ("wav.scp", "u1 clean.wav\nu2 sub/noisy.flac\n"),
    ],
)
def test_lists(model, folder, name, content):
    (folder / name).write_text(content)
    assert score(model, name).exit_code == 0
    assert [row["id"] for row in read_rows("o.jsonl", "jsonl")] == ["u1", "u2"]


def test_standard_input(model, folder):
    assert score(model, "-", input="clean.wav\n").exit_code == 0
    assert paths() == ["clean.wav"]


def test_sources_that_are_refused(model, folder):
    one_sentence(score(model, "nowhere.wav"), "nowhere.wav: no such file or folder")
    one_sentence(score(model, "-", input=""), "standard input: is empty")
    assert left_over(folder) == []


def test_every_format_in_a_folder(model, folder):
    for suffix, subtype in ((".aiff", None), (".au", None), (".opus", "OPUS")):
        kind = "OGG" if subtype else None
        soundfile.write(f"sub/x{suffix}", CLEAN.numpy(), RATE_HZ, format=kind, subtype=subtype)
    assert score(model, "sub").exit_code == 0
    assert [Path(p).suffix for p in paths()] == [".flac", ".aiff", ".au", ".opus"]
    assert not [row for row in read_rows("o.jsonl", "jsonl") if "error" in row]


def test_files_of_like_length_are_heard_together(tmp_path):
    lengths = [0.5, 2.0, 0.1, 1.0]
    sources = [Source(str(write_clip(tmp_path / f"{n}.wav", n)), str(n)) for n in lengths]
    sources.append(Source(str(tmp_path / "gone.wav"), "gone"))
    windows = [[n for n, _ in window] for window in by_length(sources, 4)]
    assert windows == [sorted(lengths), [0.0]]


def test_a_long_recording_tells_how_far_it_is_heard(model, folder, monkeypatch):
    told = []
    monkeypatch.setattr("speechqa_plugin.cli.score.long_bar", lambda _: lambda *x: told.append(x))
    write_clip(folder / "long.wav", 7.0)
    assert score(model, "long.wav", "--batch-size", "2").exit_code == 0
    assert [path for path, _, _ in told] == ["long.wav"] * 3
    assert told[-1] == ("long.wav", 7.0, 7.0) and told[0][1] < told[1][1] < 7.0


# --- what is written


def test_csv_by_name_and_by_option(model, folder):
    write_bad_files(folder / "sub")
    soundfile.write("sub/silent.wav", 0 * CLEAN.numpy(), RATE_HZ)
    assert score(model, ".", out="o.csv").exit_code == 0
    assert score(model, ".", "--format", "csv", out="p.csv.txt").exit_code == 0
    assert score(model, ".", out="o.jsonl").exit_code == 0
    assert Path("o.csv").read_bytes() == Path("p.csv.txt").read_bytes()
    first = Path("o.csv").read_text().splitlines()[0].split(",")
    assert first[:3] == ["path", "id", "duration_s"] and first[-1] == "error"
    assert set(TAXONOMY.names) < set(first)
    for csv_row, row in zip(read_rows("o.csv", "csv"), read_rows("o.jsonl", "jsonl"), strict=True):
        assert csv_row.get("scores") == row.get("scores")
        assert csv_row.get("error") == row.get("error")
        assert csv_row.get("warnings") == row.get("warnings")
        assert ("warnings" in row) == (row["path"] == "sub/silent.wav")


@pytest.mark.parametrize("name", ["o.jsonl", "o.csv"])
def test_resume_skips_what_is_there(model, folder, name):
    score(model, "clean.wav", out=name)
    before = Path(name).read_bytes()
    Path(name).write_bytes(before + before.splitlines()[-1][:20])  # a kill
    result = score(model, "clean.wav", "sub", "--resume", out=name)
    assert result.exit_code == 0, result.output
    assert f"{name}: 1 file, 1 done before\n" in result.stdout
    assert Path(name).read_bytes().startswith(before)
    assert paths(name) == ["clean.wav", "sub/noisy.flac"]


def test_what_made_the_results_stands_beside_them(model, folder):
    score(model, ".")
    run = Run.read("o.jsonl")
    assert (run.form, run.format, run.n_sources, run.shard) == ("scores", "jsonl", 2, None)
    assert len(run.model) == 64 and run.dimensions == list(TAXONOMY.names)
    assert left_over(folder) == ["o.jsonl", "o.jsonl.run.json"]


def test_resume_does_not_touch_a_manifest(model, folder):
    content = '{"path": "clean.wav"}\n'
    Path("man.jsonl").write_text(content)
    result = score(model, "man.jsonl", "--resume", out="man.jsonl")
    one_sentence(result, "man.jsonl: was not made by this command")
    assert Path("man.jsonl").read_text() == content
    assert left_over(folder) == ["man.jsonl"]


def test_resume_with_another_model_or_form(model, folder):
    score(model, "clean.wav")
    before = Path("o.jsonl").read_bytes()
    other = shutil.copytree(model, folder / "sub/other")
    with open(other / "hyperparams.yaml", "a") as file:
        file.write("# other\n")
    one_sentence(score(other, ".", "--resume"), "o.jsonl: was made with model ")
    made = json.loads(Path("o.jsonl.run.json").read_text())
    Path("o.jsonl.run.json").write_text(json.dumps(made | {"form": "reasoned"}))
    one_sentence(score(model, ".", "--resume"), "was made with form reasoned, not scores")
    assert Path("o.jsonl").read_bytes() == before


def test_an_empty_file_does_not_block_the_next_run(model, folder):
    Path("o.jsonl").touch()
    assert score(model, "clean.wav").exit_code == 0
    assert paths() == ["clean.wav"]


def test_summary_at_the_end(model, folder):
    (folder / "bad.wav").write_text("not a sound")
    result = score(model, ".")
    assert "3 files, 1 unreadable, 0.000694 h of audio\n  bad.wav: is no audio" in result.stdout
    assert "files/s" in result.stdout and "seconds of audio a second" in result.stdout
    (line,) = [x for x in result.stdout.splitlines() if x.startswith("mos ")]
    assert [float(x) for x in line.split()[1:]] == pytest.approx([3.5, 3.5], abs=0.1)


def test_exit_code_where_no_file_can_be_heard(model, folder):
    (folder / "bad.wav").write_text("not a sound")
    result = score(model, "bad.wav")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "o.jsonl: 1 file, 0 done before",  # and no speed: nothing was heard
        "1 file, 1 unreadable, 0 h of audio",
        f"  {next(read_rows('o.jsonl', 'jsonl'))['error']}",
    ]


def test_exit_codes_are_in_the_help():
    shown = " ".join(speechqa("score", "--help").stdout.split())
    for text in ("0 done", "1 done, but", "2 refused", "3 broken off", "130 interrupted"):
        assert text in shown


# --- filters


def test_filter_writes_the_manifest_of_what_passed(model, folder):
    (folder / "bad.wav").write_text("not a sound")
    result = score(model, ".", "--filter", "mos >= 3.5 and noise > 3", out="sub/o.csv")
    assert result.exit_code == 0, result.output
    assert "1 file meets 'mos >= 3.5 and noise > 3': sub/o.passed.jsonl" in result.stdout
    (row,) = read_manifest("sub/o.passed.jsonl", TAXONOMY)
    assert (row.id, row.path, row.duration_s) == ("clean.wav", str(folder / "clean.wav"), 1.0)
    result = score(model, ".", "--filter", "mos > 5", "--resume", out="sub/o.csv")
    assert "0 files meet 'mos > 5'\n" in result.stdout
    assert not Path("sub/o.passed.jsonl").exists()


def test_no_filter_passes_silence(model, folder):
    (folder / "silent").mkdir()
    soundfile.write("silent/a.wav", 0 * CLEAN.numpy(), RATE_HZ)
    for out in ("o.jsonl", "o.csv"):
        result = score(model, "silent", "--filter", "mos >= 2.95 or duration_s > 0", out=out)
        assert "1 file, 0 unreadable, 1 not judged (no speech or too short), " in result.stdout
        assert "0 files meet" in result.stdout and not Path("o.passed.jsonl").exists()


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("mos >= ", "need comparisons of scores and numbers"),
        ("__import__('os')", "need comparisons of scores and numbers"),
        ("pitch > 3", "pitch is no score of this model; it has noise, "),
    ],
)
def test_filters_that_are_refused(model, folder, condition, message):
    one_sentence(score(model, ".", "--filter", condition), "--filter", message)
    assert left_over(folder) == []


def test_filter_does_not_overwrite(model, folder):
    Path("o.passed.jsonl").write_text("dear")
    one_sentence(score(model, ".", "--filter", "mos > 3"), "o.passed.jsonl is there")
    assert Path("o.passed.jsonl").read_text() == "dear"


# --- models that are none


def broken(model, folder, edit):
    copy = shutil.copytree(model, folder / "sub/model")
    edit(copy / "hyperparams.yaml")
    return copy


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda f: f.write_text(""), "hyperparams.yaml: has no answerer and no modules"),
        (lambda f: f.write_text("a: [1\nb: 2"), "hyperparams.yaml, line 2: is no YAML ("),
        (lambda f: f.write_text("- 1\n"), "hyperparams.yaml: has no answerer and no modules"),
        (lambda f: f.write_bytes(b"\xff\xfe"), "hyperparams.yaml"),
        (
            lambda f: f.write_text(f.read_text().replace("encoder_dim", "encoder_width")),
            "sub/model: can't be loaded (",
        ),
        (
            lambda f: f.write_text(f.read_text().replace("Answerer", "Answered")),
            "sub/model: can't be loaded (",
        ),
    ],
)
@pytest.mark.parametrize("command", ["score", "assess"])
def test_malformed_hyperparameters(model, folder, command, edit, message):
    copy = broken(model, folder, edit)
    out = ["--out", "o.jsonl"] if command == "score" else []
    one_sentence(speechqa(command, "clean.wav", "--model", copy, *out), message)
    assert left_over(folder) == []


def test_the_parent_folder_of_a_model(model, folder):
    result = score(model.parent, "clean.wav")
    one_sentence(result, f"no hyperparams.yaml in it (there is one in {model})")
    assert left_over(folder) == []


@pytest.mark.parametrize("command", ["score", "assess"])
def test_weights_that_are_not_finite(model, folder, command):
    copy = shutil.copytree(model, folder / "sub/model")
    weights = load_file(copy / "audio_llm.ckpt")
    save_file({n: torch.full_like(w, torch.nan) for n, w in weights.items()}, copy / "new")
    os.replace(copy / "new", copy / "audio_llm.ckpt")
    out = ["--out", "o.jsonl"] if command == "score" else []
    result = speechqa(command, "clean.wav", "--model", copy, *out)
    one_sentence(result, "sub/model: ", "weights hold nan or inf")
    assert left_over(folder) == []


# --- ends before the end


def test_a_full_disk_is_one_sentence(model, folder):
    Path("o.jsonl").symlink_to("/dev/full")
    result = score(model, ".")
    one_sentence(
        result,
        "o.jsonl: can't be written (No space left on device); 0 of 2 files finished",
        code=3,
    )
    assert "o.jsonl.lock" not in left_over(folder)


def test_a_disk_that_becomes_full_loses_nothing(model, folder):
    score(model, "clean.wav")
    before = Path("o.jsonl").read_bytes()
    limit = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    limit += f"resource.setrlimit(resource.RLIMIT_FSIZE, ({len(before) + 50},) * 2); "
    run = "from speechqa_plugin.cli import main; main()"
    arguments = ["score", "clean.wav", "sub", "--out", "o.jsonl", "--model", model, "--resume"]
    result = subprocess.run(
        [sys.executable, "-c", limit + run, *arguments], capture_output=True, text=True
    )
    assert result.returncode == 3, result.stderr
    assert "can't be written (File too large); 1 of 2 files finished" in result.stderr
    assert "Traceback" not in result.stderr
    assert Path("o.jsonl").read_bytes() == before
    assert score(model, "clean.wav", "sub", "--resume").exit_code == 0
    assert paths() == ["clean.wav", "sub/noisy.flac"]


def test_an_interruption_loses_nothing(model, folder, monkeypatch):
    def interrupted(self, *arguments):
        yield from list(whole(self, *arguments))[:1]
        raise KeyboardInterrupt

    whole = Assessor.score_files
    monkeypatch.setattr(Assessor, "score_files", interrupted)
    result = score(model, ".")
    one_sentence(result, "o.jsonl: interrupted; 1 of 2 files finished, go on with", code=130)
    assert paths() == ["clean.wav"]
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    assert "o.jsonl: 1 file, 1 done before\n" in score(model, ".", "--resume").stdout


def start(folder, model, *arguments, **kwargs):
    return subprocess.Popen(
        [*COMMAND, *arguments, "--model", model, "--batch-size", "1"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **kwargs,
    )


def wait_for_rows(process, out, n=3):
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if out.exists() and out.read_bytes().count(b"\n") >= n:
            return
        time.sleep(0.005)
    pytest.fail(f"no rows: {process.communicate()}")


@pytest.mark.slow
def test_a_second_writer_ctrl_c_and_a_kill(model, folder):
    """One run is refused a rival, interrupted, resumed, killed, resumed: no row is lost."""
    for i in range(200):
        write_clip(folder / f"in/{i:03}.wav", 1.0)
    out = folder / "o.jsonl"
    process = start(folder, model, "in", "--out", "o.jsonl")
    wait_for_rows(process, out)
    one_sentence(score(model, "in", "--resume"), f"process {process.pid} on ", "is writing to it")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "o.jsonl: interrupted; " in said and "Traceback" not in said
    kept = out.read_bytes()
    assert kept.endswith(b"\n") and kept.count(b"\n") < 200

    process = start(folder, model, "in", "--out", "o.jsonl", "--resume")
    wait_for_rows(process, out, kept.count(b"\n") + 3)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert (folder / "o.jsonl.lock").exists()
    kept = out.read_bytes()
    kept = kept[: kept.rfind(b"\n") + 1]

    result = score(model, "in", "--resume")
    assert result.exit_code == 0, result.output
    assert out.read_bytes().startswith(kept)
    assert paths() == sorted(f"in/{i:03}.wav" for i in range(200))
    assert not (folder / "o.jsonl.lock").exists()
