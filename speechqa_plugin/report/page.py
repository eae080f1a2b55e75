"""Assessed clips as one HTML page; see `speechqa_plugin.report.html`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence

import numpy as np

from speechqa_plugin.metrics import Estimate, bootstrap_ci
from speechqa_plugin.report.clips import Clip
from speechqa_plugin.report.extra import report_extra
from speechqa_plugin.report.html import render
from speechqa_plugin.report.sound import (
    data_url,
    envelope_path,
    peak_db,
    spectrogram_png,
    time_ticks,
    wav,
)
from speechqa_plugin.schema import SCORE_MAX, SCORE_MIN, Dimension, Taxonomy
from speechqa_plugin.windows import clock, stretches_of

BINS = 16
"""Bars of a histogram, each a quarter of a score wide."""

_COLOURS = 6  # of artifact kinds, in page.css
_MOST_TYPES = 12
_MOST_TIMES = 12
_WHOLE = 0.95  # what covers more than this of a clip is not shaded: it would shade everything


def render_page(clips: Sequence[Clip], taxonomy: Taxonomy, title: str = "") -> str:
    """The page.

    Arguments
    ---------
    clips : sequence of Clip
        One: everything about it. Several: numbers over all that were judged, then a table of
        them, the worst first and those that were not judged last, each of which opens. Player,
        waveform and spectrogram are there for clips with samples.
    taxonomy : Taxonomy
        What their assessments speak of.
    title : str
        Of the page; the clip's name or their number if not given.

    Returns
    -------
    str
        HTML.

    Raises
    ------
    ValueError
        If there are no clips.
    ModuleNotFoundError
        If there is no jinja2, or no matplotlib and a clip has samples.
    """
    if not clips:
        raise ValueError("no clips to report on")
    with report_extra():
        drawn = [
            drawn_clip(clip, name) for clip, name in zip(clips, _short_names(clips), strict=True)
        ]
    heard = [d for d in drawn if d["assessment"]]
    judged = sorted((d for d in heard if d["judged"]), key=lambda d: d["assessment"].mos)
    unjudged = [d for d in heard if not d["judged"]]
    return render(
        "page.html.j2",
        title=title or (drawn[0]["name"] if len(clips) == 1 else f"{len(clips)} clips"),
        clips=[*judged, *unjudged],
        n_judged=len(judged),
        unjudged=unjudged,
        unheard=[d for d in drawn if not d["assessment"]],
        single=drawn[0] if len(clips) == 1 else None,
        taxonomy=taxonomy,
        overall=taxonomy.dimension(taxonomy.overall),
        columns=_overall_first(taxonomy),
        numbers=_numbers(judged, taxonomy),
        noted=_noted(heard, taxonomy),
        systems=_systems(judged, taxonomy),
    )


def _short_names(clips: Sequence[Clip]) -> list[str]:
    """Paths without the folder that all share."""
    folders = [os.path.dirname(os.path.abspath(clip.path)) for clip in clips]
    try:
        shared = os.path.commonpath(folders)
    except ValueError:  # on several drives
        return [clip.path for clip in clips]
    return [os.path.relpath(os.path.abspath(clip.path), shared) for clip in clips]


def drawn_clip(clip: Clip, name: str) -> dict:
    """A clip as the templates take it."""
    view = {
        "name": name,
        "path": clip.path,
        "assessment": clip.assessment,
        "judged": clip.judged,
        "description": stretches_of(clip.assessment.description) if clip.assessment else [],
        "error": clip.error,
        "failure": clip.failure,
        "scores_only": clip.scores_only,
        "artifacts_known": clip.artifacts_known,
        "warnings": clip.warnings,
        "no_sound": clip.no_sound,
        "system": clip.system or os.path.dirname(name),
        "duration_s": clip.duration_s,
        "sound": None,
        "lanes": [],
        "untimed": [],
        "types": [],
        "type_names": [],
    }
    if clip.samples is not None:
        view["duration_s"] = len(clip.samples) / clip.rate_hz
        width, path = envelope_path(clip.samples)
        view["sound"] = {
            "wav": data_url("audio/wav", wav(clip.samples, clip.rate_hz)),
            "spectrogram": data_url("image/png", spectrogram_png(clip.samples, clip.rate_hz)),
            "width": width,
            "path": path,
            "peak": f"{peak_db(clip.samples):.0f} dB".replace("-inf", "−∞").replace("-", "−"),
            "top_khz": clip.rate_hz / 2000,
        }
    if view["duration_s"]:
        view["ticks"] = [
            (100 * t / view["duration_s"], s) for t, s in time_ticks(view["duration_s"])
        ]
    if clip.assessment:
        view |= _artifacts(clip.assessment, view["duration_s"])
    return view


def _artifacts(assessment, duration_s: float | None) -> dict:
    """Artifacts by what they are: those with a time in lanes, the others as a list."""
    lanes, untimed = {}, []
    for artifact in assessment.artifacts:
        when = artifact.interval
        inside = when and duration_s and when.start_s < duration_s
        if not inside:
            time = f", {_span(*when, duration_s or when.end_s)}" if when else ""
            untimed.append(f"{artifact.kind}: {artifact.type}{time}")
            continue
        key = (artifact.kind, artifact.type)
        end_s = min(when.end_s, duration_s)
        lane = lanes.setdefault(
            key,
            {
                "kind": artifact.kind,
                "type": artifact.type,
                "colour": assessment.taxonomy.kind_names.index(artifact.kind) % _COLOURS,
                "row": len(lanes),
                "bars": [],
            },
        )
        lane["bars"].append(
            {
                "start_s": when.start_s,
                "left": 100 * when.start_s / duration_s,
                "width": 100 * (end_s - when.start_s) / duration_s,
                "whole": end_s - when.start_s > _WHOLE * duration_s,
                "span": _span(when.start_s, end_s, duration_s),
            }
        )
    return {
        "lanes": list(lanes.values()),
        "most_times": _MOST_TIMES,
        "untimed": untimed,
        "types": list(dict.fromkeys(f"{a.kind}: {a.type}" for a in assessment.artifacts)),
        "type_names": list(dict.fromkeys(a.type for a in assessment.artifacts)),
    }


def _span(start_s: float, end_s: float, duration_s: float) -> str:
    if duration_s >= 60:
        return f"{clock(start_s)}–{clock(end_s)}"
    return f"{start_s:.1f}–{end_s:.1f} s"


def _overall_first(taxonomy: Taxonomy) -> list[Dimension]:
    return sorted(taxonomy.dimensions, key=lambda d: d.name != taxonomy.overall)


def _numbers(judged: Sequence[dict], taxonomy: Taxonomy) -> dict:
    """Histograms of the scores, and how often each artifact was found."""
    types = Counter(t for d in judged for t in d["types"])
    found = [
        {"name": name, "n": n, "colour": taxonomy.kind_names.index(name.split(":")[0]) % _COLOURS}
        for name, n in types.most_common(_MOST_TYPES)
    ]
    histograms = []
    for dimension in _overall_first(taxonomy):
        scores = np.array([d["assessment"].scores[dimension.name] for d in judged])
        counts = np.histogram(scores, BINS, (SCORE_MIN, SCORE_MAX))[0].tolist()
        mean = float(scores.mean()) if len(scores) else float("nan")
        histograms.append(
            {"title": dimension.title, "counts": counts, "most": max(1, *counts), "mean": mean}
        )
    asked = sum(not d["scores_only"] for d in judged)
    return {
        "histograms": histograms,
        "bins": BINS,
        "found": found,
        "n_types": len(types),
        "n_clean": sum(not d["types"] and d["artifacts_known"] for d in judged),
        "n_asked": asked if taxonomy.kinds else 0,
        "mean": _mean([d["assessment"].mos for d in judged]),
    }


def _noted(heard: Sequence[dict], taxonomy: Taxonomy) -> str:
    """What the table's last column is about; empty where there is none."""
    if taxonomy.kinds and not all(d["scores_only"] for d in heard):
        return "artifacts"
    return "warnings" if any(d["warnings"] for d in heard) else ""


def _systems(judged: Sequence[dict], taxonomy: Taxonomy) -> list[dict]:
    """Means of each system, or of each folder where nobody named systems; the worst first."""
    names = sorted({d["system"] for d in judged})
    if len(names) < 2:
        return []
    rows = []
    for name in names:
        clips = [d for d in judged if d["system"] == name]
        scores = [d["assessment"].scores for d in clips]
        found = Counter(t for d in clips for t in d["types"]).most_common(1)
        rows.append(
            {
                "name": name or "(none)",
                "n": len(clips),
                "mean": _mean([s[taxonomy.overall] for s in scores]),
                "means": [
                    (d, float(np.mean([s[d.name] for s in scores])))
                    for d in _overall_first(taxonomy)[1:]
                ],
                "most": f"{found[0][0]} ({found[0][1]})" if found else "",
            }
        )
    return sorted(rows, key=lambda row: row["mean"].value)


def _mean(values: Sequence[float]) -> Estimate:
    if not values:
        return Estimate(*[float("nan")] * 3)
    return Estimate(float(np.mean(values)), *bootstrap_ci(np.mean, values))
