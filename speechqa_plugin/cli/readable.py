"""An assessment as people like to read it."""

from __future__ import annotations

from collections.abc import Sequence

from speechqa_plugin.schema import Artifact, Assessment, Interval
from speechqa_plugin.windows import clock, stretches_of, with_clock_times

_CLOCK_S = 60
"""Times in longer recordings are minutes and seconds."""

_MOST_LISTED = 10
"""More artifacts than this are folded."""


def format_assessment(path: str, assessment: Assessment, failure: str | None = None) -> str:
    """An assessment as people like to read it.

    Arguments
    ---------
    path : str
        The file it is about.
    assessment : Assessment
        What was found.
    failure : str, optional
        Why the model's text could not be read, if so: the scores alone were found.

    Returns
    -------
    str
        Several lines. Of a recording longer than a minute times are ``m:ss``; of more than ten
        artifacts there is one line for each kind and type.
    """
    artifacts = assessment.artifacts
    ends_s = [s.end_s for s in assessment.timeline] + [a.end_s for a in artifacts if a.interval]
    clocked = max(ends_s, default=0) > _CLOCK_S
    lines = [path]
    lines += [f"  {line}" for line in _described(assessment.description, clocked)]
    lines += [f"  warning: {_placed(warning, clocked)}" for warning in assessment.warnings]
    lines += ["", *_score_lines(assessment), ""]
    if len(artifacts) > _MOST_LISTED:
        lines += [*_folded(artifacts, clocked), "  (each of them: --json)"]
    else:
        lines += [_artifact_line(a, _when(a.interval, clocked)) for a in artifacts]
    if failure:
        lines.append(f"  (the model's text is unreadable: {failure}; artifacts unknown)")
    elif not assessment.judged:
        lines.append("  nothing was judged")
    elif not artifacts:
        lines.append("  no artifacts found")
    return "\n".join(lines)


def _described(description: str, clocked: bool) -> list[str]:
    """One line for each stretch of a description, as far as it names stretches."""
    said = [_placed(part, clocked) for part in stretches_of(description) if part]
    return said or ["(no description)"]


def _placed(text: str, clocked: bool) -> str:
    return with_clock_times(text) if clocked else text


def _score_lines(assessment: Assessment) -> list[str]:
    """A line with a bar for each dimension, but none for a score that says nothing."""
    lines, dimensions = [], assessment.taxonomy.dimensions
    width = max(len(d.title) for d in dimensions)
    for dimension in dimensions:
        said = "–"
        if assessment.judged:
            score = assessment.scores[dimension.name]
            bar = ("█" * round(2 * score)).ljust(10, "·")
            sure = assessment.confidence.get(dimension.name)
            note = "" if sure is None else f"  confidence {sure:.2f}"
            said = f"{bar} {score:.1f}  {dimension.anchor(score)}{note}"
        lines.append(f"  {dimension.title:<{width}}  {said}")
    return lines


def _artifact_line(artifact: Artifact, when: str) -> str:
    return f"  {artifact.kind}: {artifact.type}  {when}".rstrip()


def _folded(artifacts: Sequence[Artifact], clocked: bool) -> list[str]:
    """A line for each kind and type, that which lasts longest in all first."""
    groups: dict[tuple[str, str], list[Artifact]] = {}
    for artifact in artifacts:
        groups.setdefault((artifact.kind, artifact.type), []).append(artifact)
    lines = []
    for group in groups.values():
        times = [a.interval for a in group if a.interval]
        total_s = sum(when.length_s for when in times)
        when = _when(times[0] if times else None, clocked)
        if len(times) > 1:
            longest = _when(max(times, key=lambda t: t.length_s), clocked)
            when = f"{len(times)} stretches, {_lasting(total_s)} in all, the longest {longest}"
        lines.append((total_s, _artifact_line(group[0], when)))
    return [line for _, line in sorted(lines, key=lambda pair: -pair[0])]


def _when(when: Interval | None, clocked: bool) -> str:
    if when is None:
        return ""
    if not clocked:
        return f"{when.start_s:.1f} to {when.end_s:.1f} s"
    start, end = clock(when.start_s), clock(when.end_s)
    return f"{start} to {end}" if start != end else f"{start} ({_lasting(when.length_s)})"


def _lasting(seconds: float) -> str:
    if seconds < 2 * 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"
