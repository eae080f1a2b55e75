"""Wide clips: their stems, their order, and clips in which nobody speaks."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
import soundfile
from simulated_voice import make_voice

from speechqa_plugin.schema import load_taxonomy
from speechqa_plugin.simulate.clip import LONGEST_S, Step
from speechqa_plugin.simulate.signals import NoSpeechError
from speechqa_plugin.simulate.sources import Sources
from speechqa_plugin.simulate.wide.clip import (
    draw_plan,
    load_settings,
    simulate_wide,
    without_speech,
)
from speechqa_plugin.simulate.wide.degradations import TYPES
from speechqa_plugin.simulate.wide.worker import WideClipMaker
from speechqa_plugin.speech_level import speech_level

TAXONOMY = load_taxonomy("wide")
VOICE = make_voice()
NOISY = Step("white noise", 0.5, True)
CLIPPED = Step("clipping", 0.9, False)


def simulate(*plan, seed=0):
    return simulate_wide(VOICE, np.random.default_rng(seed), TAXONOMY, plan=plan)


def test_plans_hold_every_type_and_talkers_first_and_the_others_in_any_order():
    plans = [draw_plan(np.random.default_rng(seed), TAXONOMY) for seed in range(600)]
    assert {step.type for plan in plans for step in plan} == set(TYPES)
    assert Counter(map(len, plans)).keys() == {0, 1, 2, 3, 4}
    talker = ("too fast", "too slow", "inserted pause", "pitch shift")
    for plan in plans:
        first = [step.type in talker for step in plan]
        assert first == sorted(first, reverse=True)
        assert len({step.type for step in plan}) == len(plan)
    orders = [tuple(s.type for s in plan) for plan in plans]
    before = sum("codec" in o and "white noise" in o[: o.index("codec")] for o in orders)
    after = sum("codec" in o and "white noise" in o[o.index("codec") :] for o in orders)
    assert before and after


def test_types_without_material_are_not_drawn():
    plans = [draw_plan(np.random.default_rng(seed), TAXONOMY, ("music",)) for seed in range(300)]
    drawn = {step.type for plan in plans for step in plan}
    assert drawn == set(TYPES) - {"babble", "ambience"}


def test_the_noise_stem_is_the_voice_and_the_clips_own_noise():
    alone, both = simulate(NOISY), simulate(NOISY, CLIPPED)
    assert np.array_equal(alone.stems["noise"], alone.audio) and set(alone.stems) == {"noise"}
    assert np.array_equal(both.stems["noise"], alone.audio)
    assert np.array_equal(both.reference, alone.reference)
    noise = both.stems["noise"] - both.reference
    (artifact,) = (a for a in both.artifacts if a.kind == "noise")
    inside = slice(round(artifact.start_s * 16000), round(artifact.end_s * 16000))
    assert np.std(noise[inside]) > 0 and not noise[: inside.start].any()


def test_the_distortion_stem_has_no_noise():
    both, distorted = simulate(CLIPPED, NOISY), simulate(CLIPPED)
    assert np.allclose(both.stems["distortion"], distorted.audio)
    quiet = np.abs(both.reference) < 1e-6
    assert np.abs(both.stems["distortion"][quiet]).max() < 1e-5


def test_the_order_is_the_plans():
    loud = Step("white noise", 1.0, False)
    first, last = simulate(loud, CLIPPED), simulate(CLIPPED, loud)
    tops = [np.mean(np.abs(c.audio) > 0.999 * np.abs(c.audio).max()) for c in (first, last)]
    assert tops[0] > 0.05 > tops[1]


def test_pauses_and_tempo_are_in_the_reference_too():
    clip = simulate(Step("too slow", 0.5, False), Step("inserted pause", 0.5, False), NOISY)
    assert len(clip.audio) == len(clip.reference) == len(clip.stems["noise"]) > len(VOICE)
    pauses = [a for a in clip.artifacts if a.kind == "pause"]
    assert pauses
    for pause in pauses:
        inside = clip.reference[round(pause.start_s * 16000) + 80 : round(pause.end_s * 16000) - 80]
        assert not np.abs(inside).max() > 1e-6


def test_levels_are_wide_and_the_same_state_gives_the_same_clip():
    levels = [speech_level(simulate(seed=s).audio, 16000).active_db for s in range(40)]
    low, high = load_settings()["draw"]["level_db"]
    assert low - 1 <= min(levels) < low + 8
    assert low + 15 < max(levels) <= high  # a voice of high peaks can't be as loud as all that
    a, b = (simulate(NOISY, Step("codec", 0.6, False), seed=3) for _ in range(2))
    assert np.array_equal(a.audio, b.audio) and a.artifacts == b.artifacts


@pytest.mark.parametrize("seed", range(8))
def test_any_clip_is_short_enough_and_within_full_scale(seed):
    noises = {t: lambda rng, n: rng.standard_normal(n) for t in ("babble", "music", "ambience")}
    clip = simulate_wide(VOICE, np.random.default_rng(seed), TAXONOMY, noises)
    assert len(clip.audio) <= LONGEST_S * 16000
    for audio in (clip.audio, clip.reference, *clip.stems.values()):
        assert audio.dtype == np.float32 and len(audio) == len(clip.audio)
        assert np.abs(audio).max() <= 1


def test_a_silent_source_is_refused():
    with pytest.raises(NoSpeechError, match="is silent"):
        simulate_wide(np.zeros(32000, np.float32), np.random.default_rng(0), TAXONOMY)


def test_without_speech_there_is_silence_or_a_noise_but_never_babble():
    noises = {t: lambda rng, n: rng.standard_normal(n) for t in ("babble", "music")}
    clips = [without_speech(np.random.default_rng(s), TAXONOMY, noises) for s in range(80)]
    types = Counter(c.artifacts[0].type if c.artifacts else "silence" for c in clips)
    assert {"silence", "music", "white noise"} <= set(types) and "babble" not in types
    assert 8 < types["silence"] < 35
    for clip in clips:
        assert clip.reference is None and 16000 <= len(clip.audio) <= 9 * 16000
        assert clip.audio.any() == bool(clip.artifacts)


def test_a_maker_writes_clips_references_and_stems(tmp_path, monkeypatch):
    monkeypatch.setitem(load_settings()["draw"], "no_speech", 0.3)
    for name in ("clips", "stems"):
        (tmp_path / name / "test").mkdir(parents=True)
    soundfile.write(tmp_path / "voice.wav", VOICE, 16000)
    sources = {"test": Sources({"anna": [str(tmp_path / "voice.wav")]})}
    maker = WideClipMaker(tmp_path, sources, 1, "wide", 5.0)
    records = [maker.make("test", i) for i in range(12)]
    assert json.loads(json.dumps(records)) == records
    spoken = [r for r in records if r["reference"]]
    assert 0 < len(spoken) < 12
    for record in records:
        audio, _ = soundfile.read(tmp_path / "clips/test" / f"{record['id']}.wav")
        assert len(audio) == round(record["duration_s"] * 16000)
        assert bool(record["stems"]) == (record["system"] != "no speech")
        for path in record["stems"].values():
            assert len(soundfile.read(tmp_path / path)[0]) == len(audio)
    kinds = {stem for r in spoken for stem in r["stems"]}
    assert kinds == {"reference", "noise", "distortion"}
    again = maker.make("test", 3)
    assert again == records[3]
