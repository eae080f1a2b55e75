"""One clip as a figure for a paper: waveform, spectrogram, artifacts and scores."""

from __future__ import annotations

import os

import numpy as np

from speechqa_plugin.report.clips import Clip
from speechqa_plugin.report.extra import report_extra
from speechqa_plugin.report.marks import FIGURE
from speechqa_plugin.report.sound import RANGE_DB, envelope, spectrogram_db
from speechqa_plugin.schema import SCORE_MAX, SCORE_MIN

WIDTH_IN = 7.0
"""Both columns of a paper."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
"""Okabe and Ito's: told apart by everyone."""


def clip_figure(clip: Clip, path: str | os.PathLike, format: str = "png") -> None:
    """Draw a clip: on the left its sound with the artifacts below, on the right its scores.

    Arguments
    ---------
    clip : Clip
        With assessment and samples.
    path : str or path
        The file to write.
    format : str
        ``png`` (300 dots per inch), ``svg`` or ``pdf``.

    Raises
    ------
    ValueError
        If the clip has no assessment or no samples, or matplotlib does not know the format.
    ModuleNotFoundError
        If there is no matplotlib.
    """
    if clip.assessment is None or clip.samples is None:
        raise ValueError(f"{clip.path}: need an assessment and samples to draw")
    with report_extra():
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    style = {
        "font.size": 8,
        "axes.linewidth": 0.6,
        "svg.fonttype": "none",
        "text.parse_math": False,
    }
    lanes = list(dict.fromkeys((a.kind, a.type) for a in clip.assessment.artifacts if a.interval))
    with rc_context(style):
        lanes_in = 0.16 * len(lanes)
        figure = Figure(figsize=(WIDTH_IN, 2.6 + lanes_in), layout="constrained")
        left, right = figure.subfigures(1, 2, width_ratios=[1.6, 1])
        heights = [0.5, 1.6, *([lanes_in + 0.1] if lanes else [])]
        panels = left.subplots(len(heights), 1, sharex=True, height_ratios=heights)
        _draw_sound(panels[0], panels[1], clip)
        if lanes:
            _draw_artifacts(panels[2], clip, lanes)
        panels[-1].set_xlabel("time (s)")
        _draw_scores(right.subplots(), clip)
        figure.savefig(path, format=format, dpi=300, metadata=FIGURE.get(format))


def _draw_sound(wave, spectrogram, clip: Clip) -> None:
    seconds = len(clip.samples) / clip.rate_hz
    lows, highs = envelope(clip.samples, 1200)
    times = np.linspace(0, seconds, len(lows))
    wave.fill_between(times, lows, highs, color="0.25", linewidth=0.3)
    wave.set_ylim(-1, 1)
    wave.set_yticks([])
    spectrogram.imshow(
        spectrogram_db(clip.samples, clip.rate_hz),
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=-RANGE_DB,
        vmax=0,
        extent=(0, seconds, 0, clip.rate_hz / 2000),
    )
    spectrogram.set_ylabel("frequency (kHz)")
    spectrogram.set_xlim(0, seconds)


def _draw_artifacts(panel, clip: Clip, lanes: list[tuple[str, str]]) -> None:
    seconds = len(clip.samples) / clip.rate_hz
    kinds = clip.assessment.taxonomy.kind_names
    for row, lane in enumerate(lanes):
        times = [a.interval for a in clip.assessment.artifacts if (a.kind, a.type) == lane]
        bars = [(t.start_s, min(t.end_s, seconds) - t.start_s) for t in times if t]
        bars = [(start_s, length_s) for start_s, length_s in bars if length_s > 0]
        color = COLOURS[kinds.index(lane[0]) % len(COLOURS)]
        panel.broken_barh(bars, (row - 0.38, 0.76), color=color)
    panel.set_yticks(range(len(lanes)), [type_ for _, type_ in lanes])
    panel.set_ylim(len(lanes) - 0.4, -0.6)
    panel.tick_params(axis="y", length=0)


def _draw_scores(panel, clip: Clip) -> None:
    assessment = clip.assessment
    dimensions = assessment.taxonomy.dimensions
    for row, dimension in enumerate(dimensions):
        if not assessment.judged:
            panel.text(SCORE_MAX + 0.12, row, "–", va="center")
            continue
        score = assessment.scores[dimension.name]
        overall = dimension.name == assessment.taxonomy.overall
        start = (SCORE_MIN + SCORE_MAX) / 2 if dimension.magnitude else SCORE_MIN
        panel.barh(row, score - start, 0.62, left=start, color="0.25" if overall else "0.6")
        sure = assessment.confidence.get(dimension.name)
        note = f"{score:.1f}" if sure is None else f"{score:.1f} ({sure:.2f})"
        panel.text(SCORE_MAX + 0.12, row, note, va="center")
    panel.set_ylim(-0.6, len(dimensions) - 0.4)
    panel.set_yticks(
        range(len(dimensions)), [d.title.replace(" of the ", "\nof the ") for d in dimensions]
    )
    panel.invert_yaxis()
    panel.set_xlim(SCORE_MIN, SCORE_MAX)
    panel.set_xticks(range(SCORE_MIN, SCORE_MAX + 1))
    panel.tick_params(axis="y", length=0)
    panel.spines[["top", "right"]].set_visible(False)
    label = "score (confidence)" if assessment.confidence else "score"
    panel.set_xlabel(label if assessment.judged else "not judged")
