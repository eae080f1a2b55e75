"""A description in sections, one for each dimension: `join_sections` and `split_sections`.

A description is one line of prose. Where it speaks of the dimensions one after the other, each
under its title, what is said of a dimension can be found again and judged by itself::

    Background noise: slightly noticeable. A low hum. Distortion of the voice: not distorted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from speechqa_plugin.schema import Dimension, Taxonomy

_ENDS = (".", "!", "?")


def join_sections(taxonomy: Taxonomy, sections: Mapping[str, str]) -> str:
    """Write sections as one line, in the taxonomy's order.

    White space becomes single blanks, a full stop is added where no sentence ends, and a colon
    after a dimension's title inside a section becomes a dash, so that `split_sections` gives the
    same sections back.

    Arguments
    ---------
    taxonomy : Taxonomy
        Gives titles and order.
    sections : mapping from str to str
        Dimension to what is said of it; empty texts and dimensions that are left out are not
        written.

    Raises
    ------
    KeyError
        If a name is no dimension of the taxonomy.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> join_sections(load_taxonomy("qualispeech"), {"mos": "good", "noise": "A low hum."})
    'Background noise: A low hum. Overall quality: good.'
    """
    for name in sections:
        taxonomy.dimension(name)
    written = []
    for dimension in taxonomy.dimensions:
        text = " ".join(sections.get(dimension.name, "").split())
        text = _labels(taxonomy).sub(lambda label: f"{label[0][:-1]} -", text)
        if text:
            title, stop = dimension.title, "" if text.endswith(_ENDS) else "."
            written.append(f"{title[0].upper()}{title[1:]}: {text}{stop}")
    return " ".join(written)


def split_sections(taxonomy: Taxonomy, text: str) -> dict[str, str]:
    """Read a description by its titles. Never raises, whatever the text.

    Arguments
    ---------
    taxonomy : Taxonomy
        Gives the titles to look for, in upper or lower case.
    text : str
        Any text; what stands before the first title belongs to no dimension.

    Returns
    -------
    dict from str to str
        Dimension to what is said of it, in the order of the text. Of a title that stands twice,
        or with nothing after it, only what is first said counts.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> split_sections(load_taxonomy("qualispeech"), "Background noise: a hum. Naturalness: good.")
    {'noise': 'a hum.', 'naturalness': 'good.'}
    """
    found = list(_labels(taxonomy).finditer(text))
    ends = [*(label.start() for label in found[1:]), len(text)]
    sections: dict[str, str] = {}
    for label, end in zip(found, ends, strict=False):
        if said := text[label.end() : end].strip():
            # Which it is, and not how it is spelt: "ı" counts as "i", and is another letter.
            sections.setdefault(_longest_first(taxonomy)[label.lastindex - 1].name, said)
    return sections


def _labels(taxonomy: Taxonomy) -> re.Pattern:
    """A title with its colon; each title is a group, in the order of `_longest_first`."""
    titles = "|".join(f"({re.escape(d.title)})" for d in _longest_first(taxonomy))
    return re.compile(rf"(?<!\w)(?:{titles}):", re.IGNORECASE)


def _longest_first(taxonomy: Taxonomy) -> list[Dimension]:
    return sorted(taxonomy.dimensions, key=lambda d: len(d.title), reverse=True)
