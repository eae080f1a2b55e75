"""What a clause says of a fault: that there is none, that there is one, or neither."""

from __future__ import annotations

import re

from speechqa_plugin.annotations.vocabulary import (
    CLASSES,
    NEUTRAL,
    TIME,
    VOICE,
    any_of,
    faults,
    phrase_of,
    words_of,
)
from speechqa_plugin.schema import ArtifactKind

_NOT = (
    r"(?:not|never|cannot|(?:is|are|was|were|does|do|did|has|have|had|can|could|would|should)n't|"
    r"can't|no longer)"
)
_MODEST, _PRAISE = rf"(?:{any_of('modest')}\s+)*", any_of("praise")
_ADVERBS = rf"(?:(?:{any_of('adverb')}|at all)\s+)*"
_PREDICATE = re.compile(
    rf"\b{_NOT}\s+{_ADVERBS}(?:(?P<sensed>{any_of('sensed')})|{any_of('there')})\b|"
    rf"\b{phrase_of('gone')}\b|\b(?P<lost>inaudible|absent)\b|"
    r"\b(?:noise|distortion|pause|click|hum|error|artifact|echo|interference|reverb)s?[- ]free\b|"
    r"^(?:not|never)\W*$"
)
_SCOPE = re.compile(
    rf"\b(?:{phrase_of('without')}|{_NOT}(?: {any_of('verb')}| (?:really|there|see))* "
    rf"(?:any|an?|much|many|enough|obvious|noticeable)|{_NOT} {any_of('verb')}|"
    r"0(?= (?:\w+ )?(?:pause|noise|distortion|break|issue)s?\b)|"
    rf"{_NOT} (?=(?:background )?(?:noise|distortion|pause|gap|hum))|"
    r"(?<!say )no(?! one\b|ne\b| (?:\w+ )?reason))\b(?! longer)"
)
_GOODS = re.compile(
    rf"\b(?!clear (?:\w+ )?(?:noise|sound|distortion|pause|break|gap)){any_of('goods')}\b|"
    r"\b(?:high|low) frequenc\w+"
)
_NOT_PRAISED = re.compile(
    rf"\b(?:{_NOT}|less|hardly|barely|far from)\s+{_ADVERBS}{_MODEST}{_PRAISE}\b"
)
_QUIET = re.compile(
    rf"\b(?:pauses?|pausing|breaks?)\s+(?:are|is|sounds?|seems?|feels?)\s+{_MODEST}"
    rf"(?:{_PRAISE}|{any_of('apt')})\b|\bpaus(?:es?|ing)\s+{any_of('aptly')}\b|"
    r"\bsilence in the (?:background|environment|surroundings)\b|"
    rf"\b{any_of('apt')}\s+(?:pauses?|pausing|breaks?|stops?)\b|"
    rf"\b{any_of('quiet')}\s+{any_of('place')}\b(?!\s+(?!{any_of('neutral')}\b)[a-z])|"
    rf"\b{any_of('place')}\s+(?:is|was|sounds?|stays?|remains?)\s+(?:(?!too\b)\w+\s+){{0,3}}?"
    rf"{any_of('quiet')}\b|"
    rf"\b{phrase_of('well')}\b"
)
_UNLIKE = re.compile(r"^\W*(?:unlike|(?:as )?compared (?:to|with)|in contrast (?:to|with))\b")
_RATING = re.compile(
    r"\W*(?:(?:(?:the|a|my) )?(?:levels?|scores?|scored|rat(?:e|ed|ing)|grade|mos|points?|about)\W*"
    r"(?:(?:is|of|at|as|a)\W+)*)*[0-9](?:\.[0-9]+)?"
    r"(?:\s*(?:/|out of|of)\s*[0-9]+)?(?: points?| stars?)?\W*"
)
_ASIDE = re.compile(
    rf"\b(?:in|of|from|within|behind|under|throughout)\s+(?:the\s+|his\s+|her\s+)?(?:\w+\s+)?"
    rf"(?:{any_of('voice')}|{any_of('place')})\b"
)


def fault(clause: str, kind: ArtifactKind) -> str | None:
    """The part of a clause that names a fault.

    Arguments
    ---------
    clause : str
        As `plain.normalise` gives it.
    kind : ArtifactKind
        What the text speaks of.

    Returns
    -------
    str or None
        Empty if the clause names none; None if it says that there is none.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> kind = load_taxonomy("qualispeech").kind("noise")
    >>> [fault(clause, kind) for clause in ("a hum without clicks", "the voice", "no hum")]
    ['a hum ', '', None]
    """
    if _UNLIKE.match(clause) or _RATING.fullmatch(clause):
        return ""
    words = words_of(clause)
    if _NOT_PRAISED.search(clause):
        return clause
    subject = words_of(_ASIDE.sub(" ", clause))
    if match := _PREDICATE.search(clause):
        lost_voice = (match["sensed"] or match["lost"]) and subject & VOICE
        if not lost_voice or subject & (faults(kind) | {"background", "sound"}):
            return None
        rest = words - NEUTRAL - words_of(match[0])
        return clause if rest or match["lost"] == "inaudible" else None
    if match := _SCOPE.search(clause):
        if _GOODS.search(clause, match.end()):
            return clause
        before = clause[: match.start()]
        special = faults(kind) - {"noise", "distortion", "pause"}
        return before if words_of(before) & special else None
    if _QUIET.search(clause):
        return None
    rest = words - NEUTRAL
    if rest and rest <= CLASSES["quiet"] and not (words & VOICE or TIME in clause):
        return None
    named = words & faults(kind)
    praised = re.search(rf"\b{_PRAISE}\b", clause)
    if praised and not named:
        subject &= VOICE - {"sound", "sounds"} | {"background", "environment"}
        if subject or rest <= CLASSES["praise"]:
            return None
    return clause if rest or named else ""
