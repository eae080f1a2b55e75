"""What a comparison comes to, in one sentence."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from speechqa_plugin.metrics import Estimate
from speechqa_plugin.report.words import signed, some_of

if TYPE_CHECKING:
    from speechqa_plugin.report.versions import Versions

FEW = 20
"""Clips below which a bootstrap's interval is too narrow."""


def verdict(found: Versions) -> str:
    """Which source is better by the dimension that sorts, by how much, and how sure that is."""
    title = found.title(found.by)
    if found.comparison is None:
        return _of_ranks(found, title)
    gain = found.comparison.dimensions[found.by].gain
    if not any(map(_shown, gain)):
        return f"A and B are alike in {title}."
    if not _shown(gain.value):
        return f"No difference in {title} can be told ({_interval(gain)})."
    one, other = ("A", "B") if gain.value > 0 else ("B", "A")
    size = gain if one == "A" else Estimate(-gain.value, -gain.high, -gain.low)
    if gain.low <= 0 <= gain.high:
        return f"No difference in {title} can be told: {one} is better by {_points(size)}."
    return f"{one} is better than {other} in {title}, by {_points(size)}{_caution(found)}."


def _of_ranks(found: Versions, title: str) -> str:
    letters = dict(zip(found.sources, found.letters, strict=True))
    first, second, *_ = found.ranks
    best, next_ = letters[first.system], letters[second.system]
    behind = [(letters[r.system], r.behind) for r in found.ranks[1:]]
    alike = [name for name, by in behind if by.high >= 0 or not _shown(by.value)]
    if alike:
        return f"{best} is first in {title}, but can't be told apart from {some_of(alike)}."
    ahead = Estimate(-second.behind.value, -second.behind.high, -second.behind.low)
    by = f"by {_points(ahead)}{_caution(found)}"
    return f"{best} is best in {title}, better than {next_} {by}."


def _points(size: Estimate) -> str:
    if math.isnan(size.low):
        return f"{size.value:.2f} points"
    return f"{size.value:.2f} points ({_interval(size)})"


def _interval(size: Estimate) -> str:
    low, high = (signed(end).removeprefix("+") for end in (size.low, size.high))
    return f"95 % interval {low} to {high}"


def _caution(found: Versions) -> str:
    n = len(found.scores)
    if n == 1:
        return "; of one clip, which has no interval, so that it may be luck"
    return f"; {n} clips are few, and the interval is too narrow" if n < FEW else ""


def _shown(value: float) -> bool:
    return not math.isnan(value) and signed(value) != "0.00"
