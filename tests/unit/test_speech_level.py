"""Active speech level: hand-made signals whose level is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import butter, lfilter
from simulated_voice import make_voice

from speechqa_plugin.speech_level import filtered, set_speech_level, speech_level

RATE_HZ = 16000


def tone(seconds, amplitude=0.1):
    return amplitude * np.sin(2 * np.pi * 440 / RATE_HZ * np.arange(round(seconds * RATE_HZ)))


def test_a_tone_without_pauses_has_the_level_of_its_power():
    measured = speech_level(tone(4), RATE_HZ)
    assert measured.active_db == pytest.approx(20 * np.log10(0.1 / np.sqrt(2)), abs=0.1)
    assert measured.mean_db == pytest.approx(20 * np.log10(0.1 / np.sqrt(2)), abs=0.01)
    assert measured.activity == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize(("on_s", "off_s"), [(1, 1), (2, 1), (1, 3)])
def test_bursts_are_active_for_their_length_and_a_hangover(on_s, off_s):
    bursts = np.tile(np.r_[tone(on_s), np.zeros(off_s * RATE_HZ)], 3)
    measured = speech_level(bursts, RATE_HZ)
    # The envelope needs some 0.1 s more to fall below the threshold, and less than that to rise.
    activity = (on_s + 0.2) / (on_s + off_s)
    assert activity <= measured.activity <= activity + 0.12 / (on_s + off_s)
    expected_db = 20 * np.log10(0.1 / np.sqrt(2)) + 10 * np.log10(on_s / (on_s + off_s))
    assert measured.mean_db == pytest.approx(expected_db, abs=0.01)
    assert measured.active_db == pytest.approx(
        measured.mean_db - 10 * np.log10(measured.activity), abs=1e-6
    )


def test_a_pause_shorter_than_the_hangover_counts_as_speech():
    gapped = np.tile(np.r_[tone(0.5), np.zeros(RATE_HZ // 10)], 6)
    assert speech_level(gapped, RATE_HZ).activity > 0.97


def test_a_long_silence_at_the_end_changes_the_mean_but_not_the_level():
    voice = make_voice()
    padded = np.r_[voice, np.zeros(4 * RATE_HZ)]
    whole, longer = speech_level(voice, RATE_HZ), speech_level(padded, RATE_HZ)
    assert longer.active_db == pytest.approx(whole.active_db, abs=0.3)
    assert longer.mean_db == pytest.approx(whole.mean_db - 10 * np.log10(2), abs=0.01)


def test_soft_noise_in_the_pauses_is_no_speech():
    rng = np.random.default_rng(0)
    silent = np.tile(np.r_[tone(1), np.zeros(RATE_HZ)], 3)
    noisy = silent + 1e-3 * rng.standard_normal(len(silent))
    difference = speech_level(noisy, RATE_HZ).active_db - speech_level(silent, RATE_HZ).active_db
    assert abs(difference) < 0.1


@settings(max_examples=10)
@given(gain_db=st.floats(-40, 20))
def test_a_louder_copy_is_louder_by_the_gain(gain_db):
    voice = make_voice(seconds=2).astype(np.float64)
    before = speech_level(voice, RATE_HZ)
    after = speech_level(voice * 10 ** (gain_db / 20), RATE_HZ)
    assert after.active_db - before.active_db == pytest.approx(gain_db, abs=1e-9)
    assert after.activity == pytest.approx(before.activity)


@pytest.mark.parametrize("rate_hz", [8000, 24000, 48000])
def test_the_rate_does_not_matter(rate_hz):
    time = np.arange(rate_hz) / rate_hz
    burst = np.r_[0.1 * np.sin(2 * np.pi * 440 * time), np.zeros(rate_hz)]
    same = np.r_[tone(1), np.zeros(RATE_HZ)]
    assert speech_level(burst, rate_hz).active_db == pytest.approx(
        speech_level(same, RATE_HZ).active_db, abs=0.02
    )


def test_a_voice_is_brought_to_a_level_in_its_own_precision():
    louder = set_speech_level(make_voice(), RATE_HZ, -20)
    assert louder.dtype == np.float32
    assert speech_level(louder, RATE_HZ).active_db == pytest.approx(-20, abs=1e-4)


def test_silence_has_no_level_and_stays():
    silence = np.zeros(RATE_HZ, np.float32)
    assert speech_level(silence, RATE_HZ) == (-np.inf, 0, -np.inf)
    assert speech_level(np.zeros(0), RATE_HZ).activity == 0
    assert np.array_equal(set_speech_level(silence, RATE_HZ), silence)


def test_a_click_alone_has_the_level_of_its_mean():
    click = np.zeros(RATE_HZ)
    click[5000] = 1.0
    measured = speech_level(click, RATE_HZ)
    assert np.isfinite(measured.active_db) and measured.active_db >= measured.mean_db - 1e-9


@pytest.mark.parametrize("audio", [np.zeros((2, 8)), np.array([0.0, np.nan])])
def test_what_is_no_recording_is_refused(audio):
    with pytest.raises(ValueError, match=r"audio of shape .* give one channel of finite samples"):
        speech_level(audio, RATE_HZ)


@pytest.mark.parametrize("n", [1, 31, 32, 33, 64, 65, 5000])
def test_samples_are_filtered_as_by_scipy(n):
    samples = np.random.default_rng(0).standard_normal(n)
    b, a = butter(2, 50, "highpass", fs=RATE_HZ)
    np.testing.assert_allclose(filtered(b, a, samples), lfilter(b, a, samples), atol=1e-10)
