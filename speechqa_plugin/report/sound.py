"""What a page or a figure shows of a sound: envelope, spectrogram, player, ticks of time."""

from __future__ import annotations

import base64
import io
import math

import numpy as np
import soundfile

from speechqa_plugin.windows import clock

WINDOW_S = 0.032
"""Length of a spectrogram's window: fine enough in time for a click, in pitch for a hum."""

RANGE_DB = 75
"""What is this far below the loudest bin is drawn as nothing."""

_COLUMNS_PER_S = 120
_MAX_COLUMNS = 1200
_MAX_FRAMES = 4  # of a column in a long recording
_COLOURS = 64


def spectrogram_db(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """Power over time and frequency, relative to the loudest bin.

    Arguments
    ---------
    samples : array
        Shape [T].
    rate_hz : int
        Their rate.

    Returns
    -------
    array
        Shape [F, C] in dB from -`RANGE_DB` to 0: F bins from 0 Hz to half the rate, C columns
        that share the recording evenly, at most 1,200. In a long recording a column is the mean
        of a few frames.

    Example
    -------
    >>> tone = np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000)
    >>> power = spectrogram_db(tone, 16000)
    >>> power.shape, int(power.mean(axis=1).argmax() * 16000 / 512)
    ((257, 120), 1000)
    """
    size = round(WINDOW_S * rate_hz)
    seconds = len(samples) / rate_hz
    columns = max(1, min(_MAX_COLUMNS, round(seconds * _COLUMNS_PER_S)))
    frames = math.ceil(min(_MAX_FRAMES, seconds * _COLUMNS_PER_S / columns))
    centres = (np.arange(columns * frames) + 0.5) * len(samples) / (columns * frames)
    padded = np.pad(np.asarray(samples, np.float32), size)
    starts = (centres + size / 2).astype(int)  # half a window before, in what was padded by one
    window = np.hanning(size).astype(np.float32)
    power = np.zeros((columns, size // 2 + 1), np.float32)
    for i in range(frames):
        cut = padded[starts[i::frames, None] + np.arange(size)]
        power += np.abs(np.fft.rfft(cut * window)) ** 2
    peak = max(float(power.max()), np.finfo(np.float32).tiny)
    relative = 10 * np.log10(np.maximum(power / peak, np.finfo(np.float32).tiny))
    return np.maximum(relative, -RANGE_DB).T


def envelope(samples: np.ndarray, columns: int = 800) -> np.ndarray:
    """Lowest and highest sample of each of some equal stretches, relative to the peak.

    Returns
    -------
    array
        Shape [2, C] in [-1, 1], C at most ``columns``.

    Example
    -------
    >>> envelope(np.array([0.0, 0.5, -0.25, 0.0]), 2).tolist()
    [[0.0, -0.5], [1.0, 0.0]]
    """
    starts = np.unique(np.linspace(0, len(samples), min(columns, len(samples)) + 1).astype(int))
    lows = np.minimum.reduceat(samples, starts[:-1])
    highs = np.maximum.reduceat(samples, starts[:-1])
    peak = float(np.abs(samples).max())
    return np.stack([lows, highs]) / (peak or 1.0)


def envelope_path(samples: np.ndarray, columns: int = 800) -> tuple[int, str]:
    """`envelope` as an SVG path: the width of its view box, whose height is 200, and the path."""
    lows, highs = np.rint(100 - 98 * envelope(samples, columns)).astype(int)
    # At least 1 thick, so that silence is a line.
    over = [f"{x} {y}" for x, y in enumerate(highs)]
    under = [f"{x} {max(y, highs[x] + 1)}" for x, y in reversed(list(enumerate(lows)))]
    return max(1, len(over) - 1), f"M{'L'.join(over + under)}Z"


def peak_db(samples: np.ndarray) -> float:
    """Largest sample in dB relative to full scale; -inf in silence.

    Example
    -------
    >>> round(peak_db(np.array([0.0, -0.5])), 1)
    -6.0
    """
    peak = float(np.abs(samples).max())
    return 20 * math.log10(peak) if peak else -math.inf


def spectrogram_png(samples: np.ndarray, rate_hz: int) -> bytes:
    """The spectrogram as a small PNG file without axes, low frequencies at the bottom.

    Raises
    ------
    ModuleNotFoundError
        If there is no matplotlib.
    """
    from matplotlib import colormaps
    from PIL import Image  # matplotlib's own way of writing PNG

    power = spectrogram_db(samples, rate_hz)[::-1]
    levels = np.rint((power / RANGE_DB + 1) * (_COLOURS - 1)).astype(np.uint8)
    image = Image.fromarray(levels).convert("P")
    palette = colormaps["magma"](np.linspace(0, 1, _COLOURS), bytes=True)[:, :3]
    image.putpalette(palette.tobytes())
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def wav(samples: np.ndarray, rate_hz: int) -> bytes:
    """The sound as a WAV file of 16 bits, which every browser plays from any place in it.

    In a FLAC file from libsndfile, which writes no seek table, Chromium fails to seek.
    """
    file = io.BytesIO()
    soundfile.write(file, np.clip(samples, -1, 1), rate_hz, format="WAV", subtype="PCM_16")
    return file.getvalue()


def data_url(kind: str, content: bytes) -> str:
    """A file inside a page.

    Example
    -------
    >>> data_url("text/plain", b"hello")
    'data:text/plain;base64,aGVsbG8='
    """
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def time_ticks(duration_s: float, most: int = 8) -> list[tuple[float, str]]:
    """Round times within a recording and how to write them.

    Example
    -------
    >>> time_ticks(1.2, 4)
    [(0.0, '0'), (0.5, '0.5'), (1.0, '1')]
    >>> time_ticks(150, 3)
    [(0.0, '0:00'), (60.0, '1:00'), (120.0, '2:00')]
    """
    steps = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)
    step = next((s for s in steps if duration_s / s <= most), steps[-1])
    times = [round(i * step, 2) for i in range(math.floor(duration_s / step + 1e-9) + 1)]
    return [(float(t), clock(t) if duration_s >= 60 else f"{t:g}") for t in times]
