"""Confidence intervals of any statistic, by drawing the rows again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Estimate(NamedTuple):
    """A number with the ends of its interval; all NaN where it is undefined.

    Example
    -------
    >>> estimate = Estimate(0.5, 0.25, 0.75)
    >>> str(estimate), f"{estimate:+.1f}", str(Estimate(np.nan, np.nan, np.nan))
    ('0.50 [0.25, 0.75]', '+0.5 [+0.2, +0.8]', '–')
    """

    value: float
    low: float
    high: float

    def __format__(self, spec: str) -> str:
        if np.isnan(self.value):
            return "–"
        return f"{self.value:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"

    def __str__(self) -> str:
        return format(self, ".2f")


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
    if not 0 < level < 1:
        raise ValueError(f"level={level}; need 0 < level < 1")
    return percentile_interval(bootstrap_values(statistic, [arrays], n_resamples, seed), level)


def bootstrap_values(
    statistic: Callable[..., float],
    runs: Sequence[Sequence[ArrayLike]],
    n_resamples: int = 1000,
    seed: int = 0,
) -> np.ndarray:
    """A statistic's mean over runs (seeds) on the same rows, drawn again and again.

    Each resample draws rows, the same in all runs, and runs, both with replacement, so that the
    values hold the luck of the clips and of the seeds (Davison and Hinkley, 1997, section 3.8). A
    few runs tell little of how runs vary: with S of them that part comes out too small by the
    factor (S - 1) / S in variance, and with one it is not there.

    The draws depend on N, S and ``seed`` alone. The values of two systems on the same rows are
    therefore pairs, and their differences those of a paired bootstrap: what is hard for both
    systems does not widen the interval.

    Arguments
    ---------
    statistic : callable
        Takes one run's arrays, returns a float; NaN where it is undefined.
    runs : sequence of sequence of array-like
        S runs, each of one or more arrays of shape [N, ...].
    n_resamples : int
        How often S runs and N rows are drawn with replacement.
    seed : int
        Seed of the draws.

    Returns
    -------
    array
        Shape [n_resamples]; NaN where a drawn run's statistic is undefined, and if N = 0.

    Raises
    ------
    ValueError
        If there are no runs or arrays, their lengths differ, or ``n_resamples`` is below 1.

    Example
    -------
    >>> clips = np.arange(100)
    >>> ours, theirs = (bootstrap_values(np.mean, [[clips + gain]]) for gain in (1, 0))
    >>> low, high = percentile_interval(ours - theirs)
    >>> round(low, 6), round(high, 6)
    (1.0, 1.0)
    """
    if n_resamples < 1:
        raise ValueError(f"n_resamples={n_resamples}; need at least 1")
    runs = [[np.asarray(a) for a in arrays] for arrays in runs]
    lengths = [len(a) for arrays in runs for a in arrays]
    if len(set(lengths)) != 1:
        raise ValueError(f"arrays of lengths {lengths}; need the same rows in all")
    n = lengths[0]
    values = np.full(n_resamples, np.nan)
    if n == 0:
        return values
    rng = np.random.default_rng(seed)
    for i in range(n_resamples):
        rows = rng.integers(n, size=n)
        drawn = np.bincount(rng.integers(len(runs), size=len(runs)), minlength=len(runs))
        total = sum(
            times * statistic(*(a[rows] for a in arrays))
            for times, arrays in zip(drawn, runs, strict=True)
            if times
        )
        values[i] = total / len(runs)
    return values


def percentile_interval(values: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Ends of the middle part of `bootstrap_values`, or of the differences between two.

    Arguments
    ---------
    values : array-like
        Shape [n_resamples]. NaN are left out.
    level : float
        Share of the values inside, in (0, 1).

    Returns
    -------
    (float, float)
        Low and high end; both NaN if more than half of the values are.

    Example
    -------
    >>> percentile_interval([0, 1, 2, 3, 4, float("nan")], level=0.5)
    (1.0, 3.0)
    """
    values = np.asarray(values, dtype=float)
    defined = values[~np.isnan(values)]
    if 2 * len(defined) < len(values):
        return np.nan, np.nan
    tail = (1 - level) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)
