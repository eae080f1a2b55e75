"""An annotator's prose without its times."""

from __future__ import annotations

import re

from speechqa_plugin.annotations.base import Flag
from speechqa_plugin.annotations.plain import normalise, spans
from speechqa_plugin.annotations.times import read_times
from speechqa_plugin.annotations.vocabulary import TIME

_NOT_WITHIN = {Flag.BEYOND_CLIP, Flag.NEEDS_DURATION}
_LIST = rf"{TIME}(?:(?:\s|[,;/&+]|\b(?:and|or|then|also|again)\b)*{TIME})*"
_SENTENCE_END = re.compile(r"\.(?=\s*$|\s+[A-Z])")
_TIMES = re.compile(rf"\(\s*{_LIST}\s*\)|\[\s*{_LIST}\s*\]|{_LIST}", re.IGNORECASE)


def without_times(text: str, duration_s: float | None = None) -> str:
    """Take out of a text the intervals that `parse_annotation` finds in it.

    Everything else stays as it was written: lengths and points in time, and times without a number
    ("throughout", "in the second half"), which are no intervals.

    Arguments
    ---------
    text : str
        Free English; may be empty.
    duration_s : float or None
        Length of the clip; None where it is not known.

    Returns
    -------
    str
        In one line.

    Example
    -------
    >>> without_times("A hum from 0 to 4.8 seconds, then clicks (2-3s) for 0.2 s.")
    'A hum, then clicks for 0.2 s.'
    """
    mentions = read_times(normalise(text), duration_s)
    stretches = [(m.begin, m.end) for m in mentions if m.intervals or m.flags & _NOT_WITHIN]
    pieces, end = [], 0
    for begin, stop in spans(text, stretches):
        pieces += [text[end:begin].replace(TIME, " "), TIME]
        end = stop - bool(_SENTENCE_END.match(text, stop - 1))  # not that of "sec."
    text = " ".join([*pieces, text[end:].replace(TIME, " ")])
    text = " ".join(_TIMES.sub(" ", text).split())
    text = re.sub(r"\s+([,.;!?)\]])", r"\1", text)
    return re.sub(r"([,;])(?=[,.;!?])", "", text).strip(" ,;")
