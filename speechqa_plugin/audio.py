"""A file becomes a mono float tensor at the model's rate.

Every refusal of bad audio is here and in `speechqa_plugin.samples`, so that nothing downstream
has to wonder what it was given. Silence and clipping are not refused: they are heard.

Files are decoded by libsndfile and resampled by soxr ("HQ"). What a resampler
leaves above the new Nyquist frequency would be heard, and scored, as
distortion: from 44.1 to 16 kHz a tone at 8.5 kHz comes through soxr at
-143 dB and through `torchaudio.functional.resample`'s default at -14 dB.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from speechqa_plugin.channels import Channels
from speechqa_plugin.files import looks_like_windows
from speechqa_plugin.samples import (
    MIN_S,
    SAMPLE_RATE_HZ,
    AudioError,
    check_array,
    check_length,
    resample_array,
)
from speechqa_plugin.sources import READABLE, unreadable

if TYPE_CHECKING:
    import torch  # what files become in memory is an array; tensors are made where asked for

_CHUNK = re.compile(r"^\s*(?:data|SSND)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)
_NO_END = re.compile("end-of-stream", re.IGNORECASE)
# A program that writes into a pipe doesn't know the length and declares (almost) all of
# 2 or 4 GiB, which says nothing about a truncated file.
_UNKNOWN_LENGTH = 0x7FFF0000
# No format packs more samples into a byte; FLAC has a block of 65,535 equal ones in some bytes.
_SAMPLES_PER_BYTE = 1 << 16
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe, which has no end to be sure of"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)

logger = logging.getLogger(__name__)


def load_audio(
    path: str | os.PathLike,
    sample_rate_hz: int = SAMPLE_RATE_HZ,
    min_s: float = MIN_S,
    max_s: float | None = None,
) -> torch.Tensor:
    """Load an audio file as mono samples at one rate.

    Arguments
    ---------
    path : str or path
        What libsndfile reads, of any rate and channel count. Channels are
        averaged; where that would cancel them, the loudest is taken and a warning logged.
    sample_rate_hz : int
        Rate of the result.
    min_s : float
        Shortest length in seconds that is accepted.
    max_s : float or None
        Longest length in seconds that is accepted; None for any.

    Returns
    -------
    torch.Tensor
        Shape [T], float32. Full scale is [-1, 1]; resampled or lossy audio may
        overshoot it a little.

    Raises
    ------
    AudioError
        If the file is missing, a folder, empty, truncated or no audio, has no
        samples or samples that are not finite or far above full scale, or is
        too short or too long.

    Example
    -------
    >>> path = getfixture("tmp_path") / "stereo.wav"
    >>> soundfile.write(path, np.zeros((44100, 2)), 44100)
    >>> load_audio(path).shape
    torch.Size([16000])
    """
    wav, warnings = load_with_warnings(path, sample_rate_hz, min_s, max_s)
    for warning in warnings:
        logger.warning("%s: %s", path, warning)
    return wav


def load_with_warnings(
    path: str | os.PathLike,
    sample_rate_hz: int = SAMPLE_RATE_HZ,
    min_s: float = MIN_S,
    max_s: float | None = None,
) -> tuple[torch.Tensor, tuple[str, ...]]:
    """As `load_audio`, with what a listener should know of the file besides, a sentence each."""
    import torch

    with open_audio(path, max_s) as file:
        wav, warnings = decode(path, file, sample_rate_hz, min_s, max_s)
    return torch.from_numpy(wav), warnings


def decode(
    path: str | os.PathLike,
    file: soundfile.SoundFile,
    sample_rate_hz: int = SAMPLE_RATE_HZ,
    min_s: float = MIN_S,
    max_s: float | None = None,
) -> tuple[np.ndarray, tuple[str, ...]]:
    """What `load_with_warnings` gives, as an array, of a file that `open_audio` has opened."""
    blocks = list(read_blocks(path, file, file.frames))
    samples = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
    rate_hz = file.samplerate
    channels = Channels(samples.shape[1])
    channels.add(samples)
    mono = channels.mix(samples)
    check_array(mono, rate_hz, min_s, max_s, name=str(path))
    return resample_array(mono, rate_hz, sample_rate_hz), channels.warnings


def audio_duration_s(path: str | os.PathLike) -> float:
    """Length of an audio file as its header says, without decoding it.

    Arguments
    ---------
    path : str or path
        What libsndfile reads, of any rate.

    Raises
    ------
    AudioError
        If the file is missing, a folder, empty, no audio or too short, or if a WAV or AIFF file
        is truncated. Other damage shows in `load_audio` only.

    Example
    -------
    >>> path = getfixture("tmp_path") / "stereo.wav"
    >>> soundfile.write(path, np.zeros((44100, 2)), 44100)
    >>> audio_duration_s(path)
    1.0
    """
    with open_audio(path) as file:
        _check_log(path, file.extra_info)
        check_length(str(path), file.frames, file.samplerate, MIN_S, None)
        return file.frames / file.samplerate


def to_waveform(
    sound, sample_rate_hz: int = SAMPLE_RATE_HZ, rate_hz: int | None = None, name: str = "sound"
) -> torch.Tensor:
    """Whatever holds one clip, as mono samples at one rate; its length is not checked.

    Arguments
    ---------
    sound : str, path, mapping, torch.Tensor or array
        A file's path; a decoded row of a `datasets` column, with ``array`` and
        ``sampling_rate``; or float samples [T] or [1, T].
    sample_rate_hz : int
        Rate of the result.
    rate_hz : int or None
        Rate of bare samples; that of the result if None.
    name : str
        What to call it in a message.

    Returns
    -------
    torch.Tensor
        Shape [T], without gradient.

    Raises
    ------
    AudioError
        If it is none of these, or the file cannot be heard.

    Example
    -------
    >>> to_waveform({"array": np.zeros(48000), "sampling_rate": 48000}).shape
    torch.Size([16000])
    """
    from speechqa_plugin.waveforms import as_tensor, resample

    if isinstance(sound, str | os.PathLike):
        return load_audio(sound, sample_rate_hz, min_s=0)
    if isinstance(sound, Mapping) and {"array", "sampling_rate"} <= sound.keys():
        sound, rate_hz = sound["array"], sound["sampling_rate"]
    wav = as_tensor(name, sound)
    if wav.dim() == 2 and len(wav) == 1:
        wav = wav[0]
    if wav.dim() != 1 or not wav.is_floating_point():
        raise AudioError(
            f"{name}: has shape {list(wav.shape)} of {wav.dtype}; need a path, or float samples "
            "[T] in [-1, 1]"
        )
    return resample(wav, rate_hz or sample_rate_hz, sample_rate_hz)


def _check_file(path: str | os.PathLike) -> None:
    if not isinstance(path, str | os.PathLike):
        raise AudioError(f"{path!r}: is {_a(path)}; need the path of an audio file, a str or Path")
    path = Path(path)
    need = f"need an audio file ({READABLE})"
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError) as err:
        if path.is_symlink():
            need = f"it links to {os.readlink(path)}; {need}"
        elif looks_like_windows(str(path)):
            need = f"it looks like a path of Windows, so write it as one of this system; {need}"
        raise AudioError(f"{path}: no such file; {need}") from err
    except OSError as err:  # a name that is too long, a folder that may not be entered
        if err.errno == errno.ELOOP:
            found = "is a symbolic link that leads back to itself"
            raise AudioError(f"{path}: {found}; {need}") from err
        raise AudioError(f"{path}: can't be looked at ({err.strerror})") from err
    except ValueError as err:  # a null character
        raise AudioError(f"{str(path)!r}: is no path ({err}); {need}") from err
    for is_kind, kind in _KINDS:
        if is_kind(status.st_mode):
            raise AudioError(f"{path}: is {kind}; {need}")
    if not status.st_size:
        raise AudioError(f"{path}: is empty (0 bytes); {need}")


def _a(value) -> str:
    return "None" if value is None else f"of type {type(value).__name__}"


def open_audio(path: str | os.PathLike, max_s: float | None = None) -> soundfile.SoundFile:
    """Open an audio file whose header promises what can be heard.

    Arguments
    ---------
    path : str or path
        See `load_audio`.
    max_s : float or None
        See `load_audio`.

    Raises
    ------
    AudioError
        If there is no such file, or it is none that can be read, or too long.
    """
    _check_file(path)
    file = _open(path)
    try:
        # Before decoding: an hour of samples is not worth the memory to be refused.
        check_length(str(path), file.frames, file.samplerate, 0, max_s)
    except AudioError:
        file.close()
        raise
    return file


def read_blocks(
    path: str | os.PathLike, file: soundfile.SoundFile, size: int
) -> Iterator[np.ndarray]:
    """Decode all that a file declares, a block at a time.

    Arguments
    ---------
    path : str or path
        What to call it in a message.
    file : SoundFile
        As `open_audio` gave it.
    size : int
        Samples of a block.

    Yields
    ------
    array
        Shape [T, channels], float32; at least one, of no samples where the file has none.

    Raises
    ------
    AudioError
        If the file is truncated or damaged.
    """
    n = 0
    while n < file.frames or not n:
        try:
            samples = file.read(size, dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, MemoryError) as err:
            raise AudioError(
                f"{path}: is truncated or damaged ({err}); need a complete file"
            ) from err
        n += len(samples)
        if n == file.frames or not len(samples):
            _check_log(path, file.extra_info)
        if n < file.frames and not len(samples):
            raise AudioError(
                f"{path}: is truncated, {n} of {file.frames} samples are there; "
                "need a complete file"
            )
        yield samples
        if not file.frames:
            return


def _open(path: str | os.PathLike) -> soundfile.SoundFile:
    try:
        file = soundfile.SoundFile(os.fsencode(path))  # a name may hold undecodable bytes
    except (soundfile.SoundFileError, TypeError) as err:  # TypeError: its name says headerless
        need = unreadable(os.fspath(path)) or f"need {READABLE}"
        raise AudioError(f"{path}: is no audio that can be read; {need}") from err
    n_bytes = os.path.getsize(path)
    if file.frames > n_bytes * _SAMPLES_PER_BYTE:  # 2^63 - 1 where a FLAC came through a pipe
        file.close()
        raise AudioError(
            f"{path}: declares no length, or a wrong one, for its {n_bytes} bytes; encode it "
            "again, into a file"
        )
    return file


def _check_log(path: str | os.PathLike, log: str) -> None:
    """Refuse a truncated file that libsndfile opens all the same, noting it in its log."""
    chunk = _CHUNK.search(log)
    if chunk and int(chunk[2]) < int(chunk[1]) < _UNKNOWN_LENGTH:
        raise AudioError(
            f"{path}: is truncated, {chunk[2]} of {chunk[1]} bytes of samples are there; "
            "need a complete file"
        )
    if _NO_END.search(log):
        raise AudioError(f"{path}: is truncated, its stream has no end; need a complete file")
