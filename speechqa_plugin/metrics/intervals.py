"""Agreement in time: overlap of the stretches, and hits among single ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from speechqa_plugin.metrics.counts import Counts
from speechqa_plugin.schema import Interval

_ROUNDING = 1e-9
"""An IoU this far below the threshold reaches it: 0.3 - 0.2 s is not quite 0.1 s."""


def merge(intervals: Iterable[Interval]) -> list[Interval]:
    """Join intervals that overlap or touch.

    Arguments
    ---------
    intervals : iterable of Interval
        In any order.

    Returns
    -------
    list of Interval
        Disjoint, in order of time, covering the same time.

    Example
    -------
    >>> merge([Interval(1, 3), Interval(4, 5), Interval(2, 4)])
    [Interval(start_s=1, end_s=5)]
    """
    merged: list[Interval] = []
    for interval in sorted(intervals):
        if merged and interval.start_s <= merged[-1].end_s:
            last = merged.pop()
            interval = Interval(last.start_s, max(last.end_s, interval.end_s))
        merged.append(interval)
    return merged


def temporal_iou(predicted: Iterable[Interval], reference: Iterable[Interval]) -> float:
    """Intersection over union of the time that each side covers in one clip.

    Each side is merged first, so saying the same stretch twice changes nothing.

    Arguments
    ---------
    predicted, reference : iterable of Interval
        The intervals of one artifact kind in one clip.

    Returns
    -------
    float
        In [0, 1]: 1 if both are empty, 0 if only one is.

    Example
    -------
    >>> temporal_iou([Interval(0, 2), Interval(1, 3)], [Interval(1, 4)])
    0.5
    """
    predicted, reference = merge(predicted), merge(reference)
    if not predicted and not reference:
        return 1.0
    shared = sum(_overlap(p, r) for p in predicted for r in reference)
    union = _length(predicted) + _length(reference) - shared
    return min(1.0, shared / union)  # rounding of the sums can leave it a step above


def interval_f1(
    predicted: Sequence[Interval], reference: Sequence[Interval], threshold: float = 0.5
) -> Counts:
    """Count single intervals of one clip that are found.

    A predicted interval is a hit if its IoU with a reference interval reaches
    the threshold. Each is used once, and the pairing is the one with the most
    hits. Nothing is merged.

    Arguments
    ---------
    predicted, reference : sequence of Interval
        The intervals of one artifact kind in one clip.
    threshold : float
        Least IoU of a hit, in (0, 1].

    Returns
    -------
    Counts
        To be summed over clips; has ``precision``, ``recall`` and ``f1``.

    Raises
    ------
    ValueError
        If the threshold is not in (0, 1].

    Example
    -------
    >>> interval_f1([Interval(0, 2), Interval(5, 6)], [Interval(0, 3)])
    Counts(hits=1, predicted=2, reference=1)
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold {threshold} not in (0, 1]")
    iou = np.array([[temporal_iou([p], [r]) for r in reference] for p in predicted])
    reached = iou.reshape(len(predicted), len(reference)) >= threshold - _ROUNDING
    from scipy.optimize import linear_sum_assignment  # slow to import, and rarely needed

    rows, columns = linear_sum_assignment(reached, maximize=True)
    return Counts(int(reached[rows, columns].sum()), len(predicted), len(reference))


def _overlap(a: Interval, b: Interval) -> float:
    return max(0.0, min(a.end_s, b.end_s) - max(a.start_s, b.start_s))


def _length(intervals: list[Interval]) -> float:
    return sum(i.length_s for i in intervals)
