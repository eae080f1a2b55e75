"""Was an artifact found where there is one, and called by its right type."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from speechqa_plugin.metrics.counts import Counts, ratio
from speechqa_plugin.metrics.text import similarity
from speechqa_plugin.schema import Assessment


@dataclass(frozen=True)
class Detection:
    """How well one artifact kind is found over clips.

    Arguments
    ---------
    presence : Counts
        Clips: those where the kind was rightly found, was said to be, and is.
    types_right : int
        Of the clips where it was rightly found, those with the right types.
    n : int
        All clips.

    Example
    -------
    >>> Detection(Counts(2, 2, 4), types_right=1, n=9).type_accuracy
    0.5
    """

    presence: Counts
    types_right: int
    n: int

    @property
    def type_accuracy(self) -> float:
        """Share of the ``presence.hits`` clips with the right types; NaN if there are none."""
        return ratio(self.types_right, self.presence.hits)


def detect(
    predictions: Sequence[Assessment | None], references: Sequence[Assessment], kind: str
) -> Detection:
    """Count the clips in which an artifact kind is found.

    Presence says whether a clip has any artifact of the kind, whenever it is.
    The types are right if the same set of types is named on both sides,
    however often and in whatever case.

    Arguments
    ---------
    predictions : sequence of Assessment or None
        N predictions. None, an answer that could not be read, finds nothing.
    references : sequence of Assessment
        N references, in the same order.
    kind : str
        Name of the artifact kind.

    Raises
    ------
    ValueError
        If there are not as many predictions as references.
    KeyError
        If a reference's taxonomy has no such kind.

    Example
    -------
    >>> from speechqa_plugin.schema import Artifact, load_taxonomy
    >>> taxonomy = load_taxonomy("qualispeech")
    >>> hum = Assessment(
    ...     taxonomy, dict.fromkeys(taxonomy.names, 3), (Artifact("noise", "mains hum"),)
    ... )
    >>> detect([hum, None], [hum, hum], "noise").presence.recall
    0.5
    """
    if len(predictions) != len(references):
        raise ValueError(
            f"{len(predictions)} predictions and {len(references)} references; need pairs"
        )
    hits = predicted = present = types_right = 0
    for prediction, reference in zip(predictions, references, strict=True):
        reference.taxonomy.kind(kind)
        said = _types(prediction, kind) if prediction is not None else set()
        there = _types(reference, kind)
        predicted += bool(said)
        present += bool(there)
        hits += bool(said and there)
        types_right += bool(there) and said == there
    return Detection(Counts(hits, predicted, present), types_right, len(references))


def type_similarity(
    predictions: Sequence[Assessment | None],
    references: Sequence[Assessment],
    kind: str,
    encode: Callable[[list[str]], np.ndarray],
) -> float:
    """How near the named types are to the right ones, where the kind was rightly found.

    QualiSpeech (arXiv 2503.20290) has a language model judge whether a described type is
    relevant. Here `Detection.type_accuracy` is the strict reading of that, equal or not, and this
    the lenient one: "traffic" for "car noise" counts nearly 1. The types of a clip are compared as
    one text, in the order of the alphabet.

    Arguments
    ---------
    predictions, references, kind
        See `detect`.
    encode : callable
        Sentence encoder, see `similarity`.

    Returns
    -------
    float
        Mean of the `similarity` in [0, 1]; NaN if the kind was never rightly found.

    Example
    -------
    >>> from speechqa_plugin.schema import Artifact, load_taxonomy
    >>> taxonomy = load_taxonomy("qualispeech")
    >>> scores = dict.fromkeys(taxonomy.names, 3)
    >>> hum, hiss = (Assessment(taxonomy, scores, (Artifact("noise", t),)) for t in ("hum", "hiss"))
    >>> encode = lambda texts: np.array([[t == "hum", t == "hiss"] for t in texts], float)
    >>> type_similarity([hum, hiss, None], [hum, hum, hum], "noise", encode)
    0.75
    """
    pairs = [
        (_types(p, kind), _types(r, kind))
        for p, r in zip(predictions, references, strict=True)
        if p is not None
    ]
    found = [[", ".join(sorted(types)) for types in pair] for pair in pairs if all(pair)]
    values = similarity([said for said, _ in found], [there for _, there in found], encode)
    return float(np.mean(values)) if values else math.nan


def _types(assessment: Assessment, kind: str) -> set[str]:
    return {a.type.casefold() for a in assessment.of_kind(kind)}
