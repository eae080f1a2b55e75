"""The `speechqa` command, in this process where that is the same and in its own where it is not."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile
import torch
from tiny import CLEAN, NOISY, RATE_HZ, trained_answerer, write_bad_files, write_clip
from typer.testing import CliRunner

from speechqa_plugin import __version__
from speechqa_plugin.activity import NO_SPEECH, TOO_SHORT
from speechqa_plugin.cli import app
from speechqa_plugin.cli.assess import long_bar
from speechqa_plugin.cli.score import read_done
from speechqa_plugin.export import export_assessor
from speechqa_plugin.schema import Artifact, assessment_from_dict, load_taxonomy
from speechqa_plugin.scoring.results import ResultsError, Run
from speechqa_plugin.sources import READABLE

SPEECHQA = Path(sys.executable).with_name("speechqa")
TAXONOMY = load_taxonomy("qualispeech")
FIELDS = {"scores", "artifacts", "description", "confidence", "timeline", "warnings"}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return export_assessor(trained_answerer(), tmp_path_factory.mktemp("model") / "exported")


@pytest.fixture
def recordings(tmp_path):
    """A folder with one bad file among good ones, some of them further down."""
    folder = tmp_path / "recordings"
    for name, wav in (("b.wav", CLEAN), ("sub/a.flac", NOISY), ("sub/deep/C.WAV", CLEAN)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, wav.numpy(), RATE_HZ)
    (folder / "a.wav").write_text("not a sound")
    (folder / "notes.txt").write_text("not a recording")
    return folder


def speechqa(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def read_lines(file):
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


# --- the command as such


def test_its_small_matrices_are_multiplied_by_one_thread(tmp_path):
    """On a busy machine more threads make an answer several times slower."""
    write_clip(tmp_path / "a.wav", 1.0)
    script = (
        "import sys, threadpoolctl, speechqa_plugin.cli as cli\n"
        "sys.argv = ['speechqa', 'assess', sys.argv[1]]\n"
        "try:\n    cli.main()\nexcept SystemExit:\n    pass\n"
        "print('threads', [p['num_threads'] for p in threadpoolctl.threadpool_info()])\n"
    )
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {k: v for k, v in os.environ.items() if k not in threads}
    command = [sys.executable, "-c", script, tmp_path / "a.wav"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.stdout.splitlines()[-1] == "threads [1]", result.stdout + result.stderr


def test_help_comes_at_once():
    start = time.perf_counter()
    result = subprocess.run([SPEECHQA, "--help"], capture_output=True, text=True)
    assert time.perf_counter() - start < 2
    assert result.returncode == 0
    assert "assess" in result.stdout and "score" in result.stdout


def test_version():
    result = speechqa("--version")
    assert (result.exit_code, result.stdout) == (0, f"speechqa {__version__}\n")


def test_ctrl_c_during_the_first_imports_is_quiet():
    code = """
import sys
class Pressed:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Pressed())
from speechqa_plugin.cli import main
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (130, "", "")


def test_help_and_refusals_import_nothing_heavy(tmp_path):
    code = """
import sys
from speechqa_plugin.cli import app
for arguments in (["--help"], ["score", "--help"], ["assess", "a.wav", "--model", "nowhere"]):
    try:
        app(arguments)
    except SystemExit:
        pass
print(sorted({"torch", "speechbrain", "transformers"} & set(sys.modules)))
"""
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert result.stdout.splitlines()[-1] == "[]", result.stderr


@pytest.mark.parametrize("command", [["assess", "a.wav"], ["score", ".", "--out", "o.jsonl"]])
@pytest.mark.parametrize("folder", ["nowhere", "empty"])
def test_model_that_is_not_there(tmp_path, monkeypatch, command, folder):
    (tmp_path / "empty").mkdir()
    write_clip(tmp_path / "a.wav")
    monkeypatch.chdir(tmp_path)
    result = speechqa(*command, "--model", folder)
    assert result.exit_code == 2
    assert result.stderr == (
        f"speechqa: {folder}: no hyperparams.yaml in it; --model needs the folder of an exported "
        "model\n"
    )
    assert sorted(os.listdir(tmp_path)) == ["a.wav", "empty"]


