"""How loud speech is: the active speech level of ITU-T P.56, method B.

The mean power of a recording says as much of its pauses as of its voice. P.56 counts the time in
which somebody speaks only, pauses of up to 0.2 s included, so that a long pause at the end changes
nothing.

The method's thresholds are steps of a meter below full scale. Here they are steps below the
recording's own peak, so that a louder copy has the same activity, and its level is higher by
exactly the gain.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SPEECH_LEVEL_DB = -26.0
"""The usual level of speech material re full scale (ITU-T P.830, 7.1.1)."""

_TIME_CONSTANT_S = 0.03
_BLOCK = 32
"""Samples that `filtered` does at once."""

HANGOVER_S = 0.2
MARGIN_DB = 15.9
THRESHOLDS = 2.0 ** -np.arange(15, 0, -1)
"""P.56, 7.2: smoothing, hangover, how far the threshold is below the level, 15 steps of 6 dB."""


class SpeechLevel(NamedTuple):
    """Level of the speech in a recording.

    Arguments
    ---------
    active_db : float
        Active speech level in dB re a full-scale square wave (0 dB is power 1); minus infinity for
        silence.
    activity : float
        Share of the time in which there is speech, in [0, 1].
    mean_db : float
        Level over all of the time.
    """

    active_db: float
    activity: float
    mean_db: float


def speech_level(audio: np.ndarray, sample_rate_hz: int) -> SpeechLevel:
    """Measure the active speech level (ITU-T P.56, 12/2011, clause 7).

    Arguments
    ---------
    audio : numpy.ndarray, shape (n,)
        Finite samples at any level.
    sample_rate_hz : int

    Returns
    -------
    SpeechLevel

    Raises
    ------
    ValueError
        If the audio is not one-dimensional or holds NaN or infinity.

    Example
    -------
    >>> tone = 0.1 * np.sin(2 * np.pi * 500 / 16000 * np.arange(32000))
    >>> measured = speech_level(np.r_[tone, np.zeros(32000)], 16000)
    >>> round(measured.active_db, 1), round(measured.mean_db, 1), round(measured.activity, 2)
    (-23.6, -26.0, 0.57)
    """
    audio = np.asarray(audio, dtype=np.float64)
    if audio.ndim != 1 or not np.isfinite(audio).all():
        raise ValueError(
            f"audio of shape {audio.shape}, {np.sum(~np.isfinite(audio))} samples not finite; "
            "give one channel of finite samples"
        )
    peak = np.max(np.abs(audio), initial=0.0)
    if peak == 0:
        return SpeechLevel(-np.inf, 0.0, -np.inf)
    audio = audio / peak
    energy = np.sum(np.square(audio))
    peak_db = 20 * np.log10(peak)
    mean_db = 10 * np.log10(energy / len(audio))
    envelope = smooth_envelope(audio, sample_rate_hz)
    hangover = round(HANGOVER_S * sample_rate_hz)
    counts = np.array([active_samples(envelope, t, hangover) for t in THRESHOLDS])
    active_db = _where_margin_is_met(10 * np.log10(energy / np.maximum(counts, 1)), mean_db)
    activity = min(1.0, 10 ** ((mean_db - active_db) / 10))
    return SpeechLevel(float(active_db + peak_db), float(activity), float(mean_db + peak_db))


def set_speech_level(
    audio: np.ndarray, sample_rate_hz: int, level_db: float = SPEECH_LEVEL_DB
) -> np.ndarray:
    """Bring a recording to an active speech level; silence stays as it is.

    Nothing is clipped: a sample may end above 1.

    Arguments
    ---------
    audio : numpy.ndarray, shape (n,)
    sample_rate_hz : int
    level_db : float

    Returns
    -------
    numpy.ndarray, shape (n,)
        In the precision of ``audio``.

    Raises
    ------
    ValueError
        See `speech_level`.

    Example
    -------
    >>> tone = np.sin(2 * np.pi * 500 / 16000 * np.arange(32000))
    >>> round(speech_level(set_speech_level(tone, 16000), 16000).active_db, 6)
    -26.0
    """
    measured_db = speech_level(audio, sample_rate_hz).active_db
    if measured_db == -np.inf:
        return audio
    return (audio * 10 ** ((level_db - measured_db) / 20)).astype(np.asarray(audio).dtype)


def smooth_envelope(audio: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Absolute value, smoothed twice."""
    pole = np.exp(-1 / (sample_rate_hz * _TIME_CONSTANT_S))
    return filtered(((1 - pole) ** 2, 0.0, 0.0), (1.0, -2 * pole, pole**2), np.abs(audio))


def filtered(
    b: tuple[float, float, float], a: tuple[float, float, float], samples: np.ndarray
) -> np.ndarray:
    """Filter samples by a recursion of the second order, starting from rest.

    What `scipy.signal.lfilter` does, without the import, which takes longer than to hear a file.
    Within a block the recursion is a matrix; the states between the blocks are summed up in
    doubling steps.

    Arguments
    ---------
    b, a : tuple of float
        Coefficients of the samples and of what came out, ``a[0]`` being 1.
    samples : array
        Shape [T].

    Returns
    -------
    array
        Shape [T], float64.

    Example
    -------
    >>> filtered((1.0, 0.0, 0.0), (1.0, -0.5, 0.0), np.eye(1, 4)[0]).tolist()
    [1.0, 0.5, 0.25, 0.125]
    """
    padded = np.zeros(-(-len(samples) // _BLOCK) * _BLOCK)
    padded[: len(samples)] = samples
    blocks = padded.reshape(-1, _BLOCK)
    # The response to each sample of a block and to the two states before it.
    driven = np.concatenate([np.eye(_BLOCK), np.zeros((2, _BLOCK))])
    first, second = np.zeros((2, _BLOCK + 2))
    first[_BLOCK], second[_BLOCK + 1] = 1, 1
    response = np.empty_like(driven)
    for t in range(_BLOCK):
        out = response[:, t] = b[0] * driven[:, t] + first
        first = b[1] * driven[:, t] - a[1] * out + second
        second = b[2] * driven[:, t] - a[2] * out
    to_state = np.stack([first, second], axis=1)
    states = blocks @ to_state[:_BLOCK]  # after each block
    step, reach = to_state[_BLOCK:], 1
    while reach < len(states):
        states[reach:] += states[:-reach] @ step
        step, reach = step @ step, 2 * reach
    filtered_blocks = blocks @ response[:_BLOCK]
    filtered_blocks[1:] += states[:-1] @ response[_BLOCK:]
    return filtered_blocks.reshape(-1)[: len(samples)]


def active_samples(envelope: np.ndarray, threshold: float, hangover: int) -> int:
    """How many samples of an envelope are at a threshold, or at most a hangover behind one."""
    index = np.arange(len(envelope))
    last = np.maximum.accumulate(np.where(envelope >= threshold, index, -hangover - 1))
    return int(np.count_nonzero(index - last <= hangover))


def _where_margin_is_met(levels_db: np.ndarray, mean_db: float) -> float:
    """Level that is the margin above its threshold, between two of them by interpolation."""
    margins = levels_db - 20 * np.log10(THRESHOLDS) - MARGIN_DB
    below = np.flatnonzero(margins <= 0)
    # No step is loud enough for a click alone, or even the lowest is too loud: no pauses to tell.
    if not len(below) or below[0] == 0:
        return mean_db
    upper = below[0]
    share = margins[upper - 1] / (margins[upper - 1] - margins[upper])
    return levels_db[upper - 1] + share * (levels_db[upper] - levels_db[upper - 1])
