"""The order in which training takes the rows of a dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sized

import torch
from torch.utils.data import Sampler


class PassesSampler(Sampler[int]):
    """Shuffled passes over a dataset, one after the other, cut into epochs.

    No row comes again before all the others came as often. The order is a function of seed and
    epoch, so an interrupted run needs nothing of it to be saved.

    Arguments
    ---------
    dataset : Sized
        Of N rows.
    seed : int
        Shuffles the passes, each anew.
    rows_per_epoch : int, optional
        Rows that an epoch takes, more or fewer than N; N if not given.

    Example
    -------
    >>> sampler = PassesSampler("abcdef", seed=1, rows_per_epoch=4)
    >>> epochs = []
    >>> for epoch in (1, 2, 3):
    ...     sampler.set_epoch(epoch)
    ...     epochs += list(sampler)
    >>> sorted(epochs[:6]) == sorted(epochs[6:]) == [0, 1, 2, 3, 4, 5]
    True
    """

    def __init__(self, dataset: Sized, seed: int, rows_per_epoch: int | None = None):
        self.n_rows = len(dataset)
        self.seed = seed
        self.rows_per_epoch = rows_per_epoch or self.n_rows
        self.epoch = 1

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch to be iterated over, counted from 1 as `EpochCounter` does."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.rows_per_epoch

    def __iter__(self) -> Iterator[int]:
        start = (self.epoch - 1) * self.rows_per_epoch
        finished, row = divmod(start, self.n_rows)
        left = self.rows_per_epoch
        while left > 0:
            finished += 1
            generator = torch.Generator().manual_seed(self.seed + finished)
            rows = torch.randperm(self.n_rows, generator=generator)[row : row + left].tolist()
            yield from rows
            row, left = 0, left - len(rows)
