"""Records on their way to a file and back."""

import json
import math
from dataclasses import replace

import pytest
from made_records import NISQA, QUALISPEECH, assessment, hum, record, rows

from speechqa_plugin.evaluation.records import (
    UNREADABLE_AUDIO,
    constant_records,
    fill_dimensions,
    read_records,
    read_summary,
    write_records,
    write_summary,
)
from speechqa_plugin.evaluation.summary import summarise
from speechqa_plugin.schema import SchemaError, Utterance, assessment_from_dict

NO_UTF8 = "b\udcff.wav"
"""A file name with a byte that is no UTF-8, as Python holds it."""


def test_the_constant_baseline_says_the_training_mean_of_every_clip():
    records = constant_records(rows(1, 2, 5), rows(2, 4, 4.5))
    assert [r.utterance.id for r in records] == ["r0", "r1", "r2"]
    assert all(r.prediction.mos == 3.5 and r.digits["mos"] == 4 for r in records)
    summary = summarise(records)
    assert (summary["n"], summary["parse_rate"]) == (3, 1)
    assert math.isnan(summary["mean"]["utt/pcc"][0])
    assert summary["mean"]["mae"] == pytest.approx((2.5 + 1.5 + 1.5) / 3)
    assert summary["dimensions"]["mos"]["digit_histogram"] == [0, 0, 0, 3, 0]


@pytest.mark.parametrize("place", [0, 1])
def test_rows_without_labels_are_refused(place):
    lists = [rows(1, 2), rows(3)]
    lists[place].append(Utterance("bare", "a.wav", 1.0))
    with pytest.raises(SchemaError, match=r"1 of \d rows have none \(the first is 'bare'\)"):
        constant_records(*lists)


def test_the_report_can_be_read_back(tmp_path):
    records = [
        record(
            assessment(2, hum(0.5, 1), text="Es brummt, 漢."),
            assessment(2.5, hum(0, 2), text='"Hm"\n'),
            id="ä",
            system="s",
        ),
        record(assessment(1), None, failure="x", id="b", path=NO_UTF8),
    ]
    summary = summarise(records)
    write_records(tmp_path / "new" / "folder", records)
    write_summary(tmp_path / "new" / "folder", summary)
    folder = tmp_path / "new" / "folder"
    assert sorted(p.name for p in folder.iterdir()) == ["metrics.json", "records.jsonl"]
    first, second = map(json.loads, (folder / "records.jsonl").read_text().splitlines())
    assert list(first) == [
        *("id", "system", "duration_s", "reference", "prediction", "digits", "text", "failure")
    ]
    assert assessment_from_dict(first["reference"], QUALISPEECH) == records[0].utterance.reference
    assert assessment_from_dict(first["prediction"], QUALISPEECH) == records[0].prediction
    assert (first["id"], first["system"], first["digits"]["mos"]) == ("ä", "s", 2.5)
    assert (second["prediction"], second["digits"], second["failure"]) == (None, {}, "x")
    assert second["text"] == NO_UTF8


def test_undefined_numbers_are_null(tmp_path):
    summary = summarise(constant_records(rows(1, 2, 5), rows(2)))
    write_summary(tmp_path, summary)

    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    read = json.loads((tmp_path / "metrics.json").read_text(), parse_constant=refuse)
    assert read["mean"]["utt/pcc"] == [None, None, None]
    assert read["kinds"]["noise"]["f1"] == [None, None, None]
    assert read["artifacts"]["temporal_iou_whole_clip"] is None
    assert read["mean"]["mae"] == summary["mean"]["mae"]
    assert read["dimensions"]["mos"]["digit_histogram"] == [0, 3, 0, 0, 0]


def test_records_come_back_as_they_were_written(tmp_path):
    records = [
        record(
            assessment(2, hum(0.5, 1), text="Es brummt, 漢."),
            assessment(2.5, hum(0, 2), text='"Hm"\n'),
            digits=dict.fromkeys(QUALISPEECH.names, 3.0),
            id="ä",
            system="s",
        ),
        record(assessment(1), None, failure="x", id="b", path=NO_UTF8),
        record(assessment(1), assessment(2, text="?"), failure="unknown_line", id="rescued"),
    ]
    write_records(tmp_path, records)
    without_paths = [replace(r, utterance=replace(r.utterance, path="")) for r in records]
    assert read_records(tmp_path / "records.jsonl", QUALISPEECH) == without_paths


