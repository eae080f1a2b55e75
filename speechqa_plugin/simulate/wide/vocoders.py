"""Speech made again from few numbers: vocoders, neural codecs and TTS where they fail.

Each function is a `degradations.Process` ``(audio, rng, severity)``: from audio [n] at 16 kHz, a
random generator and a severity in [0, 1] to audio [n] of the same active level.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pyworld
from scipy.ndimage import uniform_filter1d
from scipy.signal import istft, stft

from speechqa_plugin.simulate.signals import SAMPLE_RATE_HZ, log_between, match_level

_WINDOW, _HOP = 512, 128
_FRAME_MS = 5.0


def resynthesise(audio: np.ndarray, rng: np.random.Generator, severity: float) -> np.ndarray:
    """One of this module's vocoders, by chance.

    Example
    -------
    >>> resynthesise(np.sin(np.arange(16000) / 9), np.random.default_rng(0), 0.5).shape
    (16000,)
    """
    vocode = (world, griffin_lim, disturb_phase)[rng.integers(3)]
    return vocode(audio, rng, severity)


def world(audio: np.ndarray, rng: np.random.Generator, severity: float) -> np.ndarray:
    """WORLD (M. Morise et al., IEICE Trans. E99-D(7), 2016) from a coarse description.

    The spectral envelope has 60 coded values at severity 0 and 6 at 1; from severity .5 on the
    pitch is smoothed over up to 0.2 s and jumps, and voiced frames are mistaken for unvoiced ones.

    Example
    -------
    >>> world(np.sin(np.arange(16000) / 9), np.random.default_rng(0), 0.0).shape
    (16000,)
    """
    x = np.ascontiguousarray(audio, dtype=np.float64)
    f0, times = pyworld.dio(x, SAMPLE_RATE_HZ, frame_period=_FRAME_MS)
    f0 = pyworld.stonemask(x, f0, times, SAMPLE_RATE_HZ)
    envelope = pyworld.cheaptrick(x, f0, times, SAMPLE_RATE_HZ)
    noisiness = pyworld.d4c(x, f0, times, SAMPLE_RATE_HZ)
    n_fft = 2 * (envelope.shape[1] - 1)
    coded = pyworld.code_spectral_envelope(
        envelope, SAMPLE_RATE_HZ, round(log_between(60, 6, severity))
    )
    envelope = pyworld.decode_spectral_envelope(coded, SAMPLE_RATE_HZ, n_fft)
    errors = max(0.0, 2 * severity - 1)
    if errors:
        f0 = _worse_pitch(f0, rng, errors)
    made = pyworld.synthesize(f0, envelope, noisiness, SAMPLE_RATE_HZ, _FRAME_MS)
    return _fit(made, audio)


def griffin_lim(audio: np.ndarray, rng: np.random.Generator, severity: float) -> np.ndarray:
    """Phases found again from a mel spectrogram (D. Griffin, J. Lim, IEEE TASSP 32(2), 1984).

    80 mel bands and 32 iterations at severity 0, 16 and 2 at 1.

    Example
    -------
    >>> tone = np.sin(2 * np.pi * 440 / 16000 * np.arange(16000))
    >>> out = griffin_lim(tone, np.random.default_rng(0), 0.0)
    >>> abs(int(np.argmax(abs(np.fft.rfft(out)))) - 440) < 30
    True
    """
    mel, inverse = _mel_weights(round(log_between(80, 16, severity)))
    magnitude = np.abs(_transform(audio))
    magnitude = np.maximum(0, inverse @ (mel @ magnitude))
    spectrum = magnitude * np.exp(2j * np.pi * rng.random(magnitude.shape))
    for _ in range(round(log_between(60, 2, severity))):
        found = _transform(_invert(spectrum))[:, : magnitude.shape[1]]
        spectrum = magnitude * np.exp(1j * np.angle(found))
    return _fit(_invert(spectrum), audio)


def disturb_phase(audio: np.ndarray, rng: np.random.Generator, severity: float) -> np.ndarray:
    """Phases off by a random angle, .3 to 3 radians above a frequency of 2 kHz down to 200 Hz.

    Example
    -------
    >>> disturb_phase(np.sin(np.arange(16000) / 9), np.random.default_rng(0), 1.0).shape
    (16000,)
    """
    spectrum = _transform(audio)
    frequency_hz = np.linspace(0, SAMPLE_RATE_HZ / 2, len(spectrum))
    above = (frequency_hz > log_between(2000, 200, severity))[:, None]
    angle = log_between(0.3, 3.0, severity) * rng.uniform(-1, 1, spectrum.shape)
    return _fit(_invert(spectrum * np.exp(1j * above * angle)), audio)


def _worse_pitch(f0: np.ndarray, rng: np.random.Generator, errors: float) -> np.ndarray:
    voiced = f0 > 0
    pitch = np.where(voiced, f0, np.mean(f0[voiced]) if voiced.any() else 0)
    smooth = uniform_filter1d(pitch, max(1, round(0.2 * errors * 1000 / _FRAME_MS)))
    jumps = np.repeat(rng.choice([1.0, 0.5, 2.0], -(-len(f0) // 10), p=[0.9, 0.05, 0.05]), 10)
    unvoiced = np.repeat(rng.random(-(-len(f0) // 6)) < 0.15 * errors, 6)[: len(f0)]
    return np.where(voiced & ~unvoiced, smooth * jumps[: len(f0)], 0.0)


def _transform(audio: np.ndarray) -> np.ndarray:
    return stft(audio, nperseg=_WINDOW, noverlap=_WINDOW - _HOP)[2]


def _invert(spectrum: np.ndarray) -> np.ndarray:
    return istft(spectrum, nperseg=_WINDOW, noverlap=_WINDOW - _HOP)[1]


def _fit(made: np.ndarray, audio: np.ndarray) -> np.ndarray:
    made = np.pad(made[: len(audio)], (0, max(0, len(audio) - len(made))))
    return match_level(made, audio)


@lru_cache(maxsize=80)
def _mel_weights(bands: int) -> tuple[np.ndarray, np.ndarray]:
    """Triangles on the mel scale, shape (bands, _WINDOW // 2 + 1), and their pseudo-inverse."""
    top = 2595 * np.log10(1 + SAMPLE_RATE_HZ / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, bands + 2) / 2595) - 1)
    frequency = np.linspace(0, SAMPLE_RATE_HZ / 2, _WINDOW // 2 + 1)
    up = (frequency - edges[:-2, None]) / np.diff(edges)[:-1, None]
    down = (edges[2:, None] - frequency) / np.diff(edges)[1:, None]
    weights = np.maximum(0, np.minimum(up, down))
    return weights, np.linalg.pinv(weights)
