"""What stands in a results file, in a few lines."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from statistics import fmean, median

from tabulate import tabulate


class Summary:
    """Counts, hours and the middle of each dimension, kept in four bytes a number.

    Arguments
    ---------
    rows : iterable of dict
        As `speechqa_plugin.scoring.results.read_rows` gives them.

    Example
    -------
    >>> rows = [{"path": "a", "duration_s": 1800, "scores": {"mos": s}} for s in (1, 2, 4.5)]
    >>> print(Summary([*rows, {"path": "b", "error": "is empty"}]))
    4 files, 1 of them unreadable, 1.5 hours of audio
    dimension      mean    median
    -----------  ------  --------
    mos            2.50      2.00
    """

    def __init__(self, rows: Iterable[dict]):
        self.n = self.failed = 0
        self.seconds = 0.0
        self.values: dict[str, array] = {}
        for row in rows:
            self.n += 1
            self.failed += "error" in row
            self.seconds += row.get("duration_s", 0.0)
            for name, value in row.get("scores", {}).items():
                self.values.setdefault(name, array("f")).append(value)

    def __str__(self) -> str:
        table = [(name, fmean(v), median(v)) for name, v in self.values.items()]
        first = (
            f"{self.n} files, {self.failed} of them unreadable, {self.seconds / 3600:.3g} hours "
            "of audio"
        )
        if not table:
            return first
        heads = ["dimension", "mean", "median"]
        return f"{first}\n{tabulate(table, headers=heads, floatfmt='.2f')}"
