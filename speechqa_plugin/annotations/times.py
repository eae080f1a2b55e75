"""Times in free English: every way of saying when, as seconds and flags.

The forms are tried in the order of `_FORMS`, the most telling first; what a form has read is
blanked out, so that no number is read twice. A number counts as a time by its unit ("2 s", "0:02"),
or, for a stretch without units ("between 1 and 2"), by what stands beside it: "2-3 speakers",
"50-60 Hz" and "rated 2-3" are none.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from speechqa_plugin.annotations.base import Flag
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


_ONES = "zero one two three four five six seven eight nine ten eleven twelve".split()
_WORDS = {word: float(i) for i, word in enumerate(_ONES)} | {"fifteen": 15.0, "twenty": 20.0}
_WORD = "|".join(_WORDS)
_NUMBER = (
    r"(?:[0-9]{1,2}:[0-9]{2}(?:\.[0-9]{1,6})?|[0-9]{1,6}(?:\.[0-9]{1,6})?|\.[0-9]{1,6}|"
    rf"(?:{_WORD})(?: point (?:{_WORD})| and a half|-and-a-half)?\b|half(?: an?)?\b)"
    r"(?!\.?[0-9])(?:(?:st|nd|rd|th)\b)?"
)
_UNIT = (
    r"(?:\s*-?\s*(?:(?P<ms{0}>ms|milliseconds?|msecs?)|s|secs?|seconds?|secon|secons|sconds?|"
    r"senconds?|secends?|secounds?|secondes?|secnds?)(?![a-z])\.?(?!\.?[0-9])|\s*(?:\"|''))"
    r"(?:[\s-]*(?:time)?marks?\b)?"
)
_ABOUT = (
    r"(?:(?:about|around|approximately|approx\.?|roughly|nearly|almost|just|only|circa|ca\.?|"
    r"exactly|or so|the|a|time|mark|seconds?|secs?|s|at|t\s*=|@|~|=|:)\s*){0,4}"
)


def _time(name: str, unit: str = "?") -> str:
    """Pattern of a number with its unit; `unit` says if it may be absent."""
    unit_pattern = _UNIT.replace("{0}", f"_{name}")
    return rf"(?<![a-z]){_ABOUT}(?P<{name}>{_NUMBER})(?P<{name}_unit>{unit_pattern}){unit}"


_NOUN = (
    r"(?:audio|clip|recording|speech|sentence|utterance|file|sample|segment|duration|time|passage|"
    r"track|piece|process|way|voice|period|length|signal|sound|conversation|section|paragraph|"
    r"phrase|timeline|stretch)s?\b"
)
_START = r"(?:the\s+)?(?:very\s+)?(?:start|beginning|begin|onset|outset)\b"
_OF = rf"(?:\s+of\s+(?:the\s+|this\s+)?(?:\w+\s+)?{_NOUN})?"
_END = (
    rf"(?:the\s+)?(?:very\s+)?(?:end|ending|finish)\b{_OF}|"
    rf"(?:the\s+)(?:last|end\s+of\s+(?:the\s+)?\w+)\b"
)
_PREPOSITION = (
    r"(?:(?:(?:roughly|approximately|mainly|mostly)\s+)?"
    r"(?:from|between|betwen|beween|during|in|at|within|over|for|on|around|about|through|"
    r"throughout|"
    r"lasts?|lasting|"
    r"(?:start|begin|occur|appear|happen|persist|exist)\w*)"
    r"(?:\s+(?:from|between|during|at|for|in|within|around|about|approximately)){0,3}\s*:?\s*)?"
)
_STOP = r"(?:end|stop|finish|ceas|disappear|fad|conclud|terminat)\w*\s*(?:out\s*|away\s*)?"
_UNTIL = r"(?:to|until|untill|till|til|through|thru|up\s+to|up\s+until|upto)"
_TO = (
    r"\s*(?:->|=>|-+|→|~+|\.\.+|"
    rf",?\s*(?:all\s+the\s+way\s+|right\s+)?{_UNTIL}|"
    rf"[,;]?\s*(?:and\s+|then\s+)*(?:it\s+|lasts?\s+|lasting\s+|continu\w+\s+|persist\w*\s+)*"
    rf"(?:{_UNTIL}|(?:to|until|till)?\s*{_STOP}(?:at|by|around|:|=|in)?)"
    r")\s*"
)
_AND = r"\s*(?:,?\s*and|&|,|-+|~|to)\s*"
_NO_RANGE = r"(?!\s*-\s*[0-9]|\s*to\s+[0-9])"
_BEFORE = r"(?<![\w.:])"
_BEGINS = r"(?:start|begin|began|begun|commenc|occur|appear)\w*\s+(?:from|at|after|around|about|in)"
_LASTS = (
    r"(?:(?:and|,|it)\s*)*(?:for|(?:last|persist|continu|extend|endur|span|"
    r"go)\w*(?:\s+(?:on\s+)?for)?|"
    r"with\s+a\s+(?:duration|length)\s+of)\s+"
)
_SAME = (
    r"(?:(?:at|in|during|over|within|for|from|on|with)\s+)?(?:the\s+|this\s+)?(?:very\s+)?"
    r"(?:same|identical|corresponding)\s+"
    r"(?:times?|periods?|intervals?|time\s*(?:frame|span|period|range|interval|slot|stamp|point)s?|"
    r"duration|moments?|seconds?|segments?|stretch|window|range|as\s+(?:the\s+)?\w+)\b"
    r"(?:\s+(?:as|of)\s+(?:the\s+)?\w+(?:\s+noise)?)?|"
    r"\bsimultaneous(?:ly)?\b|\bmeanwhile\b"
)
_WHOLE = (
    rf"(?:for|in|during|over|across|through)?\s*\bthrough\s?out\b(?:\s+(?:(?:the|this|its)\s+)?"
    rf"(?:(?:whole|entire|full|complete)\s+)?(?:\w+\s+)?{_NOUN}|\s+(?:the\s+)?(?:whole|entirety))?|"
    rf"\b(?:(?:for|in|during|over|across|through|throughout|almost|nearly)\s+)*(?:the\s+|an?\s+)?"
    rf"(?:whole|entire|full|complete)\s+(?:\w+\s+)?(?:{_NOUN})(?:\s+{_NOUN})*{_OF}|"
    rf"\b(?:for|in|during|over)?\s*\ball\s+(?!the\s+way\s+(?:to|up|until|"
    rf"till)\b)(?:of\s+)?(?:the|this)\s+(?:\w+\s+)?(?:{_NOUN})"
    rf"(?:\s+{_NOUN})*|"
    rf"\b(?:from\s+)?{_START}{_OF}\s*(?:to|till|until|-|through)\s*(?:{_END})|"
    rf"\b(?:for|over|during)\s+the\s+duration\b{_OF}|"
    r"\bin\s+its\s+entirety\b|\ball\s+along\b|\ball\s+(?:the\s+way\s+)?through\b|\balways\b|"
    r"\bat\s+all\s+times\b|\ball\s+times?\b|"
    rf"^\W*(?:the\s+)?(?:whole|entire|all|full|complete)(?:\s+(?:thing|part))?\W*$"
)
_PARTS = {"half": 2, "third": 3, "quarter": 4}
_ORDINALS = {"second": 1, "third": 2}
_PART = (
    r"(?:(?:in|during|for|over|within|throughout|at)\s+)?(?:the\s+)?\b(?P<which>first|initial|"
    r"opening|"
    r"former|front|second|third|latter|last|final|back|middle)\s+(?P<part>half|third|quarter)\b"
    rf"(?!\s*-?\s*(?:an?\s+)?s(?:ec|\b)){_OF}"
)
_VAGUE = (
    rf"(?:(?:at|in|near|towards?|around|from|by|during|right\s+at)\s+)(?:the\s+)?(?:very\s+)?"
    rf"(?:start|beginning|end|ending|middle|opening)\b{_OF}|"
    r"(?:(?:in|during|for|at|within)\s+)?(?:the\s+)?(?:first|last|initial|final)\s+(?:few|"
    r"couple\s+of|"
    r"several|part|portion|moments?|bit)\b(?:\s+seconds?)?|"
    rf"(?:(?:in|for|during|at)\s+)?\b(?:some|certain|several|most)\s+(?:parts|points|moments|"
    rf"places|"
    rf"of\s+the\s+{_NOUN}){_OF}|"
    r"\b(?:occasionally|sometimes|intermittently|sporadically|at\s+times|now\s+and\s+then|"
    r"from\s+time\s+to\s+time|every\s+now\s+and\s+then|once\s+in\s+a\s+while|periodically|"
    r"initially|midway|halfway|at\s+first|at\s+last|in\s+the\s+end)\b|"
    r"\b(?:at|for)\s+(?:one|a)\s+(?:point|moment|while)\b"
)

_NOT_A_TIME = set(
    "hz khz mhz ghz db dbfs kbps kbit kbits bit bits bps x times time speakers speaker people "
    "persons"
    " person talkers voices clicks pauses words word syllables tones channels channel percent "
    "points"
    " point levels level m km cm mm degrees octaves semitones out of stars star"
    " % ° /".split()
)
"""A number before one of these is no time even if it looks like one."""
_MAY_FOLLOW = set(
    "and in with is are was were there during but which where when the a an on then it as or at"
    " from between plus also while that has have appears occurs to for approximately about".split()
)
"""After a stretch without units these go on with the sentence; another word would be its unit."""
_NO_TIME_BEFORE = re.compile(
    r"\b(?:levels?|scores?|scored|rate|rated|ratings?|grades?|graded|mos|snr|scale|scale of|"
    r"scale from|"
    r"channels?|speakers?|versions?|volume|quality|frequency|frequencies|points?|gave|give|number|"
    r"numbers?|no\.|type|class|category|degree|sizes?)"
    r"\s*(?:is|are|was|:|of|at|from|between|around|about|in|as|=|to)*\s*$"
)


def normalise(text: str) -> str:
    """One line in lower case with plain digits, dashes, quotes and decimal points.

    Arguments
    ---------
    text : str
        Any text.

    Returns
    -------
    str

    Example
    -------
    >>> normalise("Hum from0,5 – 1,2S")
    'hum from 0.5 - 1.2s'
    """
    text = unicodedata.normalize("NFKC", text).lower()
    text = "".join(_plain(c) for c in text)
    text = re.sub(r"(?<![0-9.,-])([0-9]+),([0-9]{1,2})(?![.,]?[0-9])", r"\1.\2", text)
    text = re.sub(r"(?<=-)([0-9]+),([0-9]{1,2})(?![.,]?[0-9]|-)", r"\1.\2", text)
    text = re.sub(r"\b(from|between|to|and|at|until|first|last)(?=[0-9])", r"\1 ", text)
    text = re.sub(r"(?<=[0-9])(to|and|until|till)(?=\s|[0-9])", r" \1 ", text)
    text = re.sub(r"(?<=[0-9]s)(to|and)(?=\s|[0-9])", r" \1 ", text)
    return " ".join(text.split())


def _plain(char: str) -> str:
    if unicodedata.category(char) == "Pd" or char == "\N{MINUS SIGN}":
        return "-"
    if char in "‘’`´′":
        return "'"
    if char in "“”″":
        return '"'
    return char if char.isprintable() else " "


def read_times(text: str, duration_s: float | None) -> list[Mention]:
    """Find every time in a text.

    Arguments
    ---------
    text : str
        As `normalise` gives it.
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

    def seconds(self, name: str) -> float:
        value = _value(self.match[name])
        return value / 1000 if self.match.groupdict().get(f"ms_{name}") else value

    def has_unit(self, *names: str) -> bool:
        return any(self.match[f"{n}_unit"] or ":" in (self.match[n] or "") for n in names)

    def add(self, start_s: float, end_s: float, *written: str) -> None:
        """Add a stretch; `written` names the groups that it was made from."""
        duration_s = self.duration_s
        if start_s > end_s:
            start_s, end_s = end_s, start_s
            self.flags.add(Flag.REVERSED)
        if duration_s is not None and end_s > duration_s:
            self.flags.add(Flag.BEYOND_CLIP if start_s >= duration_s else Flag.CLAMPED)
            end_s = duration_s
            if any(self.lost_point(name) for name in written):
                self.flags.add(Flag.LOST_DECIMAL_POINT)
        if start_s == end_s:
            self.flags.add(Flag.POINT_IN_TIME)
        elif start_s < end_s:
            self.intervals.append(Interval(start_s, end_s))

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
            self.flags.add(Flag.BEYOND_CLIP)
            if any(self.lost_point(name) for name in written):
                self.flags.add(Flag.LOST_DECIMAL_POINT)


