"""Speech is measured by its level: on signals made so that the answer is known."""

import math

import numpy as np
import pytest

from speechqa_plugin.activity import (
    NO_SPEECH,
    SILENCE_DB,
    TOO_SHORT,
    lacking_speech,
    measure_activity,
    to_level,
)

RATE_HZ = 16000
RNG = np.random.default_rng(0)


def silence(seconds):
    return np.zeros(round(seconds * RATE_HZ))


def tone(seconds, level_db=-20.0, rate_hz=RATE_HZ):
    """A sine of 440 Hz whose level is known by its amplitude alone."""
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    return 10 ** (level_db / 20) * np.sqrt(2) * np.sin(2 * np.pi * 440 * time)


def talk(seconds, level_db=-26.0, rate_hz=RATE_HZ):
    """Noise in bursts, four a second and half of the time, as syllables come."""
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    envelope = np.sin(2 * np.pi * 4 * time).clip(0)
    noise = np.random.default_rng(1).standard_normal(len(time)) * envelope
    return noise * 10 ** (level_db / 20) / np.sqrt(np.mean(noise**2))


@pytest.mark.parametrize("level_db", [-60, -26, -3])
def test_a_steady_tone_is_active_all_the_time_at_its_level(level_db):
    found = measure_activity(tone(5, level_db), RATE_HZ)
    assert found.level_db == pytest.approx(level_db, abs=0.1)
    assert found.active_s == pytest.approx(5, abs=0.1)


@pytest.mark.parametrize("rate_hz", [8000, 16000, 44100, 48000])
def test_the_rate_does_not_matter(rate_hz):
    found = measure_activity(tone(4, rate_hz=rate_hz), rate_hz)
    assert found.level_db == pytest.approx(-20, abs=0.1)
    assert found.active_s == pytest.approx(4, abs=0.1)


def test_pauses_longer_than_a_fifth_of_a_second_do_not_count():
    #  0    2    4    6    8   10
    #  |####|    |####|    |####|    6 s of 10, and the level of these alone
    gap = silence(2)
    found = measure_activity(np.concatenate([tone(2), gap, tone(2), gap, tone(2)]), RATE_HZ)
    assert found.active_s == pytest.approx(6, abs=0.6)  # 0.2 s behind each, and the envelope falls
    assert found.level_db == pytest.approx(-20, abs=0.5)


def test_pauses_within_words_count():
    found = measure_activity(talk(4), RATE_HZ)
    assert found.active_s == pytest.approx(4, abs=0.3)
    assert found.level_db == pytest.approx(-26, abs=0.4)


@pytest.mark.parametrize("gain_db", [-30, -12, 12])
def test_louder_is_as_active(gain_db):
    clip = np.concatenate([silence(1), talk(2), silence(3)])
    found = measure_activity(clip, RATE_HZ)
    louder = measure_activity(clip * 10 ** (gain_db / 20), RATE_HZ)
    assert louder.active_s == pytest.approx(found.active_s)
    assert louder.level_db == pytest.approx(found.level_db + gain_db)


def test_an_offset_is_no_part_of_the_level():
    found = measure_activity(talk(4) + 0.3, RATE_HZ)
    assert found.level_db == pytest.approx(measure_activity(talk(4), RATE_HZ).level_db, abs=0.01)


@pytest.mark.parametrize(
    ("clip", "expected"),
    [
        (silence(3), NO_SPEECH),
        (np.full(3 * RATE_HZ, -0.7, np.float32), NO_SPEECH),
        (RNG.integers(-1, 2, 3 * RATE_HZ) / 32768, NO_SPEECH),  # dither
        (tone(3, SILENCE_DB - 1), NO_SPEECH),
        (tone(3, SILENCE_DB + 1), ""),
        (np.zeros(1), NO_SPEECH),
        (tone(0.1), TOO_SHORT),
        (np.concatenate([silence(2), tone(0.15), silence(2)]), TOO_SHORT),
        (np.eye(1, RATE_HZ, 5000)[0], TOO_SHORT),  # a click
        (np.repeat([0.0, 0.5], RATE_HZ), TOO_SHORT),  # an offset that sets in
        (np.concatenate([silence(2), talk(1), silence(2)]), ""),
        (talk(0.8), ""),
    ],
)
def test_what_cannot_be_judged_and_why(clip, expected):
    assert lacking_speech(clip, RATE_HZ) == expected


def test_no_level_where_there_is_no_sound():
    assert measure_activity(silence(1), RATE_HZ) == (-math.inf, 0.0)


@pytest.mark.parametrize("more", [0, 800, 16000])
def test_silence_at_the_end_of_a_levelled_clip_is_cut_off(more):
    rng = np.random.default_rng(0)
    voice = rng.normal(0, 0.1, 24000).astype(np.float32)
    dither = rng.normal(0, 1e-5, more).astype(np.float32)
    whole = to_level(np.r_[voice, dither], 16000, -26.0)
    np.testing.assert_allclose(whole, to_level(voice, 16000, -26.0), rtol=1e-3)
    soft = to_level(np.r_[voice, dither] * np.float32(0.01), 16000, -26.0)
    assert len(soft) == len(whole)
