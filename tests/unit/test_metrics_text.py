"""ROUGE-L against the package `rouge-score`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from speechqa_plugin.metrics import rouge_l

SCORER = RougeScorer(["rougeL"], use_stemmer=False)


def outside(prediction, reference):
    return SCORER.score(target=reference, prediction=prediction)["rougeL"].fmeasure


@pytest.mark.parametrize(
    ("prediction", "reference"),
    [
        ("", ""),
        ("", "some words"),
        ("A loud hum from 0.5 to 1.25 s.", "From 0.5s on, there is a hum; it is loud."),
        ("noises", "noise"),
        ("same words here", "same words here"),
        ("Störgeräusch café", "storgerausch cafe"),
        ("a\nb\tc_d-e", "a b c d e"),
    ],
)
def test_texts(prediction, reference):
    assert rouge_l(prediction, reference) == pytest.approx(outside(prediction, reference))


@given(prediction=st.text(max_size=60), reference=st.text(max_size=60))
def test_any_text(prediction, reference):
    assert rouge_l(prediction, reference) == pytest.approx(outside(prediction, reference))


@given(
    prediction=st.lists(st.sampled_from("abcd"), max_size=15).map(" ".join),
    reference=st.lists(st.sampled_from("abcd"), max_size=15).map(" ".join),
)
def test_few_words_in_many_orders(prediction, reference):
    assert rouge_l(prediction, reference) == pytest.approx(outside(prediction, reference))


def test_word_endings_are_kept():
    assert rouge_l("noises", "noise") == 0
