"""Small helpers on mono float32 signals at 16 kHz, shared by all degradations."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from speechqa_plugin.schema import Interval

SAMPLE_RATE_HZ = 16000
GRID = 160
"""Samples in 10 ms: every interval and every length is a multiple, so labels are exact."""

_ACTIVE_RANGE_DB = 30
EDGE = 80


class Degraded(NamedTuple):
    """What a degradation gives back.

    Every degradation is called with ``(audio, rng, severity, interval)``: a clip [n], a random
    generator, a severity in [0, 1], and where in the given clip, None for all of it.

    Arguments
    ---------
    audio : numpy.ndarray of float32, shape (n,)
    intervals : list of Interval
        Where it is, in the time of ``audio``; in order.
    severity : float
        The one reached, in [0, 1]. It differs from the one asked where there
        are only a few settings (codecs).
    """

    audio: np.ndarray
    intervals: list[Interval]
    severity: float


class SimulationError(ValueError):
    """Simulation cannot go on; the message says what was found and what to do."""


class NoSpeechError(SimulationError):
    """A clean clip that is too short or has no speech in it."""


def active_frames(audio: np.ndarray) -> np.ndarray:
    """Which 10 ms frames hold speech.

    A frame is active where its power is within 30 dB of the 95th percentile,
    a plain stand-in for the speech level meter of ITU-T P.56.

    Arguments
    ---------
    audio : numpy.ndarray, shape (n,)
        Clean speech.

    Returns
    -------
    numpy.ndarray of bool, shape (n // 160,)

    Example
    -------
    >>> active_frames(np.r_[np.zeros(320), np.ones(320)]).tolist()
    [False, False, True, True]
    """
    frames = audio[: len(audio) // GRID * GRID].reshape(-1, GRID)
    power = np.mean(np.square(frames, dtype=np.float64), axis=1)
    loud = np.percentile(power, 95) if len(power) else 0.0
    return power > loud * 10 ** (-_ACTIVE_RANGE_DB / 10)


def active_rms(audio: np.ndarray) -> float:
    """Root mean square over the active frames; 0.0 for silence.

    Example
    -------
    >>> active_rms(np.r_[np.zeros(320), np.full(320, 0.5)])
    0.5
    """
    active = active_frames(audio)
    if not active.any():
        return 0.0
    frames = audio[: len(active) * GRID].reshape(-1, GRID)[active]
    return float(np.sqrt(np.mean(np.square(frames, dtype=np.float64))))


def to_slice(audio: np.ndarray, interval: Interval | None) -> slice:
    """Samples of an interval of a clip [n]; all of them for None.

    Raises
    ------
    SimulationError
        If the interval ends after the audio.

    Example
    -------
    >>> to_slice(np.zeros(16000), Interval(0.25, 0.5))
    slice(4000, 8000, None)
    """
    if interval is None:
        return slice(0, len(audio))
    start, stop = (round(t * SAMPLE_RATE_HZ) for t in (interval.start_s, interval.end_s))
    if stop > len(audio):
        raise SimulationError(
            f"interval ends at {interval.end_s} s, the clip at {len(audio) / SAMPLE_RATE_HZ} s; "
            "give an interval inside the clip"
        )
    return slice(start, stop)


def to_interval(part: slice) -> Interval:
    """Time of a slice of samples, in seconds, rounded to a microsecond.

    Example
    -------
    >>> to_interval(slice(4000, 8000))
    Interval(start_s=0.25, end_s=0.5)
    """
    return Interval(*(round(i / SAMPLE_RATE_HZ, 6) for i in (part.start, part.stop)))


def replace_part(audio: np.ndarray, part: slice, new: np.ndarray) -> np.ndarray:
    """Put a processed stretch back, with 5 ms crossfades inside it against clicks.

    Arguments
    ---------
    audio : numpy.ndarray, shape (n,)
    part : slice
        The samples to replace. No fade is made at an end of the clip.
    new : numpy.ndarray, shape (part.stop - part.start,)

    Returns
    -------
    numpy.ndarray of float32, shape (n,)

    Example
    -------
    >>> out = replace_part(np.zeros(1000), slice(200, 600), np.ones(400))
    >>> float(out[199]), float(out[400]), float(out[600])
    (0.0, 1.0, 0.0)
    """
    weight = edge_fades(part, len(audio))
    out = np.array(audio, dtype=np.float32)
    out[part] = audio[part] * (1 - weight) + new * weight
    return out


def edge_fades(part: slice, total: int) -> np.ndarray:
    """Ones with 5 ms ramps from and to 0, except at the ends of the clip.

    Arguments
    ---------
    part : slice
    total : int
        Length of the clip in samples.

    Returns
    -------
    numpy.ndarray of float32, shape (part.stop - part.start,)

    Example
    -------
    >>> edge_fades(slice(0, 400), 400).min()
    np.float32(1.0)
    """
    weight = np.ones(part.stop - part.start, dtype=np.float32)
    fade = min(EDGE, len(weight) // 2)
    ramp = np.linspace(0, 1, fade, endpoint=False, dtype=np.float32)
    if part.start > 0:
        weight[:fade] = ramp
    if part.stop < total:
        weight[len(weight) - fade :] = ramp[::-1]
    return weight


def cut_where_quiet(audio: np.ndarray, longest: int) -> np.ndarray:
    """Shorten audio, at the quietest moment of its last 0.6 s.

    Arguments
    ---------
    audio : numpy.ndarray, shape (n,)
    longest : int
        Samples to keep at most; at least 9600.

    Returns
    -------
    numpy.ndarray of float32
        A multiple of 10 ms long; with a 10 ms fade if it was cut.

    Example
    -------
    >>> len(cut_where_quiet(np.r_[np.ones(14000), np.zeros(2000), np.ones(16000)], 20000))
    14240
    """
    audio = np.array(audio[: len(audio) // GRID * GRID], dtype=np.float32)
    longest = longest // GRID * GRID
    if len(audio) <= longest:
        return audio
    frames = audio[longest - 60 * GRID : longest].reshape(-1, GRID)
    quiet = int(np.argmin(np.mean(np.square(frames), axis=1)))
    audio = audio[: longest - (59 - quiet) * GRID]
    audio[-GRID:] *= np.linspace(1, 0, GRID, dtype=np.float32)
    return audio


def log_between(low: float, high: float, severity: float) -> float:
    """Point between two positive values on a logarithmic scale.

    Arguments
    ---------
    low, high : float
        Values at severity 0 and 1, both above 0.
    severity : float
        In [0, 1].

    Example
    -------
    >>> round(log_between(100, 10000, 0.5))
    1000
    """
    return low * (high / low) ** severity


def match_level(audio: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Scale audio [n] to the active level of another; silence stays silence.

    Example
    -------
    >>> match_level(np.full(320, 0.1), np.full(320, 0.5)).max().round(6)
    np.float64(0.5)
    """
    return audio * (active_rms(like) / max(active_rms(audio), 1e-9))
