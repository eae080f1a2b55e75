"""Pieces of the patterns of `times`: numbers with units, prepositions, and words for times."""

from __future__ import annotations

_ONES = "zero one two three four five six seven eight nine ten eleven twelve".split()
WORDS = {word: float(i) for i, word in enumerate(_ONES)} | {"fifteen": 15.0, "twenty": 20.0}
WORDS |= {"first": 1.0, "third": 3.0, "fourth": 4.0, "fifth": 5.0}  # "second" is the unit
_WORD = "|".join(WORDS)
_NUMBER = (
    r"(?:[0-9]{1,2}:[0-9]{2}(?:\.[0-9]{1,6})?|[0-9]{1,6}(?:\.[0-9]{1,6})?|\.[0-9]{1,6}|"
    rf"(?:{_WORD})(?: point (?:{_WORD})| and a half|-and-a-half)?\b|half(?: an?)?\b)"
    r"(?!\.?[0-9])(?:(?:st|nd|rd|th)\b)?"
)
_UNIT = (
    r"(?:\s*-?\s*(?:(?P<ms{0}>ms|milliseconds?|msecs?)|s|secs?|seconds?|secon|secons|sconds?|"
    r"senconds?|secends?|secounds?|secondes?|secnds?)(?![a-z])\.?(?!\.?[0-9])|(?<=[0-9])\s*(?:\"|'')|\s*\((?:s|secs?|seconds?)\))"
    r"(?:[\s-]*(?:time)?marks?\b)?"
)
_ABOUT = (
    r"(?:(?:about|around|approximately|approx\.?|roughly|nearly|almost|just|only|circa|ca\.?|"
    r"exactly|or so|the|a|time|mark|seconds?|secs?|s|at|t\s*=|@|~|=|:)\s*){0,4}"
)


def a_time(name: str, unit: str = "?") -> str:
    """Pattern of a number with its unit; `unit` says if it may be absent."""
    unit_pattern = _UNIT.replace("{0}", f"_{name}")
    return rf"(?<![a-z]){_ABOUT}(?P<{name}>{_NUMBER})(?P<{name}_unit>{unit_pattern}){unit}"


