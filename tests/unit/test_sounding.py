"""Logits over time to artifacts: against scipy's filter, brute force, and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import uniform_filter1d

from speechqa_plugin.schema import load_taxonomy
from speechqa_plugin.sounding import (
    SMOOTHED,
    best_threshold,
    smoothed,
    sounding,
    type_names,
)

HUM, CUT = ("noise", "mains hum"), ("pause", "cut-out")


@pytest.mark.parametrize("length", [1, 3, 9, 40])
def test_smoothing_is_scipys(length):
    logits = np.random.default_rng(length).normal(size=(length, 3))
    expected = uniform_filter1d(logits, SMOOTHED, axis=0, mode="nearest")
    np.testing.assert_allclose(smoothed(logits), expected, atol=1e-12)


def test_each_stretch_above_0_is_an_artifact():
    logits = np.full((60, 2), -1.0)
    logits[:20, 0] = logits[45:, 0] = 1.0  # hum at the beginning and at the end
    logits[30, 1] = 20.0  # in one token, but loud: it is spread over the mean's width
    found = sounding(logits, [HUM, CUT], 0.1, 5.97)
    assert [(a.type, a.start_s, a.end_s) for a in found] == [
        ("mains hum", 0.0, 2.0),
        ("mains hum", 4.5, 5.97),
        ("cut-out", 2.6, 3.5),
    ]
    (long,) = sounding(np.ones((20, 1)), [HUM], 0.1, 3.0)  # a second of silence was not heard
    assert (long.start_s, long.end_s) == (0.0, 2.0)
    assert sounding(-np.ones((5, 2)), [HUM, CUT], 0.1, 0.5) == []


@given(
    st.lists(st.tuples(st.integers(-4, 4), st.booleans()), min_size=1, max_size=30),
)
def test_no_threshold_has_a_higher_f1(moments):
    logits, there = np.array([m[0] for m in moments], float), np.array([m[1] for m in moments])

    def f1(threshold):
        said = logits > threshold
        return 2 * (said & there).sum() / max(said.sum() + there.sum(), 1)

    best = best_threshold(logits, there)
    if not there.any():
        assert best == np.inf
    else:
        assert f1(best) == pytest.approx(max(map(f1, np.arange(-5, 5) + 0.5)))


def test_names_are_the_taxonomys():
    taxonomy = load_taxonomy("wide")
    assert len(set(type_names(taxonomy))) == len(taxonomy.types) == 25
