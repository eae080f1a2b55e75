"""Samples in memory, as arrays: what is refused of them, and other rates.

No torch here: a command that refuses or hears one file needs none, and importing it takes longer
than hearing the file. `speechqa_plugin.waveforms` does the same for tensors.
"""

from __future__ import annotations

import numpy as np
import soxr

SAMPLE_RATE_HZ = 16000
"""Rate that the audio encoders work at."""

MIN_S = 0.03
"""Below this, Audio Flamingo 3 makes no audio token."""

# 40 dB above full scale is no overshoot: whole numbers that were never divided.
_LOUDEST = 100.0


class AudioError(ValueError):
    """Audio that can't be assessed; one sentence with what was found and what is needed."""


def as_array(wav) -> np.ndarray:
    """A clip, be it tensor (on any device) or array, as float32 samples.

    Example
    -------
    >>> as_array(np.zeros(3)).dtype
    dtype('float32')
    """
    if hasattr(wav, "detach"):  # a tensor; numpy knows no bfloat16
        wav = wav.detach().cpu().float().numpy()
    return np.asarray(wav, np.float32)


def check_array(
    wav: np.ndarray,
    sample_rate_hz: int = SAMPLE_RATE_HZ,
    min_s: float = MIN_S,
    max_s: float | None = None,
    name: str = "waveform",
) -> None:
    """Refuse one channel of float samples [T] for what `load_audio` refuses.

    Arguments
    ---------
    wav : array
        Shape [T], float, full scale [-1, 1].
    sample_rate_hz : int
        Its rate.
    min_s, max_s
        See `load_audio`.
    name : str
        What to call it in a message.

    Raises
    ------
    AudioError
        If it has no samples or samples that are not finite or far above full scale, or is too
        short or too long.

    Example
    -------
    >>> check_array(np.zeros(160, np.float32), name="call 7")
    Traceback (most recent call last):
    speechqa_plugin.samples.AudioError: call 7: lasts 0.01 s; need at least 0.03 s
    """
    if not len(wav):
        raise AudioError(f"{name}: has no samples; need at least {min_s} s")
    check_samples(name, len(wav), int((~np.isfinite(wav)).sum()), float(np.abs(wav).max()))
    check_length(name, len(wav), sample_rate_hz, min_s, max_s)


def check_samples(name: str, n: int, bad: int, peak: float) -> None:
    """Refuse samples by what was counted of them.

    Arguments
    ---------
    name : str
        What to call them in a message.
    n, bad : int
        How many there are, and how many of them are not finite.
    peak : float
        The largest.

    Raises
    ------
    AudioError
        If some are not finite, or far above full scale.
    """
    if bad:
        raise AudioError(f"{name}: {bad} of {n} samples are NaN or infinite; need finite samples")
    if peak > _LOUDEST:
        raise AudioError(
            f"{name}: has samples up to {peak:.6g}; need full scale at 1, so divide whole-number "
            "samples by their largest"
        )


def check_length(name: str, n: int, rate_hz: int, min_s: float, max_s: float | None) -> None:
    """Refuse ``n`` samples that are too few or too many."""
    if n < min_s * rate_hz:
        raise AudioError(f"{name}: lasts {n / rate_hz:.4g} s; need at least {min_s:g} s")
    if max_s is not None and n > max_s * rate_hz:
        raise AudioError(f"{name}: lasts {n / rate_hz:.6g} s; need at most {max_s:g} s, so cut it")


def resample_array(wav: np.ndarray, rate_hz: int, sample_rate_hz: int) -> np.ndarray:
    """Samples [T], float32, at another rate; the very ones if it is the same."""
    return wav if rate_hz == sample_rate_hz else soxr.resample(wav, rate_hz, sample_rate_hz)
