"""Recordings too long to hold: read, mixed and resampled a block at a time, heard window by window.

A file is decoded twice. The first time nothing is kept: all of it is checked, so that no time is
spent on a recording that turns out damaged at its end, and its channels are weighed as a whole.
What comes out the second time is what `load_audio` gives at once, sample by sample.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import BinaryIO

import numpy as np
import soxr

from speechqa_plugin.audio import decode, open_audio, read_blocks
from speechqa_plugin.channels import Channels
from speechqa_plugin.samples import check_samples

_BLOCK = 1 << 16
"""Samples that are decoded at once: a second or four."""

_PCM = np.dtype("<i2")
_FULL_SCALE = 1 << 15


@dataclass(frozen=True)
class HeldRecording:
    """A recording that is in memory.

    Arguments
    ---------
    wav : array
        [T] float32, mono, at the model's rate.
    warnings : tuple of str
        What a listener should know of it.
    """

    wav: np.ndarray
    warnings: tuple[str, ...] = ()

    @property
    def length(self) -> int:
        """Samples of it."""
        return len(self.wav)

    def windows(self, places: Iterable[tuple[int, int]]) -> Iterator[np.ndarray]:
        """The samples between a start and an end, for each pair of them."""
        return (self.wav[start:end] for start, end in places)


class LongFile:
    """A recording that stays in its file.

    Arguments
    ---------
    path : str or path
        As of `load_audio`.
    sample_rate_hz : int
        Rate that it is heard at.

    Raises
    ------
    AudioError
        For all that `load_audio` refuses.
    """

    def __init__(self, path: str | os.PathLike, sample_rate_hz: int):
        self.path = path
        self.sample_rate_hz = sample_rate_hz
        n, bad, peak = 0, 0, 0.0
        with open_audio(path) as file:
            self._channels = Channels(file.channels)
            for samples in read_blocks(path, file, _BLOCK):
                self._channels.add(samples)
                n += len(samples)
                bad += int((~np.isfinite(samples.mean(axis=1))).sum())
                peak = max(peak, float(np.abs(samples).max(initial=0)))
            self.length = round(n * sample_rate_hz / file.samplerate)
        check_samples(str(path), n, bad, peak)
        self.warnings = self._channels.warnings

    def windows(self, places: Iterable[tuple[int, int]]) -> Iterator[np.ndarray]:
        """As of `HeldRecording`; the places stand in order and leave out nothing."""
        with open_audio(self.path) as file:
            blocks = map(self._channels.mix, read_blocks(self.path, file, _BLOCK))
            blocks = resample_blocks(blocks, file.samplerate, self.sample_rate_hz)
            yield from cut_blocks(blocks, places)


def open_recording(
    path: str | os.PathLike, sample_rate_hz: int, min_s: float, longest_s: float
) -> HeldRecording | LongFile:
    """Open a file of any length; what is no longer than one window is loaded at once.

    Arguments
    ---------
    path, sample_rate_hz, min_s
        See `load_audio`.
    longest_s : float
        Length of the longest window.

    Raises
    ------
    AudioError
        See `load_audio`.
    """
    with open_audio(path) as file:
        if file.frames <= longest_s * file.samplerate:
            return HeldRecording(*decode(path, file, sample_rate_hz, min_s))
    return LongFile(path, sample_rate_hz)


def resample_blocks(blocks: Iterable[np.ndarray], from_hz: int, to_hz: int) -> Iterator[np.ndarray]:
    """Resample what comes block by block, without a seam.

    Arguments
    ---------
    blocks : iterable of array
        Each [T] or [T, channels], float32.
    from_hz, to_hz : int
        Their rate, and the wanted one.

    Example
    -------
    >>> blocks = resample_blocks([np.zeros(9000, np.float32)] * 3, 48000, 16000)
    >>> sum(map(len, blocks))
    9000
    """
    if from_hz == to_hz:
        yield from blocks
        return
    resampler = None
    for block in blocks:
        if resampler is None:
            width = block.shape[1] if block.ndim > 1 else 1
            resampler = soxr.ResampleStream(from_hz, to_hz, width, dtype="float32")
            nothing = block[:0]
        yield resampler.resample_chunk(block)
    if resampler is not None:
        yield resampler.resample_chunk(nothing, last=True)


def cut_blocks(
    blocks: Iterable[np.ndarray], places: Iterable[tuple[int, int]]
) -> Iterator[np.ndarray]:
    """Cut windows out of what comes block by block, each as soon as it is there.

    Arguments
    ---------
    blocks : iterable of array
        Each [T] or [T, channels].
    places : iterable of (int, int)
        First sample of each window and the one after its last, in order and with nothing left out
        between them; they may overlap, and go on behind the end.

    Yields
    ------
    array
        A window; the last may be shorter than its place.

    Example
    -------
    >>> [w.tolist() for w in cut_blocks([np.arange(3), np.arange(3, 7)], [(0, 4), (2, 6), (6, 9)])]
    [[0, 1, 2, 3], [2, 3, 4, 5], [6]]
    """
    blocks = iter(blocks)
    held, first = next(blocks, np.zeros(0, np.float32)), 0
    for start, end in places:
        held, first = held[start - first :], start
        while len(held) < end - start:
            block = next(blocks, None)
            if block is None:
                break
            held = np.concatenate([held, block])
        if not len(held):
            return
        yield held[: end - start].copy()


def pcm_windows(
    file: BinaryIO, rate_hz: int, channels: int, sample_rate_hz: int, window: int
) -> Iterator[tuple[int, HeldRecording]]:
    """Windows of raw samples that come from a pipe, one after the other, each when it is full.

    Arguments
    ---------
    file : binary file
        16-bit samples, little-endian, the channels of a moment beside each other.
    rate_hz, channels : int
        What is not said in it.
    sample_rate_hz : int
        Rate of the windows.
    window : int
        Samples of a window at that rate; the last has what is left.

    Yields
    ------
    (int, HeldRecording)
        Its first sample, and the window.

    Example
    -------
    >>> import io
    >>> windows = pcm_windows(io.BytesIO(bytes(40000)), 16000, 1, 16000, 16000)
    >>> [(first, held.length) for first, held in windows]
    [(0, 16000), (16000, 4000)]
    """
    places = ((first, first + window) for first in count(0, window))
    blocks = resample_blocks(_pcm_blocks(file, channels), rate_hz, sample_rate_hz)
    for i, samples in enumerate(cut_blocks(blocks, places)):
        weighed = Channels(channels)
        weighed.add(samples)
        yield i * window, HeldRecording(weighed.mix(samples), weighed.warnings)


def _pcm_blocks(file: BinaryIO, channels: int) -> Iterator[np.ndarray]:
    """Blocks [T, channels], each of what has come so far; half a sample at the end is none."""
    size = channels * _PCM.itemsize
    rest = b""
    while chunk := file.read1(_BLOCK):
        data = rest + chunk
        whole = len(data) - len(data) % size
        rest = data[whole:]
        samples = np.frombuffer(data[:whole], _PCM).reshape(-1, channels)
        yield samples.astype(np.float32) / _FULL_SCALE
