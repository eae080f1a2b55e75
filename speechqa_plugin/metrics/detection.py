"""Was an artifact found where there is one, and called by its right type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from speechqa_plugin.metrics.counts import Counts, ratio
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

    Returns
    -------
    Detection

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


def _types(assessment: Assessment, kind: str) -> set[str]:
    return {a.type.casefold() for a in assessment.artifacts if a.kind == kind}
