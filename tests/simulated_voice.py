"""A voice made of pulses and formants: enough of speech for PESQ, STOI and the simulator."""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

SAMPLE_RATE_HZ = 16000


def make_voice(seconds: float = 4.0, seed: int = 0, pitch_hz: float = 120.0) -> np.ndarray:
    """Syllables of 200 ms with gaps of 60 ms, each with formants of its own."""
    rng = np.random.default_rng(seed)
    n = round(seconds * SAMPLE_RATE_HZ)
    voice = np.zeros(n)
    for start in range(800, n - 3200, 4160):
        length = 3200
        time = np.arange(length) / SAMPLE_RATE_HZ
        phase = np.cumsum(pitch_hz * (1 + 0.1 * np.sin(2 * np.pi * 3 * time))) / SAMPLE_RATE_HZ
        syllable = np.diff(np.floor(phase), prepend=0) + 0.02 * rng.standard_normal(length)
        for formant_hz in (rng.uniform(300, 800), rng.uniform(900, 2200), rng.uniform(2400, 3400)):
            radius = 0.97
            angle = 2 * np.pi * formant_hz / SAMPLE_RATE_HZ
            syllable = lfilter([1], [1, -2 * radius * np.cos(angle), radius**2], syllable)
        voice[start : start + length] += syllable * np.hanning(length)
    return (0.1 * voice / np.std(voice)).astype(np.float32)
