"""Every degradation: where it is, how strong it is, and what it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_voice import make_voice

from speechqa_plugin.schema import ArtifactKind, Dimension, Interval, Taxonomy, load_taxonomy
from speechqa_plugin.simulate import channel, degradations
from speechqa_plugin.simulate.degradations import CHAIN, degrade, kind_of
from speechqa_plugin.simulate.scoring import measure
from speechqa_plugin.simulate.signals import (
    SAMPLE_RATE_HZ,
    SimulationError,
    active_rms,
    cut_where_quiet,
    to_slice,
)

TAXONOMY = load_taxonomy("qualispeech")
VOICE = make_voice()
NOISES = {t: lambda rng, n: rng.standard_normal(n) for t in ("babble", "music", "ambience")}
KEEP_LENGTH = [t for t in CHAIN if t not in ("too fast", "too slow", "inserted pause")]
AUDIBLE_IN_PESQ = [t for t in KEEP_LENGTH if t not in ("pitch shift", "codec", "cut-out")]


def run(type_, severity, interval=None, seed=0, audio=VOICE):
    rng = np.random.default_rng(seed)
    return degrade(audio, rng, type_, severity, TAXONOMY, interval, NOISES)


def test_types_are_those_of_the_taxonomy():
    assert sorted(CHAIN) == sorted(t for kind in TAXONOMY.kinds for t in kind.types)


@pytest.mark.parametrize("type_", CHAIN)
@pytest.mark.parametrize("severity", [0.0, 1.0])
def test_whole_clip_is_labelled_and_changed(type_, severity):
    out, artifacts = run(type_, severity)
    assert out.dtype == np.float32 and np.isfinite(out).all()
    assert {(a.kind, a.type) for a in artifacts} == {(kind_of(TAXONOMY, type_).name, type_)}
    assert len(out) != len(VOICE) or np.abs(out - VOICE).max() > 1e-3
    for artifact in artifacts:
        assert 0 <= artifact.start_s < artifact.end_s <= len(out) / SAMPLE_RATE_HZ
    if artifacts[0].kind != "pause":
        assert (artifacts[0].start_s, artifacts[0].end_s) == (0, len(out) / SAMPLE_RATE_HZ)


@pytest.mark.parametrize("type_", KEEP_LENGTH)
@settings(max_examples=5)
@given(start=st.integers(0, 250), length=st.integers(50, 140), seed=st.integers(0, 99))
def test_outside_the_interval_not_a_sample_changes(type_, start, length, seed):
    interval = Interval(start / 100, (start + length) / 100)
    out, artifacts = run(type_, 0.8, interval, seed)
    part = to_slice(VOICE, interval)
    assert len(out) == len(VOICE)
    last = round(max(a.end_s for a in artifacts) * SAMPLE_RATE_HZ)  # a cut-out may reach out
    assert np.array_equal(out[: part.start], VOICE[: part.start])
    assert np.array_equal(out[max(last, part.stop) :], VOICE[max(last, part.stop) :])
    if artifacts[0].kind != "pause":
        assert artifacts[0].interval == interval


@pytest.mark.parametrize("type_", AUDIBLE_IN_PESQ)
def test_more_severity_is_worse_to_an_outside_measure(type_):
    worse = [measure(VOICE, run(type_, s)[0]) for s in (0.0, 0.5, 1.0)]
    lqo, stoi = zip(*worse, strict=True)
    assert lqo[0] > lqo[2]
    if type_ != "robotic voice":  # monotone in both senses: it stays intelligible
        assert stoi[0] >= stoi[1] >= stoi[2] and stoi[0] > stoi[2]


@pytest.mark.parametrize(
    ("type_", "at_0", "at_1"),
    [("white noise", 30, 0), ("mains hum", 25, -8), ("clicks", 25, 0), ("music", 30, 0)],
)
def test_noise_has_the_ratio_that_its_severity_says(type_, at_0, at_1):
    for severity in (0.0, 0.3, 1.0):
        noise = run(type_, severity)[0] - VOICE
        snr_db = 20 * np.log10(active_rms(VOICE) / np.sqrt(np.mean(np.square(noise))))
        assert snr_db == pytest.approx(at_0 + (at_1 - at_0) * severity, abs=0.05)


@pytest.mark.parametrize("type_", ["clipping", "quantisation", "buzz", "muffled", "narrow band"])
def test_distortion_does_not_show_in_the_level(type_):
    out, _ = run(type_, 1.0)
    assert active_rms(out) == pytest.approx(active_rms(VOICE), rel=1e-3)


def test_reverberation_has_the_ratio_and_a_longer_decay_with_severity():
    click = np.zeros(32000, np.float32)
    click[0] = 0.5
    decay = []
    for severity in (0.2, 0.9):
        out = run("reverberation", severity, audio=click)[0].astype(float)
        direct, tail = np.sum(out[:40] ** 2), np.sum(out[40:] ** 2)
        assert 10 * np.log10(direct / tail) == pytest.approx(14 - 20 * severity, abs=0.1)
        # Schroeder's backward integration: time at which 20 dB of the tail are gone.
        energy = np.cumsum(out[:39:-1] ** 2)[::-1]
        decay.append(np.argmax(energy < 0.01 * energy[0]) / SAMPLE_RATE_HZ)
    for t60, severity in zip(np.array(decay) * 3, (0.2, 0.9), strict=True):
        assert t60 == pytest.approx(0.2 * 7.5**severity, rel=0.2)


def test_a_recorded_room_keeps_its_own_tail():
    room = np.zeros(3200)
    room[0], room[1600] = 1.0, 0.3
    click = np.zeros(16000, np.float32)
    click[0] = 0.5
    rng = np.random.default_rng(0)
    out, _ = degrade(
        click, rng, "reverberation", 0.7, TAXONOMY, make_room=lambda rng, severity: room
    )
    assert set(np.flatnonzero(np.abs(out) > 1e-4)) == {0, 1600}
    assert abs(out[1600] / out[0]) == pytest.approx(1.0, rel=1e-3)  # 14 - 20 * 0.7 = 0 dB


def test_a_codec_stays_aligned_and_says_its_own_severity():
    reached = set()
    for severity in (0.0, 0.4, 0.6, 0.8, 1.0):
        for seed in range(3):
            out, artifacts = run("codec", severity, seed=seed)
            likeness = np.correlate(out, VOICE[200:-200], "valid")
            assert abs(int(np.argmax(likeness)) - 200) <= 2
            assert abs(artifacts[0].severity - severity) < 0.2
            reached.add(artifacts[0].severity)
    assert len(reached) > 5


def test_packet_loss_loses_whole_packets_even_when_it_is_rare():
    for seed in range(20):
        out, _ = run("packet loss", 0.0, Interval(1.0, 1.6), seed)
        lost = np.flatnonzero((out == 0) & (VOICE != 0))
        assert len(lost) >= 300  # 20 ms, less what the crossfade of an edge keeps


@pytest.mark.parametrize("seconds", [0.4, 2.0])
def test_as_many_packets_are_lost_as_the_severity_says(seconds):
    voice = np.ones(round(seconds * 16000))
    for seed in range(20):
        out = channel.lose_packets(voice, np.random.default_rng(seed), 0.8)
        length = int(np.random.default_rng(seed).integers(2, 7)) * 160
        starts = range(0, len(voice) - length + 1, length)
        gone = sum(not out[s : s + length].any() for s in starts)
        assert gone == max(1, round((0.02 + 0.33 * 0.8) * len(starts)))


def test_recorded_noise_needs_a_recording():
    with pytest.raises(SimulationError, match="'music'.*no recording of it was given"):
        degrade(VOICE, np.random.default_rng(0), "music", 0.5, TAXONOMY)


def test_silent_noise_is_refused():
    silent = {"music": lambda rng, n: np.zeros(n)}
    with pytest.raises(SimulationError, match="music: the noise drawn is silent"):
        degrade(VOICE, np.random.default_rng(0), "music", 0.5, TAXONOMY, noises=silent)


def test_a_type_without_a_kind_is_refused():
    with pytest.raises(SimulationError, match="'echo' belongs to no artifact kind"):
        kind_of(TAXONOMY, "echo")


def test_a_type_of_the_taxonomy_that_nobody_simulates_is_refused():
    dimension = Dimension("noise", "noise", ("a", "b", "c", "d", "e"))
    taxonomy = Taxonomy("mine", (dimension,), "noise", (ArtifactKind("noise", "noise", ("wind",)),))
    with pytest.raises(SimulationError, match="'wind': no such degradation"):
        degrade(VOICE, np.random.default_rng(0), "wind", 0.5, taxonomy)


def test_an_interval_beyond_the_clip_is_refused():
    with pytest.raises(SimulationError, match="interval ends at 9 s, the clip at 4.0 s"):
        run("clipping", 0.5, Interval(1, 9))


@given(n=st.integers(10000, 60000), longest=st.integers(9600, 50000))
def test_a_cut_clip_is_at_most_as_long_as_asked_and_on_the_grid(n, longest):
    out = cut_where_quiet(np.ones(n), longest)
    assert len(out) % 160 == 0 and 0 < len(out) <= min(n, longest)
    assert len(out) > min(n - 160, longest - 160 - 9600)


def test_every_degradation_in_the_registry_is_reachable():
    registered = {*degradations._PROCESSES, *degradations._OTHERS, *NOISES, "reverberation"}
    assert registered | set(degradations.noise.SYNTHETIC) == set(CHAIN)
