"""Words in free English: whether something is there, and what it is called.

A text is cut into clauses. A clause says *nothing there* ("no hum", "not noticeable", "very
smooth"), *something there* (any word that is neither filler nor praise), or neither ("the voice");
something outweighs nothing, because "not noticeable, except a click" is about the click. Times
stand in the text as `TIME`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from speechqa_plugin.annotations.phrases import parts_of
from speechqa_plugin.annotations.polarity import fault
from speechqa_plugin.annotations.vocabulary import TIME, any_of, phrase_of, spell
from speechqa_plugin.schema import ArtifactKind

_NONE_TEXT = re.compile(rf"[\W_0x]*(?:{phrase_of('nothing')}[\W_]*)?")
_LABEL = re.compile(
    r"^\W*(?:background )?(?:noise|distortion|(?:unnatural )?pause)s?(?: description)?\s*(?::|"
    r"-(?=\s))(?=.*\w)"
)
_CUT = re.compile(
    r"[.;!?]+(?=\s|$)|[;!?:]|,(?!\s*(?:(?:virtually|practically|almost|nearly) (?:non|un|im)[\w-]*|"
    r"which|being|that is|and it is|but it is|it is)\b)|"
    r"\b(?:however|except(?:ing)?(?: for| that| from)?|apart from|aside from|other than|besides|"
    r"although|though|while|whereas|then|yet|instead|only|until|before|after)\b|"
    r"\bbut\b(?!\s+(?:it|this|they|the noise)\s+(?:is|are|was)\b)|"
    r"\band\b(?=\s+(?:there|the|a|an|some|slight|slightly|it has)\b)"
)
_HEADING = re.compile(rf"((?:^|[.,;])\s*{TIME}(?:[\s,&]|and|{TIME})*):")  # "0-2 s: quiet"
_HENCE = re.compile(rf"\W*(?:and\s+)?{phrase_of('hence')}\b")
_VERDICT = re.compile(
    r"\b(?:nothing|none of (?:them|it|which) (?:is|are|sounds?)|not)\s+(?:really |very )?"
    r"(?:unnatural|abnormal|unusual|strange|odd|out of place|unexpected)\W*$|"
    rf"\b(?:they|these|those|which|all)(?: all)?\s+(?:are|sound|feel|seem)\s+(?:all |quite |very )?"
    rf"{any_of('apt')}\W*$"
)
_SPOKEN = re.compile(
    r"\b(?:between|after|before|words?)\s+(?:the\s+)?(?:words?\s+)?"
    rf"(?:(?<!\w)([\"'])(?:(?!\1)[^{TIME}]){{1,40}}\1(?!\w)(?:\s*(?:,|&|and)\s*)?)+"
)  # 'between "no" and "way"'
_EXCEPT = re.compile(r"(?:but|except\w*(?: \w+)?|apart from|aside from|other than|besides|only)$")


@dataclass(frozen=True)
class Reading:
    """What the words of a text say.

    Arguments
    ---------
    present : bool
        Whether something is there.
    parts : tuple of str
        What is named, cleaned, in the order of the text; empty where nothing is named.
    times : tuple of int
        Which times of the text belong to what is there, counted from 0.
    """

    present: bool
    parts: tuple[str, ...]
    times: tuple[int, ...]


def read_words(text: str, kind: ArtifactKind) -> Reading:
    r"""Read a text whose times were replaced.

    Arguments
    ---------
    text : str
        As `plain.normalise` gives it, with `TIME` for every time.
    kind : ArtifactKind
        What the text speaks of.

    Returns
    -------
    Reading

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> kind = load_taxonomy("qualispeech").kind("noise")
    >>> read_words("no music, but a slight hum \x01", kind)
    Reading(present=True, parts=('hum',), times=(0,))
    """
    text = _HEADING.sub(r"\1 ", _LABEL.sub("", spell(_SPOKEN.sub(" ", text))))
    if TIME not in text and _NONE_TEXT.fullmatch(text):
        return Reading(False, (), ())
    nothing, parts, times, something = False, [], [], False
    spare = []  # of clauses whose words name no fault but have a time: "background talk, 0-1 s"
    seen, says_nothing = 0, False  # the last clause's word
    for joint, clause in _clauses(text):
        here = range(seen, seen + clause.count(TIME))
        seen += len(here)
        follows = says_nothing and not here and _HENCE.match(clause)
        left = None if follows else fault(clause, kind)
        bare = not re.search(r"[^\W_]", clause.replace(TIME, ""))
        if left is None:
            nothing = says_nothing = True
        elif left or (bare and here and (not says_nothing or _EXCEPT.search(joint))):
            something, says_nothing = True, False
            times += here
            parts += parts_of(left, kind)
        elif not says_nothing:
            times += here
            spare += parts_of(clause, kind) if here else []
    if _VERDICT.search(text) and not times:
        something, nothing = False, True
    present = something or not nothing
    return Reading(present, tuple(dict.fromkeys(parts or spare)) if present else (), tuple(times))


def _clauses(text: str) -> Iterator[tuple[str, str]]:
    """Each clause with the joint before it."""
    begin, joint = 0, ""
    for match in _CUT.finditer(text):
        yield joint, text[begin : match.start()]
        begin, joint = match.end(), match[0].strip()
    yield joint, text[begin:]
