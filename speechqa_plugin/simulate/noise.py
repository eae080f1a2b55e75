"""Things heard beside the voice: the artifact kind whose types are noises.

Every noise is brought to a signal-to-noise ratio: the active level of the clip
as it is so far against the noise's power inside the interval, from barely
audible at severity 0 to as loud as the voice (or louder) at severity 1.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from speechqa_plugin.schema import Interval
from speechqa_plugin.simulate.signals import (
    SAMPLE_RATE_HZ,
    Degraded,
    SimulationError,
    active_rms,
    edge_fades,
    to_interval,
    to_slice,
)

NoiseMaker = Callable[[np.random.Generator, int], np.ndarray]
"""``make(rng, n)``: draws noise [n] at any level, at 16 kHz."""

_SNR_DB = (30.0, 0.0)
_SNR_DB_OF = {"mains hum": (25.0, -8.0), "clicks": (25.0, 0.0), "babble": (27.0, 0.0)}
"""SNR at severity 0 and 1. The ear is less sensitive to hum's low frequencies."""


def white(rng: np.random.Generator, n: int) -> np.ndarray:
    """White Gaussian noise.

    Example
    -------
    >>> white(np.random.default_rng(0), 3).shape
    (3,)
    """
    return rng.standard_normal(n)


def coloured(rng: np.random.Generator, n: int) -> np.ndarray:
    """Noise whose power falls with frequency as f^-a, a between pink (1) and brown (2).

    Example
    -------
    >>> coloured(np.random.default_rng(0), 3).shape
    (3,)
    """
    exponent = rng.uniform(0.9, 2.0)
    spectrum = np.fft.rfft(rng.standard_normal(n))
    frequency = np.maximum(np.fft.rfftfreq(n, 1 / SAMPLE_RATE_HZ), 40.0)
    return np.fft.irfft(spectrum * frequency ** (-exponent / 2), n)


def hum(rng: np.random.Generator, n: int) -> np.ndarray:
    """Mains hum: 50 or 60 Hz and its harmonics, weaker with their order.

    Example
    -------
    >>> hum(np.random.default_rng(0), 3).shape
    (3,)
    """
    mains_hz = rng.choice([50.0, 60.0])
    order = np.arange(1, 16)
    level = rng.uniform(0.3, 1.0, len(order)) / order
    phase = rng.uniform(0, 2 * np.pi, len(order))
    time = np.arange(n) / SAMPLE_RATE_HZ
    return np.sin(2 * np.pi * mains_hz * order[:, None] * time + phase[:, None]).T @ level


def clicks(rng: np.random.Generator, n: int) -> np.ndarray:
    """Short decaying bursts, 2 to 10 a second, as of a scratched record.

    Example
    -------
    >>> clicks(np.random.default_rng(0), 16000).shape
    (16000,)
    """
    count = max(1, round(rng.uniform(2, 10) * n / SAMPLE_RATE_HZ))
    impulses = np.zeros(n)
    impulses[rng.integers(0, n, count)] = rng.choice([-1.0, 1.0], count) * rng.uniform(
        0.5, 1.0, count
    )
    decay_s = rng.uniform(0.0005, 0.003)
    burst = rng.standard_normal(128) * np.exp(-np.arange(128) / (decay_s * SAMPLE_RATE_HZ))
    return np.convolve(impulses, burst)[:n]


SYNTHETIC: dict[str, NoiseMaker] = {
    "white noise": white,
    "coloured noise": coloured,
    "mains hum": hum,
    "clicks": clicks,
}
"""Types that need no recording."""

RECORDED = ("babble", "music", "ambience")
"""Types made of recordings; `sources.Sources.noises` gives their makers."""


def add_noise(
    audio: np.ndarray,
    rng: np.random.Generator,
    severity: float,
    interval: Interval | None,
    type_: str,
    make: NoiseMaker,
) -> Degraded:
    """Add noise to a stretch of a clip; a degradation, see `Degraded`.

    Arguments
    ---------
    audio, rng, severity, interval
        See `Degraded`.
    type_ : str
        Name of the noise, which sets the range of the SNR.
    make : NoiseMaker
        Draws the noise.

    Raises
    ------
    SimulationError
        If the noise is silent.

    Example
    -------
    >>> rng = np.random.default_rng(0)
    >>> clean = np.sin(np.arange(16000, dtype=np.float32))
    >>> noisy, _, _ = add_noise(clean, rng, 1.0, None, "white noise", white)
    >>> bool(abs(np.std(noisy - clean) / np.std(clean) - 1) < 0.01)
    True
    """
    part = to_slice(audio, interval)
    noise = np.asarray(make(rng, part.stop - part.start), dtype=np.float64)
    rms = np.sqrt(np.mean(np.square(noise)))
    if not rms > 0:
        raise SimulationError(f"{type_}: the noise drawn is silent; leave its file out")
    at_0, at_1 = _SNR_DB_OF.get(type_, _SNR_DB)
    snr_db = at_0 + (at_1 - at_0) * severity
    gain = active_rms(audio) / rms * 10 ** (-snr_db / 20)
    out = np.array(audio, dtype=np.float32)
    out[part] += (gain * noise * edge_fades(part, len(audio))).astype(np.float32)
    return Degraded(out, [to_interval(part)], severity)
