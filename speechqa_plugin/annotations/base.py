"""What is read from an annotator's text."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from speechqa_plugin.schema import Interval


class Flag(StrEnum):
    """What to know about a reading before one relies on it."""

    UNKNOWN_WORDING = "unknown_wording"
    """The type, or one of several, is none that the kind lists: it is the annotator's own words."""
    TYPE_NOT_SAID = "type_not_said"
    """Something is there but nothing says what: the type is the kind's name."""
    SEVERAL_TYPES = "several_types"
    """More than one thing is named; the type joins them by "and", the intervals are of all."""
    EXCEPTED = "excepted"
    """A stretch was said to be without it ("except from 1-2 s"); it is cut out of the intervals."""
    WHOLE_CLIP = "whole_clip"
    """The text says so ("throughout"), without a number; it gives no interval."""
    POINT_IN_TIME = "point_in_time"
    """A moment without an extent ("at 3.2 s"); it gives no interval."""
    LENGTH_ONLY = "length_only"
    """How long, not when ("for 5.7 seconds"); it gives no interval."""
    SAME_TIME_AS_OTHER = "same_time_as_other"
    """The time is that of something in another column; it gives no interval."""
    VAGUE_TIME = "vague_time"
    """A time without numbers ("at the beginning", "in the second half"); it gives no interval."""
    UNREAD_TIME = "unread_time"
    """A number of seconds of which the meaning is not known; it gives no interval."""
    NEEDS_DURATION = "needs_duration"
    """A time told from the clip's end, and the clip's length is not known."""
    OPEN_END = "open_end"
    """Only the start was said ("from 2 s", "after 2 s"); the interval lasts to the clip's end."""
    REVERSED = "reversed"
    """The end was written before the start; they are exchanged."""
    CLAMPED = "clamped"
    """An interval went on after the clip's end and was cut there."""
    BEYOND_CLIP = "beyond_clip"
    """An interval began after the clip's end and was left out."""
    LOST_DECIMAL_POINT = "lost_decimal_point"
    """A whole number beyond the clip would lie within it with a decimal point ("35" for 3.5)."""


@dataclass(frozen=True)
class Annotation:
    """What an annotator's text says of one kind of artifact in one clip.

    Arguments
    ---------
    present : bool
        Whether it is there.
    type : str
        What it is in the annotator's words, without times, degree and filler, in one line without
        brackets; empty if and only if nothing is there.
    intervals : list of Interval
        When, as pairs of start and end in seconds, sorted, overlaps as they were said; empty where
        no interval was said in numbers.
    flags : frozenset of Flag
        What to know about the reading.
    text : str
        What the annotator wrote.
    kind_type : str
        The same as `type`, but by the kind's name of it where it lists what was certainly meant:
        for "hiss" it is "white noise".
    """

    present: bool
    type: str
    intervals: list[Interval]
    flags: frozenset[Flag]
    text: str
    kind_type: str
