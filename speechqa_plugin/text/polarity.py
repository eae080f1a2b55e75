"""Which dimensions a description speaks of, and how good it calls each: a small reader of English.

The taxonomy gives the names, anchors and artifact types to look for; general words of praise,
degree and negation stand here. It reads simulated prose exactly and plain remarks mostly; it is a
check beside a likeness, not an understanding of language.
"""

from __future__ import annotations

import re
from collections import defaultdict

from speechqa_plugin.schema import Dimension, Taxonomy


def _words(*by_grade: tuple[float, str]) -> dict[str, float]:
    return {word: grade for grade, words in by_grade for word in words.split()}


_NEGATIONS = set(
    "no not none without hardly barely scarcely never free absent non nonexistent".split()
)
_QUALITY = _words(
    (1.0, "excellent perfect flawless pristine clean clear crisp smooth natural"),
    (0.75, "good decent pleasant"),
    (0.5, "fair acceptable"),
    (0.25, "poor unclear unpleasant unnatural"),
    (0.0, "bad awful terrible choppy garbled unintelligible"),
)
_DEGREES = _words(  # of a fault: the more, the worse
    (0.75, "slight slightly low faint mild minor little light weak subtle"),
    (0.5, "some somewhat moderate moderately"),
    (0.25, "noticeable considerable strong annoying disturbing"),
    (0.0, "heavy heavily loud severe severely intrusive extreme extremely"),
)
_UNGRADED = 0.25
"""Grade of a fault that is named without a degree."""

_GENERIC = set("of the in too out voice speech".split())
_JOINTS = re.compile(r",|(:|\b(?:and|or|with|but|while|whereas|although|though|because of)\b)")
_PRONOUNS = {"which", "that", "it", "they"}
_ENDING = re.compile(r"(iness|ness|ions?|ed|ing|es|e|y|s)$")


