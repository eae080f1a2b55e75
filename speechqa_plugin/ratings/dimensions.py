"""The taxonomy of a listening test: its columns, in the words of taxonomies that ship with us."""

from __future__ import annotations

from collections.abc import Iterable

from speechqa_plugin.ratings.table import OVERALL
from speechqa_plugin.schema import Dimension, Taxonomy, load_taxonomy

_SHIPPED = ("qualispeech", "nisqa")
_ANCHORS = ("bad", "poor", "fair", "good", "excellent")


def known_dimensions() -> dict[str, Dimension]:
    """Dimensions of the taxonomies that ship with the package, by name.

    Example
    -------
    >>> [name for name in known_dimensions() if name.startswith("noi")]
    ['noise', 'noi']
    """
    known: dict[str, Dimension] = {}
    for taxonomy in map(load_taxonomy, _SHIPPED):
        for dimension in taxonomy.dimensions:
            known.setdefault(dimension.name, dimension)
    return known


def make_test_taxonomy(names: Iterable[str], name: str = "listening_test") -> Taxonomy:
    """Taxonomy of the dimensions that a test rates, without artifacts.

    A model that was trained with one of ours finds its own words and its own order again, so that
    it has less to learn. Other dimensions get the words of the overall quality.

    Arguments
    ---------
    names : iterable of str
        Names of dimensions, `OVERALL` among them.
    name : str
        Of the taxonomy.

    Raises
    ------
    SchemaError
        If a name cannot be one.

    Example
    -------
    >>> make_test_taxonomy(["warmth", "distortion", "noise", "mos"]).names
    ('noise', 'distortion', 'warmth', 'mos')
    """
    given, known = list(names), known_dimensions()
    ordered = [n for n in known if n in given and n != OVERALL]
    ordered += [n for n in given if n not in known]
    dimensions = [
        known.get(n) or Dimension(n, n.replace("_", " "), _ANCHORS) for n in [*ordered, OVERALL]
    ]
    return Taxonomy(name, tuple(dimensions), OVERALL)
