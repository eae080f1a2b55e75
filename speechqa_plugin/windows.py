"""Recordings longer than a model hears at once: cut them, join what was said of the parts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from speechqa_plugin.schema import Artifact, Assessment


def cut(length: int, longest: int) -> list[tuple[int, int]]:
    """Cut a recording into parts of equal length, as few as can be.

    Arguments
    ---------
    length : int
        Samples of the recording, at least 1.
    longest : int
        Most samples of a part, at least 1.

    Returns
    -------
    list of (int, int)
        First sample of each part and the one after its last. The parts touch and differ by one
        sample at most.

    Example
    -------
    >>> cut(25, 10)
    [(0, 8), (8, 17), (17, 25)]
    """
    parts = math.ceil(length / longest)
    edges = [round(i * length / parts) for i in range(parts + 1)]
    return list(zip(edges, edges[1:], strict=False))


def join(parts: Sequence[tuple[float, float, Assessment]]) -> Assessment:
    """Join what was said of the parts of one recording.

    Scores and confidences are means weighted by the parts' lengths. Artifacts move to their place
    in the recording, and one that goes on across a cut becomes one again; one without times is
    named once, as is one that a part repeats. No time lies behind its part's end. The description
    names each part by its time.

    Arguments
    ---------
    parts : sequence of (float, float, Assessment)
        Start and end in seconds, in order, and the part's assessment; at least one.

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
    if len(parts) == 1:
        return replace(parts[0][2], artifacts=_join_artifacts(parts))
    total_s = parts[-1][1] - parts[0][0]

    def mean(field: str) -> dict[str, float]:
        names = getattr(parts[0][2], field)
        means = {}
        for n in names:
            values = [getattr(a, field)[n] for _, _, a in parts]
            total = sum((e - s) * v for (s, e, _), v in zip(parts, values, strict=True))
            means[n] = min(max(values), max(min(values), total / total_s))  # whatever the rounding
        return means

    return Assessment(
        parts[0][2].taxonomy,
        mean("scores"),
        _join_artifacts(parts),
        " ".join(f"[{s:.1f}-{e:.1f} s] {a.description}".rstrip() for s, e, a in parts),
        mean("confidence"),
    )


def _join_artifacts(parts: Sequence[tuple[float, float, Assessment]]) -> tuple[Artifact, ...]:
    joined: list[Artifact] = []
    for start_s, end_s, assessment in parts:
        for artifact in assessment.artifacts:
            if artifact.interval is None or start_s + artifact.start_s >= end_s:
                placed = replace(artifact, start_s=None, end_s=None)  # not in this part
            else:
                placed = replace(
                    artifact,
                    start_s=start_s + artifact.start_s,
                    # An answer's times lie on a coarser grid than the cuts.
                    end_s=min(end_s, start_s + artifact.end_s),
                )
            joined = _append(joined, placed, cut_s=start_s)
    return tuple(joined)


def _append(joined: list[Artifact], artifact: Artifact, cut_s: float) -> list[Artifact]:
    """Add an artifact that is not there; lengthen the one that it goes on from across the cut."""
    if artifact.interval and artifact.start_s <= cut_s:
        for i, earlier in enumerate(joined):
            same = (earlier.kind, earlier.type) == (artifact.kind, artifact.type)
            if same and earlier.end_s is not None and earlier.end_s >= cut_s > earlier.start_s:
                longer = replace(earlier, end_s=max(earlier.end_s, artifact.end_s))
                return [*joined[:i], longer, *joined[i + 1 :]]
    return joined if artifact in joined else [*joined, artifact]
