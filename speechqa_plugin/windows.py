"""Recordings longer than a model hears at once: cut them, join what was said of the windows."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace

from speechqa_plugin.metrics.intervals import merge
from speechqa_plugin.schema import Artifact, Assessment, Interval, Stretch

OVERLAP_S = 2.0
"""What two windows share, so that most of what lies on a cut is heard whole in one of them."""

MOST_DESCRIBED = 10
"""More descriptions than this nobody reads: of an hour the worst windows are described."""

_MOST_NAMED = 5
_DIGITS = 6
"""A millionth of a second: what two windows say of one moment is one number."""

# As `join` writes them: what a model itself writes of times is no place.
_SPAN = r"\d+\.\d-\d+\.\d"
_STRETCH = re.compile(rf"\s+(?=\[{_SPAN} s\] )")
_PLACES = re.compile(rf"(?<=\[){_SPAN} s(?=\] )|(?<=\(at ){_SPAN}(?:, {_SPAN})* s")

Part = tuple[float, float, Assessment]
"""Start and end of a window in seconds, and what was said of it."""


def cut(length: int, longest: int, overlap: int = 0) -> list[tuple[int, int]]:
    """Cut a recording into windows of equal length, as few as can be.

    Arguments
    ---------
    length : int
        Samples of the recording, at least 1.
    longest : int
        Most samples of a window, at least 1.
    overlap : int
        Samples that neighbours share, less than ``longest``.

    Returns
    -------
    list of (int, int)
        First sample of each window and the one after its last. Lengths and overlaps differ by one
        sample at most, and no window is longer than ``longest``.

    Example
    -------
    >>> cut(25, 10)
    [(0, 8), (8, 17), (17, 25)]
    >>> cut(25, 10, 2)
    [(0, 10), (8, 17), (15, 25)]
    >>> cut(10, 10, 2)
    [(0, 10)]
    """
    if length <= longest:
        return [(0, length)]
    windows = math.ceil((length - overlap) / (longest - overlap))
    starts = [round(i * (length - overlap) / windows) for i in range(windows + 1)]
    return [(start, end + overlap) for start, end in zip(starts, starts[1:], strict=False)]


def join(parts: Sequence[Part]) -> Assessment:
    """Join what was said of the windows of one recording, which touch or overlap.

    Of one window: its artifacts move to its place in the recording, no time lies behind its end,
    and one that is named twice is named once. Of several, besides:

    - Scores and confidences are means weighted by the windows' lengths, over those in which there
      was something to judge, and the timeline holds these windows' scores.
    - Artifacts of one kind and type whose times touch or overlap are one. They stand in order of
      time; those without a time come last.
    - The description says what stands in the windows' descriptions, and where: neighbours with
      the same words are named together, and of more than `MOST_DESCRIBED` the worst.
    - A warning that does not hold for all windows says where it holds.

    Arguments
    ---------
    parts : sequence of (float, float, Assessment)
        Start and end in seconds, in order, and the window's assessment; at least one.

    Raises
    ------
    ValueError
        If there are no parts.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> taxonomy = load_taxonomy("nisqa")
    >>> good, bad = (Assessment(taxonomy, dict.fromkeys(taxonomy.names, s)) for s in (5, 2))
    >>> join([(0.0, 10.0, good), (10.0, 15.0, bad)]).mos
    4.0
    """
    if not parts:
        raise ValueError("no parts to join")
    placed = [_placed(a, *part) for part in parts for a in part[2].artifacts]
    if len(parts) == 1:
        return replace(parts[0][2], artifacts=tuple(dict.fromkeys(placed)))
    judged = [part for part in parts if part[2].judged]
    return Assessment(
        parts[0][2].taxonomy,
        _mean("scores", judged or parts),
        merge_artifacts(placed),
        _description(parts),
        _mean("confidence", judged or parts),
        tuple(Stretch(start_s, end_s, a.scores) for start_s, end_s, a in judged),
        _warnings(parts),
    )


def _mean(field: str, parts: Sequence[Part]) -> dict[str, float]:
    total_s = sum(end_s - start_s for start_s, end_s, _ in parts)
    means = {}
    for name in getattr(parts[0][2], field):
        values = [getattr(a, field)[name] for _, _, a in parts]
        total = sum((e - s) * v for (s, e, _), v in zip(parts, values, strict=True))
        means[name] = min(max(values), max(min(values), total / total_s))  # whatever the rounding
    return means


def _placed(artifact: Artifact, start_s: float, end_s: float, _: Assessment) -> Artifact:
    """The artifact in the recording; an answer's times lie on a coarser grid than the cuts."""
    cut_off = artifact.within(end_s - start_s)
    if cut_off.interval is None:
        return cut_off
    return replace(
        cut_off, start_s=start_s + cut_off.start_s, end_s=min(end_s, start_s + cut_off.end_s)
    )


