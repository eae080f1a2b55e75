"""Answers: what is written is read back, and nothing a model writes can break the reader."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import assessments

from speechqa_plugin.schema import Artifact, Assessment, load_taxonomy
from speechqa_plugin.text.answers import (
    AnswerForm,
    ParseFailure,
    as_written,
    parse_answer,
    render_answer,
)

QUALISPEECH = load_taxonomy("qualispeech")
NISQA = load_taxonomy("nisqa")
GOOD = """\
description: A hum lies under a clear voice.
noise: 2
distortion: 5
speed: 3
continuity: 5
listening_effort: 4
naturalness: 5
mos: 3
artifact: noise (mains hum) 0.4-2.6 s
artifact: pause (cut-out)"""


@pytest.mark.parametrize("form", AnswerForm)
@given(st.sampled_from([QUALISPEECH, NISQA]).flatmap(assessments))
def test_what_is_written_is_read_back(form, assessment):
    written = as_written(assessment, form)
    parsed = parse_answer(render_answer(assessment, form), assessment.taxonomy, form)
    assert parsed.failure is None
    assert parsed.assessment == written
    assert as_written(written, form) == written
    for span, score in zip(parsed.score_spans, written.scores.values(), strict=True):
        assert parsed.text[span] == str(int(score))


@given(assessments(QUALISPEECH))
def test_times_are_widened_by_less_than_a_step(assessment):
    for exact, written in zip(assessment.artifacts, as_written(assessment).artifacts, strict=True):
        if exact.start_s is not None:
            assert exact.start_s - 0.1 < written.start_s <= exact.start_s + 1e-6
            assert exact.end_s - 1e-6 <= written.end_s < exact.end_s + 0.1 + 1e-6


@given(st.text() | st.binary().map(lambda b: b.decode("latin-1")))
@example("noise: ٣")
@example("noise: " + "9" * 10_000)
@example("artifact: " * 1000)
def test_any_text_gives_an_assessment_or_a_failure(text):
    for form in AnswerForm:
        parsed = parse_answer(text, QUALISPEECH, form)
        assert (parsed.assessment is None) == (parsed.failure is not None)
        assert parsed.text == text


@given(st.data())
def test_a_damaged_answer_never_raises(data):
    """Cut, doubled, replaced characters: still an assessment or a failure."""
    lines = GOOD.split("\n")
    lines = data.draw(st.lists(st.sampled_from(lines), max_size=14) | st.permutations(lines))
    text = "\n".join(lines)
    at = data.draw(st.integers(0, len(text)))
    text = (
        text[:at]
        + data.draw(st.sampled_from(["", "-", "\n", "9", "(", ":", "\x00"]))
        + text[at + 1 :]
    )
    parsed = parse_answer(text[: data.draw(st.integers(0, len(text)))], QUALISPEECH)
    assert (parsed.assessment is None) == (parsed.failure is not None)


def test_a_good_answer():
    parsed = parse_answer(GOOD, QUALISPEECH)
    assert parsed.failure is None
    assert parsed.assessment.mos == 3
    assert parsed.assessment.artifacts == (
        Artifact("noise", "mains hum", 0.4, 2.6),
        Artifact("pause", "cut-out"),
    )


def replaced(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ("", ParseFailure.EMPTY),
        (" \n ", ParseFailure.EMPTY),
        (GOOD[: GOOD.index("mos")], ParseFailure.MISSING_DIMENSION),
        (replaced("speed: 3\n", ""), ParseFailure.MISSING_DIMENSION),
        (GOOD[: GOOD.index("artifact: noise")], ParseFailure.MISSING_LINE),
        (GOOD[GOOD.index("noise: 2") :], ParseFailure.MISSING_LINE),
        (replaced("speed: 3", "noise: 2"), ParseFailure.REPEATED_LINE),
        (GOOD[GOOD.index("noise: 2") :] + "\ndescription: late", ParseFailure.OUT_OF_ORDER),
        ("description: a\n" + GOOD, ParseFailure.REPEATED_LINE),
        (replaced("noise: 2\ndistortion: 5", "distortion: 5\nnoise: 2"), ParseFailure.OUT_OF_ORDER),
        (replaced("noise: 2", "noise: two"), ParseFailure.NOT_A_SCORE),
        (replaced("noise: 2", "noise: 2.5"), ParseFailure.NOT_A_SCORE),
        (replaced("noise: 2", "noise: ²"), ParseFailure.NOT_A_SCORE),
        (replaced("noise: 2", "noise: 02"), ParseFailure.NOT_A_SCORE),
        (replaced("noise: 2", "noise: 0"), ParseFailure.SCORE_OUT_OF_RANGE),
        (replaced("noise: 2", "noise: 6"), ParseFailure.SCORE_OUT_OF_RANGE),
        (replaced("noise: 2", "noise: -3"), ParseFailure.SCORE_OUT_OF_RANGE),
        (replaced("0.4-2.6 s", "0.4-2."), ParseFailure.BAD_ARTIFACT),
        (replaced("noise (mains", "smell (mains"), ParseFailure.BAD_ARTIFACT),
        (replaced("pause (cut-out)", "none"), ParseFailure.REPEATED_LINE),
        (replaced("noise (mains hum) 0.4-2.6 s", "none"), ParseFailure.BAD_ARTIFACT),
        (replaced("(mains hum)", "(mains  hum)"), ParseFailure.BAD_ARTIFACT),
        (GOOD + "\nThat is all.", ParseFailure.UNKNOWN_LINE),
        (replaced("mos: 3\n", "mos 3\n"), ParseFailure.UNKNOWN_LINE),
    ],
)
def test_failures_say_what_is_wrong(text, failure):
    assert parse_answer(text, QUALISPEECH).failure == failure


def explained(text):
    """The answer with its description last."""
    description, rest = text.split("\n", 1)
    return f"{rest}\n{description}"


def test_the_explained_form_is_the_same_answer_with_its_description_last():
    parsed = parse_answer(explained(GOOD), QUALISPEECH, "explained")
    assert parsed.assessment == parse_answer(GOOD, QUALISPEECH).assessment
    assert render_answer(parsed.assessment, "explained") == explained(GOOD)
    begun = render_answer(parsed.assessment, "scores")
    assert explained(GOOD).startswith(begun + "\nartifact: ")


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        (GOOD, ParseFailure.OUT_OF_ORDER),  # description before the scores
        (explained(GOOD).replace("\nmos: 3", "") + "\nmos: 3", ParseFailure.MISSING_DIMENSION),
        (explained(GOOD) + "\nartifact: pause (cut-out)", ParseFailure.OUT_OF_ORDER),
        (explained(GOOD) + "\ndescription: again", ParseFailure.REPEATED_LINE),
        (explained(GOOD)[: explained(GOOD).index("\ndescription")], ParseFailure.MISSING_LINE),
        (explained(GOOD)[: explained(GOOD).index("\nartifact")], ParseFailure.MISSING_LINE),
    ],
)
def test_the_explained_form_has_its_order(text, failure):
    assert parse_answer(text, QUALISPEECH, "explained").failure == failure


def test_every_failure_is_reached():
    source = test_failures_say_what_is_wrong.pytestmark[0].args[1]
    assert {failure for _, failure in source} == set(ParseFailure)


def test_overlapping_artifacts_are_kept_as_they_are():
    """They are no failure: metrics merge them where they have to."""
    text = GOOD + "\nartifact: noise (babble) 1.0-3.0 s"
    assert len(parse_answer(text, QUALISPEECH).assessment.intervals("noise")) == 2


@pytest.mark.parametrize("times", ["2.6-0.4", "2.6-2.6"])
def test_an_artifact_with_reversed_times_has_none(times):
    said = parse_answer(replaced("0.4-2.6", times), QUALISPEECH).assessment
    right = parse_answer(GOOD, QUALISPEECH).assessment
    assert said.artifacts == (Artifact("noise", "mains hum"), *right.artifacts[1:])
    assert (said.scores, said.description) == (right.scores, right.description)


@pytest.mark.parametrize("written", ["None", "NONE", "Noise (mains hum) 0.4-2.6 s"])
def test_case_does_not_matter_in_artifacts(written):
    start = GOOD[: GOOD.index("artifact: noise")]
    found = parse_answer(f"{start}artifact: {written}", QUALISPEECH).assessment.artifacts
    assert [a.kind for a in found] == ([] if "one" in written.lower()[:4] else ["noise"])


def test_case_and_blanks_do_not_matter():
    text = "\n" + GOOD.replace("noise: 2", "  Noise :  2 ") + "\n\n"
    assert parse_answer(text, QUALISPEECH).assessment == parse_answer(GOOD, QUALISPEECH).assessment


def test_the_scores_form_holds_nothing_else():
    assessment = Assessment(
        QUALISPEECH,
        dict.fromkeys(QUALISPEECH.names, 2),
        (Artifact("noise", "babble", 0, 1),),
        "Loud talk behind the voice.",
    )
    text = render_answer(assessment, AnswerForm.SCORES)
    assert text.split("\n") == [f"{name}: 2" for name in QUALISPEECH.names]
    assert parse_answer(GOOD, QUALISPEECH, "scores").failure == ParseFailure.UNKNOWN_LINE
