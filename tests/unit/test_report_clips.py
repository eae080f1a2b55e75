"""Lines of results files and manifests."""

import json

import pytest
from report_cases import TAXONOMY, assessed
from scored_rows import bad, good, write

from speechqa_plugin.report.clips import ResultsError, clip_from_row, read_rows, taxonomy_of
from speechqa_plugin.schema import load_taxonomy


def test_a_result_comes_back_with_all_that_stands_in_it():
    row = {"path": "a.wav", **assessed().to_dict(), "failure": "no_scores", "system": "codec"}
    clip = clip_from_row(row | {"warnings": ["loud", "short"], "seconds": 3}, TAXONOMY)
    assert clip.assessment == assessed()
    assert (clip.failure, clip.system, clip.warnings) == ("no_scores", "codec", ("loud", "short"))
    assert clip_from_row(row | {"warnings": "loud"}, TAXONOMY).warnings == ("loud",)
    clip = clip_from_row({"path": "a.wav", "error": "is empty"}, TAXONOMY)
    assert (clip.assessment, clip.error) == (None, "is empty")


def test_a_result_that_is_not_valid():
    row = {"path": "a.wav", **assessed().to_dict()}
    row["scores"]["mos"] = 7
    with pytest.raises(ResultsError, match="result of a.wav: scores: mos is 7, not in"):
        clip_from_row(row, TAXONOMY)


def test_relative_paths_are_found_beside_the_file(tmp_path, monkeypatch):
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "a.wav").touch()
    rows = [{"path": "a.wav", "scores": {}}, {"path": "gone.wav", "error": ""}, {"path": "b.wav"}]
    (folder / "r.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = [row["path"] for row in read_rows(folder / "r.jsonl")]
    assert found == [str(folder / "a.wav"), "gone.wav", str(folder / "b.wav")]
    monkeypatch.chdir(folder)
    assert read_rows("r.jsonl")[0]["path"] == "a.wav"


@pytest.mark.parametrize("name", ["o.jsonl", "o.csv"])
def test_results_of_score_say_that_artifacts_are_not_known(tmp_path, name):
    rows = [good("a.wav") | {"warnings": ["loud", "short"]}, bad("b.wav")]
    out = write(tmp_path / name, rows, format=name[2:])
    one, two = read_rows(out)
    assert one["path"] == "a.wav" and two["error"] == rows[1]["error"]
    one["scores"] = dict.fromkeys(TAXONOMY.names, 3.0)
    one.pop("confidence")
    clip = clip_from_row(one, TAXONOMY)
    assert clip.warnings == ("loud", "short")
    assert clip.scores_only and not clip.artifacts_known


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        ("\n", "is empty"),
        ('{"path": "a"}\nx', "line 2: not a JSON object with a 'path'; found b'x'"),
        ('{"path": 3}', "line 1: not a JSON object with a 'path'"),
        ("[1]", "line 1: not a JSON object with a 'path'"),
    ],
)
def test_files_that_are_refused(tmp_path, content, message):
    file = tmp_path / "r.jsonl"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ResultsError) as error:
        read_rows(file)
    assert str(error.value).startswith(str(file)) and message in str(error.value)


def test_the_dimensions_say_which_taxonomy_it_is():
    nisqa = load_taxonomy("nisqa")
    rows = [{"path": "a", "error": "x"}, {"path": "b", "scores": dict.fromkeys(nisqa.names, 2)}]
    assert taxonomy_of(rows) is nisqa
    message = r"dimensions \['warmth'\] are of none of nisqa, qualispeech, wide; .*--taxonomy"
    with pytest.raises(ResultsError, match=message):
        taxonomy_of([{"path": "a", "scores": {"warmth": 3}}])
