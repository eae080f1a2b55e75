"""A file or an array becomes a mono float tensor at the model's rate.

Every refusal of bad audio is here, so that nothing downstream has to wonder
what it was given. Silence and clipping are not refused: they are assessed.

Files are decoded by libsndfile and resampled by soxr ("HQ"). What a resampler
leaves above the new Nyquist frequency would be heard, and scored, as
distortion: from 44.1 to 16 kHz a tone at 8.5 kHz comes through soxr at
-143 dB and through `torchaudio.functional.resample`'s default at -14 dB.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch

SAMPLE_RATE_HZ = 16000
"""Rate that the audio encoders work at."""

MIN_S = 0.03
"""Below this, Audio Flamingo 3 makes no audio token."""

_FORMATS = "WAV, FLAC, OGG or MP3"
_CHUNK = re.compile(r"^\s*(?:data|SSND)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)
_NO_END = re.compile("end-of-stream", re.IGNORECASE)
# A program that writes into a pipe doesn't know the length and declares (almost) all of
# 2 or 4 GiB, which says nothing about a truncated file.
_UNKNOWN_LENGTH = 0x7FFF0000
# No format packs more samples into a byte; FLAC has a block of 65,535 equal ones in some bytes.
_SAMPLES_PER_BYTE = 1 << 16
# 40 dB above full scale is no overshoot: whole numbers that were never divided.
_LOUDEST = 100.0


class AudioError(ValueError):
    """Audio that can't be assessed; one sentence with what was found and what is needed."""


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
        WAV, FLAC, OGG or MP3, of any rate and channel count. Channels are
        averaged.
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
    _check_file(Path(path))
    samples, rate_hz = _decode(path, max_s)
    mono = torch.from_numpy(samples.mean(axis=1))
    mono = check_waveform(mono, rate_hz, min_s, max_s, name=str(path))
    return resample(mono, rate_hz, sample_rate_hz)


