"""Changes of the voice itself: robotic, higher, lower.

Each function is a `degradations.Process`: from audio [n] at 16 kHz, a random generator, which draws
the pitch, and a severity in [0, 1] to audio [n].
"""

from __future__ import annotations

import numpy as np
import soxr
from scipy.signal import istft, stft

from speechqa_plugin.simulate.signals import match_level
from speechqa_plugin.simulate.timing import stretch


def robotise(audio: np.ndarray, rng: np.random.Generator, severity: float) -> np.ndarray:
    """A monotone robotic voice, 25 % of the signal at severity 0, all of it at 1.

    All phases are set to zero once a pitch period of 90 to 160 Hz (U. Zölzer ed.,
    *DAFX: Digital Audio Effects*, 2nd ed. 2011, ch. 7, "robotization").

    Example
    -------
    >>> rng = np.random.default_rng(0)
    >>> out = robotise(rng.standard_normal(16000), rng, 1)
    >>> likeness = np.correlate(out, out, "full")[16000 + 50 : 16000 + 200]
    >>> bool(likeness.max() > 0.5 * np.dot(out, out))  # noise has got a pitch
    True
    """
    hop = int(rng.integers(100, 179))
    window = 4 * hop
    magnitude = np.abs(stft(audio, nperseg=window, noverlap=window - hop)[2])
    # Alternating signs delay a zero-phase pulse by half a window: to its middle.
    magnitude[1::2] *= -1
    robot = istft(magnitude, nperseg=window, noverlap=window - hop)[1][: len(audio)]
    robot = match_level(np.pad(robot, (0, len(audio) - len(robot))), audio)
    share = 0.25 + 0.75 * severity
    return match_level((1 - share) * audio + share * robot, audio)


def shift_pitch(audio: np.ndarray, rng: np.random.Generator, severity: float) -> np.ndarray:
    """Pitch up or down by 1 to 8 semitones, tempo kept: stretched, then resampled.

    Example
    -------
    >>> tone = np.sin(2 * np.pi * 400 / 16000 * np.arange(16000)).astype(np.float32)
    >>> int(np.argmax(abs(np.fft.rfft(shift_pitch(tone, np.random.default_rng(1), 4 / 7))))) // 10
    30
    """
    ratio = 2 ** (rng.choice([-1, 1]) * (1 + 7 * severity) / 12)
    stretched = stretch(audio, 1 / ratio)
    shifted = soxr.resample(stretched, len(stretched), len(audio))
    return np.pad(shifted, (0, max(0, len(audio) - len(shifted))))[: len(audio)]
