"""Real codecs at low bit rates, through the FFmpeg libraries inside the `av` wheel."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import NamedTuple

import av
import numpy as np
import soxr
from scipy.signal import correlate

from speechqa_plugin.schema import Interval
from speechqa_plugin.simulate.signals import (
    SAMPLE_RATE_HZ,
    Degraded,
    replace_part,
    to_interval,
    to_slice,
)


class Rung(NamedTuple):
    """One codec setting.

    Arguments
    ---------
    severity : float
        In [0, 1]: ``1 - (PESQ - 1) / 3.6``, with the wide-band PESQ (P.862.2)
        measured on twenty clean prompts of four speakers.
    encoder, container : str
        FFmpeg's names.
    rate_hz : int
        Sampling rate it codes at.
    bit_rate : int
        In bits per second; 0 where the codec has only one.
    """

    severity: float
    encoder: str
    container: str
    rate_hz: int
    bit_rate: int


LADDER = (
    Rung(0.05, "libopus", "ogg", 16000, 24000),
    Rung(0.25, "libopus", "ogg", 16000, 12000),
    Rung(0.38, "libmp3lame", "mp3", 16000, 32000),
    Rung(0.44, "pcm_mulaw", "wav", 8000, 0),
    Rung(0.53, "libmp3lame", "mp3", 16000, 24000),
    Rung(0.56, "libopus", "ogg", 16000, 8000),
    Rung(0.60, "libopencore_amrnb", "amr", 8000, 12200),
    Rung(0.62, "aac", "adts", 16000, 24000),
    Rung(0.64, "adpcm_ima_wav", "wav", 8000, 0),
    Rung(0.74, "libopus", "ogg", 16000, 6000),
    Rung(0.75, "libmp3lame", "mp3", 16000, 16000),
    Rung(0.76, "aac", "adts", 16000, 16000),
    Rung(0.79, "libopencore_amrnb", "amr", 8000, 4750),
    Rung(0.80, "g726", "wav", 8000, 16000),
    Rung(0.87, "aac", "adts", 16000, 10000),
    Rung(0.89, "libmp3lame", "mp3", 16000, 8000),
)
_NEAR = 0.06


def pick(rng: np.random.Generator, severity: float, ladder: Sequence[Rung] = LADDER) -> Rung:
    """One of the settings about as severe as asked.

    Arguments
    ---------
    rng : numpy.random.Generator
    severity : float
        In [0, 1].
    ladder : sequence of Rung
        The settings.

    Returns
    -------
    Rung
        Drawn from those that are at most .06 farther away than the nearest.

    Example
    -------
    >>> pick(np.random.default_rng(0), 0.0).encoder
    'libopus'
    """
    distance = np.abs(np.array([rung.severity for rung in ladder]) - severity)
    near = np.flatnonzero(distance <= distance.min() + _NEAR)
    return ladder[int(rng.choice(near))]


def code(audio: np.ndarray, rung: Rung) -> np.ndarray:
    """Encode and decode audio [n], with the codec's delay taken out.

    Example
    -------
    >>> code(np.zeros(16000, dtype=np.float32), LADDER[0]).shape
    (16000,)
    """
    narrow = soxr.resample(audio, SAMPLE_RATE_HZ, rung.rate_hz)
    decoded, rate_hz = decode(_encode(narrow, rung), rung.container)
    return align(soxr.resample(decoded, rate_hz, SAMPLE_RATE_HZ), audio)


def align(decoded: np.ndarray, audio: np.ndarray) -> np.ndarray:
    """Take a codec's delay out, and make the length that of what it coded.

    Arguments
    ---------
    decoded, audio : numpy.ndarray
        At the same rate; shapes (m,) and (n,).

    Returns
    -------
    numpy.ndarray of float32, shape (n,)

    Example
    -------
    >>> align(np.array([0.0, 0.0, 1.0, 2.0]), np.array([1.0, 2.0, 0.0])).tolist()
    [1.0, 2.0, 0.0]
    """
    lag = _lag(decoded, audio)
    decoded = decoded[lag:] if lag > 0 else np.r_[np.zeros(-lag, np.float32), decoded]
    missing = max(0, len(audio) - len(decoded))
    return np.pad(decoded[: len(audio)], (0, missing)).astype(np.float32)


def code_part(
    audio: np.ndarray, rng: np.random.Generator, severity: float, interval: Interval | None
) -> Degraded:
    """Code a stretch of a clip with a setting about as severe as asked.

    A degradation, see `Degraded`; the severity given back is that of the setting, see `Rung`.

    Example
    -------
    >>> clip = np.zeros(16000, dtype=np.float32)
    >>> code_part(clip, np.random.default_rng(0), 0.0, None).severity
    0.05
    """
    part = to_slice(audio, interval)
    rung = pick(rng, severity)
    out = replace_part(audio, part, code(audio[part], rung))
    return Degraded(out, [to_interval(part)], rung.severity)


def _encode(audio: np.ndarray, rung: Rung) -> io.BytesIO:
    file = io.BytesIO()
    with av.open(file, "w", format=rung.container) as container:
        stream = container.add_stream(rung.encoder, rate=rung.rate_hz)
        stream.layout = "mono"
        stream.codec_context.thread_count = 1
        if rung.bit_rate:
            stream.bit_rate = rung.bit_rate
        resampler = av.AudioResampler(stream.format.name, "mono", rung.rate_hz)
        samples = np.round(np.clip(audio, -1, 1) * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = rung.rate_hz, 0
        for part in resampler.resample(frame) + resampler.resample(None):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    file.seek(0)
    return file


def decode(file: io.BytesIO, container_format: str) -> tuple[np.ndarray, int]:
    """Decode a file in memory.

    Arguments
    ---------
    file : io.BytesIO
    container_format : str
        FFmpeg's name.

    Returns
    -------
    audio : numpy.ndarray of float32, shape (n,)
        Its channels mixed to one.
    rate_hz : int
    """
    with av.open(file, format=container_format) as container:
        rate_hz = container.streams.audio[0].rate
        resampler = av.AudioResampler("flt", "mono", rate_hz)
        frames = [f for part in container.decode(audio=0) for f in resampler.resample(part)]
    return np.concatenate([f.to_ndarray().ravel() for f in frames]), rate_hz


def _lag(late: np.ndarray, reference: np.ndarray) -> int:
    """Samples by which a signal is late, found where the two correlate best."""
    correlation = correlate(late, reference, mode="full", method="fft")
    return int(np.argmax(correlation)) - (len(reference) - 1)
