"""Clips that did not come from files: padded batches, arrays, rows of other people's datasets."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
import soxr
import torch

from speechqa_plugin.audio import MIN_S, SAMPLE_RATE_HZ, AudioError, check_waveform, load_audio


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
