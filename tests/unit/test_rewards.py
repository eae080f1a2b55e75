"""Every reward against every kind of completion, as one table; and what all of them share."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import assessments

from speechqa_plugin import rewards
from speechqa_plugin.metrics import rouge_l
from speechqa_plugin.rewards import (
    AnswerFormat,
    DescriptionRouge,
    DescriptionSimilarity,
    ExpectedScore,
    IntervalF1,
    KindF1,
    KindPresence,
    PolarityAware,
    RowReward,
    ScoreAccuracy,
    SoftScore,
    TemporalIoU,
    TypeF1,
    per_dimension,
    per_kind,
)
from speechqa_plugin.schema import Artifact, Assessment, load_taxonomy
from speechqa_plugin.text.answers import ParsedAnswer, as_written, parse_answer, render_answer
from speechqa_plugin.text.prompts import build_prompt

TAXONOMY = load_taxonomy("qualispeech")
SCORES = {
    "noise": 2,
    "distortion": 5,
    "speed": 3,
    "continuity": 4,
    "listening_effort": 3,
    "naturalness": 4,
    "mos": 3,
}
HUM = Artifact("noise", "mains hum", 0.4, 2.4)
CUT = Artifact("pause", "cut-out", 3.0, 3.5)
TEXT = "There is a loud hum. The voice is clear."
OPPOSITE = "There is no hum. The voice is awful."


def answer(scores=SCORES, artifacts=(HUM, CUT), description=TEXT):
    return Assessment(TAXONOMY, scores, artifacts, description)


def read(text):
    return parse_answer(text, TAXONOMY)


def letters(texts):
    """An embedding that any text has: how often each letter comes."""
    return np.array([[1 + text.lower().count(c) for c in "abcdefghijklmnop"] for text in texts])


REFERENCE = answer()
PROMPT = build_prompt(TAXONOMY)
SHIFTED = Artifact("noise", "mains hum", 1.4, 3.4)
WRONG_BUT_SIMILAR = answer(SCORES | {"noise": 4}, (SHIFTED,), OPPOSITE)
LIKENESS = rouge_l(OPPOSITE, TEXT)

ALL = [
    *per_dimension(TAXONOMY, ScoreAccuracy),
    *per_dimension(TAXONOMY, SoftScore),
    *per_kind(TAXONOMY, TemporalIoU),
    *per_kind(TAXONOMY, IntervalF1),
    *per_kind(TAXONOMY, KindPresence),
    KindF1(),
    TypeF1(),
    DescriptionRouge(),
    DescriptionSimilarity(letters),
    PolarityAware(TAXONOMY, DescriptionRouge()),
    PolarityAware(TAXONOMY, DescriptionSimilarity(letters)),
    AnswerFormat(),
]
# What the right answer with the opposite prose, a noise score off by 2, its hum a second late and
# no cut-out is worth; whatever is not named here was said rightly.
SIMILAR = {
    "accuracy/noise": 0,
    "soft_score/noise": 0.5,
    "kind_f1": 2 / 3,
    "type_f1": 2 / 3,
    "temporal_iou/noise": 1 / 3,
    "interval_f1/noise": 0,
    "temporal_iou/pause": 0,
    "interval_f1/pause": 0,
    "presence/pause": 0,
    "rouge_l": LIKENESS,
    "polarity_rouge_l": 0,
    "polarity_similarity": 0,
}
# The prompt's own example of the format, handed in as the answer: all scores 3, a white noise.
ECHOED_EXAMPLE = {
    **{f"accuracy/{n}": float(s == 3) for n, s in SCORES.items()},
    **{f"soft_score/{n}": 1 - abs(s - 3) / 4 for n, s in SCORES.items()},
    "kind_f1": 2 / 3,
    "type_f1": 0,
    "temporal_iou/noise": 0.6 / 2.4,
    "interval_f1/noise": 0,
    "temporal_iou/pause": 0,
    "interval_f1/pause": 0,
    "presence/pause": 0,
    "rouge_l": 0,
    "polarity_rouge_l": 0,
    "polarity_similarity": 0,
}


def by_name(reward):
    return reward.name


def test_names_differ():
    assert len({r.name for r in ALL}) == len(ALL)


@pytest.mark.parametrize("reward", ALL, ids=by_name)
class TestTable:
    def test_perfect(self, reward):
        assert reward([read(render_answer(REFERENCE))], [REFERENCE]) == [pytest.approx(1)]

    @pytest.mark.parametrize(
        "text",
        ["", "\n \n", "hello", "noise: 2", "mos: 3\n" * 50, PROMPT, f"{PROMPT}\n{PROMPT}"],
        ids=["empty", "blank", "garbage", "half", "repeated", "prompt", "prompt twice"],
    )
    def test_what_is_no_answer_earns_nothing(self, reward, text):
        assert reward([read(text)], [REFERENCE]) == [0.0]

    def test_wrong_but_similar(self, reward):
        (value,) = reward([read(render_answer(WRONG_BUT_SIMILAR))], [REFERENCE])
        if reward.name == "similarity":  # as said of MiniLM: an opposite is alike
            assert 0.5 < value < 1
        else:
            assert value == pytest.approx(SIMILAR.get(reward.name, 1))

    def test_example_of_the_prompt(self, reward):
        echoed = PROMPT.split("Format:\n")[1]
        assert read(echoed).failure is None
        (value,) = reward([read(echoed)], [REFERENCE])
        if reward.name == "similarity":
            assert 0 < value < 1
        else:
            assert value == pytest.approx(ECHOED_EXAMPLE.get(reward.name, 1))

    def test_rows_keep_their_order_and_do_not_touch(self, reward):
        texts = [render_answer(REFERENCE), "", render_answer(WRONG_BUT_SIMILAR)]
        rows = [(read(text), reference) for text in texts for reference in (REFERENCE, answer())]
        together = reward(*zip(*rows, strict=True))
        assert together == pytest.approx([reward([p], [r])[0] for p, r in rows])
        assert reward([], []) == []

    def test_lengths_must_match(self, reward):
        with pytest.raises(ValueError, match="2 predictions and 1 references; need pairs"):
            reward([read("")] * 2, [REFERENCE])


@pytest.mark.parametrize("text", ["", render_answer(REFERENCE)], ids=["unread", "read"])
def test_no_target_is_none_whatever_was_said(text):
    timeless = answer(artifacts=(HUM, Artifact("noise", "babble")), description="")
    found = {r.name: r([read(text)], [timeless])[0] for r in ALL}
    without = {n for n, value in found.items() if value is None}
    assert without == {
        "temporal_iou/noise",
        "interval_f1/noise",
        "rouge_l",
        "similarity",
        "polarity_rouge_l",
        "polarity_similarity",
    }


@given(said=assessments(TAXONOMY), there=assessments(TAXONOMY))
def test_any_answer_is_worth_between_0_and_1(said, there):
    for reward in ALL:
        (value,) = reward([ParsedAnswer("", said)], [there])
        assert value is None or 0 <= value <= 1


@given(there=assessments(TAXONOMY, max_s=30))
def test_the_labels_own_answer_earns_the_most(there):
    """Even with scores and times between the steps that an answer can write."""
    own = [ParsedAnswer("", as_written(there))]
    for reward in ALL:
        (value,) = reward(own, [as_written(there)])
        (rounded,) = reward(own, [there])
        if "rouge" in reward.name or value is None:
            continue  # ROUGE-L is 0 for a text without ASCII words
        assert value == pytest.approx(1)
        if reward.name.startswith("soft_score"):
            assert rounded >= 0.875
        elif "similarity" not in reward.name:  # white space in the prose
            assert rounded == pytest.approx(1)


@given(label=st.floats(1, 5), expected=st.floats(1, 5))
def test_expected_score_falls_with_the_square_of_the_error(label, expected):
    """Of the expectation, whatever digit was written; 0 only for an unreadable answer."""
    there, said = (Assessment(TAXONOMY, dict.fromkeys(TAXONOMY.names, s)) for s in (label, 1))
    reward = ExpectedScore("mos")
    (value,) = reward([ParsedAnswer("", said, expected={"mos": expected})], [there])
    assert value == pytest.approx(1 - ((label - expected) / 4) ** 2)
    assert reward([read("hello")], [there]) == [0.0]
    assert 0 <= value <= 1


def test_without_an_expected_score_the_reward_is_an_error_not_a_zero():
    with pytest.raises(KeyError, match="mos"):
        ExpectedScore("mos")([ParsedAnswer("", REFERENCE)], [REFERENCE])


@pytest.mark.parametrize("make", [TemporalIoU, IntervalF1, KindPresence])
def test_silence_has_a_price(make):
    """A find earns 1, rightful silence its price, a miss and a false alarm nothing."""
    clean, noisy = answer(artifacts=()), answer(artifacts=(HUM,))
    reward = make("noise", silence=0.3)
    pairs = [(noisy, noisy), (clean, clean), (clean, noisy), (noisy, clean)]
    values = [reward([ParsedAnswer("", said)], [there])[0] for said, there in pairs]
    assert values == [1, 0.3, 0, 0]


def test_the_price_of_silence_sets_the_chance_from_which_a_claim_pays():
    """At price s, a claim that is right with probability p pays above p = s / (1 + s)."""
    clean, noisy = answer(artifacts=()), answer(artifacts=(HUM,))
    for silence in (1.0, 0.4):
        reward = KindPresence("noise", silence)

        def mean(said, p, reward=reward):
            hit, empty = (reward([ParsedAnswer("", said)], [r])[0] for r in (noisy, clean))
            return p * hit + (1 - p) * empty

        threshold = silence / (1 + silence)
        assert mean(noisy, threshold + 0.01) > mean(clean, threshold + 0.01)
        assert mean(noisy, threshold - 0.01) < mean(clean, threshold - 0.01)


@given(label=st.floats(1, 5), digit=st.integers(1, 5))
def test_soft_score_falls_evenly_with_the_error(label, digit):
    there, said = (Assessment(TAXONOMY, dict.fromkeys(TAXONOMY.names, s)) for s in (label, digit))
    (value,) = SoftScore("mos")([ParsedAnswer("", said)], [there])
    assert value == pytest.approx(np.interp(abs(label - digit), [0, 4], [1, 0]))


@pytest.mark.parametrize(
    ("label", "digit", "value"),
    [(2.5, 3, 1), (2.5, 2, 0), (3.49, 3, 1), (3.51, 3, 0), (5, 5, 1), (1, 5, 0)],
)
def test_accuracy_asks_for_the_nearest_whole_score(label, digit, value):
    there, said = (Assessment(TAXONOMY, dict.fromkeys(TAXONOMY.names, s)) for s in (label, digit))
    assert ScoreAccuracy("mos")([ParsedAnswer("", said)], [there]) == [value]


def test_a_dimension_is_judged_by_itself():
    other = answer(SCORES | {"noise": 5})
    values = {
        r.name: r([ParsedAnswer("", other)], [REFERENCE])[0]
        for r in per_dimension(TAXONOMY, ScoreAccuracy)
    }
    assert values == {f"accuracy/{n}": float(n != "noise") for n in TAXONOMY.names}


def test_unknown_dimension_is_an_error_not_a_zero():
    with pytest.raises(KeyError, match="loud"):
        ScoreAccuracy("loud")([ParsedAnswer("", REFERENCE)], [REFERENCE])


def test_row_reward_without_a_score_is_an_error_not_a_zero():
    with pytest.raises(NotImplementedError):
        RowReward()([ParsedAnswer("", REFERENCE)], [REFERENCE])


def test_no_reward_hides_an_error():
    files = list(Path(rewards.__file__).parent.glob("*.py"))
    assert len(files) > 5
    for file in files:
        assert not re.search(r"\bexcept\b|\bsuppress\b", file.read_text()), file.name