def test_model_from_the_environment(model, recordings, monkeypatch):
    monkeypatch.setenv("SPEECHQA_MODEL", str(model))
    assert speechqa("assess", recordings / "b.wav").exit_code == 0


@pytest.mark.parametrize("device", ["cuda:99", "gpu", "ipu"])
def test_device_that_is_not_there(model, recordings, device):
    result = speechqa("assess", recordings / "b.wav", "--model", model, "--device", device)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"speechqa: --device {device}: ")
    assert line.endswith("; need one of cpu, cuda, cuda:0, mps") and "aten" not in line
    assert ("torch finds no such device" in line) == (device != "cuda:99")


# --- assess


def test_assess_prints_what_people_like_to_read(model, recordings):
    result = speechqa("assess", recordings / "sub/a.flac", "--model", model)
    assert result.exit_code == 0
    for text in (
        f"{recordings}/sub/a.flac",
        "Noise lies there.",
        "background noise          ██········ 1.0  very intrusive",
        "overall quality           ████······ 2.0  poor",
        "noise: white noise  0.0 to 1.5 s",
    ):
        assert text in result.stdout


def test_assess_json_goes_through_a_pipe(model, recordings):
    paths = [recordings / "sub/a.flac", recordings / "b.wav"]
    result = speechqa("assess", *paths, "--json", "--model", model)
    noisy, clean = map(json.loads, result.stdout.splitlines())
    assert [noisy.pop("path"), clean.pop("path")] == list(map(str, paths))
    assert assessment_from_dict(noisy, TAXONOMY).artifacts == (
        Artifact("noise", "white noise", 0.0, 1.5),
    )
    assert assessment_from_dict(clean, TAXONOMY).mos == pytest.approx(5, abs=0.1)


def test_every_bad_file_is_named_in_one_line_and_the_good_one_assessed(model, tmp_path):
    bad = write_bad_files(tmp_path / "bad")
    good = write_clip(tmp_path / "good.wav")
    result = speechqa("assess", *bad.values(), good, "--model", model)
    assert result.exit_code == 1
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == len(bad)
    for line, (message, path) in zip(errors, bad.items(), strict=True):
        assert line.startswith(f"error: {path}: ") and message in line
    assert f"{good}\n" in result.stdout
    assert "error" not in result.stdout


def test_assess_takes_what_score_takes(model, recordings, monkeypatch):
    monkeypatch.chdir(recordings)
    expected = ["a.wav", "b.wav", "sub/a.flac", "sub/deep/C.WAV"]
    for sources in ([recordings], ["*.wav", "sub", "b.wav"]):
        result = speechqa("assess", *sources, "--json", "--model", model)
        found = [os.path.relpath(json.loads(line)["path"]) for line in result.stdout.splitlines()]
        assert found == expected, result.output
    result = speechqa("assess", "*.mp3", "--model", model)
    assert (result.exit_code, result.stderr) == (2, "speechqa: *.mp3: no file matches it\n")


def test_bad_files_as_json(model, tmp_path):
    bad = write_bad_files(tmp_path)
    result = speechqa("assess", *bad.values(), "--json", "--model", model)
    assert result.exit_code == 1
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [set(row) for row in rows] == [{"path", "error"}] * len(bad)
    assert [row["path"] for row in rows] == list(map(str, bad.values()))


def test_silence_is_told_of_by_both_commands_alike(model, tmp_path):
    folder = tmp_path / "quiet"
    folder.mkdir()
    soundfile.write(folder / "silence.wav", [0.0] * RATE_HZ, RATE_HZ)
    write_clip(folder / "word.wav", 0.1)
    paths = [folder / "silence.wav", folder / "word.wav"]
    shown = speechqa("assess", *paths, "--model", model).stdout
    assert f"  warning: {NO_SPEECH}\n" in shown and f"  warning: {TOO_SHORT}\n" in shown
    out = tmp_path / "scores.jsonl"
    assert speechqa("score", folder, "--out", out, "--model", model).exit_code == 0
    assessed = speechqa("assess", *paths, "--json", "--model", model).stdout.splitlines()
    rows = {row["path"]: row for row in read_lines(out)}  # the shortest first
    for other, warning in zip(map(json.loads, assessed), (NO_SPEECH, TOO_SHORT), strict=True):
        one = rows[other["path"]]
        assert {key: one[key] for key in other} == other and one["warnings"] == [warning]
        assert set(one["confidence"].values()) == {0.0}


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
def test_a_bar_for_each_long_recording_on_a_terminal_alone(stream):
    shown = stream()
    progress = long_bar(shown)
    for heard_s in (800.0, 3600.5):
        progress("calls/long.wav", heard_s, 3600.5)
    progress("calls/other.wav", 10.0, 20.0)
    text = shown.getvalue()
    if stream is io.StringIO:
        assert text == ""
    else:
        assert "long.wav:" in text and "/3600 [" in text and "other.wav:" in text