GOOD = record(assessment(2), assessment(3)).to_dict()
UNREAD = record(assessment(2), None, failure="empty").to_dict()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "line 2: Expecting"),
        ([], r"line 2: found \[\], need an object with exactly \['id'"),
        ({k: v for k, v in GOOD.items() if k != "text"}, "need an object with exactly"),
        (GOOD | {"path": "a.wav"}, "need an object with exactly"),
        (GOOD | {"system": None}, "system is None"),
        (GOOD | {"duration_s": True}, "duration_s is True"),
        (GOOD | {"duration_s": 0}, "duration_s: 0 is not above 0"),
        (GOOD | {"id": "b", "reference": {"scores": {"mos": 3}}}, "scores: no value for"),
        (GOOD | {"prediction": {}}, "scores: need a mapping"),
        (GOOD | {"digits": {"mos": 3}}, "scores: no value for"),
        (
            GOOD | {"failure": UNREADABLE_AUDIO},
            "failure is 'unreadable_audio' and there is a prediction",
        ),
        (UNREAD | {"failure": ""}, "failure is '' and there is no prediction"),
        (UNREAD | {"digits": {"mos": 3}}, r"digits: \{'mos': 3\} without a prediction"),
        (GOOD, "id 'a' stands twice"),
    ],
)
def test_rows_that_are_not_records_are_refused(tmp_path, row, message):
    path = tmp_path / "records.jsonl"
    text = row if isinstance(row, str) else json.dumps(row)
    path.write_text(f"{json.dumps(GOOD)}\n{text}\n")
    with pytest.raises(SchemaError, match=message) as caught:
        read_records(path, QUALISPEECH)
    assert f"records {path}, line 2: " in str(caught.value)


def test_no_records_are_refused(tmp_path):
    with pytest.raises(SchemaError, match="no such file; evaluate.py writes it"):
        read_records(tmp_path / "records.jsonl", QUALISPEECH)
    (tmp_path / "records.jsonl").touch()
    with pytest.raises(SchemaError, match="has no rows"):
        read_records(tmp_path / "records.jsonl", QUALISPEECH)


def test_the_summary_comes_back_with_its_undefined_numbers(tmp_path):
    summary = summarise(
        [record(assessment(1, hum(0, 1)), assessment(2), id=str(i)) for i in (1, 2)]
    )
    write_summary(tmp_path, summary)
    read = read_summary(tmp_path)
    assert math.isnan(read["mean"]["utt/pcc"][0]) and math.isnan(read["kinds"]["pause"]["f1"][2])
    assert str(read) == str(summary)


def test_a_summary_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(SchemaError, match="metrics.json: no such file; evaluate.py writes it"):
        read_summary(tmp_path)
    (tmp_path / "metrics.json").write_text("{")
    with pytest.raises(SchemaError, match="metrics.json: is not JSON"):
        read_summary(tmp_path)


# --- a model of another taxonomy


def test_dimensions_that_a_model_has_not_are_the_constant():
    right = [assessment(v, taxonomy=NISQA) for v in (2.0, 4.0)]
    said = assessment(1.5, hum(0, 1), text="A hum.")  # of the other taxonomy; both have a mos
    heard = [
        record(right[0], said, {n: 2.0 for n in QUALISPEECH.names}, id="a"),
        record(right[1], None, failure=UNREADABLE_AUDIO, id="b"),
    ]
    clips = [r.utterance for r in heard]
    filled, lost = fill_dimensions(heard, constant_records(clips, clips))
    assert filled.prediction == assessment(3.0, taxonomy=NISQA, mos=1.5)
    assert filled.digits == dict.fromkeys(NISQA.names, 3.0) | {"mos": 2.0}
    assert lost == heard[1]
    assert filled.utterance == heard[0].utterance and not filled.failure
