"""One simulated clip: labels, lengths, alignment, and the same from the same seed."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_voice import make_voice

from speechqa_plugin.schema import assessment_from_dict, load_taxonomy
from speechqa_plugin.simulate.clip import LONGEST_S, Step, draw_plan, simulate_clip
from speechqa_plugin.simulate.degradations import CHAIN
from speechqa_plugin.simulate.scoring import load_settings
from speechqa_plugin.simulate.signals import NoSpeechError, active_rms

TAXONOMY = load_taxonomy("qualispeech")
VOICE = make_voice(6.0)
NOISES = {t: lambda rng, n: rng.standard_normal(n) for t in ("babble", "music", "ambience")}


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6))
def test_any_clip_is_short_enough_and_its_labels_fit(seed):
    clip = simulate_clip(make_voice(8.0), np.random.default_rng(seed), TAXONOMY, NOISES, 4.5)
    duration_s = len(clip.audio) / 16000
    assert duration_s <= LONGEST_S and np.abs(clip.audio).max() <= 1
    assert clip.audio.shape == clip.reference.shape and clip.audio.dtype == np.float32
    assert len(clip.audio) % 160 == 0
    assert {a.type for a in clip.assessment.artifacts} == {step.type for step in clip.plan}
    for artifact in clip.assessment.artifacts:
        assert artifact.end_s <= duration_s
        assert artifact.kind == "pause" or artifact.end_s - artifact.start_s >= 0.27
        for time in (artifact.start_s, artifact.end_s):
            assert time * 100 == pytest.approx(round(time * 100), abs=1e-6)
    read = assessment_from_dict(clip.assessment.to_dict(), TAXONOMY)
    assert read == clip.assessment


def test_the_same_seed_gives_the_same_bits_and_another_does_not():
    first, second, other = (
        simulate_clip(VOICE, np.random.default_rng(seed), TAXONOMY, NOISES) for seed in (7, 7, 8)
    )
    assert np.array_equal(first.audio, second.audio)
    assert first.assessment == second.assessment and first.plan == second.plan
    assert not np.array_equal(first.audio[:1000], other.audio[:1000])


def test_the_reference_has_the_timing_but_not_the_noise():
    plan = (
        Step("too slow", 0.4, True),
        Step("inserted pause", 0.6, False),
        Step("white noise", 0.5, False),
    )
    clip = simulate_clip(VOICE, np.random.default_rng(1), TAXONOMY, plan=plan)
    noise = clip.audio - clip.reference
    snr_db = 20 * np.log10(active_rms(clip.reference) / np.std(noise))
    assert snr_db == pytest.approx(15, abs=0.2)
    for gap in clip.assessment.intervals("pause"):
        inside = slice(round(gap.start_s * 16000), round(gap.end_s * 16000))
        assert not clip.reference[inside].any() and clip.audio[inside].any()


def test_a_speed_change_keeps_its_place_when_a_pause_comes_in():
    plan = (Step("too slow", 0.4, False), Step("inserted pause", 0.6, False))
    clip = simulate_clip(VOICE, np.random.default_rng(2), TAXONOMY, plan=plan)
    (speed,) = clip.assessment.intervals("speed")
    assert (speed.start_s, speed.end_s) == (0, len(clip.audio) / 16000)


def test_talker_changes_leave_pesq_alone_but_not_the_score():
    for type_ in ("too fast", "inserted pause", "pitch shift"):
        clip = simulate_clip(
            VOICE, np.random.default_rng(3), TAXONOMY, plan=(Step(type_, 1, False),)
        )
        assert clip.lqo > 4.6 and clip.assessment.mos < 3.5


def test_a_clean_clip_is_clean():
    clip = simulate_clip(VOICE, np.random.default_rng(4), TAXONOMY, ceiling=4.5, plan=())
    assert np.array_equal(clip.audio, clip.reference) and clip.assessment.artifacts == ()
    assert clip.assessment.mos == pytest.approx(4.5, abs=0.01)


def test_a_longer_clip_is_cut_to_fit():
    plan = (Step("too slow", 1.0, False), Step("inserted pause", 1.0, False))
    clip = simulate_clip(make_voice(8.0), np.random.default_rng(5), TAXONOMY, plan=plan)
    assert 8.5 < len(clip.audio) / 16000 <= LONGEST_S


def test_plans_follow_the_shares_of_the_settings():
    rng, draw = np.random.default_rng(0), load_settings()["draw"]
    plans = [draw_plan(rng, TAXONOMY) for _ in range(3000)]
    sizes = Counter(map(len, plans))
    assert sizes[0] / 3000 == pytest.approx(draw["clean"], abs=0.02)
    for count, share in enumerate(draw["count"], start=1):
        assert sizes[count] / (3000 - sizes[0]) == pytest.approx(share, abs=0.03)
    steps = [step for plan in plans for step in plan]
    assert {step.type for step in steps} == set(CHAIN)
    assert np.mean([step.partial for step in steps]) == pytest.approx(1 - draw["whole"], abs=0.03)
    once = {t for k in TAXONOMY.kinds if k.name in draw["once"] for t in k.types}
    for plan in plans:
        types = [step.type for step in plan]
        assert len(set(types)) == len(types) and types == sorted(types, key=CHAIN.index)
        assert sum(t in ("too fast", "too slow") for t in types) <= 1
        assert sum(t in once for t in types) <= 2


def test_noise_without_material_is_not_drawn():
    rng = np.random.default_rng(0)
    drawn = {step.type for _ in range(500) for step in draw_plan(rng, TAXONOMY, ("music",))}
    assert "music" in drawn and not drawn & {"babble", "ambience"}


@pytest.mark.parametrize(
    ("clean", "message"),
    [(np.zeros(32000), "is silent"), (VOICE[:8000], "is 0.50 s long; give at least 1 s")],
)
def test_a_clip_without_speech_is_refused(clean, message):
    with pytest.raises(NoSpeechError, match=message):
        simulate_clip(clean, np.random.default_rng(0), TAXONOMY, plan=())
