"""Prose: one line, no digits, and it says what the labels say."""

from __future__ import annotations

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from speechqa_plugin.schema import Artifact, Assessment, load_taxonomy
from speechqa_plugin.simulate.clip import draw_plan
from speechqa_plugin.simulate.degradations import kind_of
from speechqa_plugin.simulate.describe import describe

TAXONOMY = load_taxonomy("qualispeech")


def assess(scores=None, artifacts=(), taxonomy=TAXONOMY):
    base = dict.fromkeys(taxonomy.names, 4.0)
    return Assessment(taxonomy, base | (scores or {}), tuple(artifacts))


@given(seed=st.integers(0, 10**6), scores=st.lists(st.floats(1, 5), min_size=7, max_size=7))
def test_prose_is_short_plain_and_says_the_overall_quality(seed, scores):
    rng = np.random.default_rng(seed)
    artifacts = [
        Artifact(kind_of(TAXONOMY, s.type).name, s.type, 0.0, 2.0 if s.partial else 4.0, s.severity)
        for s in draw_plan(rng, TAXONOMY)
    ]
    assessment = assess(dict(zip(TAXONOMY.names, scores, strict=True)), artifacts)
    text = describe(assessment, 4.0, rng)
    assert text == " ".join(text.split()) and not any(c.isdigit() for c in text)
    assert not set(text) & set("{}()")
    assert 15 <= len(text.split()) <= 75 and text.endswith(".")
    overall = TAXONOMY.dimension("mos").anchor(assessment.mos)
    assert overall in text.rsplit(". ", 1)[-1]
    for artifact in artifacts:
        own = TAXONOMY.kind(artifact.kind).dimension
        assert TAXONOMY.dimension(own).anchor(assessment.scores[own]) in text


def test_every_noise_is_called_by_its_name():
    for type_ in TAXONOMY.kind("noise").types:
        noisy = assess({"noise": 2}, [Artifact("noise", type_, 0.0, 4.0)])
        for seed in range(5):
            assert type_ in describe(noisy, 4.0, np.random.default_rng(seed)).lower()


def test_part_and_whole_are_told_apart():
    whole, part = (
        describe(
            assess({"noise": 2}, [Artifact("noise", "music", 0.0, end)]),
            4.0,
            np.random.default_rng(0),
        )
        for end in (4.0, 1.0)
    )
    assert any(w in whole for w in ("throughout", "all the time", "from beginning to end"))
    assert any(w in part for w in ("part of the", "one stretch"))


def test_each_type_lasts_as_long_as_it_does():
    noises = [
        Artifact("noise", "babble", 0.0, 4.0),
        Artifact("noise", "clicks", 1.0, 2.0),
        *(Artifact("noise", "music", start, start + 2.0) for start in (0.0, 2.0)),
    ]
    text = describe(assess({"noise": 2}, noises), 4.0, np.random.default_rng(0)).lower()
    assert re.search(r"babble and music (throughout|all the time|from beginning)", text)
    assert re.search(r"clicks (for part|during one stretch|part of)", text)


def test_a_speed_fault_is_named_whatever_the_speed():
    for seed in range(5):
        fast = assess({"speed": 3}, [Artifact("speed", "too fast", 0.0, 4.0)])
        text = describe(fast, 4.0, np.random.default_rng(seed))
        assert "too fast" in text and "moderate" in text


def test_several_pauses_are_in_the_plural():
    gaps = [Artifact("pause", "inserted pause", t, t + 0.3) for t in (1.0, 2.0)]
    rng = np.random.default_rng(0)
    assert "inserted pauses" in describe(assess({"continuity": 2}, gaps), 4.0, rng)


def test_wordings_vary_with_the_generator():
    noisy = assess({"noise": 2}, [Artifact("noise", "music", 0.0, 4.0)])
    texts = {describe(noisy, 4.0, np.random.default_rng(seed)) for seed in range(30)}
    assert len(texts) > 15


def test_a_dimension_without_templates_is_worded_by_its_title():
    nisqa = load_taxonomy("nisqa")
    text = describe(assess({"dis": 1.0}, taxonomy=nisqa), 4.0, np.random.default_rng(0))
    assert "discontinuity is very discontinuous" in text
