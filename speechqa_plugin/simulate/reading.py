"""Source files of any rate and channel count → 16 kHz mono."""

from __future__ import annotations

import numpy as np
import soundfile
import soxr

from speechqa_plugin.simulate.signals import GRID, SAMPLE_RATE_HZ, active_rms

SHORTEST, LONGEST = 3 * SAMPLE_RATE_HZ, 8 * SAMPLE_RATE_HZ
"""Range of a clean clip's length, in samples."""

_PLACES = 5
"""Places of a noise that are tried before it counts as silent."""


class BadSource(Exception):
    """A source file that cannot be used; the message says why."""


def read_audio(path: str, start: int = 0, stop: int | None = None) -> np.ndarray:
    """Read a file, or a part of it, as 16 kHz mono.

    Arguments
    ---------
    path : str
    start, stop : int
        Samples at the file's own rate.

    Returns
    -------
    numpy.ndarray of float32, shape (n,)

    Raises
    ------
    BadSource
        If it cannot be read, is empty or silent, or holds NaN or infinity.

    Example
    -------
    >>> path = getfixture("tmp_path") / "stereo.wav"
    >>> soundfile.write(path, np.full((8000, 2), 0.1), 8000)
    >>> read_audio(str(path)).shape
    (16000,)
    """
    try:
        audio, rate_hz = soundfile.read(
            path, start=start, stop=stop, dtype="float32", always_2d=True
        )
    except (soundfile.LibsndfileError, OSError) as err:
        raise BadSource(f"{path}: cannot be read as audio ({err})") from err
    audio = audio.mean(axis=1)
    if not np.isfinite(audio).all():
        raise BadSource(f"{path}: holds samples that are not finite")
    if not np.any(np.abs(audio) > 1e-4):
        raise BadSource(f"{path}: is empty or silent (samples {start} to {stop or 'the end'})")
    return soxr.resample(audio, rate_hz, SAMPLE_RATE_HZ)


def read_speech(path: str, rng: np.random.Generator, wanted: int) -> np.ndarray:
    """Read speech with its level set and its silent ends cut off.

    Arguments
    ---------
    path : str
    rng : numpy.random.Generator
        Chooses the part of a file that is longer than a clip may be.
    wanted : int
        Samples to take of such a file; a shorter file is read as a whole.

    Returns
    -------
    numpy.ndarray of float32, shape (n,)
        With an active level of -26 dB re full scale; a multiple of 10 ms long.

    Raises
    ------
    BadSource
        See `read_audio`.

    Example
    -------
    >>> path, rng = getfixture("tmp_path") / "voice.wav", np.random.default_rng(0)
    >>> quiet = np.zeros(16000)
    >>> soundfile.write(path, np.r_[quiet, rng.normal(0, 0.1, 16000), quiet], 16000)
    >>> len(read_speech(str(path), rng, 48000)) / 16000
    1.08
    """
    audio = _read_part(path, rng, LONGEST, wanted)
    frames = np.abs(audio[: len(audio) // GRID * GRID]).reshape(-1, GRID)
    if not len(frames):
        raise BadSource(f"{path}: is shorter than 10 ms")
    loud = np.flatnonzero(frames.max(axis=1) > 0.02 * frames.max())
    audio = audio[max(0, loud[0] - 3) * GRID : (loud[-1] + 6) * GRID]
    audio = audio[: len(audio) // GRID * GRID] * np.float32(10 ** (-26 / 20) / active_rms(audio))
    fade = np.linspace(0, 1, GRID, dtype=np.float32)
    audio[:GRID] *= fade
    audio[-GRID:] *= fade[::-1]
    return audio


def read_noise(path: str, rng: np.random.Generator, n: int) -> np.ndarray:
    """Read n samples of noise from a random place; a short file is repeated.

    Arguments
    ---------
    path : str
    rng : numpy.random.Generator
    n : int
        In samples at 16 kHz.

    Returns
    -------
    numpy.ndarray of float32, shape (n,)

    Raises
    ------
    BadSource
        See `read_audio`.

    Example
    -------
    >>> path, rng = getfixture("tmp_path") / "short.wav", np.random.default_rng(0)
    >>> soundfile.write(path, np.full(4000, 0.1), 16000)
    >>> read_noise(str(path), rng, 16000).shape
    (16000,)
    """
    for place in range(_PLACES):
        try:
            audio = _read_part(path, rng, n, n)
            break
        except BadSource:  # one silent stretch says nothing of the others
            if place == _PLACES - 1:
                raise
    if len(audio) >= n:
        return audio[:n]
    return np.roll(np.resize(audio, n), rng.integers(len(audio)))


def _read_part(path: str, rng: np.random.Generator, longest: int, wanted: int) -> np.ndarray:
    """All of a file that is at most `longest`, else `wanted` samples from a random place."""
    try:
        info = soundfile.info(path)
    except (soundfile.LibsndfileError, OSError) as err:
        raise BadSource(f"{path}: cannot be read as audio ({err})") from err
    if info.frames * SAMPLE_RATE_HZ <= longest * info.samplerate:
        return read_audio(path)
    length = int(np.ceil((wanted + GRID) * info.samplerate / SAMPLE_RATE_HZ))
    start = int(rng.integers(max(1, info.frames - length)))
    audio = read_audio(path, start, min(start + length, info.frames))
    return audio[:wanted]
