"""A split, asked clip by clip: nothing lost, nothing mixed up, nothing given away."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile
from tiny import tiny_answerer, trained_answerer, write_bad_files, write_clip

from speechqa_plugin.activity import NO_SPEECH
from speechqa_plugin.audio import AudioError
from speechqa_plugin.evaluation.assess import (
    UNREADABLE_AUDIO,
    assess_split,
    gather,
    make_record,
    rank_and_size,
)
from speechqa_plugin.evaluation.summary import summarise
from speechqa_plugin.export import export_assessor
from speechqa_plugin.inference import SpeechQualityAssessor
from speechqa_plugin.listening import Answer, Answerer, Heard, expected_score
from speechqa_plugin.schema import Assessment, SchemaError, Utterance, load_taxonomy
from speechqa_plugin.text.answers import AnswerForm, ParsedAnswer, ParseFailure, parse_answer

QUALISPEECH = load_taxonomy("qualispeech")


def labelled(id_, path, score):
    reference = Assessment(QUALISPEECH, dict.fromkeys(QUALISPEECH.names, score))
    return Utterance(id_, str(path), 1.0, reference)


@pytest.fixture
def split(tmp_path):
    """Five clips, not in the order of their names, and a file that is none."""
    rows = [
        labelled(f"c{i}", write_clip(tmp_path / f"{i}.wav", 0.7 + 0.2 * i, 0.1 * i, i), 1 + i % 5)
        for i in (3, 0, 4, 1, 2)
    ]
    bad = write_bad_files(tmp_path / "bad")["is truncated"]
    return [*rows[:2], labelled("bad", bad, 3), *rows[2:]]


def assert_same(one, other):
    assert (one.utterance, one.text, one.digits, one.failure) == (
        *(other.utterance, other.text, other.digits, other.failure),
    )
    assert (one.prediction is None) == (other.prediction is None)
    if one.prediction:
        ours, theirs = one.prediction.scores, other.prediction.scores
        assert ours == pytest.approx(theirs, abs=1e-4)
        assert one.prediction.artifacts == other.prediction.artifacts


@pytest.mark.parametrize("form", AnswerForm)
def test_every_row_has_its_record_in_order_at_any_batch_size(split, form):
    answerer = trained_answerer()
    runs = [assess_split(answerer, split, form, size) for size in (1, 2, 100)]
    for records in runs:
        assert [r.utterance for r in records] == split
        for record, expected in zip(records, runs[0], strict=True):
            assert_same(record, expected)
    for row, record in zip(split, runs[0], strict=True):
        if row.id != "bad":
            (answer,) = answerer.answer([answerer.load(row.path)], form)
            assert record.text == answer.parsed.text


def test_a_file_that_cannot_be_heard_is_a_record_with_its_error(split):
    records = assess_split(trained_answerer(), split)
    (bad,) = [r for r in records if r.failure]
    assert (bad.utterance.id, bad.failure) == ("bad", UNREADABLE_AUDIO)
    assert "is truncated" in bad.text and split[2].path in bad.text
    assert (bad.prediction, bad.digits) == (None, {})
    summary = summarise(records)
    assert (summary["n"], summary["parse_rate"]) == (6, pytest.approx(5 / 6))
    assert summary[f"parse_failure/{UNREADABLE_AUDIO}"] == pytest.approx(1 / 6)


def test_records_hold_the_digits_and_the_expected_scores(split):
    answerer = trained_answerer()
    record = assess_split(answerer, split[:1])[0]
    (answer,) = answerer.answer([answerer.load(split[0].path)], "scores")
    assert record.digits == answer.parsed.assessment.scores
    for name, probs in answer.probs.items():
        assert record.prediction.scores[name] == expected_score(probs)


@pytest.mark.parametrize("form", AnswerForm)
def test_the_references_have_no_part_in_the_predictions(split, form):
    answerer = trained_answerer()
    other = [labelled(u.id, u.path, 1 + u.reference.mos % 5) for u in split]
    for one, two in zip(
        assess_split(answerer, split, form), assess_split(answerer, other, form), strict=True
    ):
        assert one.utterance.reference != two.utterance.reference
        assert (one.text, one.digits, one.prediction) == (two.text, two.digits, two.prediction)


def test_rows_with_one_id_keep_their_own_records(split):
    twins = [replace(u, id="twin") for u in split if u.id != "bad"]
    records = assess_split(trained_answerer(), twins, batch_size=2)
    assert [r.utterance for r in records] == twins
    alone = [assess_split(trained_answerer(), [u])[0] for u in twins]
    for record, expected in zip(records, alone, strict=True):
        assert_same(record, expected)


def test_rows_without_labels_are_refused_before_any_is_heard():
    rows = [labelled("a", "missing.wav", 3), Utterance("bare", "missing.wav", 1.0)]
    with pytest.raises(SchemaError, match=r"1 of 2 rows have none \(the first is 'bare'\)"):
        assess_split(trained_answerer(), rows)


def test_a_random_models_texts_are_failures_and_its_scores_are_not(split):
    answerer = tiny_answerer(max_new_tokens=8)
    written = assess_split(answerer, split, AnswerForm.REASONED)
    assert summarise(written)["parse_rate"] == 0
    assert {r.failure for r in written} <= {*map(str, ParseFailure), UNREADABLE_AUDIO}
    assert all(r.text for r in written)
    assert summarise(assess_split(answerer, split))["parse_rate"] == pytest.approx(5 / 6)


def test_a_record_of_each_kind_of_answer():
    row = labelled("a", "a.wav", 3)
    text = "\n".join(f"{n}: 4" for n in QUALISPEECH.names)
    probs = dict.fromkeys(QUALISPEECH.names, (0.0, 0.0, 0.25, 0.5, 0.25))
    answer = Answer(parse_answer(text, QUALISPEECH, "scores"), probs)
    read = make_record(row, Heard(((0.0, 1.0, answer),)))
    assert (read.prediction.mos, read.digits["mos"], read.failure) == (4.0, 4, "")
    assert read.prediction.confidence["mos"] == pytest.approx(1 - np.sqrt(0.5) / 2)
    unreadable = Answer(ParsedAnswer("?", failure=ParseFailure.UNKNOWN_LINE), {})
    unread = make_record(row, Heard(((0.0, 1.0, unreadable),)))
    assert (unread.text, unread.prediction, unread.failure) == ("?", None, "unknown_line")
    rescued = make_record(row, Heard(((0.0, 1.0, replace(unreadable, rescue=answer)),)))
    assert (rescued.text, rescued.failure) == ("?", "unknown_line")
    assert (rescued.prediction.mos, rescued.digits["mos"]) == (4.0, 4)
    assert (rescued.prediction.description, rescued.prediction.artifacts) == ("?", ())
    rest = dict.fromkeys(QUALISPEECH.names, (0.0, 1.0, 0.0, 0.0, 0.0))
    parts = (0.0, 6.0, replace(unreadable, rescue=answer)), (6.0, 10.0, replace(answer, probs=rest))
    long = make_record(row, Heard(parts))
    assert (long.text, long.failure) == (f"?\n{text}", "unknown_line")
    assert (long.prediction.mos, long.digits["mos"]) == (pytest.approx(3.2), 3)
    late = parse_answer(
        f"description: Hum.\n{text}\nartifact: noise (hum) 0.2-1.6 s\n"
        "artifact: noise (pop) 1.2-1.3 s",
        QUALISPEECH,
    )
    cut = make_record(row, Heard(((0.0, 1.0, Answer(late, probs)),)))
    assert [(a.start_s, a.end_s) for a in cut.prediction.artifacts] == [(0.2, 1.0), (None, None)]
    unheard = make_record(row, AudioError("a.wav: is empty"))
    assert (unheard.text, unheard.failure) == ("a.wav: is empty", "unreadable_audio")


@pytest.mark.parametrize("form", AnswerForm)
@pytest.mark.parametrize("make", [tiny_answerer, trained_answerer])
def test_what_is_measured_is_what_is_used(split, tmp_path, make, form):
    """Short clips and long ones, texts that can be read and texts that cannot."""
    rows = [*split, labelled("long", write_clip(tmp_path / "long.wav", 4.5, 0.1), 2), *split[:1]]
    answerer = make()
    if form != AnswerForm.SCORES:  # `assess_files` asks for what the model was taught to tell
        answerer = Answerer(answerer.audio_llm, answerer.taxonomy, 64, long_form=form)
    assessor = SpeechQualityAssessor.from_hparams(export_assessor(answerer, tmp_path / "model"))
    hear = assessor.score_files if form == AnswerForm.SCORES else assessor.assess_files
    records = assess_split(assessor.answerer, rows, form, batch_size=3)
    results = list(hear([u.path for u in rows], batch_size=3))
    for record, result in zip(records, results, strict=True):
        assert (record.prediction is None) == (result.assessment is None) == bool(result.error)
        if result.error:
            assert (record.text, record.failure) == (result.error, UNREADABLE_AUDIO)
            continue
        assert record.failure == result.failure
        assert record.prediction.scores == result.assessment.scores
        assert record.prediction.confidence == result.assessment.confidence
        assert record.prediction.description == result.assessment.description
        assert set(record.digits) == set(record.prediction.scores)
        assert set(record.digits.values()) <= {1, 2, 3, 4, 5}
    long = records[-2]
    assert long.text.count("\n") and bool(long.failure) == (
        form == AnswerForm.REASONED and make is tiny_answerer
    )
    failed = [r for r in records if r.failure]
    assert summarise(records, form)["parse_rate"] == pytest.approx(1 - len(failed) / len(records))


def test_a_single_process_is_the_first_of_one():
    assert rank_and_size() == (0, 1)
    assert gather([1, 2]) == [1, 2]


@pytest.mark.parametrize("asked", [True, False])
def test_the_progress_bar_shows_when_asked_for(split, capfd, asked):
    assess_split(trained_answerer(), split, progressbar=asked)
    assert ("listening (scores): 100%" in capfd.readouterr().err) == asked


@pytest.mark.parametrize("form", AnswerForm)
def test_a_clip_without_speech_is_a_record_of_which_nothing_is_claimed(tmp_path, form):
    path = tmp_path / "silence.wav"
    soundfile.write(path, np.zeros(16000), 16000)
    (record,) = assess_split(trained_answerer(), [labelled("a", path, 3)], form)
    assert record.failure == "" and set(record.digits.values()) == {3.0}
    assert record.prediction.warnings == (NO_SPEECH,)
    assert not record.prediction.judged
    assert summarise([record], form)["parse_rate"] == 1
