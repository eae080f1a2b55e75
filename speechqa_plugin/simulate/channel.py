"""What a microphone, an amplifier, a line and a network do to a voice.

Each function is a `degradations.Process` ``(audio, rng, severity)``: from audio [n] at 16 kHz, a
random generator, which some do not use, and a severity in [0, 1] to audio [n] of the same active
level, so that loudness does not tell the distortion.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import butter, sosfiltfilt

from speechqa_plugin.simulate.signals import (
    GRID,
    SAMPLE_RATE_HZ,
    active_frames,
    active_rms,
    log_between,
    match_level,
)


def clip(audio: np.ndarray, rng: np.random.Generator, severity: float) -> np.ndarray:
    """Overload: the loudest samples are cut off, 0.2 % to 40 % of the active ones.

    Example
    -------
    >>> tone = np.sin(np.arange(1600) / 5)
    >>> bool(np.mean(np.isclose(abs(out := clip(tone, None, 1)), abs(out).max())) > 0.35)
    True
    """
    del rng
    active = np.repeat(active_frames(audio), GRID)
    if not active.any():
        return audio
    share = log_between(0.002, 0.4, severity)
    limit = np.quantile(np.abs(audio[: len(active)][active]), 1 - share)
    return match_level(np.clip(audio, -limit, limit), audio)


def quantise(audio: np.ndarray, rng: np.random.Generator, severity: float) -> np.ndarray:
    """Uniform quantisation relative to the peak, from 9 bits down to 2.5.

    Example
    -------
    >>> len(np.unique(quantise(np.sin(np.arange(1600) / 5), None, 1.0))) <= 7
    True
    """
    del rng
    step = 2 * np.max(np.abs(audio), initial=1e-9) / 2 ** (9 - 6.5 * severity)
    return match_level(np.round(audio / step) * step, audio)


def narrow_band(audio: np.ndarray, rng: np.random.Generator, severity: float) -> np.ndarray:
    """Band-pass around the telephone band, from 150-5200 Hz to 600-2223 Hz.

    At severity 0.5 it is 300-3400 Hz, the band of ITU-T G.712.

    Example
    -------
    >>> high = np.sin(2 * np.pi * 6000 / 16000 * np.arange(16000))
    >>> mixed = high + np.sin(2 * np.pi * 1000 / 16000 * np.arange(16000))
    >>> spectrum = abs(np.fft.rfft(narrow_band(mixed, None, 0.5)))
    >>> bool(spectrum[1000] > 1000 * spectrum[6000])
    True
    """
    del rng
    edges_hz = log_between(150, 600, severity), log_between(5200, 2223, severity)
    return match_level(_filter(audio, edges_hz, "bandpass"), audio)


def muffle(audio: np.ndarray, rng: np.random.Generator, severity: float) -> np.ndarray:
    """Low-pass, from 4 kHz down to 500 Hz.

    Example
    -------
    >>> mixed = sum(np.sin(2 * np.pi * f / 16000 * np.arange(16000)) for f in (200, 2000))
    >>> spectrum = abs(np.fft.rfft(muffle(mixed, None, 1.0)))
    >>> bool(spectrum[200] > 1000 * spectrum[2000])
    True
    """
    del rng
    return match_level(_filter(audio, log_between(4000, 500, severity), "lowpass"), audio)


def buzz(audio: np.ndarray, rng: np.random.Generator, severity: float) -> np.ndarray:
    """An electric buzz that follows the voice, from 26 dB below it to 2 dB above.

    A sawtooth at 100 or 120 Hz (rectified mains) under the voice's envelope.

    Example
    -------
    >>> buzz(np.sin(np.arange(16000) / 5), np.random.default_rng(0), 0.5).shape
    (16000,)
    """
    rectified_hz = rng.choice([100.0, 120.0])
    sawtooth = 1 - 2 * np.mod(np.arange(len(audio)) * rectified_hz / SAMPLE_RATE_HZ, 1.0)
    envelope = np.convolve(np.abs(audio), np.hanning(801), mode="same")
    added = _filter(sawtooth, (200, 6000), "bandpass") * envelope
    gain = active_rms(audio) / max(active_rms(added), 1e-9) * 10 ** ((-26 + 28 * severity) / 20)
    return match_level(audio + gain * added, audio)


def lose_packets(audio: np.ndarray, rng: np.random.Generator, severity: float) -> np.ndarray:
    """Lost packets of 20 to 60 ms as silence: 2 % to 35 % of them, at least one in speech.

    Example
    -------
    >>> out = lose_packets(np.ones(160000), np.random.default_rng(0), 1.0)
    >>> bool(0.25 < np.mean(out == 0) < 0.45)
    True
    """
    length = int(rng.integers(2, 7)) * GRID
    active = np.repeat(active_frames(audio), GRID)
    starts = np.arange(0, max(1, len(audio) - length + 1), length)
    voiced = [i for i, start in enumerate(starts) if active[start : start + length].any()]
    # As many as the severity says: with a chance for each, few packets would often say another.
    count = max(1, round((0.02 + 0.33 * severity) * len(starts)))
    order = rng.permutation(len(starts))
    if voiced:
        first = rng.choice(voiced)
        order = np.concatenate([[first], order[order != first]])
    out = audio.copy()
    for start in starts[order[:count]]:
        out[start : start + length] = 0
    return out


def _filter(audio: np.ndarray, edges_hz, shape: str) -> np.ndarray:
    """Zero phase, so that the clip stays aligned with its reference."""
    return sosfiltfilt(butter(5, edges_hz, shape, fs=SAMPLE_RATE_HZ, output="sos"), audio)
