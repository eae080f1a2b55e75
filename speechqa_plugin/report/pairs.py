"""Versions of the same clips beside each other, by what a model says of them: no labels needed.

Where clips have labels, `speechqa_plugin.report.comparison` compares how well systems agree with
those.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from tabulate import tabulate

from speechqa_plugin.metrics import Estimate, bootstrap_values, percentile_interval
from speechqa_plugin.report.words import signed, signed_estimate
from speechqa_plugin.schema import SCORE_MAX, SCORE_MIN, Taxonomy

MIDDLE = (SCORE_MIN + SCORE_MAX) / 2
"""The best score of a dimension both of whose ends are faults."""


@dataclass(frozen=True)
class Pair:
    """A clip in two versions.

    Arguments
    ---------
    name : str
        What to call it.
    a, b : mapping from str to float
        Scores of the two versions, for the same dimensions.
    """

    name: str
    a: Mapping[str, float]
    b: Mapping[str, float]

    def difference(self, dimension: str) -> float:
        """A's score minus B's."""
        return self.a[dimension] - self.b[dimension]

    def to_dict(self) -> dict:
        """Plain dict for JSON."""
        return {"name": self.name, "a": dict(self.a), "b": dict(self.b)}


@dataclass(frozen=True)
class Difference:
    """One dimension over all pairs.

    Arguments
    ---------
    a, b : Estimate
        Mean scores.
    difference : Estimate
        Mean of A minus B; its interval is that of a paired bootstrap.
    gain : Estimate
        How much better A is: the difference or, where the middle of the scale is best, how much
        nearer to it A is, pair by pair.
    a_better, b_better : int
        On how many pairs A, and on how many B, is better.
    """

    a: Estimate
    b: Estimate
    difference: Estimate
    gain: Estimate
    a_better: int
    b_better: int


@dataclass(frozen=True)
class Comparison:
    """Two versions of the same clips.

    Arguments
    ---------
    by : str
        The dimension that sorts the pairs.
    dimensions : dict from str to Difference
        In the order of the taxonomy.
    pairs : tuple of Pair
        Those that differ most by that dimension first.
    errors : dict from str to str
        Pairs that were left out because a version could not be heard, and why.
    not_judged : dict from str to str
        Pairs that were left out because in a version there was nothing to judge, and which.
    middle : tuple of str
        Dimensions of which the middle of the scale is best.
    """

    by: str
    dimensions: dict[str, Difference]
    pairs: tuple[Pair, ...]
    errors: dict[str, str]
    not_judged: dict[str, str] = field(default_factory=dict)
    middle: tuple[str, ...] = ()

    def to_dict(self) -> dict:
        """Plain dict for JSON; an estimate is [value, low, high], None where undefined."""
        return {
            "n": len(self.pairs),
            "by": self.by,
            "dimensions": {
                name: {
                    **{k: _plain(getattr(d, k)) for k in ("a", "b", "difference", "gain")},
                    "a_better": d.a_better,
                    "b_better": d.b_better,
                }
                for name, d in self.dimensions.items()
            },
            "pairs": [pair.to_dict() for pair in self.pairs],
            "errors": dict(self.errors),
            "not_judged": dict(self.not_judged),
        }


@dataclass(frozen=True)
class Rank:
    """A system's place among others on the same clips.

    Arguments
    ---------
    system : str
        Its name.
    means : dict from str to Estimate
        Mean of each dimension.
    behind : Estimate
        Mean of its score minus the first system's or, where the middle of the scale is best, how
        much nearer to it the first is; at most 0. Where the interval holds 0, the two cannot be
        told apart.
    wins : int
        On how many clips no other system is as good.
    """

    system: str
    means: dict[str, Estimate]
    behind: Estimate
    wins: int

    def to_dict(self) -> dict:
        """Plain dict for JSON; see `Comparison.to_dict`."""
        means = {name: _plain(mean) for name, mean in self.means.items()}
        behind = _plain(self.behind)
        return {"system": self.system, "means": means, "behind": behind, "wins": self.wins}


def match(sides: Sequence[Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Find the versions of each clip by its file's name.

    The name without its ending is enough where no side has it twice; else the path below the
    folder that holds all of a side's files. The ending never counts: a codec may change it.

    Arguments
    ---------
    sides : sequence of sequence of str
        Paths of S versions.

    Returns
    -------
    dict from str to tuple of str
        For each name that all sides have, in the order of the first, its S paths.

    Raises
    ------
    ValueError
        If two files of a side have one name, or no name stands in all sides.

    Example
    -------
    >>> match([["clean/1.wav", "clean/2.wav"], ["mp3/2.mp3"]])
    {'2': ('clean/2.wav', 'mp3/2.mp3')}
    """
    named = [[_stem(os.path.basename(p)) for p in side] for side in sides]
    if any(len(set(names)) < len(names) for names in named):
        named = [[_stem(os.path.relpath(p, _common(side))) for p in side] for side in sides]
    for side, names in zip(sides, named, strict=True):
        name, times = max(Counter(names).items(), key=lambda item: item[1], default=("", 0))
        if times > 1:
            twice = [p for p, n in zip(side, names, strict=True) if n == name]
            raise ValueError(f"{twice[0]} and {twice[1]} have one name, {name!r}; need one of them")
    found = [dict(zip(names, side, strict=True)) for names, side in zip(named, sides, strict=True)]
    matched = {n: tuple(f[n] for f in found) for n in found[0] if all(n in f for f in found)}
    if not matched:
        firsts = ", ".join(repr(next(iter(f), "")) for f in found)
        raise ValueError(
            f"no file name stands in all of them (the first names are {firsts}); versions of a "
            "clip need one name, whatever the ending"
        )
    return matched


