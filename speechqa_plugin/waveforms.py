"""Samples in memory, as tensors: what is refused of them, batches cut to clips, other rates."""

from __future__ import annotations

import numpy as np
import torch

from speechqa_plugin.samples import (
    MIN_S,
    SAMPLE_RATE_HZ,
    AudioError,
    as_array,
    check_array,
    resample_array,
)


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
    speechqa_plugin.samples.AudioError: call 7: lasts 0.01 s; need at least 0.03 s
    """
    wav = torch.as_tensor(wav)
    if wav.ndim != 1:
        raise AudioError(f"{name}: has shape {list(wav.shape)}; need [T], one channel")
    if not wav.is_floating_point():
        raise AudioError(f"{name}: holds {wav.dtype}; need float samples in [-1, 1]")
    check_array(as_array(wav), sample_rate_hz, min_s, max_s, name)
    return wav.float()


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
    wavs = as_tensor("wavs", wavs)
    if wavs.dim() != 2 or not len(wavs):
        raise AudioError(f"wavs has shape {list(wavs.shape)}; need [batch, samples]")
    wav_lens = torch.ones(len(wavs)) if wav_lens is None else as_tensor("wav_lens", wav_lens)
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


def resample(wav: torch.Tensor, rate_hz: int, sample_rate_hz: int) -> torch.Tensor:
    """Samples [T] at another rate; the very ones if it is the same."""
    if rate_hz == sample_rate_hz:
        return wav
    return torch.from_numpy(resample_array(as_array(wav), rate_hz, sample_rate_hz))


def as_tensor(name: str, values) -> torch.Tensor:
    """Tensor, array or list as a tensor without gradient; AudioError where it is none."""
    if isinstance(values, torch.Tensor):
        return values.detach()
    try:
        return torch.from_numpy(np.array(values))  # a copy: torch takes no negative strides
    except (TypeError, ValueError, RuntimeError) as err:
        raise AudioError(
            f"{name}: is a {type(values).__name__} that is no array of numbers; need a tensor or "
            "an array"
        ) from err
