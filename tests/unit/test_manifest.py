"""The manifest keeps what it is given, and names file, line, id and field of what it refuses."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import assessments

from speechqa_plugin.manifest import ManifestError, read_manifest, write_manifest
from speechqa_plugin.schema import Assessment, Utterance, load_taxonomy

NISQA = load_taxonomy("nisqa")
QUALISPEECH = load_taxonomy("qualispeech")
SCORES = dict.fromkeys(NISQA.names, 3.0)
ROW = {"id": "a", "path": "a.wav", "duration_s": 2.5}


def read_text(folder, text):
    """Read `text` as a manifest; bytes are written as they are."""
    path = folder / "rows.jsonl"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_manifest(path, NISQA)


@st.composite
def rows(draw):
    ids = draw(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=5, unique=True))
    return [
        Utterance(
            id=id_,
            path=os.path.abspath(draw(st.sampled_from(["a.wav", "/b/c.wav", "x/ü {x} $3.flac"]))),
            duration_s=draw(st.floats(0, exclude_min=True, allow_infinity=False)),
            reference=draw(st.none() | assessments(QUALISPEECH)),
            system=draw(st.text(max_size=8)),
        )
        for id_ in ids
    ]


@given(utterances=rows())
def test_round_trip(tmp_path_factory, utterances):
    path = tmp_path_factory.mktemp("manifest") / "rows.jsonl"
    write_manifest(path, utterances)
    assert read_manifest(path, QUALISPEECH) == utterances


def test_paths_below_the_manifest_move_with_it(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    inside, outside = old / "clips" / "a.wav", tmp_path / "elsewhere" / "b.wav"
    write_manifest(
        old / "rows.jsonl", [Utterance("a", str(inside), 1), Utterance("b", str(outside), 1)]
    )
    old.rename(new)
    paths = [u.path for u in read_manifest(new / "rows.jsonl", NISQA)]
    assert paths == [str(new / "clips" / "a.wav"), str(outside)]


def test_manifest_named_from_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_manifest("rows.jsonl", [Utterance("a", "clips/a.wav", 1.0)])
    assert json.loads(Path("rows.jsonl").read_text())["path"] == "clips/a.wav"
    assert read_manifest("rows.jsonl", NISQA)[0].path == str(tmp_path / "clips" / "a.wav")


def test_file_name_that_is_no_unicode_survives(tmp_path):
    name = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav")
    write_manifest(tmp_path / "rows.jsonl", [Utterance("a", name, 1.0)])
    assert read_manifest(tmp_path / "rows.jsonl", NISQA)[0].path == name


def test_blank_lines_are_no_rows(tmp_path):
    (utterance,) = read_text(tmp_path, f"\n{json.dumps(ROW)}\n\n")
    assert utterance == Utterance("a", str(tmp_path / "a.wav"), 2.5)


def test_failed_write_leaves_the_old_manifest_and_nothing_else(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_manifest(path, [Utterance("a", "a.wav", 1.0)])
    before = path.read_text()

    def rows_that_end_in_an_error():
        yield Utterance("b", "b.wav", 1.0)
        raise RuntimeError("disk is gone")

    with pytest.raises(RuntimeError, match="disk is gone"):
        write_manifest(path, rows_that_end_in_an_error())
    assert path.read_text() == before
    assert os.listdir(tmp_path) == ["rows.jsonl"]


@pytest.mark.parametrize(
    ("utterances", "message"),
    [
        ([], "no rows to write"),
        ([Utterance("a", "a.wav", 1.0)] * 2, "line 2: id 'a' already stands in line 1"),
    ],
)
def test_rows_that_are_not_written(tmp_path, utterances, message):
    with pytest.raises(ManifestError, match=message):
        write_manifest(tmp_path / "rows.jsonl", utterances)
    assert os.listdir(tmp_path) == []


def test_missing_manifest_says_what_makes_it(tmp_path):
    with pytest.raises(ManifestError, match=r"rows.jsonl: no such file; run .*_prepare.py"):
        read_manifest(tmp_path / "rows.jsonl", NISQA)


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_blank_manifest(tmp_path, text):
    with pytest.raises(ManifestError, match=r"rows.jsonl: has no rows"):
        read_text(tmp_path, text)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "b", ', "is not JSON in UTF-8"),
        (b'{"id": "\xff"}', "is not JSON in UTF-8"),
        ('{"id": "b", "path": "b.wav", "duration_s": NaN}', "NaN is not a JSON number"),
        ('{"id": "b", "path": "b.wav", "duration_s": Infinity}', "Infinity is not a JSON number"),
        ('["b"]', r"found \['b'\], need an object"),
    ],
)
def test_line_that_is_no_row(tmp_path, line, message):
    line = line if isinstance(line, bytes) else line.encode()
    with pytest.raises(ManifestError, match=f"rows.jsonl, line 2: .*{message}"):
        read_text(tmp_path, json.dumps(ROW).encode() + b"\n" + line)


def reference(**changes):
    return {"reference": {"scores": SCORES, **changes}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mos": 3}, r"unknown fields {'mos': 3.0}; a row has only"),
        ({"path": None}, "path is None; need a text"),
        ({"path": ""}, "path is ''; name the audio file"),
        ({"duration_s": "2"}, "duration_s is '2'; need a number"),
        ({"duration_s": True}, "duration_s is True; need a number"),
        ({"duration_s": 0}, "duration_s: 0.0 is not above 0"),
        ({"duration_s": 10**400}, "duration_s: inf is not above 0"),
        ({"system": 7}, "system is 7.0; need a text"),
        ({"reference": None}, "reference is None; need an object"),
        ({"reference": {}}, "scores: need a mapping"),
        (reference(scores={**SCORES, "mos": 6}), r"scores: mos is 6.0, not in \[1, 5\]"),
        (reference(scores={"mos": 3}), "scores: no value for"),
        (reference(scores={**SCORES, "speed": 3}), r"scores: \['speed'\] are no dimensions"),
        (reference(artifacts=[{"kind": "x", "type": "y"}]), "artifacts: kind 'x' is none of"),
    ],
)
def test_row_with_a_bad_field(tmp_path, changes, message):
    row = {**ROW, "id": "b", **changes}
    with pytest.raises(ManifestError, match=f"rows.jsonl, line 2, id 'b': {message}"):
        read_text(tmp_path, f"{json.dumps(ROW)}\n{json.dumps(row)}\n")


def test_id_that_stands_twice(tmp_path):
    with pytest.raises(ManifestError, match="line 2: id 'a' already stands in line 1"):
        read_text(tmp_path, f"{json.dumps(ROW)}\n{json.dumps(ROW)}\n")


@pytest.mark.parametrize("field", ["id", "path", "duration_s"])
def test_row_without_a_field(tmp_path, field):
    row = {k: v for k, v in ROW.items() if k != field}
    with pytest.raises(ManifestError, match=f"line 1, id .*: {field} is missing; give"):
        read_text(tmp_path, json.dumps(row))


@pytest.mark.parametrize("id_", ["", 7])
def test_row_with_a_bad_id(tmp_path, id_):
    with pytest.raises(ManifestError, match=r"line 1, id .*: id"):
        read_text(tmp_path, json.dumps({**ROW, "id": id_}))


def test_the_file_order_is_kept_and_labels_are_read(tmp_path):
    lines = [{**ROW, "id": id_, **reference()} for id_ in "cab"]
    utterances = read_text(tmp_path, "\n".join(map(json.dumps, lines)))
    assert [u.id for u in utterances] == ["c", "a", "b"]
    assert utterances[0].reference == Assessment(NISQA, SCORES)


@pytest.mark.parametrize("path", ["C:\\calls\\a.wav", "C:/calls/a.wav", "wav\\a.wav"])
def test_a_path_of_windows_is_refused_unless_a_file_is_called_so(tmp_path, path):
    row = json.dumps(ROW | {"path": path})
    with pytest.raises(ManifestError) as caught:
        read_text(tmp_path, row)
    assert f"line 1, id 'a': path is {path!r}, a path of Windows, and this is" in str(caught.value)
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).touch()
    assert read_text(tmp_path, row)[0].path == str(tmp_path / path)


def test_an_artifact_that_ends_after_its_clip_is_cut_to_it(tmp_path):
    hum = {"kind": "noise", "type": "hum", "start_s": 1.0, "end_s": 2.7}
    scores = dict.fromkeys(QUALISPEECH.names, 3)
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(ROW | {"reference": {"scores": scores, "artifacts": [hum]}}))
    (row,) = read_manifest(path, QUALISPEECH)
    assert row.reference.intervals("noise") == [(1.0, 2.5)]