def _value(number: str) -> float:
    number = re.sub(r"(?:st|nd|rd|th)$", "", number)
    if ":" in number:
        minutes, seconds = number.split(":")
        return 60 * float(minutes) + float(seconds)
    if number.startswith("half"):
        return 0.5
    whole, *rest = re.split(r" point | and a half|-and-a-half", number)
    if whole not in _WORDS:
        return float(number)
    tenth = _WORDS.get(rest[0], 5.0) / 10 if rest else 0.0
    return _WORDS[whole] + tenth


def _flag(flag: Flag) -> Callable[[_Reader], bool | None]:
    return lambda reader: reader.flags.add(flag)


def _between(reader: _Reader) -> bool | None:
    """A stretch from `a` to `b`."""
    a, b = reader.match["a"], reader.match["b"]
    if not reader.has_unit("a", "b"):
        if a in _WORDS or b in _WORDS or "half" in a + b:
            return False
        before, after = reader.text[: reader.match.start("a")], reader.text[reader.match.end() :]
        before = re.sub(r"(?:between|from|of|in|at|about|around)\s*$", "", before)
        follows = re.match(r"\s*-?\s*([a-z%°]+)|(?:/[0-9])", after)
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
    elif not reader.has_unit(*("n", "m")[: 1 + bool(match["m"])]):
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
        reader.add(0.0, length_s, "n")
    if reader.duration_s is None:
        reader.flags.add(Flag.NEEDS_DURATION)
    elif length_s <= reader.duration_s:
        reader.add(reader.duration_s - length_s, reader.duration_s)
    else:
        reader.add(0.0, length_s, *(["n"] if reader.match["n"] else []))


