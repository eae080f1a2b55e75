"""Agreement of two rows of numbers, such as predicted and reference scores.

All take two array-likes of shape [N] and are symmetric in them. N is for the
caller to print beside the value.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike


def pearson(x: ArrayLike, y: ArrayLike) -> float:
    """Pearson's linear correlation (PCC).

    Arguments
    ---------
    x, y : array-like
        Shape [N], finite.

    Returns
    -------
    float
        In [-1, 1]; NaN if N < 2 or either is constant.

    Raises
    ------
    ValueError
        If the shapes differ or are not [N], or a value is not finite.

    Example
    -------
    >>> round(pearson([1, 2, 3], [1, 2, 4]), 3)
    0.982
    """
    return _correlation(_product_moment, x, y)


def mean_pearson(x: ArrayLike, y: ArrayLike) -> float:
    """Mean over the columns (dimensions) of their `pearson`, in one go.

    Arguments
    ---------
    x, y : array-like
        Shape [N, D], finite.

    Returns
    -------
    float
        In [-1, 1]; NaN if any column's is, or there are none.

    Raises
    ------
    ValueError
        If the shapes differ or are not [N, D], or a value is not finite.

    Example
    -------
    >>> round(mean_pearson([[1, 3], [2, 2], [3, 1]], [[1, 1], [2, 2], [4, 3]]), 3)
    -0.009
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if x.ndim != 2 or x.shape != y.shape or not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError(f"shapes {x.shape} and {y.shape}; need finite pairs of shape [N, D]")
    if len(x) < 2 or x.shape[1] == 0 or any((z == z[0]).all(axis=0).any() for z in (x, y)):
        return np.nan
    return float(np.mean(_product_moment(x, y)))


def spearman(x: ArrayLike, y: ArrayLike) -> float:
    """Spearman's rank correlation (SRCC): Pearson's of the ranks, ties sharing their mean rank.

    Arguments, result and errors are those of `pearson`.

    Example
    -------
    >>> round(spearman([1, 2, 3], [1, 2, 4]), 3)
    1.0
    """
    from scipy import stats  # slow to import, and a command that scores needs none

    return _correlation(
        lambda x, y: _product_moment(stats.rankdata(x), stats.rankdata(y)),  # see there
        x,
        y,
    )


def kendall(x: ArrayLike, y: ArrayLike) -> float:
    """Kendall's tau-b (KTAU), which allows for ties.

    Arguments, result and errors are those of `pearson`.

    Example
    -------
    >>> round(kendall([1, 2, 3, 4], [1, 3, 2, 4]), 3)
    0.667
    """
    from scipy import stats  # slow to import, and a command that scores needs none

    return _correlation(lambda x, y: stats.kendalltau(x, y).statistic, x, y)


def rmse(x: ArrayLike, y: ArrayLike) -> float:
    """Root of the mean squared difference.

    Arguments
    ---------
    x, y : array-like
        Shape [N], finite.

    Returns
    -------
    float
        At least 0, in the unit of ``x`` and ``y``; NaN if N = 0.

    Raises
    ------
    ValueError
        If the shapes differ or are not [N], or a value is not finite.

    Example
    -------
    >>> rmse([1, 2], [1, 4]) == 2**0.5
    True
    """
    x, y = _pair(x, y)
    return float(np.sqrt(np.mean((x - y) ** 2))) if len(x) else np.nan


def mae(x: ArrayLike, y: ArrayLike) -> float:
    """Mean absolute difference.

    Arguments, result and errors are those of `rmse`.

    Example
    -------
    >>> mae([1, 2], [1, 4])
    1.0
    """
    x, y = _pair(x, y)
    return float(np.mean(np.abs(x - y))) if len(x) else np.nan


def grouped_means(keys: Sequence[Hashable], values: ArrayLike) -> dict[Hashable, float]:
    """Mean of the values of each key, such as of each system's clips.

    Arguments
    ---------
    keys : sequence
        N keys.
    values : array-like
        Shape [N], finite.

    Returns
    -------
    dict from key to float
        In the order in which the keys first come, so that the means of two
        rows under the same keys pair up.

    Raises
    ------
    ValueError
        If the lengths differ or a value is not finite.

    Example
    -------
    >>> grouped_means(["b", "a", "b"], [1, 5, 2])
    {'b': 1.5, 'a': 5.0}
    """
    values = _finite("values", values)
    if len(keys) != len(values):
        raise ValueError(f"{len(keys)} keys and {len(values)} values; need one key per value")
    groups: dict[Hashable, list[float]] = {}
    for key, value in zip(keys, values, strict=True):
        groups.setdefault(key, []).append(value)
    return {key: float(np.mean(group)) for key, group in groups.items()}


def _correlation(function, x: ArrayLike, y: ArrayLike) -> float:
    x, y = _pair(x, y)
    if len(x) < 2 or (x == x[0]).all() or (y == y[0]).all():
        return np.nan
    return float(function(x, y))


def _product_moment(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    # scipy's takes ten times as long, and a bootstrap calls this thousands of times.
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    cosine = (x * y).sum(axis=0) / np.sqrt((x * x).sum(axis=0) * (y * y).sum(axis=0))
    return np.clip(cosine, -1, 1)


def _pair(x: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    x, y = _finite("first", x), _finite("second", y)
    if len(x) != len(y):
        raise ValueError(f"{len(x)} and {len(y)} values; need pairs")
    return x, y


def _finite(name: str, values: ArrayLike) -> np.ndarray:
    values = np.asarray(values, dtype=float)
    if values.ndim != 1:
        raise ValueError(f"{name} values have shape {values.shape}; need one row of numbers")
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise ValueError(
            f"{name} values: {len(bad)} of {len(values)} are not finite, the first at index "
            f"{bad[0]}; leave such pairs out and say how many"
        )
    return values
