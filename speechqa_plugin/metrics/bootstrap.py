"""Confidence intervals of any statistic, by drawing the rows again."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike


def bootstrap_ci(
    statistic: Callable[..., float],
    *arrays: ArrayLike,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval (Efron and Tibshirani, 1993, chapter 13).

    Arguments
    ---------
    statistic : callable
        Takes the arrays, returns a float; NaN where it is undefined.
    *arrays : array-like
        One or more, each of shape [N, ...]. All are drawn with the same rows.
    n_resamples : int
        How often N rows are drawn with replacement.
    level : float
        Share of the resamples inside the interval, in (0, 1).
    seed : int
        Seed of the draws.

    Returns
    -------
    (float, float)
        Low and high end. Resamples on which the statistic is undefined are
        left out; if they are more than half, or N = 0, both ends are NaN.

    Raises
    ------
    ValueError
        If there are no arrays, their lengths differ, or an option is out of
        its range.

    Example
    -------
    >>> low, high = bootstrap_ci(np.mean, np.arange(100))
    >>> low < 49.5 < high
    True
    """
    if not 0 < level < 1 or n_resamples < 1:
        raise ValueError(f"level={level}, n_resamples={n_resamples}; need 0 < level < 1 and >= 1")
    rows = [np.asarray(a) for a in arrays]
    lengths = {len(a) for a in rows}
    if len(lengths) != 1:
        raise ValueError(f"arrays of lengths {[len(a) for a in rows]}; need the same rows in all")
    n = lengths.pop()
    if n == 0:
        return np.nan, np.nan
    rng = np.random.default_rng(seed)
    values = np.empty(n_resamples)
    for i in range(n_resamples):
        drawn = rng.integers(n, size=n)
        values[i] = statistic(*(a[drawn] for a in rows))
    defined = values[~np.isnan(values)]
    if 2 * len(defined) < n_resamples:
        return np.nan, np.nan
    tail = (1 - level) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)