class Agreement:
    """Agreement of two descriptions on kind, presence and grade.

    A grade is a place on a dimension's scale, from 0 (score 1) to 1 (score 5). A remark on a
    dimension agrees by ``max(0, 1 - 2 |difference of grades|)``: half the scale apart, or there
    and not there, is an opposite. The agreement is the mean over the reference's remarks, an
    unsaid one counting 0, thinned by faults that only the prediction names; what only the
    prediction praises changes nothing, so there is nothing to win by remarks on everything.

    Arguments
    ---------
    taxonomy : Taxonomy
        What to look for.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> agreement = Agreement(load_taxonomy("qualispeech"))
    >>> there = "The speech is clear with low background noise"
    >>> agreement("Clean audio, hardly any noise", there)
    0.75
    >>> agreement("Heavy packet loss makes the speech choppy", there)
    0.0
    """

    def __init__(self, taxonomy: Taxonomy):
        self.taxonomy = taxonomy
        self.topics: dict[str, set[str]] = defaultdict(set)  # stem -> dimensions
        self.faults: dict[str, set[str]] = defaultdict(set)  # the same for names of faults
        self.anchors: dict[str, set[tuple[str, float]]] = defaultdict(set)
        for dimension in taxonomy.dimensions:
            for word in _tokens(f"{dimension.name} {dimension.title}"):
                self.topics[_stem(word)].add(dimension.name)
            for step, anchor in enumerate(dimension.anchors):
                grade = step / (len(dimension.anchors) - 1)
                self.anchors[" ".join(_tokens(anchor))].add((dimension.name, grade))
        for kind in taxonomy.kinds:
            if not taxonomy.dimension(kind.dimension).magnitude:  # its faults lie at both ends
                for word in _tokens(" ".join((kind.name, *kind.types))):
                    self.faults[_stem(word)].add(kind.dimension)
        # One word that also praises or blames other things needs its dimension's name beside it.
        general = _QUALITY.keys() | _DEGREES.keys()
        alone = [a for a, owners in self.anchors.items() if len(owners) == 1 and a not in general]
        phrases = "|".join(sorted(map(re.escape, alone), key=len, reverse=True)) or "(?!)"
        negation = "|".join(sorted(_NEGATIONS))
        self._anchor = re.compile(rf"\b(?P<not>(?:{negation}) )??(?P<a>{phrases})\b")

    def __call__(self, prediction: str, reference: str) -> float | None:
        """Compare two descriptions.

        Arguments
        ---------
        prediction, reference : str
            The texts.

        Returns
        -------
        float or None
            In [0, 1]; None if nothing can be read in the reference.
        """
        said, there = self.read(prediction), self.read(reference)
        if not there:
            return None
        agreed = sum(max(0.0, 1 - 2 * abs(said[n] - there[n])) for n in there if n in said)
        alarms = sum(_fault(self.taxonomy.dimension(n), said[n]) for n in said if n not in there)
        return agreed / (len(there) + alarms)

    def read(self, text: str) -> dict[str, float]:
        """What a description says.

        Arguments
        ---------
        text : str
            Any text.

        Returns
        -------
        dict from str to float
            Dimension to grade in [0, 1], the mean if it is told more than once. What is said of
            the speech as a whole belongs to the overall dimension.

        Example
        -------
        >>> from speechqa_plugin.schema import load_taxonomy
        >>> Agreement(load_taxonomy("qualispeech")).read("A faint hum. The speech is very smooth.")
        {'noise': 0.75, 'continuity': 1.0}
        """
        told: dict[str, list[float]] = defaultdict(list)
        named: dict[str, None] = {}  # faults without a degree, in the order of the text
        for sentence in re.split(r"[.;!?\n]", text.lower().replace("n't", " not")):
            rest = self._anchor.sub(lambda m: self._take_anchor(m, told), _plain(sentence))
            topics, grade = [], None
            # Split with a group: clause, joint, clause, ...
            parts = [None, *_JOINTS.split(rest)]
            for joint, clause in zip(parts[::2], parts[1::2], strict=True):
                words = clause.split()
                inherited = joint == ":" or (words and words[0] in _PRONOUNS)
                topics = self._topics(words) or (topics if inherited else [])
                before, grade = grade, None
                for name, fault in topics or [(self.taxonomy.overall, False)]:
                    grade = self._grade(words, name, fault)
                    if grade is None and fault and joint in ("and", "or"):
                        grade = before  # "no noise or clicks"
                    if grade is not None:
                        told[name].append(grade)
                    elif fault:
                        named[name] = None
        grades = {name: sum(grades) / len(grades) for name, grades in told.items()}
        return dict.fromkeys((n for n in named if n not in grades), _UNGRADED) | grades

    def _take_anchor(self, match: re.Match, told: dict[str, list[float]]) -> str:
        ((name, grade),) = self.anchors[match["a"]]
        told[name].append(1 - grade if match["not"] else grade)
        return ""

    def _topics(self, words: list[str]) -> list[tuple[str, bool]]:
        """Dimensions that a clause names, and whether by the name of a fault."""
        found: dict[str, bool] = {}
        for stem in map(_stem, words):
            for names, fault in ((self.topics.get(stem), False), (self.faults.get(stem), True)):
                if stem and names and len(names) == 1:
                    (name,) = names
                    found[name] = found.get(name, False) or fault
        return list(found.items())

    def _grade(self, words: list[str], name: str, fault: bool) -> float | None:
        dimension = self.taxonomy.dimension(name)
        steps = len(dimension.anchors) - 1
        quality = {a: i / steps for i, a in enumerate(dimension.anchors)}
        quality |= {} if dimension.magnitude else _QUALITY
        praise = [quality[w] for w in words if w in quality]
        degrees = [_DEGREES[w] for w in words if fault and w in _DEGREES]
        if not _NEGATIONS.isdisjoint(words):
            return 1 - min(praise) if praise else 1.0 if fault else None
        return min(praise + degrees, default=None)


def _fault(dimension: Dimension, grade: float) -> float:
    """How far a grade is from the best one, in [0, 1]."""
    return 2 * abs(grade - 0.5) if dimension.magnitude else 1 - grade


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+|[,:]", text))


def _tokens(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())


def _stem(word: str) -> str:
    """Rough stem, so that noisy is noise; empty for a word that says nothing of the topic."""
    return "" if word in _GENERIC else _ENDING.sub("", word)
