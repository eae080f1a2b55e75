"""Whether an answer agrees with itself: prose, scores and list of artifacts."""

from __future__ import annotations

import re

from speechqa_plugin.rewards.base import RowReward
from speechqa_plugin.rewards.polarity import Agreement
from speechqa_plugin.schema import SCORE_MAX, SCORE_MIN, Assessment, Taxonomy

_APART = 0.5
"""Share of the scale: so far apart, a word and a score are opposites; see `Agreement`."""


class Consistency(RowReward):
    """1 for an answer that does not contradict itself, 0 for one that does.

    The reference is not looked at. Prose is read as `Agreement` reads it.

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
        self.agreement = Agreement(taxonomy)
        types = {(k.name, t) for k in taxonomy.kinds for t in k.types}
        # A type that is part of another's name ("echo", "echo of a room") is not looked for.
        names = {t for _, t in types}
        self._types = [
            (kind, type_, re.compile(rf"\b{re.escape(type_)}\b", re.IGNORECASE))
            for kind, type_ in sorted(types)
            if not any(type_ != other and type_ in other for other in names)
        ]

    def score(self, prediction: Assessment, reference: Assessment) -> float:
        """See the class."""
        del reference
        return 0.0 if self.contradictions(prediction) else 1.0

    def contradictions(self, assessment: Assessment) -> list[str]:
        """What does not fit together in an assessment, a sentence each.

        Arguments
        ---------
        assessment : Assessment
            Of the reward's taxonomy.

        Returns
        -------
        list of str
            Empty where all fits, or where there is no prose.

        Example
        -------
        >>> from speechqa_plugin.schema import load_taxonomy
        >>> taxonomy = load_taxonomy("qualispeech")
        >>> scores = dict.fromkeys(taxonomy.names, 3)
        >>> told = Assessment(taxonomy, scores, description="Babble: the noise is very intrusive.")
        >>> Consistency(taxonomy).contradictions(told)
        ['noise is 3, described as 1', 'babble is described and not listed']
        """
        found = []
        for name, grade in self.agreement.read(assessment.description).items():
            place = (assessment.scores[name] - SCORE_MIN) / (SCORE_MAX - SCORE_MIN)
            if abs(grade - place) >= _APART:
                said = SCORE_MIN + grade * (SCORE_MAX - SCORE_MIN)
                found.append(f"{name} is {assessment.scores[name]:.3g}, described as {said:.3g}")
        listed = {(a.kind, a.type) for a in assessment.artifacts}
        for kind, type_, pattern in self._types:
            if (kind, type_) not in listed and pattern.search(assessment.description):
                found.append(f"{type_} is described and not listed")
        return found
