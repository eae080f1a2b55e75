"""Scores: monotone, bounded, spread over the scale, and written for every type."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated_voice import make_voice

from speechqa_plugin.schema import Artifact, load_taxonomy
from speechqa_plugin.simulate import scoring
from speechqa_plugin.simulate.scoring import measure, overall_score, score_dimensions
from speechqa_plugin.simulate.signals import NoSpeechError, SimulationError

TAXONOMY = load_taxonomy("qualispeech")
TYPES = [(kind.name, type_) for kind in TAXONOMY.kinds for type_ in kind.types]
UNIT = st.floats(0, 1)


def artifact(kind, type_, severity=1.0, end_s=4.0):
    return Artifact(kind, type_, 0.0, end_s, severity)


def goodness(scores, name):
    return -abs(scores[name] - 3) if TAXONOMY.dimension(name).magnitude else scores[name]


def test_the_settings_name_only_what_the_taxonomy_has():
    draw, score = (scoring.load_settings()[key] for key in ("draw", "score"))
    assert set(draw["kinds"]) == set(score["points"]) == set(TAXONOMY.kind_names)
    assert sum(draw["kinds"].values()) == pytest.approx(1) == pytest.approx(sum(draw["count"]))
    assert set(draw["once"]) | set(score["by_total_time"]) <= set(TAXONOMY.kind_names)
    for name, of_kind in score["points"].items():
        kind = TAXONOMY.kind(name)
        assert set(of_kind.get("types", {})) <= set(kind.types)
        for points in (of_kind["default"], *of_kind.get("types", {}).values()):
            assert set(points) <= {"own", *TAXONOMY.names}
        for type_ in kind.types:
            points = of_kind["default"] | of_kind.get("types", {}).get(type_, {})
            assert {"own", TAXONOMY.overall} <= set(points)
            assert all(abs(low) < abs(high) <= 4 for low, high in points.values())


def test_a_clean_clip_has_the_best_scores_its_source_allows():
    scores = score_dimensions([], 4.0, TAXONOMY, ceiling=4.5)
    assert scores == {
        "noise": 5, "distortion": 4.5, "speed": 3, "continuity": 5,
        "listening_effort": 5, "naturalness": 4.5, "mos": 4.5,
    }  # fmt: skip


@pytest.mark.parametrize(("kind", "type_"), TYPES)
@given(low=UNIT, high=UNIT, length=st.floats(0.5, 4.0))
def test_more_severity_or_more_time_is_never_better(kind, type_, low, high, length):
    low, high = sorted((low, high))
    mild = score_dimensions([artifact(kind, type_, low, length)], 4.0, TAXONOMY)
    severe = score_dimensions([artifact(kind, type_, high, length)], 4.0, TAXONOMY)
    longer = score_dimensions([artifact(kind, type_, high)], 4.0, TAXONOMY)
    for name in TAXONOMY.names:
        assert goodness(mild, name) >= goodness(severe, name) >= goodness(longer, name)


@pytest.mark.parametrize(("kind", "type_"), TYPES)
def test_a_type_shows_in_its_own_dimension_from_just_there_to_bad(kind, type_):
    own = TAXONOMY.kind(kind).dimension
    clean = score_dimensions([], 4.0, TAXONOMY)
    mild = score_dimensions([artifact(kind, type_, 0.0)], 4.0, TAXONOMY)
    severe = score_dimensions([artifact(kind, type_, 1.0)], 4.0, TAXONOMY)
    assert 0.1 < goodness(clean, own) - goodness(mild, own) < 1
    assert goodness(clean, own) - goodness(severe, own) >= (2 if own == "speed" else 3)
    assert severe[TAXONOMY.overall] < mild[TAXONOMY.overall] < 5


@given(st.lists(st.tuples(st.sampled_from(TYPES), UNIT, st.floats(0.5, 4)), max_size=6))
def test_any_mixture_stays_in_range(drawn):
    artifacts = [artifact(*t, severity, end_s) for t, severity, end_s in drawn]
    scores = score_dimensions(artifacts, 4.0, TAXONOMY, ceiling=4.2)
    assert set(scores) == set(TAXONOMY.names)
    assert all(1 <= s <= 5 for s in scores.values()) and scores["mos"] <= 4.2


def test_several_artifacts_count_as_the_worst_and_a_share_of_the_others():
    worst, lesser = artifact("noise", "babble", 0.6), artifact("noise", "music", 0.2)
    together = score_dimensions([worst, lesser], 4.0, TAXONOMY)["noise"]
    alone = [score_dimensions([a], 4.0, TAXONOMY)["noise"] for a in (worst, lesser)]
    share = scoring.load_settings()["score"]["share"]
    assert 5 - together == pytest.approx((5 - alone[0]) + share * (5 - alone[1]))


def test_pieces_of_one_pause_count_once():
    whole = [Artifact("pause", "inserted pause", 1.0, 2.0, 0.5)]
    split = [Artifact("pause", "inserted pause", t, t + 0.5, 0.5) for t in (1.0, 3.0)]
    assert score_dimensions(whole, 4.0, TAXONOMY) == score_dimensions(split, 4.0, TAXONOMY)


def test_speed_goes_both_ways():
    fast, slow = (
        score_dimensions([artifact("speed", t)], 4.0, TAXONOMY)["speed"]
        for t in ("too fast", "too slow")
    )
    assert (fast, slow) == (5, 1)


@given(table=st.floats(1, 5), lqo=st.floats(1.02, 4.64), stoi=UNIT, ceiling=st.floats(3, 5))
def test_the_overall_score_rises_with_each_of_its_parts(table, lqo, stoi, ceiling):
    base = overall_score(table, lqo, stoi, ceiling)
    assert 1 <= base <= 5
    assert overall_score(min(5, table + 0.3), lqo, stoi, ceiling) >= base
    assert overall_score(table, min(4.64, lqo + 0.3), stoi, ceiling) >= base
    assert overall_score(table, lqo, min(1, stoi + 0.1), ceiling) >= base


@pytest.mark.parametrize("ceiling", [3.0, 4.5, 5.0])
def test_an_untouched_signal_is_as_good_as_its_source(ceiling):
    assert overall_score(ceiling, 4.64, 1.0, ceiling) == pytest.approx(ceiling)


def test_measures_are_best_for_equal_signals_and_fall_with_noise():
    voice = make_voice()
    lqo, stoi = measure(voice, voice)
    assert lqo == pytest.approx(4.64, abs=0.01) and stoi == pytest.approx(1.0, abs=1e-6)
    noisy = voice + np.random.default_rng(0).normal(0, 0.1, len(voice)).astype(np.float32)
    worse = measure(voice, noisy)
    assert worse[0] < 2 and worse[1] < 0.9


def test_a_reference_without_speech_is_refused():
    silence = np.zeros(32000, np.float32)
    with pytest.raises(NoSpeechError, match="PESQ finds no speech"):
        measure(silence, silence)


@pytest.mark.parametrize("change", [{"severity": None}, {"start_s": None, "end_s": None}])
def test_an_artifact_without_severity_or_times_is_refused(change):
    vague = dataclasses.replace(artifact("noise", "music"), **change)
    with pytest.raises(SimulationError, match="needs times and a severity"):
        score_dimensions([vague], 4.0, TAXONOMY)


def test_a_kind_without_points_is_refused():
    odd = dataclasses.replace(TAXONOMY.kinds[0], name="echo")
    taxonomy = dataclasses.replace(TAXONOMY, kinds=(odd,))
    with pytest.raises(SimulationError, match="'echo': no points in simulation.yaml"):
        score_dimensions([artifact("echo", "music")], 4.0, taxonomy)