def _part(reader: _Reader) -> None:
    which, parts = reader.match["which"], _PARTS[reader.match["part"]]
    if which in ("latter", "last", "final", "back"):
        index = parts - 1
    elif which == "middle":
        index = (parts - 1) / 2
    else:
        index = _ORDINALS.get(which, 0)
    if reader.duration_s is None:
        reader.flags.add(Flag.NEEDS_DURATION)
    elif index < parts:
        length_s = reader.duration_s / parts
        reader.add(index * length_s, min((index + 1) * length_s, reader.duration_s))


def _whole(reader: _Reader) -> None:
    reader.flags.add(Flag.WHOLE_CLIP)
    reader.to_end(0.0)


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
    before = reader.text[: reader.match.start()]
    every = re.search(r"\b(?:every|each|per)\s*$", before)
    reader.flags.add(Flag.UNREAD_TIME if every else Flag.POINT_IN_TIME)


def _form(pattern: str, read: Callable[[_Reader], bool | None]):
    return re.compile(pattern), read


_FORMS = (
    _form(_SAME, _flag(Flag.SAME_TIME_AS_OTHER)),
    # "lasts about 2-3 seconds", "2-3 seconds long": a length that is not sure
    _form(
        r"\b(?:for|last\w*(?: for)?|persist\w*(?: for)?)\s+(?:about|around|approximately|"
        r"roughly)\s+"
        rf"{_time('a')}\s*(?:-|to|or)\s*{_time('b', '')}",
        _flag(Flag.LENGTH_ONLY),
    ),
    _form(
        rf"{_BEFORE}{_time('a')}\s*(?:-|to|or)\s*{_time('b', '')}[\s-]*(?:long|in length|in "
        rf"duration)",
        _flag(Flag.LENGTH_ONLY),
    ),
    _form(
        rf"\b(?:{_BEGINS}|from|at)\s*{_time('a', '')}\s*{_LASTS}{_time('n', '')}{_NO_RANGE}",
        _start_and_length,
    ),
    _form(
        rf"\b(?:for\s+)?{_time('n', '')}\s+(?:long\s+)?(?:start|begin)\w*\s+(?:from|"
        rf"at)\s+{_time('a', '')}",
        _start_and_length,
    ),
    _form(
        r"(?:(?:in|during|for|over|within|"
        r"at)\s+)*(?:the\s+)?\b(?P<both>first)\s+(?:\w+\s+)?(?:and|&)\s+"
        rf"(?:the\s+)?last\s+(?:{_time('n', '')}|(?P<one>second)\b)",
        _last,
    ),
    _form(
        rf"{_PREPOSITION}(?:the\s+)?(?:very\s+)?\b(?:first|initial|opening|beginning|"
        rf"starting)\s+(?:"
        rf"{_time('n')}(?:\s*(?:-|to)\s*{_time('m', '')})?|seconds?\b(?!\s+half))",
        _first,
    ),
    _form(
        rf"{_PREPOSITION}(?:the\s+)?(?:very\s+)?\b(?:last|final|ending|closing)\s+"
        rf"(?:{_time('n', '')}{_NO_RANGE}|seconds?\b)",
        _last,
    ),
    _form(_WHOLE, _whole),
    _form(
        rf"\b{_PREPOSITION}{_START}{_OF}{_TO}{_time('b')}",
        _until,
    ),
    _form(rf"{_PREPOSITION}(?<![\w.:-]){_time('a')}{_TO}(?P<end>{_END})", _onwards),
    _form(
        rf"\b(?:from|between|betwen|beween)\s*:?\s*{_time('a')}{_AND}{_time('b')}{_NO_RANGE}",
        _between,
    ),
    _form(
        rf"[(\[]\s*{_time('a')}\s*[,;]\s*{_time('b')}\s*[)\]]",
        _between,
    ),
    _form(rf"{_PREPOSITION}(?<![\w.:]){_time('a')}{_TO}{_time('b')}", _between),
    _form(
        rf"\b(?:{_BEGINS}|from|after|since|past|beyond)\s+{_time('a')}"
        rf"(?P<end>\s*,?\s*(?:and\s+)?(?:onwards?|on\b|forwards?|afterwards?|later\b))?",
        _onwards,
    ),
    _form(
        rf"(?<![\w.:-]){_time('a', '')}\s*,?\s*(?P<end>(?:and\s+)?(?:onwards?|on\b|forwards?|"
        rf"afterwards?|later\b|"
        r"beyond\b|after\b))",
        _onwards,
    ),
    _form(
        r"\b(?:last\w*|persist\w*)\s+(?:for\s+)?(?:up\s+to|over|under|at\s+least|less\s+than|"
        r"more\s+than)"
        rf"\s+{_time('n', '')}",
        _flag(Flag.LENGTH_ONLY),
    ),
    _form(
        r"\b(?:(?:last|persist|continu|exist|occur|appear)\w*\s+)?"
        rf"(?:until|untill|till|til|up\s+to|up\s+until|before|prior\s+to|within)\s+{_time('b')}",
        _until,
    ),
    _form(
        r"\b(?:for|(?:last|persist|continu|exist|span|remain|endur)\w*(?:\s+for)?|"
        r"(?:duration|length|total|period|gap|pause|silence)\s*(?:is|of|:)|tak\w+|of)\s+"
        rf"{_time('n', '')}",
        _flag(Flag.LENGTH_ONLY),
    ),
    _form(
        rf"(?<![\w.:-]){_time('n', '')}[\s-]*(?:long\b|duration\b|in\s+(?:length|duration|total)\b|"
        r"(?:of\s+)?(?:\w+\s+)?(?=(?:pause|gap|silence|break|noise|hum|stop)\b))",
        _flag(Flag.LENGTH_ONLY),
    ),
    _form(_PART, _part),
    _form(rf"{_PREPOSITION}(?<![\w.:]){_time('a', '')}", _point),
    _form(rf"(?:\b(?:at|around|near|by|@)\s*){_time('a')}(?!\s*-?\s*[a-z%°/0-9])", _point),
    _form(_VAGUE, _flag(Flag.VAGUE_TIME)),
)
