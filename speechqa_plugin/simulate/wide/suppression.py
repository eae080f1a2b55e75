"""What noise suppression leaves behind: musical tones and holes in the voice.

The process is a `degradations.Process`: it puts noise under the voice and takes it away again too
eagerly, with the package `noisereduce` (T. Sainburg, MIT licence).
"""

from __future__ import annotations

import noisereduce
import numpy as np

from speechqa_plugin.simulate import noise
from speechqa_plugin.simulate.signals import SAMPLE_RATE_HZ, active_rms, match_level

_SNR_DB = (25.0, 0.0)
"""Speech to the noise that is taken away, at severity 0 and 1."""


def suppress(audio: np.ndarray, rng: np.random.Generator, severity: float) -> np.ndarray:
    """Noise at 25 dB down to 0 dB below the voice, suppressed by spectral gating.

    The gate follows the noise or stands still, is smooth or sharp (which sounds musical), by
    chance; it removes 80 % to all of what it takes for noise.

    Arguments
    ---------
    audio : numpy.ndarray, shape (n,)
        At 16 kHz; below 512 samples it stays as it is.
    rng : numpy.random.Generator
    severity : float
        In [0, 1].

    Returns
    -------
    numpy.ndarray, shape (n,)
        With the same active level.

    Example
    -------
    >>> suppress(np.sin(np.arange(16000) / 9), np.random.default_rng(0), 0.5).shape
    (16000,)
    """
    if len(audio) < 512:
        return audio
    make = (noise.white, noise.coloured)[rng.integers(2)]
    added = make(rng, len(audio))
    snr_db = _SNR_DB[0] + (_SNR_DB[1] - _SNR_DB[0]) * severity
    added *= active_rms(audio) / np.sqrt(np.mean(np.square(added))) * 10 ** (-snr_db / 20)
    smooth = bool(rng.integers(2))
    cleaned = noisereduce.reduce_noise(
        y=audio + added,
        sr=SAMPLE_RATE_HZ,
        y_noise=added,
        stationary=bool(rng.integers(2)),
        prop_decrease=float(rng.uniform(0.8, 1.0)),
        freq_mask_smooth_hz=500 if smooth else None,
        time_mask_smooth_ms=50 if smooth else None,
        n_fft=512,
        use_tqdm=False,
    )
    return match_level(np.pad(cleaned[: len(audio)], (0, max(0, len(audio) - len(cleaned)))), audio)
