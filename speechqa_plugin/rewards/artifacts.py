"""Rewards for naming the right artifacts, whenever they are.

The two F1 are of sets, so naming everything costs precision and naming nothing costs recall; saying
the same thing twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Set

from speechqa_plugin.metrics import Counts, detect
from speechqa_plugin.rewards.base import Part, RowReward
from speechqa_plugin.schema import Assessment


class KindF1(RowReward):
    """F1 between the artifact kinds named and those there; 1 if there are none on either side.

    Example
    -------
    >>> from speechqa_plugin.text.answers import ParsedAnswer
    >>> from speechqa_plugin.schema import Artifact, load_taxonomy
    >>> taxonomy = load_taxonomy("qualispeech")
    >>> scores = dict.fromkeys(taxonomy.names, 3)
    >>> hum = Assessment(taxonomy, scores, (Artifact("noise", "mains hum"),))
    >>> clicks = Assessment(taxonomy, scores, (Artifact("noise", "clicks"),))
    >>> KindF1()([ParsedAnswer("", clicks)], [hum])
    [1.0]
    """

    name = "kind_f1"
    part = Part.ARTIFACTS

    def score(self, prediction: Assessment, reference: Assessment) -> float:
        """In [0, 1]."""
        return _f1(*({a.kind for a in side.artifacts} for side in (prediction, reference)))


class KindPresence(RowReward):
    """1 for a kind that is there and was named, ``silence`` if it is neither, else 0.

    Arguments
    ---------
    kind : str
        Name of the artifact kind.
    silence : float
        In [0, 1]; see `speechqa_plugin.rewards.times` for what it does.

    Example
    -------
    >>> from speechqa_plugin.text.answers import ParsedAnswer
    >>> from speechqa_plugin.schema import Artifact, load_taxonomy
    >>> taxonomy = load_taxonomy("qualispeech")
    >>> clean = Assessment(taxonomy, dict.fromkeys(taxonomy.names, 3))
    >>> KindPresence("noise", silence=0.4)([ParsedAnswer("", clean)], [clean])
    [0.4]
    """

    part = Part.ARTIFACTS

    def __init__(self, kind: str, silence: float = 1.0):
        self.kind = kind
        self.silence = silence
        self.name = f"presence/{kind}"

    def score(self, prediction: Assessment, reference: Assessment) -> float:
        """In [0, 1]."""
        found = detect([prediction], [reference], self.kind).presence
        nowhere = found.predicted == found.reference == 0
        return self.silence if nowhere else float(found.hits)


class TypeF1(RowReward):
    """F1 between the pairs of kind and type named and those there; 1 if there are none.

    Upper and lower case do not matter, as in `speechqa_plugin.metrics.detect`.

    Example
    -------
    >>> from speechqa_plugin.text.answers import ParsedAnswer
    >>> from speechqa_plugin.schema import Artifact, load_taxonomy
    >>> taxonomy = load_taxonomy("qualispeech")
    >>> scores = dict.fromkeys(taxonomy.names, 3)
    >>> hum, clicks = Artifact("noise", "mains hum"), Artifact("noise", "clicks")
    >>> both, one = (Assessment(taxonomy, scores, some) for some in ((hum, clicks), (hum,)))
    >>> round(TypeF1()([ParsedAnswer("", one)], [both])[0], 3)
    0.667
    """

    name = "type_f1"
    part = Part.ARTIFACTS

    def score(self, prediction: Assessment, reference: Assessment) -> float:
        """In [0, 1]."""
        sides = (prediction, reference)
        return _f1(*({(a.kind, a.type.casefold()) for a in side.artifacts} for side in sides))


def _f1(said: Set, there: Set) -> float:
    if not said and not there:
        return 1.0
    return Counts(len(said & there), len(said), len(there)).f1
