"""Answers that contradict themselves, and those that do not."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import assessments

from speechqa_plugin.rewards import Consistency
from speechqa_plugin.schema import Artifact, Assessment, load_taxonomy, round_score
from speechqa_plugin.simulate.describe import describe
from speechqa_plugin.text.answers import ParsedAnswer, as_written

QUALISPEECH = load_taxonomy("qualispeech")
CHECK = Consistency(QUALISPEECH)
SAID = st.sampled_from(
    "Babble all the time. No noise at all. The overall quality is poor; the noise is intrusive. "
    "The speech is very smooth! It is choppy. A faint hum with clicks. And then?".split(". ")
)
BABBLE = Artifact("noise", "babble", 0.0, 1.0)


def answer(text, *artifacts, **scores):
    return Assessment(QUALISPEECH, dict.fromkeys(QUALISPEECH.names, 3) | scores, artifacts, text)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (answer("The overall quality is poor.", mos=2), []),
        (answer("The overall quality is excellent.", mos=3), ["mos is 3, described as 5"]),
        (answer("The overall quality is good.", mos=2), ["mos is 2, described as 4"]),
        (answer("Babble: the noise is noticeable but not intrusive.", BABBLE, noise=3), []),
        (answer("Babble all the time.", BABBLE, noise=2), []),
        (answer("Babble all the time.", noise=2), ["babble is described and not listed"]),
        (answer("No noise at all.", noise=1), ["noise is 1, described as 5"]),
        (answer(""), []),
        (answer("Der Ton ist gut."), []),
    ],
)
def test_what_does_not_fit_together(said, found):
    assert CHECK.contradictions(said) == found
    assert CHECK([ParsedAnswer("", said)], [said]) == [float(not found)]


def test_an_unreadable_answer_earns_nothing():
    assert CHECK([ParsedAnswer("x")], [answer("")]) == [0.0]


@given(assessments(QUALISPEECH), st.integers(0, 1000))
def test_what_the_simulator_says_agrees_with_itself(assessment, seed):
    assessment = as_written(assessment)
    known = {(k.name, t) for k in QUALISPEECH.kinds for t in k.types}
    kept = tuple(a for a in assessment.artifacts if (a.kind, a.type) in known)
    scores = {n: round_score(s) for n, s in assessment.scores.items()}
    plain = Assessment(QUALISPEECH, scores, kept)
    text = describe(plain, 10.0, np.random.default_rng(seed))
    assert CHECK.contradictions(Assessment(QUALISPEECH, scores, kept, text)) == []


@pytest.mark.parametrize(
    ("said", "left"),
    [
        (
            answer("Babble all the time. The overall quality is fair."),
            "The overall quality is fair.",
        ),
        (answer("Babble all the time. It is fair.", BABBLE), "Babble all the time. It is fair."),
        (answer("No noise at all! Fair.", noise=1), "Fair."),
        (answer("Excellent quality.", mos=1), ""),
    ],
)
def test_a_sentence_that_contradicts_is_struck(said, left):
    struck = CHECK.contradictions.struck(said)
    assert struck.description == left
    assert (struck.scores, struck.artifacts) == (said.scores, said.artifacts)


@given(assessments(QUALISPEECH), st.lists(SAID))
def test_what_is_left_agrees_and_nothing_else_was_struck(assessment, sentences):
    said = replace(assessment, description=". ".join(sentences))
    struck = CHECK.contradictions.struck(said)
    assert CHECK.contradictions(struck) == []
    if not CHECK.contradictions(said):
        assert struck == said
    left = iter(struck.description.split())
    words = iter(said.description.split())
    assert all(word in words for word in left)  # in order
