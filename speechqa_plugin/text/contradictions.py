"""Whether an answer agrees with itself: what its prose says beside its scores and its list."""

from __future__ import annotations

import re
from dataclasses import replace

from speechqa_plugin.schema import SCORE_MAX, SCORE_MIN, Assessment, Taxonomy
from speechqa_plugin.text.polarity import Agreement

_APART = 0.5
"""Share of the scale: so far apart, a word and a score are opposites; see `Agreement`."""


class Contradictions:
    """Finds, and strikes, what an answer's prose says against its scores or its list.

    Prose is read as `Agreement` reads it.

    Arguments
    ---------
    taxonomy : Taxonomy
        Whose dimensions, anchors and types the prose is read by.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> taxonomy = load_taxonomy("qualispeech")
    >>> text = "Babble: the noise is very intrusive."
    >>> told = Assessment(taxonomy, dict.fromkeys(taxonomy.names, 3), description=text)
    >>> Contradictions(taxonomy)(told)
    ['noise is 3, described as 1', 'babble is described and not listed']
    """

    def __init__(self, taxonomy: Taxonomy):
        self.agreement = Agreement(taxonomy)
        types = set(taxonomy.types)
        # A type that is part of another's name ("echo", "echo of a room") is not looked for.
        names = {t for _, t in types}
        self._types = [
            (kind, type_, re.compile(rf"\b{re.escape(type_)}\b", re.IGNORECASE))
            for kind, type_ in sorted(types)
            if not any(type_ != other and type_ in other for other in names)
        ]

    def __call__(self, assessment: Assessment) -> list[str]:
        """What does not fit together, a sentence each.

        Arguments
        ---------
        assessment : Assessment
            Of the taxonomy.

        Returns
        -------
        list of str
            Empty where all fits, or where there is no prose.
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

    def struck(self, assessment: Assessment) -> Assessment:
        """The same without the sentences that contradict its scores, its list or what stands.

        Arguments
        ---------
        assessment : Assessment
            Of the taxonomy.

        Returns
        -------
        Assessment
            In which nothing is found; the same one where nothing was.

        Example
        -------
        >>> from speechqa_plugin.schema import load_taxonomy
        >>> taxonomy = load_taxonomy("qualispeech")
        >>> text = "Babble all the time. The overall quality is fair."
        >>> told = Assessment(taxonomy, dict.fromkeys(taxonomy.names, 3), description=text)
        >>> Contradictions(taxonomy).struck(told).description
        'The overall quality is fair.'
        """
        if not self(assessment):
            return assessment
        kept: list[str] = []
        for sentence in re.split(r"(?<=[.;!?])\s+", assessment.description.strip()):
            if not self(replace(assessment, description=" ".join([*kept, sentence]))):
                kept.append(sentence)
        return replace(assessment, description=" ".join(kept))
