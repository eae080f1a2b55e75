"""`speechqa report`: from results, from audio, and what is refused."""

import json
import sys
from pathlib import Path

import pytest
import soundfile
from report_cases import RATE_HZ, TAXONOMY, assessed, many, write_results
from tiny import CLEAN, NOISY, trained_answerer
from typer.testing import CliRunner

from speechqa_plugin.cli import app
from speechqa_plugin.export import export_assessor


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return export_assessor(trained_answerer(), tmp_path_factory.mktemp("model") / "exported")


@pytest.fixture(autouse=True)
def no_model_from_the_environment(monkeypatch):
    monkeypatch.delenv("SPEECHQA_MODEL", raising=False)


def report(*arguments):
    return CliRunner().invoke(app, ["report", *map(str, arguments)])


def test_from_results_without_a_model(tmp_path):
    results, out = write_results(tmp_path), tmp_path / "report.html"
    result = report(results, "-o", out)
    assert result.exit_code == 1  # as assess, where a file was not heard
    assert result.stdout == (
        f"wrote {out}: 2 clips; could not be heard: 1 (b.wav: is empty (0 bytes))\n"
    )
    page = out.read_text("utf-8")
    assert "mains hum" in page and "data:audio/wav" in page and "b.wav: is empty" in page


def test_from_audio_folders_and_manifests(model, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "report.html"
    folder.mkdir()
    for name, wav in (("clean.wav", CLEAN), ("noisy.wav", NOISY)):
        soundfile.write(folder / name, wav.numpy(), RATE_HZ, subtype="FLOAT")
    row = {"id": "a", "path": "in/noisy.wav", "duration_s": 1.5, "system": "codec-6k"}
    (tmp_path / "manifest.jsonl").write_text(json.dumps(row))
    result = report(folder, tmp_path / "manifest.jsonl", "-o", out, "--model", model)
    assert result.exit_code == 0, result.stderr
    page = out.read_text("utf-8")
    assert page.count("Noise lies there.") == 2
    assert page.count("<audio ") == 3
    assert '<th scope="row">codec-6k</th>' in page


@pytest.mark.parametrize("name", ["scores.jsonl", "scores.csv"])
def test_from_what_score_wrote(model, tmp_path, name):
    for clip, wav in (("noisy.wav", NOISY), ("silent.wav", 0 * CLEAN)):
        soundfile.write(tmp_path / clip, wav.numpy(), RATE_HZ, subtype="FLOAT")
    scores, out = tmp_path / name, tmp_path / "report.html"
    arguments = ["score", tmp_path, "--out", scores, "--model", model]
    assert CliRunner().invoke(app, [str(a) for a in arguments]).exit_code == 0
    result = report(scores, "-o", out)
    assert result.exit_code == 0, result.stderr
    page = out.read_text("utf-8")
    assert page.count("Only scores were asked for") == 1 and page.count("<audio ") == 2
    assert page.count("no speech found") == 1 and "1 warning" in page
    assert page.count("Nothing was judged") == 1 and "1 judged; not judged (no speech" in page
    assert result.stdout.endswith(f": 2 clips; not judged: 1 ({tmp_path / 'silent.wav'})\n")


def test_from_a_list_that_is_no_result(model, tmp_path):
    soundfile.write(tmp_path / "a.wav", CLEAN.numpy(), RATE_HZ, subtype="FLOAT")
    (tmp_path / "list.csv").write_text("ID,duration,wav\nu1,1,a.wav\n")
    result = report(tmp_path / "list.csv", "-o", tmp_path / "r.html", "--model", model)
    assert result.stdout == f"wrote {tmp_path / 'r.html'}: 1 clip\n"
    assert result.stderr == ""  # no terminal, no bar


def test_a_figure_of_one_clip(model, tmp_path):
    soundfile.write(tmp_path / "a.wav", NOISY.numpy(), RATE_HZ, subtype="FLOAT")
    result = report(tmp_path / "a.wav", "--png", tmp_path / "a.svg", "--model", model)
    assert result.exit_code == 0, result.stderr
    assert "white noise" in (tmp_path / "a.svg").read_text("utf-8")


def test_long_lists_have_sound_only_when_asked(tmp_path, monkeypatch):
    monkeypatch.setattr("speechqa_plugin.cli.report.EMBEDDED_S", 1)
    results, out = write_results(tmp_path), tmp_path / "report.html"
    report(results, "-o", out)
    assert "<audio " not in out.read_text("utf-8")
    assert "--audio shows it" in out.read_text("utf-8")
    report(results, "-o", out, "--audio")
    assert "<audio " in out.read_text("utf-8")


def test_audio_that_is_gone(tmp_path):
    (tmp_path / "r.jsonl").write_text(json.dumps({"path": "gone.wav", **assessed().to_dict()}))
    assert report(tmp_path / "r.jsonl", "-o", tmp_path / "r.html").exit_code == 0
    assert "No sound to show: gone.wav: no such file" in (tmp_path / "r.html").read_text("utf-8")
    result = report(tmp_path / "r.jsonl", "--png", tmp_path / "r.png")
    assert result.exit_code == 2
    assert result.stderr.startswith("speechqa: no sound to draw: gone.wav: no such file")


def test_dimensions_of_ones_own(tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text(
        "name: own\noverall: warmth\nkinds: []\ndimensions:\n"
        "  - {name: warmth, title: warmth, anchors: [a, b, c, d, e]}\n"
    )
    (tmp_path / "r.jsonl").write_text('{"path": "a.wav", "scores": {"warmth": 4}}')
    result = report(tmp_path / "r.jsonl", "-o", tmp_path / "r.html")
    assert result.exit_code == 2 and "give --taxonomy" in result.stderr
    assert report(tmp_path / "r.jsonl", "-o", tmp_path / "r.html", "--taxonomy", own).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.wav"], "nothing to write; give -o report.html, or --png figure.png"),
        (["a.wav", "--png", "r.gif"], "--png r.gif: need a name that ends in .png, .svg, .pdf"),
        (["r.jsonl", "-o", "r.html"], "r.jsonl: no such file; need results of `speechqa score`"),
        (["r.csv", "-o", "r.html"], "r.csv: no such file"),
        (["a.wav", "-o", "r.html", "--model", "m"], "m: no hyperparams.yaml in it"),
        (["a.wav", "b.wav", "--png", "r.png"], "--png draws one clip, and 2 were given"),
    ],
)
def test_what_is_refused(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    result = report(*arguments)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"speechqa: {message}")
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    ("package", "source", "out"),
    [
        ("jinja2", "results.jsonl", "-o r.html"),
        ("jinja2", "call.wav", "-o r.html"),
        ("matplotlib", "results.jsonl", "--png r.png"),
        ("matplotlib", "call.wav", "--png r.png"),
        ("matplotlib", "call.wav", "-o r.html"),
    ],
)
def test_a_package_that_is_missing(model, tmp_path, monkeypatch, package, source, out):
    write_results(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr("speechqa_plugin.cli.report.listened", None)  # it is told before
    result = report(source, *out.split(), "--model", model)
    assert result.exit_code == 2
    assert result.stderr == (
        f"speechqa: the report needs {package}; in the project's folder: pip install '.[report]'\n"
    )
    assert not list(tmp_path.glob("r.*"))


def test_results_that_are_wrong_are_told_before_anything_is_heard(model, tmp_path, monkeypatch):
    soundfile.write(tmp_path / "a.wav", CLEAN.numpy(), RATE_HZ)
    (tmp_path / "r.jsonl").write_text('{"path": "b.wav", "scores": {"warmth": 4}}')
    monkeypatch.setattr("speechqa_plugin.cli.report.listened", None)
    result = report(
        tmp_path / "a.wav", tmp_path / "r.jsonl", "-o", tmp_path / "r.html", "--model", model
    )
    assert result.exit_code == 2 and "result of b.wav: scores: ['warmth'] are no" in result.stderr


def test_a_thousand_results(tmp_path):
    rows = [{"path": c.path, "system": c.system, **c.assessment.to_dict()} for c in many(1000)]
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert report(tmp_path / "r.jsonl", "-o", tmp_path / "r.html").exit_code == 0
    assert (tmp_path / "r.html").stat().st_size < 6e6
    assert len(TAXONOMY.names) * 1000 < (tmp_path / "r.html").read_text("utf-8").count("heat")
