"""Times in free English: every way of saying when, as seconds and flags.

The forms are tried in the order of `_FORMS`, the most telling first; what a form has read is
blanked out, so that no number is read twice. A number counts as a time by its unit ("2 s", "0:02"),
or, for a stretch without units ("between 1 and 2"), by what stands beside it: "2-3 speakers",
"50-60 Hz" and "rated 2-3" are none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from speechqa_plugin.annotations.base import Flag
from speechqa_plugin.annotations.time_patterns import (
    AND,
    BEFORE,
    BEGINS,
    END,
    LASTS,
    NO_RANGE,
    OF,
    PART,
    PREPOSITION,
    SAME,
    START,
    TO,
    VAGUE,
    WHOLE,
    WORDS,
    a_time,
)
from speechqa_plugin.schema import Interval


@dataclass(frozen=True)
class Mention:
    """A time said in a text.

    Arguments
    ---------
    begin, end : int
        Where it stands in the text.
    intervals : tuple of Interval
        What it says, within the clip; most often one or none.
    flags : frozenset of Flag
        What to know about it.
    """

    begin: int
    end: int
    intervals: tuple[Interval, ...] = ()
    flags: frozenset[Flag] = frozenset()


_NOT_A_TIME = set(
    "hz khz mhz ghz db dbfs kbps kbit kbits bit bits bps x times time speakers speaker people "
    "persons person talkers voices clicks pauses words word syllables tones channels channel "
    "percent points point levels level m km cm mm degrees octaves semitones out of stars star "
    "% ° /".split()
)
"""A number before one of these is no time even if it looks like one."""
_SOUNDS = "noise distortion hum hiss hissing buzz buzzing music static".split()
"""What was there until it "stops at 2 s"; where the speaker stops, a pause begins."""
_MAY_FOLLOW = set(
    "and in with is are was were there during but which where when the a an on then it as or at"
    " from between plus also while that has have appears occurs to for approximately about".split()
)
"""After a stretch without units these go on with the sentence; another word would be its unit."""
_RANGE_OF = re.compile(r"\b(?:range|interval|period|span|window|stretch|segment|section)\s+of\s*$")
_NO_TIME_BEFORE = re.compile(
    r"\b(?:levels?|scores?|scored|rate|rated|ratings?|grades?|graded|mos|snr|scale|scale of|"
    r"scale from|channels?|speakers?|versions?|volume|quality|frequency|frequencies|points?|gave|"
    r"give|number|numbers?|count(?:s|ed|ing)?|no\.|type|class|category|degree|sizes?)"
    r"\s*(?:is|are|was|:|of|at|from|between|around|about|in|as|=|to)*\s*$"
)


def read_times(text: str, duration_s: float | None) -> list[Mention]:
    """Find every time in a text.

    Arguments
    ---------
    text : str
        As `plain.normalise` gives it.
    duration_s : float or None
        Length of the clip, None where it is not known.

    Returns
    -------
    list of Mention
        In the order of the text; none overlaps another.

    Example
    -------
    >>> read_times("hum until 0.5 s and for the last second", 4.0)[1].intervals
    (Interval(start_s=3.0, end_s=4.0),)
    """
    mentions = []
    for pattern, read in _FORMS:
        for match in list(pattern.finditer(text)):
            reader = _Reader(match, text, duration_s)
            if read(reader) is not False:
                mentions.append(reader.mention())
                begin, end = match.span()
                text = text[:begin] + "\0" * (end - begin) + text[end:]
    return sorted(mentions, key=lambda mention: mention.begin)


class _Reader:
    """One match of one form while it is turned into seconds."""

    def __init__(self, match: re.Match, text: str, duration_s: float | None):
        self.match, self.text, self.duration_s = match, text, duration_s
        self.intervals: list[Interval] = []
        self.flags: set[Flag] = set()

    def mention(self) -> Mention:
        return Mention(*self.match.span(), tuple(self.intervals), frozenset(self.flags))

    def before(self, group: int | str = 0) -> str:
        return self.text[: self.match.start(group)]

    def seconds(self, name: str) -> float:
        value = _value(self.match[name])
        return value / 1000 if self.match.groupdict().get(f"ms_{name}") else value

    def has_unit(self, *names: str) -> bool:
        return any(
            self.match[f"{n}_unit"]
            or ":" in (self.match[n] or "")
            or re.search(r"\bsec(?:ond)?s?\s*$", self.text[: max(self.match.start(n), 0)])
            for n in names
        )

    def add(self, start_s: float, end_s: float, *written: str) -> None:
        """Add a stretch; `written` names the groups that it was made from."""
        duration_s = self.duration_s
        if start_s > end_s:
            start_s, end_s = end_s, start_s
            self.flags.add(Flag.REVERSED)
        if duration_s is not None and end_s > duration_s:
            self.flag_late(Flag.BEYOND_CLIP if start_s >= duration_s else Flag.CLAMPED, written)
            end_s = duration_s
        if start_s == end_s:
            self.flags.add(Flag.POINT_IN_TIME)
        elif start_s < end_s:
            self.intervals.append(Interval(start_s, end_s))

    def flag_late(self, flag: Flag, written: Sequence[str]) -> None:
        self.flags.add(flag)
        if any(map(self.lost_point, written)):
            self.flags.add(Flag.LOST_DECIMAL_POINT)

    def lost_point(self, name: str) -> bool:
        number = self.match[name]
        if not re.fullmatch(r"[0-9]{2,}", number) or float(number) <= self.duration_s:
            return False
        return float(number) / 10 <= self.duration_s

    def to_end(self, start_s: float, *written: str) -> None:
        if self.duration_s is None:
            self.flags.add(Flag.NEEDS_DURATION)
        elif start_s < self.duration_s:
            self.add(start_s, self.duration_s)
        else:
            self.flag_late(Flag.BEYOND_CLIP, written)


def _value(number: str) -> float:
    number = re.sub(r"(?<=[0-9])(?:st|nd|rd|th)$", "", number)
    if ":" in number:
        minutes, seconds = number.split(":")
        return 60 * float(minutes) + float(seconds)
    if number.startswith("half"):
        return 0.5
    whole, *rest = re.split(r" point | and a half|-and-a-half", number)
    if whole not in WORDS:
        return float(number)
    tenth = WORDS.get(rest[0], 5.0) / 10 if rest else 0.0
    return WORDS[whole] + tenth


def _flag(flag: Flag) -> Callable[[_Reader], bool | None]:
    return lambda reader: reader.flags.add(flag)


def _each(reader: _Reader) -> bool | None:
    """A length between two numbers: "a 1-2 second pause", "every 2-3 s"."""
    before = reader.before("a")
    every = re.search(r"\b(?:every|each|per)\s*$", before)
    if not (every or re.search(r"\b(?:an?|of|another)\s*$", before)) or _RANGE_OF.search(before):
        return False
    reader.flags.add(Flag.UNREAD_TIME if every else Flag.LENGTH_ONLY)


def _unsure_length(reader: _Reader) -> bool | None:
    """A length in round numbers with one unit: "lasts 2-3 seconds"; "lasts 0-3 s" is a stretch."""
    a, b = reader.seconds("a"), reader.seconds("b")
    if reader.match["a_unit"] or a == 0 or a % 0.5 or b % 0.5:
        if not reader.match["about"]:
            return False
    reader.flags.add(Flag.LENGTH_ONLY)


def _between(reader: _Reader) -> bool | None:
    """A stretch from `a` to `b`."""
    a, b = reader.match["a"], reader.match["b"]
    if not reader.has_unit("a", "b"):
        if a in WORDS or b in WORDS or "half" in a + b:
            return False
        before = re.sub(r"(?:between|from|of|in|at|about|around)\s*$", "", reader.before("a"))
        follows = re.match(r"\s*-?\s*([a-z%°]+)|(?:/[0-9])", reader.text[reader.match.end() :])
        word = follows[1] or "/" if follows else ""
        decimal = "." in a + b
        if word and word not in _MAY_FOLLOW and (not decimal or word in _NOT_A_TIME):
            return False
        if _NO_TIME_BEFORE.search(before):
            return False
    start_s, end_s = reader.seconds("a"), reader.seconds("b")
    if reader.match["a_unit"] is None and reader.match.groupdict().get("ms_b"):
        start_s /= 1000
    reader.add(start_s, end_s, "a", "b")


def _first(reader: _Reader) -> bool | None:
    match = reader.match
    if match["n"] is None:
        reader.add(0.0, 1.0)
    elif not reader.has_unit(*("n", "m")[: 1 + bool(match["m"])]) and (
        "." not in match["n"] or re.match(r"\s*-?\s*[a-z%°]", reader.text[match.end() :])
    ):
        return False
    elif match["m"] is None:
        reader.add(0.0, reader.seconds("n"), "n")
    elif "." in match["n"] + match["m"]:  # "first 0.5-1.2 s, then": a list, not a beginning
        reader.add(reader.seconds("n"), reader.seconds("m"), "n", "m")
    else:
        reader.add(0.0, reader.seconds("m"), "m")


def _last(reader: _Reader) -> None:
    length_s = 1.0 if reader.match["n"] is None else reader.seconds("n")
    if reader.match.groupdict().get("both"):
        reader.add(0.0, reader.seconds("m") if reader.match["m"] else length_s, "n")
    if reader.duration_s is None:
        reader.flags.add(Flag.NEEDS_DURATION)
    elif length_s <= reader.duration_s:
        reader.add(reader.duration_s - length_s, reader.duration_s)
    else:
        reader.add(0.0, length_s, *(["n"] if reader.match["n"] else []))


def _then_to_end(reader: _Reader) -> bool | None:
    """Starts where what was said before it ends: "fine until 2 s, then noise to the end"."""
    before = re.search(rf"{a_time('a')}\s*[,;]?\s*(?:and\s+)?then\b[^.;0-9]*$", reader.before())
    if before is None or not (before["a_unit"] or "." in before["a"]):
        return False
    reader.to_end(_value(before["a"]))


def _until(reader: _Reader) -> bool | None:
    if not reader.has_unit("b") and "." not in reader.match["b"]:
        return False
    reader.add(0.0, reader.seconds("b"), "b")


def _onwards(reader: _Reader) -> bool | None:
    if not reader.has_unit("a") and "." not in reader.match["a"] and not reader.match["end"]:
        return False
    if not reader.match["end"]:
        reader.flags.add(Flag.OPEN_END)
    reader.to_end(reader.seconds("a"), "a")


def _start_and_length(reader: _Reader) -> None:
    start_s = reader.seconds("a")
    reader.add(start_s, start_s + reader.seconds("n"), "a", "n")


def _point(reader: _Reader) -> None:
    every = re.search(r"\b(?:every|each|per)\s*$", reader.before())
    reader.flags.add(Flag.UNREAD_TIME if every else Flag.POINT_IN_TIME)


def _form(pattern: str, read: Callable[[_Reader], bool | None]):
    return re.compile(pattern), read


_FORMS = (
    _form(SAME, _flag(Flag.SAME_TIME_AS_OTHER)),
    _form(
        r"\b(?:for|takes|taking|(?:last(?:s|ed|ing)|persist\w*)(?: for)?)\s+(?:between\s+)?"
        r"(?P<about>(?:about|around|approximately|roughly)\s+)?"
        rf"{a_time('a')}\s*(?:-|to|or|and)\s*{a_time('b', '')}",
        _unsure_length,
    ),
    _form(rf"{BEFORE}{a_time('a')}\s*(?:-|to|or)\s*{a_time('b', '')}", _each),
    _form(rf"\b(?:until|till|to|through)\s+(?:{END})", _then_to_end),
    _form(
        rf"{BEFORE}{a_time('a')}\s*(?:-|to|or)\s*{a_time('b', '')}[\s-]*"
        r"(?:long|apart|each|in length|in duration)",
        _flag(Flag.LENGTH_ONLY),
    ),
    _form(
        rf"\b(?:{BEGINS}|from|at)\s*{a_time('a', '')}\s*{LASTS}{a_time('n', '')}{NO_RANGE}",
        _start_and_length,
    ),
    _form(  # "for 0.5 s from 1.2 s", "0.5 s long starting at 1.2 s", "a 0.5 s pause at 1.2 s"
        rf"(?P<told>\b(?:for|last\w*)\s+)?{BEFORE}{a_time('n', '')}"
        r"(?(told)|(?=[\s-]+(?:long|pause|gap|silence|break|stop|start|begin)))"
        r"(?:[\s-]+(?:long|pause|gap|silence|break|stop)\b)*\s+"
        rf"(?:from|after|at|(?:start|begin)\w*\s+\w+)\s+{a_time('a', '')}(?!{TO}[0-9])",
        _start_and_length,
    ),
    _form(
        r"(?:(?:in|during|for|over|within|"
        rf"at)\s+)*(?:the\s+)?\b(?P<both>first)\s+(?:{a_time('m')}\s+)?(?:and|&)\s+"
        rf"(?:the\s+)?last\s+(?:{a_time('n', '')}|(?P<one>second)\b)",
        _last,
    ),
    _form(
        rf"{PREPOSITION}(?:the\s+)?(?:very\s+)?\b(?:first|initial|opening|(?:beginning|starting)"
        r"(?!\s*(?:at|from|around|about|@|in|:)))\s+(?:"
        rf"{a_time('n')}(?:\s*(?:-|to)\s*{a_time('m', '')})?|"
        r"seconds?\b(?!\s+half|\s*-|\s+to\b|\s+until\b))",
        _first,
    ),
    _form(
        rf"{PREPOSITION}(?:the\s+)?(?:very\s+)?\b(?:last|final|(?:ending|closing)(?!\s*(?:at|by|in|on|:)))\s+"
        rf"(?:{a_time('n', '')}{NO_RANGE}|seconds?\b)",
        _last,
    ),
    _form(
        rf"\b(?:for\s+|in\s+)?(?:the\s+)?(?:whole|entire|full)\s+{a_time('n', '')}",
        _flag(Flag.WHOLE_CLIP),
    ),
    _form(WHOLE, _flag(Flag.WHOLE_CLIP)),
    _form(
        rf"\b{PREPOSITION}{START}{OF}{TO}{a_time('b')}",
        _until,
    ),
    _form(rf"{PREPOSITION}(?<![\w.:-]){a_time('a')}{TO}(?P<end>{END})", _onwards),
    _form(
        rf"\b(?:from|between|betwen|beween)\s*:?\s*{a_time('a')}{AND}{a_time('b')}{NO_RANGE}",
        _between,
    ),
    _form(
        rf"[(\[]\s*{a_time('a')}\s*[,;]\s*{a_time('b')}\s*[)\]]",
        _between,
    ),
    _form(rf"{PREPOSITION}(?<![\w.:]){a_time('a')}{TO}{a_time('b')}", _between),
    _form(
        r"\b(?:(?:disappear|vanish|ceas|fad)\w*(?:\s+away|\s+out)?|"
        rf"(?:{'|'.join(rf'(?<={sound} )' for sound in _SOUNDS)})(?:ends|stops))"
        rf"\s+(?:at|after|by)\s+{a_time('b')}",
        _until,
    ),
    _form(
        rf"\b(?:{BEGINS}|from|after|since|past|beyond)\s+{a_time('a')}"
        rf"(?P<end>\s*,?\s*(?:and\s+)?(?:onwards?|on\b|forwards?|afterwards?|later\b))?",
        _onwards,
    ),
    _form(
        rf"(?<![\w.:-]){a_time('a', '')}\s*,?\s*(?P<end>(?:and\s+)?(?:onwards?|on\b|forwards?|"
        rf"afterwards?|later\b|"
        r"beyond\b|after\b))",
        _onwards,
    ),
    _form(
        r"\b(?:last\w*|persist\w*)\s+(?:for\s+)?(?:up\s+to|over|under|at\s+least|less\s+than|"
        r"more\s+than)"
        rf"\s+{a_time('n', '')}",
        _flag(Flag.LENGTH_ONLY),
    ),
    _form(
        r"\b(?:(?:last|persist|continu|exist|occur|appear)\w*\s+)?"
        rf"(?:until|untill|till|til|up\s+to|up\s+until|before|prior\s+to|within)\s+{a_time('b')}",
        _until,
    ),
    _form(
        r"\b(?:for|(?:last|persist|continu|exist|span|remain|endur)\w*(?:\s+for)?|"
        r"(?:duration|length|total|period|gap|pause|silence)\s*(?:is|of|:)|tak\w+|of)\s+"
        rf"{a_time('n', '')}",
        _flag(Flag.LENGTH_ONLY),
    ),
    _form(
        rf"(?<![\w.:-]){a_time('n', '')}[\s-]*"
        r"(?:long\b|duration\b|in\s+(?:length|duration|total)\b|each\b(?:\s+time)?|apart\b|"
        r"(?:of\s+)?(?:\w+\s+)?(?=(?:pause|gap|silence|break|noise|hum|stop)\b))",
        _flag(Flag.LENGTH_ONLY),
    ),
    _form(PART, _flag(Flag.VAGUE_TIME)),
    _form(rf"{PREPOSITION}(?<![\w.:]){a_time('a', '')}", _point),
    _form(rf"(?:\b(?:at|around|near|by|@)\s*){a_time('a')}(?!\s*-?\s*[a-z%°/0-9])", _point),
    _form(VAGUE, _flag(Flag.VAGUE_TIME)),
)