def test_assess_a_long_recording(model, tmp_path):
    path = write_clip(tmp_path / "long.wav", 7.0, 0.1)
    result = speechqa("assess", path, "--json", "--model", model)
    (row,) = map(json.loads, result.stdout.splitlines())
    assessment = assessment_from_dict({k: v for k, v in row.items() if k in FIELDS}, TAXONOMY)
    assert (assessment.timeline[0].start_s, assessment.timeline[-1].end_s) == (0.0, 7.0)
    assert len(assessment.timeline) == 5


# --- watch


def watch(model, data, *options):
    return subprocess.run(
        [SPEECHQA, "watch", "--model", model, *options], input=data, capture_output=True
    )


def raw(wav):
    return (wav.numpy() * 32767).round().astype("<i2").tobytes()


@pytest.mark.slow
def test_watch_says_a_line_for_each_window_with_the_streams_times(model):
    #  0          2          4       5.3    windows of 2 s; the last one is silent
    data = raw(torch.cat([NOISY, torch.zeros(8000), NOISY, torch.zeros(8000), torch.zeros(20800)]))
    result = watch(model, data)
    assert result.returncode == 0, result.stderr
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(line["start_s"], line["end_s"]) for line in lines] == [(0, 2), (2, 4), (4, 5.3)]
    first, second, silent = lines
    assert first["scores"] == pytest.approx(second["scores"], abs=1e-3)
    for one, other in zip(first["artifacts"], second["artifacts"], strict=True):
        assert other["start_s"] == pytest.approx(one["start_s"] + 2)
    assert silent["warnings"] == [NO_SPEECH] and set(silent["confidence"].values()) == {0.0}


def test_watch_asks_in_the_form_that_the_model_was_taught(tmp_path):
    samples = NOISY[: 2 * RATE_HZ]
    soundfile.write(tmp_path / "a.wav", samples.numpy(), RATE_HZ)
    command = [SPEECHQA, "watch"]  # the model in the package explains
    line = json.loads(subprocess.run(command, input=raw(samples), capture_output=True).stdout)
    told = json.loads(speechqa("assess", tmp_path / "a.wav", "--json").output)
    assert line["description"] == told["description"] and "failure" not in line


@pytest.mark.slow
def test_watch_takes_other_rates_and_channels_and_leaves_out_a_last_bit(model):
    wav = NOISY.repeat_interleave(3)[: 2 * 48000]
    stereo = torch.stack([wav, -wav], dim=1).flatten()
    result = watch(model, raw(stereo) + bytes(400), "--rate", "48000", "--channels", "2")
    assert result.returncode == 0, result.stderr
    (line,) = map(json.loads, result.stdout.splitlines())
    assert "the 2 channels cancel each other" in line["warnings"][0]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["interrupt", "reader gone"])