def best_in_the_middle(taxonomy: Taxonomy | None) -> tuple[str, ...]:
    """Names of the dimensions that are; none where no taxonomy is known.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> best_in_the_middle(load_taxonomy("qualispeech"))
    ('speed',)
    """
    return tuple(d.name for d in taxonomy.dimensions if d.magnitude) if taxonomy else ()


def compare_pairs(
    pairs: Sequence[Pair],
    by: str = "mos",
    errors: Mapping[str, str] | None = None,
    not_judged: Mapping[str, str] | None = None,
    middle: Sequence[str] = (),
) -> Comparison:
    """How two versions of the same clips differ, dimension by dimension.

    Arguments
    ---------
    pairs : sequence of Pair
        At least one. One alone has no intervals, and those of a few are too narrow.
    by : str
        The dimension that sorts the pairs.
    errors, not_judged : mapping from str to str, optional
        Pairs that were left out; see `Comparison`.
    middle : sequence of str
        Dimensions of which the middle of the scale is best.

    Returns
    -------
    Comparison
        With 95 % intervals by `bootstrap_values`.

    Raises
    ------
    ValueError
        If there are no pairs, or not all scores have the same dimensions, ``by`` among them.

    Example
    -------
    >>> pairs = [Pair(str(i), {"mos": i % 3 + 2}, {"mos": i % 3 + 1}) for i in range(9)]
    >>> str(compare_pairs(pairs).dimensions["mos"].difference)
    '1.00 [1.00, 1.00]'
    """
    errors, not_judged = dict(errors or {}), dict(not_judged or {})
    if not pairs:
        raise ValueError(f"no pair of clips to compare: {why_none(errors, not_judged)}")
    names = _dimensions([s for pair in pairs for s in (pair.a, pair.b)], by)
    dimensions = {}
    for name in names:
        a, b = (np.array([getattr(p, side)[name] for p in pairs], float) for side in "ab")
        means = _means(a, b)
        good_a, good_b = (_goodness(x, name in middle) for x in (a, b))
        gain = _means(good_a, good_b)[2] if name in middle else means[2]
        wins = int((good_a > good_b).sum()), int((good_b > good_a).sum())
        dimensions[name] = Difference(*means, gain, *wins)
    ordered = sorted(pairs, key=lambda pair: -abs(pair.difference(by)))
    return Comparison(by, dimensions, tuple(ordered), errors, not_judged, tuple(middle))


def why_none(errors: Mapping[str, str], not_judged: Mapping[str, str]) -> str:
    """Why there are no clips to compare: what is wrong with the first that was left out."""
    reasons = [*errors.values(), *(f"{p}: nothing to judge in it" for p in not_judged.values())]
    return next(iter(reasons), "there are none")


