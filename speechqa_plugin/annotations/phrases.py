"""The things that a clause names, without times, degree and filler."""

from __future__ import annotations

import re

from speechqa_plugin.annotations.vocabulary import TIME, any_of, known_type
from speechqa_plugin.schema import ArtifactKind

PRAISE, MODEST, DEGREE = any_of("praise"), any_of("modest"), any_of("degree")

_PART = re.compile(
    r"\s*(?:,|/|&|\+|\band\b|\bas well as\b|\balong with\b|\bplus\b|\baccompanied by\b)\s*"
)
_LEAD = re.compile(
    r"^(?:there(?:'s| is| are| was| were| exists?| seems? to be| appears? to be| can be| has| "
    r"have)|"
    r"(?:i|you|we|one|listeners?)(?: can| could| may)?(?: clearly)? (?:hears?|heard|notices?|"
    r"detects?|perceives?)|can hear|"
    r"can be heard|it(?:'s| is| has| sounds?| feels?)|"
    r"(?:the |a |speaker's |his |her |whole |entire |overall |human )*"
    r"(?:voice|speech|audio|sound|speaker|recording|clip|utterance|signal|words?|tone|"
    r"pronunciation|quality|quality of the \w+)"
    r"(?: of the \w+| quality| in the \w+)?(?: (?:is|are|was|were|has|have|had|sounds?|sounded|"
    r"seems?|appears?|feels?|gets?|"
    r"becomes?|became|contains?|with|suffers? from|exhibits?|shows?|a bit|to be|been|affected by|"
    r"being|somewhat|slightly))+|"
    r"(?:which|that|who) (?:is|are|was|has|sounds?)|a kind of|kind of|sort of|(?:a|some) "
    r"(?:degree|level|amount) of|"
    r"(?:degree|level|amount|lot|bit) of|"
    r"due to|because of|caused by|accompanied by|including|mainly|mostly|such as|like|"
    r"especially|particularly|"
    r"consist(?:s|ing) of|contains?|containing|has|have|having|with|and|or|also|a|an|the|some|"
    r"of|in|on|by|to|is|are|was|"
    r"were|it|its|this|then|from|at|as|sounds? like|sounds?|feels?|seems?|mixed with|presence "
    r"of|yes|again|occasionally|"
    r"returns?|returning|comes back|reappears?|"
    r"resumes?|during|for|be|by|but|where|when|while|another|other(?= (?:noise|sound))|(?:speaker|"
    r"talker)'s|his|her|their|i\.?e\.?|e\.?g\.?)(?=\W|$)\W*"
)
_TAIL = re.compile(
    r"\W*(?<!\w)(?:(?:that |which )?(?:can|could|may) (?:also )?(?:be|still be) (?:\w+ly "
    r")?(?:heard|noticed|perceived|detected|felt)|"
    r"(?:which |that )?(?:is|are|was|were|being|be|gets?|becomes?) (?:\w+ly )?(?:heard|present|"
    r"noticed|perceived|detected|there|found|observed|felt|added|"
    r"introduced|experienced)|"
    r"(?:in|from|throughout|with|of) (?:the )?(?:audio|speech|clip|recording|background|voice|"
    r"sentence|middle|signal|sound)(?: (?:clip|signal|recording))?|"
    r"is|are|was|were|that|which|and|or|from|at|in|of|with|the|a|an|to|during|for|on|by|every|"
    r"each|around|about|between|appears?|appearing|"
    r"occurs?|occurring|occurred|persists?|persisting|exists?|existing|lasts?|lasting|"
    r"continues?|continuing|"
    r"happens?|happening|present|heard|starts?|starting|begins?|beginning|started|there|over|"
    r"within|"
    r"it|its|also|again|has|mainly|mostly|be|being|but|especially|particularly|where|when|while|as|"
    r"noticed|appeared|runs?|running|near|that's|ends?|ending|spans?|spanning|remains?|existed|only|i\.e|can|through|"
    r"throughout|into)\W*$"
)


_MODEST_NOT = re.compile(
    rf"\bnot\s+(?!(?:(?:{MODEST}|{DEGREE})\s+)*{PRAISE}\b)(?:{MODEST}\s+)*(?:{DEGREE})(?![\w-])"
)
_DEGREE_WORD = re.compile(rf"(?<!not )(?<!less )(?<!never )(?<![\w'-])(?:{DEGREE})(?![\w'-])")


def parts_of(clause: str, kind: ArtifactKind) -> list[str]:
    """The things that a clause names."""
    phrase = _clean(clause)
    if known_type(phrase, kind):
        return [phrase]
    pieces = map(_clean, _PART.split(phrase))
    return [piece for piece in pieces if any(map(str.isalpha, piece))]


def _clean(phrase: str) -> str:
    """Without times, degree, brackets and filler at both ends."""
    phrase = re.sub(r"[()\[\]{}<>\"|*_]", " ", phrase.replace(TIME, " "))
    phrase = _MODEST_NOT.sub(" ", phrase)
    phrase = _DEGREE_WORD.sub(" ", phrase)
    before = None
    while phrase != before:
        before = phrase = " ".join(phrase.split())
        phrase = _TAIL.sub("", _LEAD.sub("", phrase)).strip(" ,.:;-'/&+~=")
    return phrase
