"""How much speech a clip holds, by its level alone, as ITU-T P.56 (method B) measures it.

The envelope is compared with fifteen thresholds, 6 dB apart. For each of them the time above it,
pauses up to 0.2 s included, gives the level that the speech would have if it were active just
then; the active level is the one that lies 15.9 dB above its own threshold. What is always there,
a hum or noise, counts as active, too: this tells silence from sound and not speech from noise.

Three things differ from the recommendation: what is below 50 Hz is taken out first, so that a
constant offset is silence; the thresholds start at the clip's own peak, so that the level does not
matter; and what stays below `SILENCE_DB` is no sound.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from speechqa_plugin.speech_level import (
    HANGOVER_S,
    MARGIN_DB,
    THRESHOLDS,
    active_samples,
    filtered,
    smooth_envelope,
)

SILENCE_DB = -75.0
"""An active level below this (in dB of full scale) is silence: 16-bit noise is at -90 dB, and
speech this faint would have two bits of it."""

MIN_ACTIVE_S = 0.5
"""Less speech than this is too short to judge: about two syllables."""

NO_SPEECH = "no speech found: no quality is claimed"
TOO_SHORT = f"less than {MIN_ACTIVE_S:g} s of speech, too short to judge: no quality is claimed"

_UNHEARD_DB = 60.0
_LOWEST_HZ = 50.0
_ENVELOPE_HZ = 1000  # the recommendation asks for at least 600


class Activity(NamedTuple):
    """What `measure_activity` found.

    Arguments
    ---------
    level_db : float
        Level of the active parts in dB of full scale (a full-scale square wave has 0); -inf
        where there are none.
    active_s : float
        How long they are, pauses up to 0.2 s included.
    """

    level_db: float
    active_s: float


def measure_activity(samples: np.ndarray, rate_hz: int) -> Activity:
    """Active level of a clip, and how long it is active.

    Arguments
    ---------
    samples : array
        Shape [T], float, full scale [-1, 1], at least one.
    rate_hz : int
        Its rate, at least 1000.

    Example
    -------
    >>> time = np.arange(16000) / 16000
    >>> level_db, active_s = measure_activity(np.sin(2 * np.pi * 440 * time), 16000)
    >>> round(level_db), round(active_s, 1)
    (-3, 1.0)
    >>> measure_activity(np.full(16000, 0.5), 16000)
    Activity(level_db=-inf, active_s=0.0)
    """
    samples = np.asarray(samples, np.float64)
    # As if the first sample had been there for ever: an offset does not begin with a bang.
    samples = filtered(*_high_pass(_LOWEST_HZ, rate_hz), samples - samples[0])
    envelope = smooth_envelope(samples, rate_hz)
    step = max(1, rate_hz // _ENVELOPE_HZ)
    peak = envelope.max()
    energy = float(np.square(samples).sum())
    if not energy or not peak:
        return Activity(-math.inf, 0.0)
    level_db, active = _at_margin(envelope[::step], peak, energy / step, rate_hz / step)
    if level_db < SILENCE_DB:
        return Activity(-math.inf, 0.0)
    return Activity(level_db, min(active * step, len(samples)) / rate_hz)


def lacking_speech(samples: np.ndarray, rate_hz: int) -> str:
    """Why a clip cannot be judged: `NO_SPEECH` or `TOO_SHORT`; empty where it can.

    Arguments
    ---------
    samples : array
        See `measure_activity`.
    rate_hz : int
        Its rate.

    Example
    -------
    >>> lacking_speech(np.zeros(16000), 16000)
    'no speech found: no quality is claimed'
    """
    active_s = measure_activity(samples, rate_hz).active_s
    if not active_s:
        return NO_SPEECH
    return TOO_SHORT if active_s < MIN_ACTIVE_S else ""


def to_level(samples: np.ndarray, rate_hz: int, level_db: float) -> np.ndarray:
    """A clip brought to an active level, without the silence at its end; mere silence stays.

    What lies 60 dB below the active level all the way to the end is cut off: how long a file goes
    on after its last sound tells nothing.

    Arguments
    ---------
    samples, rate_hz
        See `measure_activity`.
    level_db : float
        In dB of full scale.

    Example
    -------
    >>> round(measure_activity(to_level(np.sin(np.arange(16000)), 16000, -26), 16000).level_db, 3)
    -26.0
    """
    measured_db = measure_activity(samples, rate_hz).level_db
    if measured_db == -math.inf:
        return samples
    heard = np.flatnonzero(np.abs(samples) > 10 ** ((measured_db - _UNHEARD_DB) / 20))
    if heard[-1] + 1 < len(samples):  # pauses shorter than P.56's hangover count as speech
        samples = samples[: heard[-1] + 1]
        measured_db = measure_activity(samples, rate_hz).level_db
    return samples * np.float32(10 ** ((level_db - measured_db) / 20))


def _high_pass(edge_hz: float, rate_hz: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Coefficients of Butterworth's high-pass filter of the second order (bilinear transform)."""
    width = math.tan(math.pi * edge_hz / rate_hz)
    scale = 1 / (1 + math.sqrt(2) * width + width**2)
    a = (1.0, 2 * (width**2 - 1) * scale, (1 - math.sqrt(2) * width + width**2) * scale)
    return (scale, -2 * scale, scale), a


def _at_margin(
    envelope: np.ndarray, peak: float, energy: float, rate_hz: float
) -> tuple[float, float]:
    """Level and number of active samples where the level is the margin above its threshold."""
    hangover = round(HANGOVER_S * rate_hz)
    before: tuple[float, float, float] | None = None
    for threshold in peak * THRESHOLDS[::-1]:
        active = float(active_samples(envelope, threshold, hangover))
        level_db = 10 * math.log10(energy / active)
        above_db = level_db - 20 * math.log10(threshold)
        if above_db >= MARGIN_DB:
            if before is None:
                return level_db, active
            share = (MARGIN_DB - before[2]) / (above_db - before[2])
            return (
                before[0] + share * (level_db - before[0]),
                before[1] * (active / before[1]) ** share,
            )
        before = level_db, active, above_db
    return level_db, active