def test_watch_ends_quietly_and_says_a_window_at_once(model, how):
    process = subprocess.Popen(
        [SPEECHQA, "watch", "--model", model],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    second = raw(torch.cat([NOISY, torch.zeros(8000)]))
    process.stdin.write(second + bytes(2000))
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["end_s"] == 2  # the input has not ended
    if how == "interrupt":
        process.send_signal(signal.SIGINT)
    else:
        process.stdout.close()
        process.stdin.write(second)
        process.stdin.close()
    assert process.wait(timeout=120) == 0
    assert b"Traceback" not in process.stderr.read()


@pytest.mark.parametrize("arguments", [["--help"], ["compare", "a.jsonl", "a.jsonl"]])
def test_a_full_disk_behind_standard_output_is_one_sentence(tmp_path, arguments):
    (tmp_path / "a.jsonl").write_text('{"path": "a.wav", "scores": {"mos": 3}}')
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [SPEECHQA, *arguments], cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert result.returncode == 2
    said = "speechqa: standard output: No space left on device; what was written is not whole\n"
    assert result.stderr == said


@pytest.mark.slow
def test_any_name_reaches_any_terminal(model, tmp_path):
    good = write_clip(tmp_path / os.fsdecode(b"\xff \xe5\xa3\xb0.wav"))
    bad = tmp_path / os.fsdecode(b"\xfe.wav")
    result = subprocess.run(
        [SPEECHQA, "assess", good, bad, "--model", model],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )
    assert result.returncode == 1
    assert "overall quality" in result.stdout and "5.0  excellent" in result.stdout
    assert [line for line in result.stderr.splitlines() if line.startswith("error: ")] == [
        f"error: {tmp_path}/\\udcfe.wav: no such file; need an audio file ({READABLE})"
    ]


# --- score


def test_score_a_folder(model, recordings, tmp_path):
    out = tmp_path / "new/folder/scores.jsonl"
    result = speechqa("score", recordings, "-o", out, "--model", model)
    assert result.exit_code == 0, result.stderr
    assert "4 files, 1 unreadable" in result.stdout
    names = ["a.wav", "b.wav", "sub/deep/C.WAV", "sub/a.flac"]  # in order of length
    rows = read_lines(out)
    assert [row["path"] for row in rows] == [str(recordings / n) for n in names]
    assert "is no audio that can be read" in rows[0]["error"]
    assert [row["scores"]["mos"] for row in rows[1:]] == pytest.approx([5, 5, 2], abs=0.1)
    assert rows[1]["description"] == ""
    assert [row["id"] for row in rows] == names
    assert [row.get("duration_s") for row in rows] == [None, 1.0, 1.0, 1.5]


def test_score_a_manifest(model, recordings, tmp_path):
    manifest = recordings / "list.jsonl"
    manifest.write_text('{"path": "sub/a.flac", "id": 1}\n\n{"path": "b.wav"}\n')
    result = speechqa("score", manifest, "--out", tmp_path / "o.jsonl", "--model", model)
    assert result.exit_code == 0, result.stderr
    paths = [row["path"] for row in read_lines(tmp_path / "o.jsonl")]
    assert sorted(paths) == [str(recordings / "b.wav"), str(recordings / "sub/a.flac")]
    assert {row["id"] for row in read_lines(tmp_path / "o.jsonl")} == {
        "1",
        str(recordings / "b.wav"),
    }


def test_score_every_bad_file_in_one_line_each(model, tmp_path):
    bad = write_bad_files(tmp_path)
    del bad["no such file"]  # a folder does not list it
    speechqa("score", tmp_path, "--out", tmp_path / "o.jsonl", "--model", model)
    errors = {row["path"]: row["error"] for row in read_lines(tmp_path / "o.jsonl")}
    assert len(errors) == len(bad)
    for message, path in bad.items():
        assert message in errors[str(path)]


def test_score_does_not_overwrite(model, recordings, tmp_path):
    out = tmp_path / "scores.jsonl"
    out.write_text("dear\n")
    result = speechqa("score", recordings, "--out", out, "--model", model)
    assert result.exit_code == 2
    assert result.stderr == (
        f"speechqa: {out} is there; give --resume to go on with it, or another --out\n"
    )
    result = speechqa("score", recordings, "--out", out, "--model", model, "--resume")
    assert result.exit_code == 2
    assert f"{out}, line 1: not a result of this command; found b'dear'" in result.stderr
    assert out.read_text() == "dear\n"


@pytest.mark.parametrize("resume", [[], ["--resume"]])
def test_score_into_a_folder(model, recordings, tmp_path, resume):
    result = speechqa("score", recordings, "--out", tmp_path, "--model", model, *resume)
    assert result.exit_code == 2
    assert result.stderr == f"speechqa: {tmp_path} is a folder; --out needs a file\n"


def test_resume_without_an_earlier_run_starts_one(model, recordings, tmp_path):
    out = tmp_path / "o.jsonl"
    assert speechqa("score", recordings, "--out", out, "--model", model, "--resume").exit_code == 0
    assert len(read_lines(out)) == 4


def test_resume_when_all_is_done_does_nothing(model, recordings, tmp_path):
    out = tmp_path / "o.jsonl"
    speechqa("score", recordings, "--out", out, "--model", model)
    before = out.read_bytes()
    result = speechqa("score", recordings, "--out", out, "--model", model, "--resume")
    assert f"{out}: 0 files, 4 done before\n" in result.stdout
    assert out.read_bytes() == before


def test_names_of_any_kind_survive_a_resume(model, tmp_path):
    folder = tmp_path / "in"
    names = ["a b.wav", "line\u2028end.wav", 'quote".wav', "naïve 声.wav", os.fsdecode(b"\xff.wav")]
    for name in names:
        write_clip(folder / name, 0.1)
    out = tmp_path / "o.jsonl"
    for resume in ([], ["--resume"]):
        result = speechqa("score", folder, "--out", out, "--model", model, *resume)
        assert result.exit_code == 0, result.stderr
    assert sorted(row["path"] for row in read_lines(out)) == sorted(str(folder / n) for n in names)


@pytest.mark.slow
def test_resume_after_a_kill(model, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "scores.jsonl"
    for i in range(100):
        write_clip(folder / f"{i:03}.wav", 1.0)
    command = [SPEECHQA, "score", folder, "--out", out, "--model", model, "--batch-size", "1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if out.exists() and out.read_bytes().count(b"\n") >= 3:
            break
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, process.stderr.read()
    kept = out.read_bytes()
    kept = kept[: kept.rfind(b"\n") + 1]
    assert 3 <= kept.count(b"\n") < 100, "the kill came too late"

    out.write_bytes(kept + b'{"path": "' + os.fsencode(folder))  # half of a line
    result = subprocess.run([*command, "--resume"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert out.read_bytes().startswith(kept)
    paths = [row["path"] for row in read_lines(out)]
    assert paths == [str(folder / f"{i:03}.wav") for i in range(100)]


# --- its parts


def run_of(format_="jsonl", **changes):
    made = {"model": "m", "form": "scores", "version": "1", "n_sources": 2, "sources": "s"}
    return Run(**made | {"format": format_} | changes)


def test_read_done_cuts_half_a_line_only(tmp_path):
    out = tmp_path / "o.jsonl"
    run = run_of()
    run.write(out)
    whole = b'{"path": "a.wav", "error": "x"}\n{"path": "b.wav"}\n'
    out.write_bytes(whole + b'{"path": "c.w')
    assert read_done(out, run)[0] == {"a.wav", "b.wav"}
    assert out.read_bytes() == whole
    assert read_done(out, run)[0] == {"a.wav", "b.wav"}
    assert out.read_bytes() == whole
    out.write_bytes(whole + b'{"pa')
    assert read_done(out, run)[0] == {"a.wav", "b.wav"}
    assert out.read_bytes() == whole


@pytest.mark.parametrize(
    "content", ['{"a": 1, "b": 2}', '{\n"path": "a.wav"}', '{"path": "a"}\n{}']
)
def test_a_file_that_is_not_ours_stays_as_it_is(tmp_path, content):
    out = tmp_path / "o.jsonl"
    out.write_text(content)
    with pytest.raises(ResultsError, match="a result of this command"):
        read_done(out, run_of())
    assert out.read_text() == content


def test_results_that_cannot_be_written(model, recordings, tmp_path):
    (tmp_path / "file").write_text("")
    result = speechqa("score", recordings, "--out", tmp_path / "file/o.jsonl", "--model", model)
    assert result.exit_code == 2
    assert "o.jsonl: can't be written (" in result.stderr


def test_a_model_that_cannot_be_loaded(model, recordings, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(model, broken)
    (broken / "audio_llm.ckpt").write_bytes(b"half")
    result = speechqa("assess", recordings / "b.wav", "--model", broken)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"speechqa: {broken}: ")
