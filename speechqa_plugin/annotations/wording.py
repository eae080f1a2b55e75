"""Words in free English: whether something is there, and what it is called.

A text is cut into clauses. A clause says *nothing there* ("no hum", "not noticeable", "very
smooth"), *something there* (any word that is neither filler nor praise), or neither ("the voice");
something outweighs nothing, because "not noticeable, except a click" is about the click. Times
stand in the text as `TIME`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from speechqa_plugin.annotations.negation import fault
from speechqa_plugin.annotations.phrases import parts_of
from speechqa_plugin.annotations.vocabulary import TIME, any_of, phrase_of, spell, words_of
from speechqa_plugin.schema import ArtifactKind

_NONE_TEXT = re.compile(rf"[\W_0x]*(?:{phrase_of('nothing')}[\W_]*)?")
_LABEL = re.compile(
    r"^\W*(?:(?:level|degree) of )?(?:background )?(?:noise|distortion|(?:unnatural )?pause)s?"
    r"(?: description)?\s*(?::|-(?=\s))(?=.*\w)"
)
_CUT = re.compile(
    r"(?P<except>\b(?:except(?:ing)?(?: for| that| from)?|excluding|with the exception of|"
    rf"other than|(?:apart|aside|save)(?: from| for|(?= {TIME}))|(?:everywhere|throughout) but|"
    rf"but not(?= {TIME}))(?!\w))|"
    r"[.;!?]+(?=\s|$)|[;!?:]|,(?!\s*(?:(?:virtually|practically|almost|nearly) (?:non|un|im)[\w-]*|"
    r"(?:[\w-]+, ){0,6}[\w-]+,? n?or|"  # "no hum, hiss or music"
    r"which|being|that is|and it is|but it is|it is)\b)|"
    r"\b(?:however|besides|although|though|while|whereas|then|yet|instead|until|before|after|"
    r"only(?! (?:at|between|where|when|after|on)\b))\b|"
    rf"(?<={TIME} )and(?= (?!(?:also|again|then)\b)[a-z])|"
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
_BUT = ("but", "besides", "only")


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
    excepted : tuple of int
        Which are those of stretches that were said to be without it.
    """

    present: bool
    parts: tuple[str, ...]
    times: tuple[int, ...]
    excepted: tuple[int, ...] = ()


def read_words(text: str, kind: ArtifactKind) -> Reading:
    r"""Read a text whose times were replaced.

    Arguments
    ---------
    text : str
        As `plain.normalise` gives it, with `TIME` for every time.
    kind : ArtifactKind
        What the text speaks of.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> kind = load_taxonomy("qualispeech").kind("noise")
    >>> read_words("no music, but a slight hum \x01", kind)
    Reading(present=True, parts=('hum',), times=(0,), excepted=())
    """
    text = _HEADING.sub(r"\1 ", _LABEL.sub("", spell(_SPOKEN.sub(" ", text))))
    if TIME not in text and _NONE_TEXT.fullmatch(text):
        return Reading(False, (), ())
    parts, times, excepted = [], [], []
    spare = []  # of clauses whose words name no fault but have a time: "background talk, 0-1 s"
    something = nothing = says_nothing = excepts = False  # the last two are of the last clause
    for joint, clause, here in _clauses(" ".join(text.split())):
        follows = says_nothing and not here and _HENCE.match(clause)
        left = None if follows else fault(clause, kind)
        bare = words_of(clause) <= {"and", "or", "also", "again"}
        alone = here and (  # the time alone says that something is there: "smooth, but 1-2 s"
            joint == "except" or (bare and (joint in _BUT or not says_nothing))
        )
        excepts = (joint == "except" or (excepts and bare)) and something and here
        if excepts and not (left or says_nothing):
            excepted += here
        elif left is None or (joint == "only" and not (left or here)):  # "only the voice"
            nothing = says_nothing = True
        elif left or alone:
            something, says_nothing = True, False
            times += here
            parts += parts_of(left, kind)
        elif not says_nothing:
            times += here
            spare += parts_of(clause, kind) if here else []
    if _VERDICT.search(text) and not times:
        something, nothing = False, True
    present = something or not nothing
    parts = tuple(dict.fromkeys(parts or spare)) if present else ()
    return Reading(present, parts, tuple(times), tuple(excepted))


def _clauses(text: str) -> list[tuple[str, str, range]]:
    """Each clause with the joint before it and which times it has."""
    clauses, begin, joint, seen = [], 0, "", 0
    for match in [*_CUT.finditer(text), None]:
        clause = text[begin : match.start() if match else None]
        clauses.append((joint, clause, range(seen, seen := seen + clause.count(TIME))))
        if match:
            begin, joint = match.end(), "except" if match["except"] else match[0]
    if len(clauses) > 2 and not clauses[0][1].strip() and clauses[1][0] == "except":
        clauses.append(clauses.pop(1))  # "except from 1-2 s, noise"
    return clauses