def rank(
    systems: Mapping[str, Sequence[Mapping[str, float]]],
    by: str = "mos",
    middle: Sequence[str] = (),
) -> list[Rank]:
    """Order systems by their mean score on the same clips.

    Arguments
    ---------
    systems : mapping from str to sequence of mapping
        For each system the scores of N clips, the same in the same order.
    by : str
        The dimension that orders them.
    middle : sequence of str
        Dimensions of which the middle of the scale is best.

    Returns
    -------
    list of Rank
        The best first.

    Raises
    ------
    ValueError
        If the clips are not as many, there are none, or the dimensions differ.

    Example
    -------
    >>> scores = {"old": [{"mos": 2}, {"mos": 4}], "new": [{"mos": 3}, {"mos": 5}]}
    >>> [(r.system, r.wins, r.behind.value) for r in rank(scores)]
    [('new', 2, 0.0), ('old', 0, -1.0)]
    """
    counts = {name: len(clips) for name, clips in systems.items()}
    if len(set(counts.values())) != 1 or not next(iter(counts.values())):
        raise ValueError(f"systems have {counts} clips; need the same ones, at least one")
    names = _dimensions([scores for clips in systems.values() for scores in clips], by)
    table = np.array([[[s[n] for n in names] for s in clips] for clips in systems.values()], float)
    good = _goodness(table[:, :, names.index(by)], by in middle)
    order = sorted(range(len(systems)), key=lambda i: -good[i].mean())
    highest = good.max(axis=0)
    alone = (good == highest).sum(axis=0) == 1
    best = good[order[0]]
    ranks = []
    for i in order:
        means = {n: _means(table[i, :, d], best)[0] for d, n in enumerate(names)}
        behind = _means(good[i], best)[2]
        wins = int(((good[i] == highest) & alone).sum())
        ranks.append(Rank(list(systems)[i], means, behind, wins))
    return ranks


def _goodness(scores: np.ndarray, middle: bool) -> np.ndarray:
    """What is higher where it is better: the scores or, of the middle, how near they are."""
    return -np.abs(scores - MIDDLE) if middle else scores


def comparison_text(comparison: Comparison, n_most: int = 5) -> str:
    """A comparison's tables in markdown: the dimensions, and the pairs that differ most."""
    rows = [
        [_marked(name, comparison.middle), _text(d.a), _text(d.b), signed_estimate(d.difference)]
        + [d.a_better, d.b_better]
        for name, d in comparison.dimensions.items()
    ]
    head = ["mean [95 %]", "A", "B", "A − B", "A better", "B better"]
    by = comparison.by
    most = [
        [p.name, f"{p.a[by]:.2f}", f"{p.b[by]:.2f}", signed(p.difference(by))]
        for p in comparison.pairs[:n_most]
        if signed(p.difference(by)) != "0.00"
    ]
    tables = [_table(rows, head)]
    if len(comparison.pairs) > 1 and most:
        tables.append(_table(most, [f"differ most in {by}", "A", "B", "A − B"]))
    return "\n\n".join(tables)


def ranking_text(ranks: Sequence[Rank], by: str = "mos", middle: Sequence[str] = ()) -> str:
    """`rank`'s systems as a markdown table, the best first."""
    others = [name for name in ranks[0].means if name != by]
    rows = [
        [i, r.system, _text(r.means[by]), signed_estimate(r.behind) if i > 1 else "", r.wins]
        + [f"{r.means[name].value:.2f}" for name in others]
        for i, r in enumerate(ranks, start=1)
    ]
    others = [_marked(name, middle) for name in others]
    head = ["", "system", f"{_marked(by, middle)} [95 %]", "behind the first", "wins", *others]
    return _table(rows, head)


def _marked(name: str, middle: Sequence[str]) -> str:
    return f"{name} (best: {MIDDLE:g})" if name in middle else name


def _means(a: np.ndarray, b: np.ndarray) -> tuple[Estimate, Estimate, Estimate]:
    """Means of A, of B and of A minus B; of one clip there is no interval."""
    values = [float(a.mean()), float(b.mean()), float(a.mean() - b.mean())]
    if len(a) < 2:
        return tuple(Estimate(value, math.nan, math.nan) for value in values)
    drawn_a, drawn_b = (bootstrap_values(np.mean, [[side]]) for side in (a, b))
    drawn = (drawn_a, drawn_b, drawn_a - drawn_b)
    return tuple(Estimate(v, *percentile_interval(d)) for v, d in zip(values, drawn, strict=True))


def _dimensions(scores: Sequence[Mapping[str, float]], by: str) -> list[str]:
    names = list(scores[0])
    other = next((list(s) for s in scores if s.keys() != scores[0].keys()), None)
    if other is not None:
        raise ValueError(
            f"dimensions {names} and {other} differ; need scores of one model's taxonomy"
        )
    if by not in names:
        overall = "; the overall one is 'mos'" if "mos" in names else ""
        raise ValueError(f"no dimension {by!r}; there are {names}{overall}")
    return names


def _stem(path: str) -> str:
    return os.path.splitext(path)[0]


def _common(side: Sequence[str]) -> str:
    return os.path.commonpath([os.path.dirname(p) or "." for p in side])


def _plain(estimate: Estimate) -> list[float | None]:
    return [None if math.isnan(v) else v for v in estimate]


def _text(estimate: Estimate) -> str:
    return f"{estimate.value:.2f}" if math.isnan(estimate.low) else str(estimate)


def _table(rows: Sequence[Sequence], head: Sequence[str]) -> str:
    return tabulate(rows, head, "github", disable_numparse=True)
