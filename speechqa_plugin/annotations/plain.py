"""An annotator's text in plain letters, and where each of them stood."""

from __future__ import annotations

import re
import unicodedata


def normalise(text: str) -> str:
    """One line in lower case with plain digits, dashes, quotes and decimal points.

    Arguments
    ---------
    text : str
        Any text.

    Example
    -------
    >>> normalise("Hum from0,5 – 1,2S")
    'hum from 0.5 - 1.2s'
    """
    text = "".join(map(_plain, text))
    # From here on only blanks are added or dropped and commas become points: `spans` needs that.
    text = re.sub(r"(?<![0-9.,-])([0-9]+),([0-9]{1,2})(?![.,]?[0-9])", r"\1.\2", text)
    text = re.sub(r"(?<=-)([0-9]+),([0-9]{1,2})(?![.,]?[0-9]|-)", r"\1.\2", text)
    text = re.sub(r"(?<=[a-z])([:.])(?=[0-9])", r"\1 ", text)
    text = re.sub(r"\b(from|between|to|and|at|until|first|last)(?=[0-9])", r"\1 ", text)
    text = re.sub(r"(?<=[0-9])(to|and|until|till)(?=\s|[0-9])", r" \1 ", text)
    text = re.sub(r"(?<=[0-9]s)(to|and)(?=\s|[0-9])", r" \1 ", text)
    return " ".join(text.split())


def spans(text: str, stretches: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Where stretches of a normalised text stand in the text as it was written.

    Arguments
    ---------
    text : str
        As it was written.
    stretches : list of (int, int)
        Begin and end of each in ``normalise(text)``, with some letter within.

    Returns
    -------
    list of (int, int)
        Begin and end of each in `text`, without blanks at its ends.

    Example
    -------
    >>> text = "Hum  from0,5 – 1,2S"
    >>> begin, end = spans(text, [(4, 19)])[0]
    >>> text[begin:end]
    'from0,5 – 1,2S'
    """
    line = normalise(text)
    origins = [i for i, char in enumerate(text) for c in _plain(char) if not c.isspace()]
    found = []
    for begin, end in stretches:
        first, n = (len("".join(part.split())) for part in (line[:begin], line[begin:end]))
        found.append((origins[first], origins[first + n - 1] + 1))
    return found


def _plain(char: str) -> str:
    if char in "‘’`´′":
        return "'"
    if char in "“”″":
        return '"'
    return "".join(map(_visible, unicodedata.normalize("NFKC", char).lower()))


def _visible(char: str) -> str:
    if unicodedata.category(char) == "Pd" or char == "\N{MINUS SIGN}":
        return "-"
    return char if char.isprintable() else " "
