"""Counts of hits, which add up over clips before any ratio is taken."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Counts:
    """How many were found, how many were said and how many there are.

    ``sum(clips, Counts())`` gives the total over clips.

    Arguments
    ---------
    hits : int
        Predicted ones that are right, at most ``predicted`` and ``reference``.
    predicted : int
        All that were predicted.
    reference : int
        All that are there.

    Raises
    ------
    ValueError
        If a count is negative, or there are more hits than can be.

    Example
    -------
    >>> total = Counts(1, 2, 1) + Counts(0, 0, 3)
    >>> total.precision, total.recall, round(total.f1, 3)
    (0.5, 0.25, 0.333)
    """

    hits: int = 0
    predicted: int = 0
    reference: int = 0

    def __post_init__(self):
        if not 0 <= self.hits <= min(self.predicted, self.reference):
            raise ValueError(f"{self}: need 0 <= hits <= predicted and hits <= reference")

    def __add__(self, other: Counts) -> Counts:
        if not isinstance(other, Counts):
            return NotImplemented
        return Counts(
            self.hits + other.hits,
            self.predicted + other.predicted,
            self.reference + other.reference,
        )

    @property
    def precision(self) -> float:
        """Share of the predicted ones that are right; NaN if none was predicted."""
        return ratio(self.hits, self.predicted)

    @property
    def recall(self) -> float:
        """Share of those that are there that were found; NaN if there are none."""
        return ratio(self.hits, self.reference)

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN); NaN if there are none and none was predicted."""
        return ratio(2 * self.hits, self.predicted + self.reference)


def ratio(part: int, whole: int) -> float:
    """``part / whole``, or NaN where the whole is 0.

    Example
    -------
    >>> ratio(1, 4), ratio(0, 0)
    (0.25, nan)
    """
    return part / whole if whole else math.nan
