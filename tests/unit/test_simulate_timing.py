"""Tempo, pauses and cut-outs against what can be counted in the samples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_voice import make_voice

from speechqa_plugin.schema import Artifact, Interval
from speechqa_plugin.simulate import timing

VOICE = make_voice(5.0)
SEVERITY = st.floats(0, 1)


def tone(seconds=3.0, hz=440.0):
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * 16000)) / 16000).astype(np.float32)


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("severity", [0.0, 0.5, 1.0])
def test_tempo_changes_the_length_but_not_the_pitch(fast, severity):
    out, intervals, _ = timing.change_tempo(tone(), None, severity, None, fast)
    factor = timing.tempo(severity, fast)
    assert len(out) == pytest.approx(48000 / factor, abs=160)
    assert intervals == [Interval(0, len(out) / 16000)]
    spectrum = np.abs(np.fft.rfft(out * np.hanning(len(out))))
    assert np.argmax(spectrum) * 16000 / len(out) == pytest.approx(440, abs=3)
    assert np.mean(np.abs(out[-800:])) > 0.1  # the end is there, not silence


def test_tempo_of_a_part_leaves_the_rest():
    #   0        1                 2        3
    #   |--kept--|-----slower------|--kept--|
    voice = VOICE[:48000]
    out, (where,), _ = timing.change_tempo(voice, None, 0.7, Interval(1, 2), fast=False)
    assert where.start_s == 1.0
    assert where.length_s == pytest.approx(1 / timing.tempo(0.7, fast=False), abs=0.011)
    assert np.array_equal(out[:16000], voice[:16000])
    assert np.array_equal(out[-16000:], voice[-16000:])
    assert len(out) == round((2 + where.length_s) * 16000)


@settings(max_examples=40)
@given(severity=SEVERITY, seed=st.integers(0, 999))
def test_pauses_are_exactly_the_samples_that_were_added(severity, seed):
    rng = np.random.default_rng(seed)
    out, intervals, _ = timing.insert_pauses(VOICE, rng, severity, None)
    added = round(timing.pause_length_s(severity) * 100) * 160
    assert len(out) == len(VOICE) + added
    keep = np.ones(len(out), bool)
    for gap in intervals:
        inside = slice(round(gap.start_s * 16000), round(gap.end_s * 16000))
        assert not out[inside].any()
        keep[inside] = False
    assert np.sum(~keep) == added
    # Without the gaps it is the voice again, but for 5 ms of fade at either side of each.
    assert np.sum(out[keep] != VOICE) <= 2 * 80 * len(intervals)
    for earlier, later in zip(intervals, intervals[1:], strict=False):
        assert later.start_s - earlier.end_s >= 0.15 - 1e-9


@pytest.mark.parametrize("seed", range(10))
def test_labelled_times_are_not_to_be_heard_as_clicks(seed):
    rng = np.random.default_rng(seed)
    clip = tone(hz=rng.uniform(150, 300))
    start = rng.integers(80, 120) / 100
    made = [
        timing.change_tempo(clip, None, rng.random(), Interval(start, start + 1), fast)
        for fast in (True, False)
    ]
    made.append(timing.insert_pauses(clip, rng, rng.random(), Interval(start, start + 1)))
    usual = np.abs(np.diff(clip)).max()
    for out, intervals, _ in made:
        assert np.abs(np.diff(out)).max() < 1.5 * usual, intervals


def test_a_cut_out_that_the_end_shortens_is_as_severe_as_it_is_long():
    clip = make_voice(3.0)
    at_the_end = Interval(2.9, 3.0)
    _, intervals, reached = timing.cut_out(clip, np.random.default_rng(0), 1.0, at_the_end)
    gone_s = sum(i.length_s for i in intervals)
    assert gone_s <= 0.1 and reached == 0.0
    _, intervals, reached = timing.cut_out(clip, np.random.default_rng(0), 0.5, None)
    assert sum(i.length_s for i in intervals) == pytest.approx(0.15 + 0.5 * 1.35, abs=0.01)
    assert reached == pytest.approx(0.5, abs=0.01)


def test_pauses_interrupt_running_speech():
    rng = np.random.default_rng(1)
    for _ in range(20):
        out, intervals, _ = timing.insert_pauses(VOICE, rng, 0.5, None)
        for gap in intervals:
            start = round(gap.start_s * 16000)
            assert np.abs(out[start - 400 : start - 80]).max() > 0.01


@settings(max_examples=40)
@given(severity=SEVERITY, seed=st.integers(0, 999))
def test_cut_outs_are_exactly_the_samples_that_were_silenced(severity, seed):
    out, intervals, _ = timing.cut_out(VOICE, np.random.default_rng(seed), severity, None)
    expected = VOICE.copy()
    for gap in intervals:
        expected[round(gap.start_s * 16000) : round(gap.end_s * 16000)] = 0
    assert np.array_equal(out, expected)
    total_s = sum(gap.length_s for gap in intervals)
    assert total_s == pytest.approx(0.15 + 1.35 * severity, abs=0.011)
    assert all(a.end_s < b.start_s for a, b in zip(intervals, intervals[1:], strict=False))


def test_a_gap_stays_where_it_may_be():
    for seed in range(10):
        rng = np.random.default_rng(seed)
        for gap in timing.insert_pauses(VOICE, rng, 0.0, Interval(2, 3)).intervals:
            assert 2 <= gap.start_s < 3


def test_a_cut_out_longer_than_the_clip_ends_with_it():
    out, (gap,), _ = timing.cut_out(np.ones(16000, np.float32), np.random.default_rng(0), 1, None)
    assert gap.end_s == 1.0 and not out[round(gap.start_s * 16000) :].any()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        #   pauses:   1.0-1.5      2.5-3.0   in the new time, so at 1.0 and 2.0 in the old
        ((0.0, 0.8), (0.0, 0.8)),  # ends before both
        ((0.0, 1.0), (0.0, 1.0)),  # ends where the first begins
        ((0.5, 1.5), (0.5, 2.0)),  # holds the first
        ((1.0, 1.5), (1.5, 2.0)),  # begins where the first is put
        ((0.0, 3.0), (0.0, 4.0)),  # holds both
        ((2.5, 3.0), (3.5, 4.0)),  # after both
    ],
)
def test_earlier_artifacts_move_with_pauses(before, after):
    pauses = [Interval(1.0, 1.5), Interval(2.5, 3.0)]
    moved = timing.after_pauses(Artifact("speed", "too fast", *before, severity=0.5), pauses)
    assert (moved.start_s, moved.end_s, moved.severity) == (*after, 0.5)
