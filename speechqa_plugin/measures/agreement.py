"""How well measures agree with listeners, file by file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from tabulate import tabulate

from speechqa_plugin.metrics import Estimate, bootstrap_ci, pearson, spearman


class Agreement(NamedTuple):
    """A measure beside listeners' ratings.

    Arguments
    ---------
    name : str
    n : int
        Files that have both.
    pearson, spearman : Estimate
        With the 95 % bootstrap interval over files.
    """

    name: str
    n: int
    pearson: Estimate
    spearman: Estimate


def agreement(ratings: Sequence[float], columns: Mapping[str, Sequence[float]]) -> list[Agreement]:
    """Correlate each measure with the ratings.

    Arguments
    ---------
    ratings : sequence of float, length N
    columns : mapping from str to sequence of float, length N
        Values by measure; NaN where it has none.

    Returns
    -------
    list of Agreement
        In the order given.

    Raises
    ------
    ValueError
        If a column has another length than the ratings.

    Example
    -------
    >>> (row,) = agreement([1, 2, 3, 4, 5], {"pesq": [1.0, 1.5, 2.0, 2.5, np.nan]})
    >>> row.n, row.pearson.value
    (4, 1.0)
    """
    rated, rows = np.asarray(ratings, dtype=float), []
    for name, values in columns.items():
        values = np.asarray(values, dtype=float)
        if values.shape != rated.shape:
            raise ValueError(f"{name}: {len(values)} values for {len(rated)} ratings")
        both = np.isfinite(values) & np.isfinite(rated)
        x, y = values[both], rated[both]
        estimates = (Estimate(f(x, y), *bootstrap_ci(f, x, y)) for f in (pearson, spearman))
        rows.append(Agreement(name, int(both.sum()), *estimates))
    return rows


def agreement_table(rows: Sequence[Agreement]) -> str:
    """The rows as a Markdown table.

    Example
    -------
    >>> rows = agreement([1, 2, 3], {"pesq": [1.0, 2.0, 3.0]})
    >>> agreement_table(rows).splitlines()[0]
    '| measure   |   n | Pearson           | Spearman          |'
    """
    body = [(row.name, row.n, str(row.pearson), str(row.spearman)) for row in rows]
    return tabulate(body, ("measure", "n", "Pearson", "Spearman"), tablefmt="github")
