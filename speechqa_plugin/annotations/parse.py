"""An annotator's text to an `Annotation`: its times, and what its words say of them."""

from __future__ import annotations

import math

from speechqa_plugin.annotations.base import Annotation, Flag
from speechqa_plugin.annotations.plain import normalise
from speechqa_plugin.annotations.times import read_times
from speechqa_plugin.annotations.vocabulary import TIME, is_loose, is_unspecific, known_type
from speechqa_plugin.annotations.wording import read_words
from speechqa_plugin.schema import ArtifactKind, Interval, load_taxonomy


def parse_annotation(
    text: str, kind: ArtifactKind | str, duration_s: float | None = None
) -> Annotation:
    """Read what an annotator wrote of one kind of artifact in one clip.

    Nothing is made up: where no interval is said, there is none. Any text can be read, and what
    could not be understood is in the flags.

    Arguments
    ---------
    text : str
        Free English; may be empty.
    kind : ArtifactKind or str
        What the text speaks of; its types are the known ones. A name is that of a kind of the
        taxonomy ``qualispeech``: noise, distortion, pause or speed.
    duration_s : float or None
        Length of the clip, above 0; None where it is not known.

    Raises
    ------
    ValueError
        If the duration is not above 0, or no kind has the name.

    Example
    -------
    >>> found = parse_annotation("Slight background chatter from 0-1.5s and at 3 s", "noise", 4.0)
    >>> found.type, found.intervals
    ('background chatter', [Interval(start_s=0.0, end_s=1.5)])
    >>> sorted(found.flags)
    [<Flag.POINT_IN_TIME: 'point_in_time'>]
    >>> parse_annotation("Not noticeable", "noise").present
    False
    """
    if duration_s is not None and not (math.isfinite(duration_s) and duration_s > 0):
        raise ValueError(f"duration_s: {duration_s} is not above 0; None where it is not known")
    if isinstance(kind, str):
        kind = _kind(kind)
    line = normalise(text)
    mentions = read_times(line, duration_s)
    words, end = [], 0
    for mention in mentions:
        words += [line[end : mention.begin], TIME]
        end = mention.end
    reading = read_words(" ".join([*words, line[end:]]), kind)
    if not reading.present:
        return Annotation(False, "", [], frozenset(), text, "")
    said = [mentions[i] for i in reading.times]
    flags = {flag for mention in said for flag in mention.flags}
    intervals = {interval for mention in said for interval in mention.intervals}
    if Flag.WHOLE_CLIP in flags and duration_s and (intervals or reading.excepted):
        intervals.add(Interval(0.0, duration_s))  # beside which others are said, or exceptions
    if intervals:
        flags.discard(Flag.VAGUE_TIME)
    for i in reading.excepted:
        flags = flags - {Flag.WHOLE_CLIP} | {Flag.EXCEPTED}
        for gap in mentions[i].intervals:
            intervals = {left for interval in intervals for left in _without(interval, gap)}
    type_, kind_type, type_flags = _type(reading.parts, kind)
    flags |= type_flags
    return Annotation(True, type_, sorted(intervals), frozenset(flags), text, kind_type)


def _without(interval: Interval, gap: Interval) -> list[Interval]:
    pairs = (
        (interval.start_s, min(interval.end_s, gap.start_s)),
        (max(interval.start_s, gap.end_s), interval.end_s),
    )
    return [Interval(start_s, end_s) for start_s, end_s in pairs if start_s < end_s]


def _kind(name: str) -> ArtifactKind:
    taxonomy = load_taxonomy("qualispeech")
    if name not in taxonomy.kind_names:
        raise ValueError(
            f"kind: {name!r} is none of {taxonomy.kind_names} of {taxonomy.name!r}; of another "
            "taxonomy give the ArtifactKind"
        )
    return taxonomy.kind(name)


def _type(parts: tuple[str, ...], kind: ArtifactKind) -> tuple[str, str, set[Flag]]:
    """The annotator's words, the kind's; general ones count only where nothing else is named."""
    known = {part: known_type(part, kind) for part in parts}
    special = [part for part in parts if known[part] or not is_unspecific(part)]
    if not special:
        general = next((part for part in parts if not is_loose(part)), kind.name)
        return general, general, {Flag.TYPE_NOT_SAID}
    types = list(dict.fromkeys(known[part] or part for part in special))
    flags = {Flag.SEVERAL_TYPES} if len(types) > 1 else set()
    if not all(known[part] for part in special):
        flags.add(Flag.UNKNOWN_WORDING)
    return " and ".join(special), " and ".join(types), flags
