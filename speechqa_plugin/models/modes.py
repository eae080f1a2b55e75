"""Modes for the length of a ``with``; what was set before is set again after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def inference(module: nn.Module) -> Iterator[None]:
    """Evaluation mode and no gradient inside a ``with``.

    Arguments
    ---------
    module : nn.Module
        Module whose mode is changed and brought back.

    Yields
    ------
    None

    Example
    -------
    >>> dropout = nn.Dropout()
    >>> with inference(dropout):
    ...     dropout(torch.ones(2)).tolist()
    [1.0, 1.0]
    >>> dropout.training
    True
    """
    modes = [(part, part.training) for part in module.modules()]  # not all need be in one
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, training in modes:
            part.training = training


@contextmanager
def full_float32() -> Iterator[None]:
    """Float32 that is computed as such inside a ``with``.

    On a GPU PyTorch's convolutions round their float32 inputs to TF32 (10 bits of mantissa) unless
    told not to, and so do matrix products where a user asked for speed.

    Yields
    ------
    None

    Example
    -------
    >>> with full_float32():
    ...     torch.backends.cudnn.allow_tf32
    False
    """
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            yield
    finally:
        torch.set_float32_matmul_precision(precision)