_NOUN = (
    r"(?:audio|clip|recording|speech|sentence|utterance|file|sample|segment|duration|time|passage|"
    r"track|piece|process|way|voice|period|length|signal|sound|conversation|section|paragraph|"
    r"phrase|timeline|stretch)s?\b"
)
START = r"(?:the\s+)?(?:very\s+)?(?:start|beginning|begin|onset|outset)\b"
OF = rf"(?:\s+of\s+(?:the\s+|this\s+)?(?:\w+\s+)?{_NOUN})?"
END = (
    rf"(?:the\s+)?(?:very\s+)?(?:end|ending|finish)\b{OF}|"
    rf"(?:the\s+)(?:last|end\s+of\s+(?:the\s+)?\w+)\b"
)
_RANGE = (
    r"(?:the\s+)?(?:time\s+)?(?:range|interval|period|span|window|stretch|segment|section|region)\s+"
    r"(?:of|from|between)?"
)
PREPOSITION = (
    r"(?:\b(?:(?:roughly|approximately|mainly|mostly)\s+)?"
    r"(?:from|between|betwen|beween|during|in|at|within|over|for|on|around|about|through|"
    r"throughout|"
    r"lasts?|lasting|"
    r"(?:start|begin|occur|appear|happen|persist|exist)\w*)"
    r"(?:\s+(?:from|between|during|at|for|in|within|around|about|approximately)){0,3}\s*:?\s*"
    rf"(?:{_RANGE}\s*)?)?"
)
_STOP = r"(?:end|stop|finish|ceas|disappear|fad|conclud|terminat)\w*\s*(?:out\s*|away\s*)?"
_UNTIL = r"(?:to|until|untill|till|til|through|thru|up\s+to|up\s+until|upto)"
TO = (
    r"\s*(?:->|=>|-+|→|~+|\.\.+|"
    rf",?\s*(?:all\s+the\s+way\s+|right\s+)?{_UNTIL}|"
    rf"[,;]?\s*(?:and\s+|then\s+)*(?:it\s+|lasts?\s+|lasting\s+|continu\w+\s+|persist\w*\s+|"
    r"(?:go(?:es|ing)?\s+on|runs?|extend\w*)\s+)*"
    rf"(?:{_UNTIL}|(?:to|until|till)?\s*{_STOP}(?:at|by|around|:|=|in)?)"
    r")\s*"
)
AND = r"\s*(?:,?\s*and|&|,|-+|~|to)\s*"
NO_RANGE = r"(?!\s*-\s*[0-9]|\s*to\s+[0-9])"
BEFORE = r"(?<![\w.:])"
BEGINS = r"(?:start|begin|began|begun|commenc|occur|appear)\w*\s+(?:from|at|after|around|about|in)"
LASTS = (
    r"(?:(?:and|,|it)\s*)*(?:for|(?:last|persist|continu|extend|endur|span|"
    r"go)\w*(?:\s+(?:on\s+)?for)?|"
    r"with\s+a\s+(?:duration|length)\s+of)\s+"
)
SAME = (
    r"(?:(?:at|in|during|over|within|for|from|on|with)\s+)?(?:the\s+|this\s+)?(?:very\s+)?"
    r"(?:same|identical|corresponding)\s+"
    r"(?:times?|periods?|intervals?|time\s*(?:frame|span|period|range|interval|slot|stamp|point)s?|"
    r"duration|moments?|seconds?|segments?|stretch|window|range|as\s+(?:the\s+)?\w+)\b"
    r"(?:\s+(?:as|of)\s+(?:the\s+)?\w+(?:\s+noise)?)?|"
    r"\bsimultaneous(?:ly)?\b|\bmeanwhile\b"
)
WHOLE = (
    rf"(?:for|in|during|over|across|through)?\s*\bthrough\s?out\b(?:\s+(?:(?:the|this|its)\s+)?"
    rf"(?:(?:whole|entire|full|complete)\s+)?(?:\w+\s+)?{_NOUN}|\s+(?:the\s+)?(?:whole|entirety))?|"
    rf"\b(?:(?:for|in|during|over|across|through|throughout|almost|nearly)\s+)*(?:the\s+|an?\s+)?"
    rf"(?:whole|entire|full|complete)\s+(?:\w+\s+)?(?:{_NOUN})(?:\s+{_NOUN})*{OF}|"
    rf"\b(?:for|in|during|over)?\s*\ball\s+(?!the\s+way\s+(?:to|up|until|"
    rf"till)\b)(?:of\s+)?(?:the|this)\s+(?:\w+\s+)?(?:{_NOUN})"
    rf"(?:\s+{_NOUN})*|"
    rf"\b(?:from\s+)?{START}{OF}\s*(?:to|till|until|-|through)\s*(?:{END})|"
    rf"\b(?:for|over|during)\s+the\s+duration\b{OF}|"
    r"\bin\s+its\s+entirety\b|\ball\s+along\b|\ball\s+(?:the\s+way\s+)?through\b|\balways\b|"
    r"\beverywhere\b(?!\s+but\b)|\bat\s+all\s+times\b|\ball\s+times?\b|"
    rf"^\W*(?:the\s+)?(?:whole|entire|all|full|complete)(?:\s+(?:thing|part))?\W*$"
)
PART = (
    r"(?:(?:in|during|for|over|within|throughout|at)\s+)?(?:the\s+)?\b(?:first|initial|"
    r"opening|"
    r"former|front|second|third|latter|last|final|back|middle)\s+(?:half|third|quarter)\b"
    rf"(?!\s*-?\s*(?:an?\s+)?s(?:ec|\b)){OF}"
)
VAGUE = (
    rf"(?:(?:at|in|near|towards?|around|from|by|during|right\s+at)\s+)(?:the\s+)?(?:very\s+)?"
    rf"(?:start|beginning|end|ending|middle|opening)\b{OF}|"
    r"(?:(?:in|during|for|at|within)\s+)?(?:the\s+)?(?:first|last|initial|final)\s+(?:few|"
    r"couple\s+of|"
    r"several|part|portion|moments?|bit)\b(?:\s+seconds?)?|"
    rf"(?:(?:in|for|during|at)\s+)?\b(?:some|certain|several|most)\s+(?:parts|points|moments|"
    rf"places|"
    rf"of\s+the\s+{_NOUN}){OF}|"
    r"\b(?:occasionally|sometimes|intermittently|sporadically|at\s+times|now\s+and\s+then|"
    r"from\s+time\s+to\s+time|every\s+now\s+and\s+then|once\s+in\s+a\s+while|periodically|"
    r"initially|midway|halfway|at\s+first|at\s+last|in\s+the\s+end)\b|"
    r"\b(?:at|for)\s+(?:one|a)\s+(?:point|moment|while)\b"
)
