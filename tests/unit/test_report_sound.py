"""Envelope and spectrogram against signals whose answer is known."""

import io

import numpy as np
import pytest
from PIL import Image
from report_cases import RATE_HZ, tone

from speechqa_plugin.report.sound import (
    RANGE_DB,
    envelope,
    envelope_path,
    spectrogram_db,
    spectrogram_png,
)


@pytest.mark.parametrize("seconds", [0.03, 0.5, 8.0, 60.0])
def test_a_click_lies_in_its_column(seconds):
    samples = np.zeros(round(seconds * RATE_HZ), np.float32)
    samples[round(0.6 * len(samples))] = 1
    power = spectrogram_db(samples, RATE_HZ).mean(axis=0)
    centre = (power.argmax() + 0.5) / len(power)
    assert abs(centre - 0.6) < max(0.51 / len(power), 0.016 / seconds)
    assert power.shape[0] <= 1200


def test_silence_is_nothing():
    assert (spectrogram_db(np.zeros(8000), RATE_HZ) == -RANGE_DB).all()


def test_the_picture_has_low_frequencies_at_the_bottom():
    image = Image.open(io.BytesIO(spectrogram_png(tone(), RATE_HZ)))
    bright = np.asarray(image.convert("L")).mean(axis=1)
    assert image.size == (240, 257)
    assert 256 - bright.argmax() == round(440 / (RATE_HZ / 512))


@pytest.mark.parametrize("n", [1, 5, 799, 800, 16001])
def test_the_envelope_holds_every_extreme(n):
    samples = np.random.default_rng(n).standard_normal(n).astype(np.float32) / 7
    lows, highs = envelope(samples)
    assert len(lows) == min(n, 800)
    peak = np.abs(samples).max()
    assert highs.max() == pytest.approx(samples.max() / peak)
    assert lows.min() == pytest.approx(samples.min() / peak)


def test_the_path_stays_in_its_box():
    width, path = envelope_path(tone())
    points = np.array([p.split() for p in path.strip("MZ").split("L")], int)
    assert points[:, 0].max() == width and points.min() >= 0 and points[:, 1].max() <= 200
