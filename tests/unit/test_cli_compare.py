"""``speechqa compare``, on files that are scored and on results that were."""

import json
import shutil
import sys

import pytest
import soundfile
from tiny import CLEAN, NOISY, RATE_HZ, trained_answerer
from typer.testing import CliRunner

from speechqa_plugin.cli import app
from speechqa_plugin.export import export_assessor
from speechqa_plugin.scoring.results import run_file


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return export_assessor(trained_answerer(), tmp_path_factory.mktemp("model") / "exported")


def speechqa(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def results(path, scores, folder="x", ending=".wav"):
    """A results file: name to overall score, or to an error."""
    rows = []
    for name, score in scores.items():
        row = {"path": f"{folder}/{name}{ending}"}
        row |= {"error": score} if isinstance(score, str) else {}
        row |= {} if isinstance(score, str) else {"scores": {"noise": 3.0, "mos": score}}
        rows.append(json.dumps(row))
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture
def two(tmp_path):
    a = {f"c{i}": 3.0 + 0.1 * i for i in range(10)} | {"bad": "x/bad.wav: is empty"}
    b = {f"c{i}": 2.5 + 0.05 * i for i in range(10)} | {"bad": 3.0, "more": 4.0}
    return (
        results(tmp_path / "a.jsonl", a, "clean"),
        results(tmp_path / "b.jsonl", b, "mp3", ".mp3"),
    )


# --- results: no model, no torch


def test_results_need_no_model_and_say_who_was_left_out(two, monkeypatch):
    monkeypatch.delenv("SPEECHQA_MODEL", raising=False)
    result = speechqa("compare", *two, "--most", 2)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[:3] == [
        f"A: {two[0]}",
        f"B: {two[1]}",
        "10 clips in all of them; without a partner in B: 1 (mp3/more.mp3); could not be heard: "
        "1 (the first: x/bad.wav: is empty)",
    ]
    assert lines[4].startswith("A is better than B in mos, by 0.73 points (95 % interval 0.6")
    assert lines[4].endswith("; 10 clips are few, and the interval is too narrow.")
    (row,) = [line for line in lines if line.startswith("| mos")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1].startswith("3.45 [") and cells[2].startswith("2.73 [")
    assert cells[3].startswith("+0.7") and cells[4:] == ["10", "0"]
    assert [line.split("|")[1].strip() for line in lines[-2:]] == ["c9", "c8"]


def test_results_as_json(two):
    found = json.loads(speechqa("compare", *two, "--json").stdout)
    assert found["n"] == 10 and found["without_partner"] == [[], ["mp3/more.mp3"]]
    assert found["errors"] == {"bad": "x/bad.wav: is empty"}
    value, low, high = found["dimensions"]["mos"]["difference"]
    assert value == pytest.approx(0.725) and 0.6 < low < value < high < 0.9
    assert found["pairs"][0]["name"] == "c9"


@pytest.mark.parametrize("n", [2, 3])
def test_what_was_not_judged_counts_nowhere(two, tmp_path, n):
    def silent(path, name):
        row = {"path": f"{name}/silent.wav", "scores": {"noise": 3.0, "mos": 3.0}}
        row |= {"confidence": {"noise": 0.0, "mos": 0.0}, "warnings": ["no speech found"]}
        path.write_text(path.read_text() + json.dumps(row) + "\n")
        return path

    more = results(tmp_path / "c.jsonl", {f"c{i}": 2.9 for i in range(10)})
    sources = [*two, more][:n]
    before = speechqa("compare", *sources, "--json").stdout
    with_silence = [silent(path, path.stem) for path in sources]
    found = json.loads(speechqa("compare", *with_silence, "--json").stdout)
    assert found.pop("not_judged") == {"silent": "a/silent.wav"}
    assert found == {k: v for k, v in json.loads(before).items() if k != "not_judged"}
    said = speechqa("compare", *with_silence, "-o", tmp_path / "page.html")
    assert "; not judged: 1 (a/silent.wav)\n" in said.stdout
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "silent: a/silent.wav was not judged" in page and page.count("<template ") == 10


def test_nothing_that_was_judged_is_nothing_to_compare(tmp_path):
    row = {"path": "silent.wav", "scores": {"mos": 3.0}, "confidence": {"mos": 0.0}}
    (tmp_path / "r.jsonl").write_text(json.dumps(row))
    result = speechqa("compare", tmp_path / "r.jsonl", tmp_path / "r.jsonl")
    assert result.stderr == "speechqa: no clips to compare: silent.wav: nothing to judge in it\n"


@pytest.mark.parametrize("n", [2, 3])
def test_nothing_that_was_heard_has_no_dimensions(tmp_path, n):
    gone = results(tmp_path / "r.jsonl", {"c1": "c1.wav: is empty"})
    sources = [gone, *(shutil.copy(gone, tmp_path / f"{i}.jsonl") for i in range(1, n))]
    result = speechqa("compare", *sources, "--by", "noi")
    assert result.stderr == "speechqa: no clips to compare: c1.wav: is empty\n"


def test_a_source_beside_itself(two):
    result = speechqa("compare", two[0], two[0])
    assert "\nA and B are alike in mos.\n" in result.stdout
    assert "differ most" not in result.stdout and "0.00 [" not in result.stdout
    assert "+0.00" not in result.stdout and "-0.00" not in result.stdout


def test_three_results_are_ranked(two, tmp_path):
    third = results(tmp_path / "c.jsonl", {f"c{i}": 4.9 for i in range(10)})
    result = speechqa("compare", *two, third)
    assert result.exit_code == 0, result.stderr
    rows = [line.split("|") for line in result.stdout.splitlines() if line.startswith("|")]
    systems = [(r[1].strip(), r[2].strip(), r[5].strip()) for r in rows[2:]]
    assert "C is best in mos, better than A by 1.45 points (95 % interval 1." in result.stdout
    assert "+0.00" not in result.stdout
    assert systems == [("1", str(third), "10"), ("2", str(two[0]), "0"), ("3", str(two[1]), "0")]
    found = json.loads(speechqa("compare", *two, third, "--json").stdout)
    assert [r["system"] for r in found["ranking"]] == [str(third), *map(str, two)]
    assert found["ranking"][1]["behind"][2] < 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.jsonl"], "compare needs two sources or more; found 'a.jsonl' alone"),
        (["a.jsonl", "nowhere"], "nowhere: no such file or folder"),
        (["a.jsonl", "list.jsonl", "--model", "m"], "m: no hyperparams.yaml in it"),
        (["a.jsonl", "torn.jsonl"], "torn.jsonl, line 2: no 'path' with 'scores'; found b'{\"pa"),
        (["a.jsonl", "twice.jsonl"], "twice.jsonl, line 2: 'x/c1.wav' stands twice"),
        (["a.jsonl", "b.jsonl", "--by", "hiss"], "no dimension 'hiss'; there are noise, mos"),
        (["a.jsonl", "other.jsonl"], "no file name stands in all of them"),
        (["a.jsonl", "b.jsonl", "b.jsonl"], "one of them stands twice"),
        (["bad.jsonl", "b.jsonl"], "no clips to compare: gone"),
        (["bad.jsonl", "b.jsonl", "a.jsonl"], "no clips to compare: gone"),
    ],
)
def test_what_is_refused(two, tmp_path, monkeypatch, arguments, message):
    (tmp_path / "audio").mkdir()
    (tmp_path / "list.jsonl").write_text('{"path": "c1.wav"}\n')
    line = '{"path": "x/c1.wav", "scores": {"mos": 1}}\n'
    (tmp_path / "torn.jsonl").write_text(line + '{"pa')
    (tmp_path / "twice.jsonl").write_text(line + line)
    results(tmp_path / "other.jsonl", {"z": 1.0})
    results(tmp_path / "bad.jsonl", {"c1": "gone"})
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPEECHQA_MODEL", raising=False)
    result = speechqa("compare", *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("speechqa: ") and message in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("n", [2, 3])
def test_a_page_to_look_at(two, tmp_path, n):
    sources = [*two, results(tmp_path / "c.jsonl", {f"c{i}": 4.9 for i in range(10)})][:n]
    result = speechqa("compare", *sources, "-o", tmp_path / "page.html")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == speechqa("compare", *sources).stdout
    page = (tmp_path / "page.html").read_text("utf-8")
    assert page.count("<template ") == 10 and "No sound to show: " in page
    assert ("minus B" in page) == (n == 2)


@pytest.mark.parametrize(
    "line",
    [
        '"path scores"',
        "[1]",
        '{"path": 3, "scores": {"mos": 1}}',
        '{"path": ["x"], "scores": {"mos": 1}}',
        '{"path": "x", "scores": {"mos": 1}, "confidence": 0.5}',
        '{"path": "x", "scores": {"mos": "good"}}',
        '{"path": "x", "scores": null}',
        '{"path": "x", "error": {}}',
        '{"path": "x"}',
    ],
)
def test_a_line_that_is_no_result_is_named(two, tmp_path, line):
    torn = tmp_path / "torn.jsonl"
    head = '{"path": "x/c1.wav", "scores": {"mos": 1}}\n'
    for before in (head, "") if "scores" in line and line[0] == "{" else (head,):
        torn.write_text(before + line)
        found = f"line {2 if before else 1}: no 'path' with 'scores'; found {line.encode()[:60]!r}"
        said = speechqa("compare", two[0], torn).stderr
        assert said == f"speechqa: {torn}, {found}\n"


# --- audio


@pytest.fixture
def folders(tmp_path):
    for folder, wav, ending in (("clean", CLEAN, "wav"), ("coded", NOISY, "flac")):
        for name in ("1", "sub/2"):
            path = tmp_path / folder / f"{name}.{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, wav.numpy(), RATE_HZ)
    return tmp_path / "clean", tmp_path / "coded"


def test_two_files_are_a_pair_whatever_their_names(model, folders):
    files = folders[0] / "1.wav", folders[1] / "sub/2.flac"
    result = speechqa("compare", *files, "--model", model)
    assert result.exit_code == 0, result.stderr
    assert "1 clips" not in result.stdout and "1 clip in all of them" in result.stdout
    (row,) = [line for line in result.stdout.splitlines() if line.startswith("| mos")]
    assert float(row.split("|")[4]) == pytest.approx(3, abs=0.2)


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (["rec", "coded"], "rec/1.flac and rec/1.wav have one name, '1'"),
        (["clean/1.wav", "coded/sub"], "no file name stands in all of them"),
        (["clean", "coded", "clean"], "clean, coded, clean: one of them stands twice"),
        (["clean", "coded", "--by", "overall"], "no dimension 'overall'; there are noise (backg"),
        (["clean", "other.jsonl"], "dimensions ['warmth', 'mos'] of the results and ['noise', "),
    ],
)
def test_what_needs_no_listening_is_refused_before(
    model, folders, tmp_path, monkeypatch, sources, message
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree("clean", "rec")
    shutil.copy("coded/1.flac", "rec")
    (tmp_path / "other.jsonl").write_text(
        '{"path": "1.wav", "scores": {"warmth": 1, "mos": 2}}\n{"path": "2.wav", "error": "gone"}'
    )
    monkeypatch.setattr("speechqa_plugin.cli.compare._score", None)
    result = speechqa("compare", *sources, "--model", model)
    assert result.exit_code == 2 and message in result.stderr, result.output


@pytest.mark.parametrize("most", [0, 5])
def test_a_package_that_is_missing(model, folders, tmp_path, monkeypatch, most):
    monkeypatch.setitem(sys.modules, "matplotlib" if most else "jinja2", None)
    monkeypatch.setattr("speechqa_plugin.cli.compare._score", None)
    arguments = [*folders, "--model", model, "-o", tmp_path / "page.html", "--most", most]
    result = speechqa("compare", *arguments)
    assert result.exit_code == 2 and "pip install '.[report]'" in result.stderr


def test_a_dimension_is_named_by_its_title_too(model, folders):
    found = json.loads(
        speechqa("compare", *folders, "--model", model, "--json", "--by", "Background noise").stdout
    )
    assert found["by"] == "noise"


@pytest.mark.parametrize(("most", "seconds", "heard"), [(5, 300, 4), (1, 300, 2), (5, 3, 2)])
def test_a_page_holds_the_sound_of_those_that_differ_most(
    model, folders, tmp_path, monkeypatch, most, seconds, heard
):
    monkeypatch.setattr("speechqa_plugin.cli.compare.EMBEDDED_S", seconds)
    arguments = [*folders, "--model", model, "-o", tmp_path / "page.html", "--most", most]
    assert speechqa("compare", *arguments).exit_code == 0
    assert (tmp_path / "page.html").read_text("utf-8").count("<audio ") == heard


def test_folders_are_scored_and_paired(model, folders):
    found = json.loads(speechqa("compare", *folders, "--model", model, "--json").stdout)
    assert found["n"] == 2 and sorted(p["name"] for p in found["pairs"]) == ["1", "2"]
    assert found["dimensions"]["mos"]["difference"][0] == pytest.approx(3, abs=0.2)
    assert found["dimensions"]["mos"]["a_better"] == 2


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_a_folder_beside_results_of_score_and_of_assess(model, folders, tmp_path, ending):
    out = tmp_path / f"scores.{ending}"
    assert speechqa("score", folders[0], "--out", out, "--model", model).exit_code == 0
    said = speechqa("assess", *folders[1].rglob("*.flac"), "--json", "--model", model).stdout
    (tmp_path / "assessed.jsonl").write_text(said)
    both = json.loads(speechqa("compare", out, tmp_path / "assessed.jsonl", "--json").stdout)
    assert both["dimensions"]["mos"]["difference"][0] == pytest.approx(3, abs=0.2)
    if ending == "csv":  # it is known by its columns, too
        run_file(out).unlink()
    mixed = speechqa("compare", out, folders[1], "--model", model, "--json")
    assert json.loads(mixed.stdout)["n"] == 2, mixed.stderr
