"""Training clips heard as if from other talkers and cut at other moments, at no cost."""

from __future__ import annotations

import torch
from torch import Tensor


def warp_bands(features: Tensor, factors: Tensor) -> Tensor:
    """Stretch the frequency axis of log-mel windows, each by its own factor.

    A shorter or longer vocal tract does so to speech (vocal tract length perturbation; Jaitly and
    Hinton, 2013), so that fewer talkers teach as many do. Times and levels stay.

    Arguments
    ---------
    features : Tensor
        [W, M, F] log-mel windows.
    factors : Tensor
        [W] above 0: at 1.1 a band shows what lay a tenth of its number below. What would come
        from above the last band repeats it.

    Returns
    -------
    Tensor
        [W, M, F].

    Example
    -------
    >>> warp_bands(torch.tensor([[[0.0], [1.0], [2.0], [3.0]]]), torch.tensor([2.0])).flatten()
    tensor([0.0000, 0.5000, 1.0000, 1.5000])
    """
    bands = features.shape[1]
    places = torch.arange(bands, device=features.device) / factors.to(features.device)[:, None]
    places = places.clamp(max=bands - 1)
    below = places.floor().long()
    above = (below + 1).clamp(max=bands - 1)
    share = (places - below)[..., None].to(features.dtype)
    size = (-1, -1, features.shape[2])
    lower = features.gather(1, below[..., None].expand(size))
    upper = features.gather(1, above[..., None].expand(size))
    return lower + share * (upper - lower)


def shift_frames(features: Tensor, shares: Tensor) -> Tensor:
    """Hear log-mel windows as if they had begun a part of a frame later.

    A few ms more or less before a clip change every frame of it a little, and should change no
    score. Each frame becomes a mean of itself and the next one.

    Arguments
    ---------
    features : Tensor
        [W, M, F] log-mel windows.
    shares : Tensor
        [W] in [0, 1], of a frame.

    Returns
    -------
    Tensor
        [W, M, F]; the last frame stays.

    Example
    -------
    >>> shift_frames(torch.tensor([[[0.0, 1.0, 3.0]]]), torch.tensor([0.5])).flatten()
    tensor([0.5000, 2.0000, 3.0000])
    """
    later = torch.cat([features[..., 1:], features[..., -1:]], dim=-1)
    return features.lerp(later, shares.to(features)[:, None, None])
