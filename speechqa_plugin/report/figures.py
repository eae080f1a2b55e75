"""Figures; they need matplotlib, the extra ``report``."""

from __future__ import annotations

import math
import os

from speechqa_plugin.report.extra import report_extra
from speechqa_plugin.schema import SCORE_MAX, SCORE_MIN

COLUMNS = 4
"""Panels beside each other."""


def score_histograms(summary: dict, path: str | os.PathLike) -> None:
    """How often each score is written and is right, a panel per dimension.

    A model that says the same of nearly every clip can still have a high correlation; here it
    shows.

    Arguments
    ---------
    summary : dict
        Numbers of `summarise`.
    path : str or path
        The figure's file; its ending says which format (``.svg``, ``.png``, ``.pdf``).

    Raises
    ------
    ModuleNotFoundError
        If there is no matplotlib.
    """
    with report_extra():
        from matplotlib.figure import Figure  # without pyplot: no display, no global state
        from matplotlib.ticker import MaxNLocator
    dimensions = summary["dimensions"]
    rows = math.ceil(len(dimensions) / COLUMNS)
    figure = Figure(figsize=(2.6 * COLUMNS, 2.2 * rows), layout="constrained")
    panels = figure.subplots(rows, COLUMNS, squeeze=False).flat
    scores = range(SCORE_MIN, SCORE_MAX + 1)
    for (name, numbers), panel in zip(dimensions.items(), panels, strict=False):
        for shift, key, label, color in (
            (-0.2, "reference_histogram", "reference", "0.65"),
            (0.2, "digit_histogram", "written", "tab:blue"),
        ):
            panel.bar([s + shift for s in scores], numbers[key], 0.4, label=label, color=color)
        panel.set_title(f"{name}, PCC {numbers['utt/pcc'].value:.2f}", fontsize="medium")
        panel.set_xticks(scores)
        panel.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    for panel in panels:  # those left over
        panel.set_axis_off()
    figure.suptitle(f"scores of {summary['n']} clips, {summary['parse_rate']:.0%} readable")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.savefig(path)
