"""Whether an answer agrees with itself: prose, scores and list of artifacts."""

from __future__ import annotations

from speechqa_plugin.rewards.base import RowReward
from speechqa_plugin.schema import Assessment, Taxonomy
from speechqa_plugin.text.contradictions import Contradictions


class Consistency(RowReward):
    """1 for an answer that does not contradict itself, 0 for one that does.

    The reference is not looked at; see `Contradictions`.

    Arguments
    ---------
    taxonomy : Taxonomy
        Whose dimensions, anchors and types the prose is read by.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> from speechqa_plugin.text.answers import ParsedAnswer
    >>> taxonomy = load_taxonomy("nisqa")
    >>> poor, torn = (
    ...     Assessment(taxonomy, dict.fromkeys(taxonomy.names, 2), description=text)
    ...     for text in ("The overall quality is poor.", "The overall quality is excellent.")
    ... )
    >>> Consistency(taxonomy)([ParsedAnswer("", a) for a in (poor, torn)], [poor] * 2)
    [1.0, 0.0]
    """

    name = "consistency"

    def __init__(self, taxonomy: Taxonomy):
        self.taxonomy = taxonomy
        self.contradictions = Contradictions(taxonomy)

    def score(self, prediction: Assessment, reference: Assessment) -> float:
        """See the class."""
        del reference
        return 0.0 if self.contradictions(prediction) else 1.0