def audio_duration_s(path: str | os.PathLike) -> float:
    """Length of an audio file as its header says, without decoding it.

    Arguments
    ---------
    path : str or path
        WAV, FLAC, OGG or MP3, of any rate.

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
    _check_file(Path(path))
    with _open(path) as file:
        _check_log(path, file.extra_info)
        _check_length(str(path), file.frames, file.samplerate, MIN_S, None)
        return file.frames / file.samplerate


def check_waveform(
    wav: torch.Tensor,
    sample_rate_hz: int = SAMPLE_RATE_HZ,
    min_s: float = MIN_S,
    max_s: float | None = None,
    name: str = "waveform",
) -> torch.Tensor:
    """Check samples that did not come from `load_audio`.

    Arguments
    ---------
    wav : torch.Tensor or array
        Shape [T], float, full scale [-1, 1].
    sample_rate_hz : int
        Its rate.
    min_s, max_s
        See `load_audio`.
    name : str
        What to call it in a message.

    Returns
    -------
    torch.Tensor
        The samples, shape [T], float32, on their device.

    Raises
    ------
    AudioError
        If it is not one row of floats, has no samples or samples that are not
        finite or far above full scale, or is too short or too long.

    Example
    -------
    >>> check_waveform(torch.zeros(16000)).dtype
    torch.float32
    >>> check_waveform(torch.zeros(160), name="call 7")
    Traceback (most recent call last):
    speechqa_plugin.audio.AudioError: call 7: lasts 0.01 s; need at least 0.03 s
    """
    wav = torch.as_tensor(wav)
    if wav.ndim != 1:
        raise AudioError(f"{name}: has shape {list(wav.shape)}; need [T], one channel")
    if not wav.is_floating_point():
        raise AudioError(f"{name}: holds {wav.dtype}; need float samples in [-1, 1]")
    if not len(wav):
        raise AudioError(f"{name}: has no samples; need at least {min_s} s")
    wav = wav.float()
    bad = int((~torch.isfinite(wav)).sum())
    if bad:
        raise AudioError(
            f"{name}: {bad} of {len(wav)} samples are NaN or infinite; need finite samples"
        )
    peak = float(wav.abs().max())
    if peak > _LOUDEST:
        raise AudioError(
            f"{name}: has samples up to {peak:.6g}; need full scale at 1, so divide whole-number "
            "samples by their largest"
        )
    _check_length(name, len(wav), sample_rate_hz, min_s, max_s)
    return wav


def split_batch(
    wavs, wav_lens=None, sample_rate_hz: int = SAMPLE_RATE_HZ, min_s: float = MIN_S
) -> list[torch.Tensor]:
    """Cut a padded batch, as SpeechBrain's loaders make it, into its clips.

    Arguments
    ---------
    wavs : torch.Tensor or array
        [B, T], float, full scale [-1, 1], padded on the right.
    wav_lens : torch.Tensor or array, optional
        [B] lengths relative to T, in (0, 1]; all 1 if not given.
    sample_rate_hz : int
        The clips' rate.
    min_s : float
        Shortest clip in seconds that is accepted.

    Returns
    -------
    list of torch.Tensor
        B clips [T_i], float32, without gradient, on their device.

    Raises
    ------
    AudioError
        If a shape or a relative length is not as described, or `check_waveform` refuses a clip;
        the message names its row.

    Example
    -------
    >>> [len(clip) for clip in split_batch(np.zeros((2, 16000)), [1, 0.25])]
    [16000, 4000]
    """
    wavs = _tensor("wavs", wavs)
    if wavs.dim() != 2 or not len(wavs):
        raise AudioError(f"wavs has shape {list(wavs.shape)}; need [batch, samples]")
    wav_lens = torch.ones(len(wavs)) if wav_lens is None else _tensor("wav_lens", wav_lens)
    if wav_lens.shape != wavs.shape[:1]:
        raise AudioError(
            f"wav_lens has shape {list(wav_lens.shape)}; need [{len(wavs)}], one for each clip"
        )
    if not ((wav_lens > 0) & (wav_lens <= 1)).all():
        raise AudioError(f"wav_lens is {wav_lens.tolist()}; need shares of the longest, (0, 1]")
    lengths = (wav_lens.double().cpu() * wavs.shape[1]).round().long()
    return [
        check_waveform(wav[:length], sample_rate_hz, min_s, name=f"wavs[{row}]")
        for row, (wav, length) in enumerate(zip(wavs, lengths, strict=True))
    ]


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
    if isinstance(sound, str | os.PathLike):
        return load_audio(sound, sample_rate_hz, min_s=0)
    if isinstance(sound, Mapping) and {"array", "sampling_rate"} <= sound.keys():
        sound, rate_hz = sound["array"], sound["sampling_rate"]
    wav = _tensor(name, sound)
    if wav.dim() == 2 and len(wav) == 1:
        wav = wav[0]
    if wav.dim() != 1 or not wav.is_floating_point():
        raise AudioError(
            f"{name}: has shape {list(wav.shape)} of {wav.dtype}; need a path, or float samples "
            "[T] in [-1, 1]"
        )
    return resample(wav, rate_hz or sample_rate_hz, sample_rate_hz)


def resample(wav: torch.Tensor, rate_hz: int, sample_rate_hz: int) -> torch.Tensor:
    """Samples [T] at another rate; the very ones if it is the same."""
    if rate_hz == sample_rate_hz:
        return wav
    return torch.from_numpy(soxr.resample(wav.float().cpu().numpy(), rate_hz, sample_rate_hz))


def _tensor(name: str, values) -> torch.Tensor:
    if isinstance(values, torch.Tensor):
        return values.detach()
    try:
        return torch.from_numpy(np.array(values))  # a copy: torch takes no negative strides
    except (TypeError, ValueError, RuntimeError) as err:
        raise AudioError(
            f"{name}: is a {type(values).__name__} that is no array of numbers; need a tensor or "
            "an array"
        ) from err


def _check_length(name: str, n: int, rate_hz: int, min_s: float, max_s: float | None) -> None:
    if n < min_s * rate_hz:
        raise AudioError(f"{name}: lasts {n / rate_hz:.4g} s; need at least {min_s:g} s")
    if max_s is not None and n > max_s * rate_hz:
        raise AudioError(f"{name}: lasts {n / rate_hz:.6g} s; need at most {max_s:g} s, so cut it")


def _check_file(path: Path) -> None:
    try:
        if path.is_dir():
            raise AudioError(f"{path}: is a folder; need an audio file ({_FORMATS})")
        if not path.is_file():
            raise AudioError(f"{path}: no such file; need an audio file ({_FORMATS})")
        if not path.stat().st_size:
            raise AudioError(f"{path}: is empty (0 bytes); need an audio file ({_FORMATS})")
    except OSError as err:  # a name that is too long, a folder that may not be entered
        raise AudioError(f"{path}: can't be looked at ({err.strerror})") from err


def _decode(path: str | os.PathLike, max_s: float | None) -> tuple[np.ndarray, int]:
    """Samples [T, channels] as float32 and their rate, all that the file declares."""
    with _open(path) as file:
        # Before decoding: an hour of samples is not worth the memory to be refused.
        _check_length(str(path), file.frames, file.samplerate, 0, max_s)
        try:
            samples = file.read(dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, MemoryError) as err:
            raise AudioError(
                f"{path}: is truncated or damaged ({err}); need a complete file"
            ) from err
        _check_log(path, file.extra_info)
        if len(samples) < file.frames:
            raise AudioError(
                f"{path}: is truncated, {len(samples)} of {file.frames} samples are there; "
                "need a complete file"
            )
        return samples, file.samplerate


def _open(path: str | os.PathLike) -> soundfile.SoundFile:
    try:
        file = soundfile.SoundFile(os.fsencode(path))  # a name may hold undecodable bytes
    except (soundfile.SoundFileError, TypeError) as err:  # TypeError: its name says headerless
        raise AudioError(f"{path}: is no audio that can be read; need {_FORMATS}") from err
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
