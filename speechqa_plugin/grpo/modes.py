"""Passes that must not learn: no dropout, and the model is left in the mode it was in."""

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
    training = module.training
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        module.train(training)
