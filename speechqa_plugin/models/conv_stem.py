"""A 2-D convolutional stem: what finds fine spectral structure before the transformer layers.

Whisper's two 1-D convolutions mix all mel bands at once and learn slowly from random weights that
a pattern may lie at any frequency. Small kernels over bands and time share that knowledge.

Networks of this kind mostly use batch normalisation. In training its statistics are those of the
batch: an answer's probability would hang on what it is batched with, so GRPO's packed and plain
forwards, micro-batches and several processes would differ, and the policy would be another one in
training than in the rollout. Statistics over time would hang on a clip's length. Here they are
those of one frame, over its channels and bands (group normalisation of one group, arXiv
1803.08494), in training as in evaluation.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

CHANNELS = (16, 32, 48, 64)
"""Of the four blocks, each of which halves the bands."""

HALVES_TIME = 1
"""The block that also halves the frames, as Whisper's second convolution does."""


class ConvStem(nn.Module):
    """Four blocks of 3×3 convolution, normalisation and GELU, and a projection of what is left.

    Arguments
    ---------
    mel_bins : int
        M, bands of the input.
    dim : int
        D, width of the layers that follow.

    Example
    -------
    >>> ConvStem(80, 192)(torch.zeros(2, 80, 100), torch.tensor([100, 40])).shape
    torch.Size([2, 50, 192])
    """

    def __init__(self, mel_bins: int, dim: int):
        super().__init__()
        self.convs, self.norms = nn.ModuleList(), nn.ModuleList()
        bands, before = mel_bins, 1
        for block, channels in enumerate(CHANNELS):
            stride = (2, 2 if block == HALVES_TIME else 1)
            self.convs.append(nn.Conv2d(before, channels, 3, stride, padding=1))
            self.norms.append(nn.GroupNorm(1, channels))
            bands, before = _halved(bands), channels
        self.projection = nn.Linear(bands * before, dim)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Read log-mel windows.

        Arguments
        ---------
        features : Tensor
            [W, M, F] log-mel windows.
        lengths : Tensor
            [W] frames of each that exist; the others are not heard.

        Returns
        -------
        Tensor
            [W, T, D], T the half of F rounded up; a window's first ``(length + 1) // 2`` mean
            something.
        """
        hidden = _cut(features[:, None].to(self.projection.weight.dtype), lengths)
        for block, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            hidden = gelu(_frame_by_frame(norm, conv(hidden)))
            if block == HALVES_TIME:
                lengths = _halved(lengths)
            # Zeros behind a clip's end are what a convolution sees behind a window's.
            hidden = _cut(hidden, lengths)
        return self.projection(hidden.permute(0, 3, 1, 2).flatten(2))


def _frame_by_frame(norm: nn.GroupNorm, hidden: Tensor) -> Tensor:
    """[W, C, M, T], each frame normalised by itself."""
    windows = len(hidden)
    frames = hidden.permute(0, 3, 1, 2).flatten(0, 1)
    return norm(frames).unflatten(0, (windows, -1)).permute(0, 2, 3, 1)


def _cut(hidden: Tensor, lengths: Tensor) -> Tensor:
    """[W, C, M, T], zero behind each window's length."""
    there = torch.arange(hidden.shape[-1], device=hidden.device) < lengths[:, None]
    return hidden.masked_fill(~there[:, None, None], 0)


def _halved(size):
    """What a convolution of kernel 3, padding 1 and stride 2 leaves of a size."""
    return (size - 1) // 2 + 1