def merge_artifacts(artifacts: Sequence[Artifact]) -> tuple[Artifact, ...]:
    """Artifacts of one type that overlap made one; in order of time, those without times last."""
    intervals: dict[tuple[str, str], list[Interval]] = {}
    for artifact in artifacts:
        if artifact.interval is not None:
            start_s, end_s = (round(t, _DIGITS) for t in artifact.interval)
            when = Interval(start_s, max(end_s, start_s + 10**-_DIGITS))
            intervals.setdefault((artifact.kind, artifact.type), []).append(when)
    timed = [Artifact(*what, *when) for what in intervals for when in merge(intervals[what])]
    untimed = dict.fromkeys(a for a in artifacts if a.interval is None)
    return (*sorted(timed, key=lambda a: a.interval), *untimed)


def _description(parts: Sequence[Part]) -> str:
    stretches: list[tuple[float, float, str, float]] = []  # with its worst overall score
    for start_s, end_s, assessment in parts:
        text, mos = assessment.description.strip(), assessment.mos
        if stretches and stretches[-1][2] == text:
            start_s, _, _, worst = stretches.pop()
            mos = min(mos, worst)
        stretches.append((start_s, end_s, text, mos))
    described = [s for s in stretches if s[2]]
    kept = sorted(sorted(described, key=lambda s: s[3])[:MOST_DESCRIBED])
    texts = [f"[{start_s:.1f}-{end_s:.1f} s] {text}" for start_s, end_s, text, _ in kept]
    if len(kept) < len(described):
        texts.insert(0, f"The worst {len(kept)} of {len(described)} stretches:")
    return " ".join(texts)


def stretches_of(description: str) -> list[str]:
    """A joined description in parts, each with the stretch that it is about.

    Example
    -------
    >>> stretches_of("[0.0-9.0 s] It hums. [9.0-18.0 s] It is clean.")
    ['[0.0-9.0 s] It hums.', '[9.0-18.0 s] It is clean.']
    """
    return _STRETCH.split(description)


def with_clock_times(text: str) -> str:
    """A joined description or warning with the places that it names as a player shows them.

    Example
    -------
    >>> with_clock_times("[0.0-90.0 s] It hums."), with_clock_times("low (at 60.0-70.0 s)")
    ('[0:00-1:30] It hums.', 'low (at 1:00-1:10)')
    """

    def clocked(places: re.Match) -> str:
        return re.sub(r"\d+\.\d", lambda t: clock(float(t[0])), places[0].removesuffix(" s"))

    return _PLACES.sub(clocked, text)


def clock(time_s: float) -> str:
    """A time as a player shows it.

    Example
    -------
    >>> clock(7), clock(125.2), clock(3725)
    ('0:07', '2:05', '1:02:05')
    """
    minutes, seconds = divmod(round(time_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _warnings(parts: Sequence[Part]) -> tuple[str, ...]:
    places: dict[str, list[Interval]] = {}
    for start_s, end_s, assessment in parts:
        for warning in assessment.warnings:
            places.setdefault(warning, []).append(Interval(start_s, end_s))
    warnings = []
    for warning, where in places.items():
        if len(where) < len(parts):
            stretches = [f"{s:.1f}-{e:.1f}" for s, e in merge(where)]
            more = len(stretches) - _MOST_NAMED
            also = f" and {more} more stretch{'es' * (more > 1)}" if more > 0 else ""
            warning += f" (at {', '.join(stretches[:_MOST_NAMED])} s{also})"
        warnings.append(warning)
    return tuple(warnings)
