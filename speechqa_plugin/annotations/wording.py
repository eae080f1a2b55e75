"""Words in free English: whether something is there, and what it is called.

A text is cut into clauses. A clause says *nothing there* ("no hum", "not noticeable", "very
smooth"), *something there* (any word that is neither filler nor praise), or neither ("the voice");
something outweighs nothing, because "not noticeable, except a click" is about the click. Times "
"stand
in the text as `TIME`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import yaml

from speechqa_plugin.schema import ArtifactKind

TIME = "\x01"
"""Stands for a time in a text; nothing that `plain.normalise` gives has it."""


def _any(words: str) -> str:
    return rf"(?:{'|'.join(words.split())})"


_VOICE = set(
    "voice voices speech audio speaker speakers talker recording clip sound sounds utterance "
    "sentence"
    " pronunciation reading delivery intonation flow articulation tone word words syllable signal"
    " pace speed rhythm tempo sample quality file everything overall talk expression "
    "narration".split()
)
_NEUTRAL = _VOICE | set(
    "a an the this that these those which it its there here is are was were be been being has "
    "have had"
    " do does did of in on at to for from with by as and or also so very quite fairly rather pretty"
    " really extremely relatively generally mostly basically almost completely totally entirely"
    " perfectly highly absolutely all any some i can could you we hear heard sounds sound seems "
    "seem"
    " appears appear background environment level degree amount person man woman male female he "
    "she his"
    " her their they speaks speak spoken speaking talks read reads way manner sense feeling feel"
    " feels listening listen listener throughout whole entire during time yes exists exist present"
    " well just only part parts between other than then when where while but still even kind type"
    " description noted observed found detected noticed no-one impressive no".split()
)
_PRAISE = _any(
    "smooth smoothly clear clearly clean cleanly clarity natural naturally fluent fluently fluency"
    " coherent coherently continuous continuously perfect perfectly good fine normal normally "
    "ok okay"
    " excellent great nice crisp pristine flawless flawlessly seamless seamlessly steady pleasant"
    " uninterrupted undistorted noiseless pure intelligible consistent consistently ideal free"
)
_MODEST = _any(
    "very so too that quite particularly especially extremely entirely completely totally perfectly"
    " fully always enough sufficiently overly as"
)
_DEGREE = set(
    "slight slightly minor mild mildly light lightly weak weakly faint faintly subtle small "
    "tiny little bit"
    " moderate moderately somewhat medium strong strongly heavy heavily severe severely serious"
    " seriously significant significantly considerable considerably noticeable noticeably obvious"
    " obviously evident evidently apparent apparently clear clearly distinct distinctly prominent"
    " pronounced loud loudly intense intensely extreme extremely very fairly quite rather "
    "pretty really"
    " highly relatively intrusive annoying disturbing audible perceptible barely hardly massive "
    "huge"
    " great big large much lot lots bad badly terrible terribly too so impressive certain visible"
    " visibly minimal negligible somehow more extent".split()
)
_LOOSE = set(
    "constant constantly continuous continuously persistent persistently steady consistent"
    " intermittent intermittently occasional occasionally sporadic brief short long sudden frequent"
    " repeated repeatedly low high soft quiet single few several multiple many one two three"
    " overlapping ongoing random irregular regular".split()
)
_GENERAL = set(
    "noise noises sound sounds background backgrounds voice voices speech audio distortion "
    "distortions"
    " distorted effect effects recording a an the of in like some other is are being its it which"
    " feel feels feeling quality signal at to issue issues artifact artifacts phenomenon speaker"
    " pause pauses unnatural there".split()
)
_UNSPECIFIC = set(
    "noise noises background pause pauses unnatural distortion distortions distorted sound sounds"
    " artifact artifacts unnaturally paused noisy a an the of in is voice speech audio".split()
)
_NONE_TEXT = re.compile(
    r"[\W_0x]*|(?:n\W{0,2}a|nan|nil|null|no|non|none|nothing|never|not|not (?:any|applicable|at "
    r"all)|"
    r"no issues?|no problems?|undefined|empty|absent|false|blank)[\W_]*"
)
_LABEL = re.compile(
    r"^\W*(?:background )?(?:noise|distortion|(?:unnatural )?pause)s?(?: description)?\s*(?::|"
    r"-(?=\s))(?=.*\w)"
)
_SENSED = _any(
    "noticeable noticeably noticed noticable notice audible heard hear perceptible perceived "
    "perceive"
    " detect detected detectable detecting discernible visible obvious obviously evident "
    "apparent found find observed"
    " observe recognizable recognisable felt feel sensed distinguishable"
)
_THERE = _any(
    "present exist existing existed exists there distort distorted distorting noisy affected "
    "interrupted"
    " choppy muffled robotic paused pausing broken reverberant unnatural recorded mentioned"
    " intermittent stuttering disjointed clipped echoey hoarse buzzing contaminated"
)
_NOT = (
    r"(?:not|never|isn't|aren't|wasn't|weren't|cannot|can't|couldn't|doesn't|don't|didn't|can not)"
)
_ADVERB = (
    r"(?:be|at all|even|really|actually|been|clearly|easily|seem|appear|to|being|any|ever|yet|"
    r"visibly|obviously|audibly|noticeably|do|is|are|sound|have|significantly)"
)
_PREDICATE = re.compile(
    rf"\b{_NOT}\s+(?:{_ADVERB}\s+)*(?P<sensed>{_SENSED})\b|\b{_NOT}\s+(?:{_ADVERB}\s+)*{_THERE}\b|"
    r"\b(?:virtually |almost |nearly |practically |basically |completely )*(?:non-?\s?existent|"
    r"nonexistant|non-existant|unnoticeable|unnoticed|imperceptible|undetectable|indiscernible|"
    r"negligible|"
    r"undistorted|noiseless|un-noticeable|un-distorted|insignificant)\b|"
    r"\b(?P<lost>inaudible|absent)\b|\b(?:noise|distortion|pause|click|hum|error|artifact|echo|"
    r"interference|reverb)s?[- ]free\b|\b(?:none|nothing|nil|n/a)\b|"
    r"^(?:not|never)\W*$"
)
_SCOPE = re.compile(
    r"\b(?:without|zero|lacks?|lacking|lack of|absence of|absent of|free (?:of|from)|devoid of|"
    r"(?:hardly|barely|scarcely|rarely) (?:any|a)|(?:hardly|barely|scarcely) (?:has|have|"
    r"contains?|hear)|"
    r"(?:little to|next to|almost|nearly|virtually|practically|basically) no(?:ne)?|"
    r"(?:not|never|isn't|aren't|doesn't|don't|didn't|wasn't|weren't|cannot|can't|couldn't)"
    r"(?: (?:have|contain|has|hear|detect|notice|find|show|include|perceive|exhibit|suffer from|"
    r"really|feel|experience|there|see))* (?:any|an?|much|many|enough|obvious|noticeable)|"
    r"(?:doesn't|don't|didn't|not|never) (?:have|contain|hear|detect|notice|find|show|include|"
    r"exhibit)|"
    r"neither|nor|(?<!say )no(?! one\b|ne\b)|not (?=(?:background )?(?:noise|distortion|pause|"
    r"gap|hum)))\b(?! longer)"
)
_GOODS = re.compile(
    r"\b(?:clarity|naturalness|emotions?|fluency|intonation|rhythm|expression|expressiveness|"
    r"high frequenc\w+|treble|bass|low frequenc\w+|warmth|coherence|continuity|smoothness|stress|"
    r"clear|natural|smooth|fluent|cadence|prosody|human|articulation|definition|detail|details|"
    r"fullness)\b"
)
_NOT_PRAISED = re.compile(
    rf"\b(?:{_NOT}|less|hardly|barely|far from)\s+(?:{_ADVERB}\s+)*(?:{_MODEST}\s+)*{_PRAISE}\b"
)
_QUIET = re.compile(
    rf"\b(?:pauses?|pausing|breaks?)\s+(?:are|is|sounds?|seems?|"
    rf"feels?)\s+(?:{_MODEST}\s+)*{_PRAISE}\b|"
    r"\b(?:quiet|silent|calm)\s+(?:background|environment|room|recording|surroundings?)\b|"
    r"\b(?:background|environment|room|surroundings?)\s+(?:is|was|"
    r"sounds?)\s+(?:\w+\s+)?(?:quiet|silent|calm)\b"
)
_CUT = re.compile(
    r"[.;!?]+(?=\s|$)|[;!?:]|,(?!\s*(?:(?:virtually|practically|almost|nearly) (?:non|un|im)[\w-]*|"
    r"which|being|that is|and it is|but it is|it is)\b)|"
    r"\b(?:however|except(?:ing)?(?: for| that| from)?|apart from|aside from|other than|besides|"
    r"although|though|while|whereas|then|yet|instead|only|until|before|after)\b|"
    r"\bbut\b(?!\s+(?:it|this|they|the noise)\s+(?:is|are|was)\b)|"
    r"\band\b(?=\s+(?:there|the|a|an|some|slight|slightly|it has)\b)"
)
_EXCEPT = re.compile(r"(?:but|except\w*(?: \w+)?|apart from|aside from|other than|besides|only)$")
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
    r"during|for|be|by|but|where|when|while|another|other(?= (?:noise|sound))|(?:speaker|"
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
    r"noticed|appeared|ends?|ending|spans?|spanning|remains?|existed|only|i\.e|can|through|"
    r"throughout|into)\W*$"
)


_MODEST_NOT = re.compile(
    rf"\bnot\s+(?:{_MODEST}\s+)*(?!{_PRAISE}\b)(?:{'|'.join(_DEGREE - {'a'})})(?![\w-])"
)
_DEGREE_WORD = re.compile(
    rf"(?<!not )(?<!less )(?<!never )(?<![\w'-])(?:{'|'.join(sorted(_DEGREE))})(?![\w'-])"
)


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
    text = _LABEL.sub("", text)
    if TIME not in text and _NONE_TEXT.fullmatch(text):
        return Reading(False, (), ())
    nothing, parts, times, something = False, [], [], False
    seen, says_nothing = 0, False  # the last clause's word
    for joint, clause in _clauses(text):
        here = range(seen, seen + clause.count(TIME))
        seen += len(here)
        left = _something(clause, kind)
        bare = not re.search(r"[^\W_]", clause.replace(TIME, ""))
        if left is None:
            nothing = says_nothing = True
        elif left or (bare and here and (not says_nothing or _EXCEPT.search(joint))):
            something, says_nothing = True, False
            times += here
            parts += _parts(left, kind)
        elif not says_nothing:
            times += here
    present = something or not nothing
    return Reading(present, tuple(dict.fromkeys(parts)) if present else (), tuple(times))


def _clauses(text: str) -> Iterator[tuple[str, str]]:
    """Each clause with the joint before it."""
    begin, joint = 0, ""
    for match in _CUT.finditer(text):
        yield joint, text[begin : match.start()]
        begin, joint = match.end(), match[0].strip()
    yield joint, text[begin:]


def _something(clause: str, kind: ArtifactKind) -> str | None:
    """The part of a clause that names a fault, empty if none does; None if it says "nothing"."""
    if _NOT_PRAISED.search(clause):
        return clause
    if match := _PREDICATE.search(clause):
        lost_voice = (match["sensed"] or match["lost"]) and _words(clause) & _VOICE
        if lost_voice and not _words(clause) & {
            "noise",
            "noises",
            "distortion",
            "sound",
            "background",
        }:
            return None if _words(clause) <= _NEUTRAL | _words(match[0]) - {"inaudible"} else clause
        return None
    if match := _SCOPE.search(clause):
        if _GOODS.search(clause, match.end()):
            return clause
        before = clause[: match.start()]
        return (
            before if _words(before) & (_faults(kind) - {"noise", "distortion", "pause"}) else None
        )
    if _QUIET.search(clause):
        return None
    words = _words(clause)
    praised = re.search(rf"\b{_PRAISE}\b", clause)
    if praised and not words & _faults(kind):
        subject = words & (_VOICE - {"sound", "sounds"} | {"background", "environment"})
        rest = {w for w in words - _NEUTRAL if not re.fullmatch(_PRAISE, w)}
        if subject or not rest:
            return None
    return clause if words - _NEUTRAL or words & _faults(kind) else ""


def _words(text: str) -> set[str]:
    return set(re.findall(r"[^\W_]+(?:['-][^\W_]+)*", text))


def _parts(clause: str, kind: ArtifactKind) -> list[str]:
    """The things that a clause names."""
    phrase = _clean(clause)
    if _known(phrase, kind):
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


def known_type(phrase: str, kind: ArtifactKind) -> str:
    """The type of the kind that a phrase names for certain; empty if there is none.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> known_type("constant chatter", load_taxonomy("qualispeech").kind("noise"))
    'babble'
    """
    return _known(phrase, kind) or ""


def is_unspecific(phrase: str) -> bool:
    """Whether a phrase says no more than that there is something ("background noise")."""
    return _words(phrase) <= _UNSPECIFIC | _LOOSE


def _known(phrase: str, kind: ArtifactKind) -> str | None:
    table = _table(kind)
    return table.get(phrase) or table.get(_key(phrase))


def _key(phrase: str) -> frozenset[str]:
    words = _words(phrase.replace("'s", "")) - _LOOSE - _GENERAL - _DEGREE
    if not any(word.endswith("hz") for word in words):  # how many there are
        words = {word for word in words if not re.fullmatch(r"[0-9-]+", word)}
    return frozenset(map(_stem, words))


def _stem(word: str) -> str:
    return re.sub(r"(?:ing|ed|es|s)$", "", word) if len(word) > 4 else word


@lru_cache
def _table(kind: ArtifactKind) -> dict[str | frozenset[str], str]:
    """Wordings of a kind's types, as written and as `_key` makes them."""
    table: dict[str | frozenset[str], str] = {}
    for type_ in kind.types:
        for wording in (type_, *_flat(_data()["types"].get(type_, []))):
            table.setdefault(wording, type_)
            if key := _key(wording):
                table.setdefault(key, type_)
    return table


@lru_cache
def _faults(kind: ArtifactKind) -> frozenset[str]:
    words = set(_data()["faults"].split()) | {"noises", "distortions", "pauses", "gaps", "breaks"}
    for wording in _table(kind):
        words |= _words(wording) if isinstance(wording, str) else set()
    return frozenset(
        words - _NEUTRAL - _LOOSE - {"people", "human", "band", "limited", "noise-free"}
    )


@lru_cache
def _data() -> dict:
    path = Path(__file__).with_name("wording.yaml")
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _flat(items: list) -> Iterator[str]:
    for item in items:
        yield from map(str, item) if isinstance(item, list) else [str(item)]
