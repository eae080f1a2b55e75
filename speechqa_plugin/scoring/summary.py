"""What stands in a results file, in a few lines."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable
from statistics import fmean, median

from tabulate import tabulate

from speechqa_plugin.scoring.results import judged

_MOST_NAMED = 3


class Summary:
    """Counts, hours and the middle of each dimension, kept in four bytes a number.

    What was not judged has no score that could be counted in.

    Arguments
    ---------
    rows : iterable of dict
        As `speechqa_plugin.scoring.results.read_rows` gives them.
    where : str or path
        Where they stand, for who wants to know more of them.

    Example
    -------
    >>> rows = [{"path": "a", "duration_s": 1800, "scores": {"mos": s}} for s in (1, 2, 4.5)]
    >>> print(Summary([*rows, {"path": "b", "error": "b: is empty"}], "scores.jsonl"))
    4 files, 1 unreadable, 1.5 h of audio
      b: is empty
    dimension      mean    median
    -----------  ------  --------
    mos            2.50      2.00
    """

    def __init__(self, rows: Iterable[dict], where: str | os.PathLike):
        self.where = where
        self.n = self.failed = self.unjudged = 0
        self.errors: list[str] = []
        self.seconds = 0.0
        self.values: dict[str, array] = {}
        for row in rows:
            self.n += 1
            self.seconds += row.get("duration_s", 0.0)
            if "error" in row:
                self.failed += 1
                self.errors += [row["error"]] if self.failed <= _MOST_NAMED else []
            elif not judged(row):
                self.unjudged += 1
            else:
                for name, value in row["scores"].items():
                    self.values.setdefault(name, array("f")).append(value)

    def __str__(self) -> str:
        table = [(name, fmean(v), median(v)) for name, v in self.values.items()]
        counts = [counted(self.n, "file"), f"{self.failed} unreadable"]
        if self.unjudged:
            counts.append(f"{self.unjudged} not judged (no speech or too short)")
        lines = [", ".join([*counts, f"{self.seconds / 3600:.3g} h of audio"])]
        lines += [f"  {error}" for error in self.errors]
        if self.failed > _MOST_NAMED:
            lines.append(f"  and {self.failed - _MOST_NAMED} more: they are in {self.where}")
        if table:
            heads = ["dimension", "mean", "median"]
            lines.append(tabulate(table, headers=heads, floatfmt=".2f"))
        return "\n".join(lines)


def counted(n: int, noun: str) -> str:
    """How many there are of something, in English.

    Example
    -------
    >>> counted(0, "file"), counted(1, "file")
    ('0 files', '1 file')
    """
    return f"{n} {noun}{'' if n == 1 else 's'}"
