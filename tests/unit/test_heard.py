"""From probabilities to scores, and what a recording gathers of its windows."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechqa_plugin.heard import UNKNOWN, Answer, Heard, confidence, expected_score
from speechqa_plugin.schema import load_taxonomy
from speechqa_plugin.text.answers import parse_answer

SCALE = np.arange(1, 6)
NISQA = load_taxonomy("nisqa")


def answer(probs, warning=""):
    text = "\n".join(f"{n}: 3" for n in NISQA.names)
    return Answer(
        parse_answer(text, NISQA, "scores"), dict.fromkeys(NISQA.names, probs), warning=warning
    )


def distributions():
    """Five probabilities, some of them 0."""
    weights = st.lists(st.floats(0, 1), min_size=5, max_size=5).filter(lambda w: sum(w) > 1e-3)
    return weights.map(lambda w: [x / sum(w) for x in w])


@given(probs=distributions())
def test_expected_score_and_confidence_are_mean_and_spread(probs):
    mean = np.dot(SCALE, probs)
    deviation = math.sqrt(np.dot((SCALE - mean) ** 2, probs))
    assert expected_score(probs) == pytest.approx(mean)
    assert 1 <= expected_score(probs) <= 5
    assert confidence(probs) == pytest.approx(1 - deviation / 2, abs=1e-6)
    assert 0 <= confidence(probs) <= 1
    # Turning the scale round turns the score round, and is no less sure.
    assert expected_score(probs[::-1]) == pytest.approx(6 - expected_score(probs))
    assert confidence(probs[::-1]) == pytest.approx(confidence(probs), abs=1e-6)


@given(probs=distributions(), sure=st.integers(1, 5))
def test_only_certainty_is_certain(probs, sure):
    one = [float(s == sure) for s in SCALE]
    assert (expected_score(one), confidence(one)) == (sure, 1.0)
    torn = [0.5, 0, 0, 0, 0.5]
    assert (expected_score(torn), confidence(torn)) == (3.0, 0.0)
    # Half of each is in between in score and, unless both say the same, less sure than certain.
    mixed = [(p + q) / 2 for p, q in zip(probs, one, strict=True)]
    assert expected_score(mixed) == pytest.approx((expected_score(probs) + sure) / 2)
    if 1 - probs[sure - 1] > 1e-3:
        assert confidence(mixed) < 1


def test_a_broken_model_gives_no_score():
    with pytest.raises(FloatingPointError, match="weights hold nan or inf"):
        expected_score([float("nan")] * 5)


def test_probabilities_of_another_scale_are_refused():
    with pytest.raises(ValueError):
        expected_score([0.5, 0.5])


def test_of_what_is_unknown_the_score_is_the_middle_and_the_confidence_0():
    assert (expected_score(UNKNOWN), confidence(UNKNOWN)) == (3.0, 0.0)


def test_warnings_of_the_recording_stand_before_those_of_its_windows():
    sure, unknown = answer((0, 0, 0, 0, 1)), answer(UNKNOWN, "nothing there")
    plain = Heard(((0.0, 2.0, sure),))
    assert plain.assessment.warnings == () and plain.assessment.judged
    alone = Heard(((0.0, 2.0, unknown),), ("turned over",))
    assert alone.assessment.warnings == ("turned over", "nothing there")
    assert not alone.assessment.judged
    both = Heard(((0.0, 2.0, sure), (2.0, 4.0, unknown)), ("turned over",)).assessment
    assert both.warnings == ("turned over", "nothing there (at 2.0-4.0 s)")
    assert (both.mos, both.confidence["mos"]) == (5.0, 1.0)
    assert [(t.start_s, t.end_s) for t in both.timeline] == [(0.0, 2.0)]
