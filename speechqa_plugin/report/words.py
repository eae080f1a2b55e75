"""Numbers and lists as people read them in a table, a page or a sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence

from speechqa_plugin.metrics import Estimate


def signed(value: float) -> str:
    """A difference with two places; what rounds to nothing has no sign.

    Example
    -------
    >>> signed(0.5), signed(-0.004), signed(-0.005001)
    ('+0.50', '0.00', '-0.01')
    """
    text = f"{value:+.2f}"
    return "0.00" if text in ("+0.00", "-0.00") else text


def signed_estimate(estimate: Estimate) -> str:
    """A difference with its interval, if it has one that is more than a point at nothing.

    Example
    -------
    >>> signed_estimate(Estimate(0.5, -0.25, 1)), signed_estimate(Estimate(0.0, -0.0, 0.001))
    ('+0.50 [-0.25, +1.00]', '0.00')
    """
    value, low, high = map(signed, estimate)
    if math.isnan(estimate.low) or value == low == high == "0.00":
        return value
    return f"{value} [{low}, {high}]"


def some_of(names: Sequence[str], most: int = 3) -> str:
    """The first few, and how many there are more.

    Example
    -------
    >>> some_of(["a", "b"]), some_of("abcdefg")
    ('a, b', 'a, b, c and 4 more')
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
