"""What lines and networks do beyond `channel`: modulated noise, level steps, concealed losses.

Each function is a `degradations.Process` ``(audio, rng, severity)``: from audio [n] at 16 kHz, a
random generator and a severity in [0, 1] to audio [n].
"""

from __future__ import annotations

import numpy as np

from speechqa_plugin.simulate import channel
from speechqa_plugin.simulate.signals import (
    GRID,
    SAMPLE_RATE_HZ,
    active_frames,
    log_between,
    match_level,
)

_Q_DB = (38.0, 2.0)
"""Speech to modulated noise at severity 0 and 1: P.810's range of use is 0 to 50 dB."""

_PITCH_HZ = (66, 200)
"""Pitch that concealment looks for, as ITU-T G.711 Appendix I does (lags of 5 to 15 ms)."""

_HELD_S, _GONE_S = 0.01, 0.06
"""G.711 Appendix I: a lost stretch sounds on for 10 ms, is attenuated, and is silent from 60 ms."""

_MEAN_BURST = (1.2, 3.0)
"""Packets lost together on average, at severity 0 and 1."""


def modulate_noise(audio: np.ndarray, rng: np.random.Generator, severity: float) -> np.ndarray:
    """Noise that has the speech's own amplitude: the MNRU of ITU-T P.810 (02/96).

    ``y(i) = x(i) (1 + 10^(-Q/20) N(i))`` with Gaussian N of power 1: Q is 38 dB at severity 0 and
    2 dB at 1.

    Example
    -------
    >>> tone = np.sin(np.arange(160000) / 5)
    >>> noise = modulate_noise(tone, np.random.default_rng(0), 1.0) - tone
    >>> round(10 * np.log10(np.mean(tone**2) / np.mean(noise**2)))
    2
    """
    q_db = _Q_DB[0] + (_Q_DB[1] - _Q_DB[0]) * severity
    return audio * (1 + 10 ** (-q_db / 20) * rng.standard_normal(len(audio)))


def step_level(audio: np.ndarray, rng: np.random.Generator, severity: float) -> np.ndarray:
    """A gain that jumps, as a bad automatic gain control's: steps of 4 to 24 dB.

    It changes every 0.3 to 1.5 s, up and down in turn, within 5 ms.

    Example
    -------
    >>> out = step_level(np.ones(160000), np.random.default_rng(0), 0.5)
    >>> round(float(20 * np.log10(out.max() / out.min())))
    14
    """
    step_db = 4 + 20 * severity
    gain_db, high, start = np.empty(len(audio)), bool(rng.integers(2)), 0
    while start < len(audio):
        end = start + round(rng.uniform(0.3, 1.5) * SAMPLE_RATE_HZ)
        gain_db[start:end] = step_db / 2 if high else -step_db / 2
        high, start = not high, end
    ramp = np.ones(81) / 81
    smooth = np.convolve(np.pad(gain_db, 40, mode="edge"), ramp, mode="valid")
    return match_level(audio * 10 ** (smooth / 20), audio)


def lose_packets(audio: np.ndarray, rng: np.random.Generator, severity: float) -> np.ndarray:
    """Lost packets, as silence or concealed, by chance.

    Example
    -------
    >>> lose_packets(np.ones(16000), np.random.default_rng(0), 0.5).shape
    (16000,)
    """
    concealed = bool(rng.integers(2))
    return (conceal_packets if concealed else channel.lose_packets)(audio, rng, severity)


def conceal_packets(audio: np.ndarray, rng: np.random.Generator, severity: float) -> np.ndarray:
    """Packets lost in bursts, each filled with the pitch period before it.

    2 % to 35 % of the packets of 10, 20 or 30 ms go, in bursts of 1.2 to 3 on average (E. N.
    Gilbert's model, Bell Syst. Tech. J. 39(5), 1960). The last pitch period goes on for 10 ms, then
    fades until 60 ms (waveform substitution, after ITU-T G.711 Appendix I). At least one packet of
    speech is lost.

    Example
    -------
    >>> tone = np.sin(2 * np.pi * 100 / 16000 * np.arange(16000))
    >>> out = conceal_packets(tone, np.random.default_rng(1), 0.0)
    >>> bool(0 < np.mean(out != tone) < 0.1)
    True
    """
    length = int(rng.integers(1, 4)) * GRID
    lost = _lost_packets(audio, rng, severity, length)
    edges = np.flatnonzero(np.diff(np.r_[False, lost, False]))
    out = np.array(audio, dtype=np.float64)
    for first, last in edges.reshape(-1, 2) * length:
        _fill(out, first, min(last, len(out)))
    return out


def _lost_packets(
    audio: np.ndarray, rng: np.random.Generator, severity: float, length: int
) -> np.ndarray:
    """Which packets are lost, from a chain of two states; shape (packets,)."""
    count = max(1, len(audio) // length)
    share = 0.02 + 0.33 * severity
    ends = 1 / log_between(*_MEAN_BURST, severity)
    begins = share * ends / (1 - share)
    lost = np.zeros(count, dtype=bool)
    chances, state = rng.random(count), False
    for i in range(count):
        state = chances[i] < (1 - ends if state else begins)
        lost[i] = state
    active = np.repeat(active_frames(audio), GRID)
    voiced = [i for i in range(1, count) if active[i * length : (i + 1) * length].any()]
    if voiced and not lost[voiced].any():
        lost[rng.choice(voiced)] = True
    return lost


def _fill(out: np.ndarray, first: int, last: int) -> None:
    """Continue what was heard before a gap into it, and cross over to what comes after."""
    lags = [SAMPLE_RATE_HZ // f for f in reversed(_PITCH_HZ)]
    past = out[max(0, first - 2 * lags[1]) : first]
    if len(past) < 2 * lags[1]:
        out[first:last] = 0
        return
    period = past[-_pitch_lag(past, *lags) :]
    after = min(GRID // 2, len(out) - last)
    go_on = np.resize(period, last - first + after)
    time_s = np.arange(len(go_on)) / SAMPLE_RATE_HZ
    go_on *= np.clip((_GONE_S - time_s) / (_GONE_S - _HELD_S), 0, 1)
    weight = np.linspace(1, 0, after + 2)[1:-1]
    out[last : last + after] = weight * go_on[last - first :] + (1 - weight) * out[last:][:after]
    out[first:last] = go_on[: last - first]


def _pitch_lag(past: np.ndarray, shortest: int, longest: int) -> int:
    """Lag at which the last stretch is most like what was before it."""
    template = past[-longest:]
    likeness = []
    for lag in range(shortest, longest + 1):
        before = past[len(past) - longest - lag : len(past) - lag]
        likeness.append(template @ before / (np.linalg.norm(before) + 1e-9))
    return shortest + int(np.argmax(likeness))
