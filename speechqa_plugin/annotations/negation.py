"""Negation: what a clause says of a fault, that there is none, that there is one, or neither."""

from __future__ import annotations

import re
from functools import lru_cache

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
    rf"^\W*(?:not|never)\W*$|\btoo (?:{any_of('degree')}|low|soft|quiet) to "
    rf"(?:be )?{any_of('sensed')}\b"
)
_SCOPE = re.compile(
    rf"\b(?:{phrase_of('without')}|{_NOT}(?: {any_of('verb')}| (?:really|there|see|tell|say))* "
    rf"(?:any|an?|much|many|enough|obvious|noticeable)|{_NOT} {any_of('verb')}|"
    r"0(?= (?:\w+ )?(?:pause|noise|distortion|break|issue)s?\b)|"
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
    rf"\b(?:pauses?|pausing|breaks?)\s+(?:(?!and\b|but\b)[\w{TIME}]+\s+){{0,8}}?"
    rf"(?:and\s+)?(?:are|is|sounds?|seems?|feels?)\s+(?:of\s+an?\s+)?{_MODEST}"
    rf"(?:{any_of('apt')}|{any_of('verdict')})\b|"
    rf"\bpauses?\s+(?:\w+\s+){{0,3}}?(?:where|(?:at|in)\s+(?:the\s+)?{any_of('apt')}\s+"
    r"(?:places?|positions?|points?|moments?|times?))\b|"
    rf"\b(?:noise|distortion)(?:\s+levels?)?\s+(?:is|are)\s+{_MODEST}{any_of('verdict')}\b|"
    rf"\bpaus(?:es?|ing)\s+{any_of('apt')}ly\b|"
    r"\bsilence in the (?:background|environment|surroundings)\b|"
    rf"\b{any_of('apt')}\s+(?:pauses?|pausing|breaks?|stops?)\b|"
    rf"\b{any_of('quiet')}\s+{any_of('place')}\b(?!\s+(?!{any_of('neutral')}\b)[a-z])|"
    rf"\b{any_of('place')}\s+(?:is|are|was|sounds?|seems?|stays?|remains?)\s+(?:(?!too\b)\w+\s+){{0,3}}?"
    rf"{any_of('quiet')}\b|"
    rf"\b{phrase_of('well')}\b"
)
_NO_FAULT = re.compile(
    r"^\W*(?:unlike|(?:as )?compared (?:to|with)|in contrast (?:to|with)|"
    r"(?:i )?(?:can't|cannot) (?:tell|say) (?:where|when|which|why|how))\b"
)
_RATING = re.compile(
    r"\W*(?:(?:(?:the|a|my) )?(?:levels?|scores?|scored|rat(?:e|ed|ing)|grade|mos|points?|about)\W*"
    r"(?:(?:is|of|at|as|a)\W+)*)*[0-9](?:\.[0-9]+)?"
    r"(?:\s*(?:/|out of|of)\s*[0-9]+)?(?: points?| stars?)?\W*"
)
_HEARD = re.compile(rf"\bclearly {any_of('sensed')}\b|\b{any_of('sensed')}(?: it| them)? clearly\b")
_ASIDE = re.compile(
    rf"\b(?:in|of|from|within|behind|under|throughout)\s+(?:the\s+|his\s+|her\s+)?(?:\w+\s+)?"
    rf"(?:{any_of('voice')}|{any_of('place')})\b"
)


@lru_cache
def _not_a_fault(kind: ArtifactKind) -> re.Pattern:
    """Pattern of "not muffled", "does not sound mechanical"."""
    words = "|".join(sorted(faults(kind)))
    return re.compile(rf"\b{_NOT}\s+{_ADVERBS}(?:background )?(?:{words})(?![\w-])")


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
    if _NO_FAULT.match(clause) or _RATING.fullmatch(clause):
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
    if _not_a_fault(kind).search(clause):
        return None
    if match := _SCOPE.search(clause):
        goods = _GOODS.search(clause, match.end())
        if goods and not words_of(clause[match.end() : goods.start()]) & faults(kind):
            return clause
        before = clause[: match.start()]
        special = faults(kind) - {"noise", "distortion", "pause"}
        return before if words_of(before) & special else None
    if _QUIET.search(clause):
        return None
    rest = words - NEUTRAL
    pausing = TIME in clause and "silence" in faults(kind)  # "silent from 1-2 s"
    if rest and rest <= CLASSES["quiet"] and not (words & VOICE or pausing):
        return None
    named = words & faults(kind)
    if TIME in clause and not subject & VOICE and _HEARD.search(clause):
        return clause  # "I hear it clearly from 1-2 s"
    praised = re.search(rf"\b{_PRAISE}\b", clause)
    if praised and not named:
        subject &= VOICE - {"sound", "sounds"} | {"background", "environment"}
        if subject or rest <= CLASSES["praise"]:
            return None
    return clause if rest or named else ""
