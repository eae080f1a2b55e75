"""Speech in a room."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.signal import fftconvolve

from speechqa_plugin.simulate.signals import SAMPLE_RATE_HZ, log_between, match_level

RoomMaker = Callable[[np.random.Generator, float], np.ndarray]
"""``make(rng, severity)``: an impulse response that starts with the direct sound."""

_DIRECT = round(0.0025 * SAMPLE_RATE_HZ)
"""Samples that count as the direct sound."""


def room_response(rng: np.random.Generator, severity: float) -> np.ndarray:
    """Impulse response of a room: the direct sound and a decaying diffuse tail.

    The tail is Gaussian noise under an exponential envelope (J.-D. Polack, *La
    transmission de l'énergie sonore dans les salles*, 1988). The reverberation
    time goes from 0.2 to 1.5 s.

    Arguments
    ---------
    rng : numpy.random.Generator
    severity : float
        In [0, 1].

    Returns
    -------
    numpy.ndarray, shape (samples,)
        At 16 kHz; the direct sound is sample 0.

    Example
    -------
    >>> float(room_response(np.random.default_rng(0), 0.5)[0])
    1.0
    """
    t60_s = log_between(0.2, 1.5, severity)
    time = np.arange(round(t60_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    response = rng.standard_normal(len(time)) * 10 ** (-3 * time / t60_s)
    response[:_DIRECT] = 0.0
    response[0] = 1.0
    return response


def reverberate(
    audio: np.ndarray,
    rng: np.random.Generator,
    severity: float,
    make_room: RoomMaker = room_response,
) -> np.ndarray:
    """Speech in a room, with a direct-to-reverberant ratio from 14 to -6 dB.

    A `degradations.Process` when ``make_room`` is given, which simulates a room or gives a recorded
    one; the tail of either is made louder or softer to have the ratio.

    Example
    -------
    >>> impulse = np.r_[1.0, np.zeros(15999)]
    >>> out = reverberate(impulse, np.random.default_rng(0), 0.0)
    >>> round(10 * np.log10(out[0] ** 2 / np.sum(out[1:] ** 2)))
    14
    """
    response = np.array(make_room(rng, severity), dtype=np.float64)
    direct, tail = (np.sum(np.square(p)) for p in (response[:_DIRECT], response[_DIRECT:]))
    if tail > 0:
        ratio_db = 14 - 20 * severity
        response[_DIRECT:] *= np.sqrt(direct / tail * 10 ** (-ratio_db / 10))
    return match_level(fftconvolve(audio, response)[: len(audio)], audio)
