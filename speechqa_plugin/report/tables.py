"""Systems as markdown tables: their scores, their artifacts, and the paper's table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import yaml
from tabulate import tabulate

from speechqa_plugin.evaluation.summary import F1_THRESHOLD
from speechqa_plugin.metrics import Estimate
from speechqa_plugin.schema import Taxonomy

NONE = "–"


def score_table(summaries: dict[str, dict]) -> str:
    """Compare systems by their scores.

    Arguments
    ---------
    summaries : dict from str to dict
        Name of a system to its `summarise`.

    Returns
    -------
    str
        A markdown table, a row per system: n, parse rate, mean PCC with its interval, PCC of
        the written digits, mean RMSE, and PCC of each dimension.
    """
    dimensions = list(next(iter(summaries.values()))["dimensions"])
    rows = []
    for name, s in summaries.items():
        mean = s["mean"]
        row = [name, s["n"], s["parse_rate"], mean["utt/pcc"], mean["utt/pcc_digit"], mean["rmse"]]
        rows.append(row + [s["dimensions"][d]["utt/pcc"].value for d in dimensions])
    head = ["system", "n", "parse rate", "mean PCC [95 %]", "PCC (digit)", "RMSE", *dimensions]
    return _markdown(rows, head)


def kind_table(summary: dict) -> str:
    """Artifacts of one system as a markdown table, a row per kind."""
    columns = {
        "in n clips": "n_reference",
        "precision": "precision",
        "recall": "recall",
        "F1": "f1",
        "right type": "type_accuracy",
        "IoU": "temporal_iou",
        "IoU, times = whole clip": "temporal_iou_whole_clip",
        "IoU if found": "temporal_iou_if_found",
        "F1@0.5": f"f1@{F1_THRESHOLD}",
    }
    rows = [
        [kind, *(_without_interval(numbers[c]) for c in columns.values())]
        for kind, numbers in summary["kinds"].items()
    ]
    return _markdown(rows, ["artifact", *columns])


def paper_table(summaries: dict[str, dict], taxonomy: Taxonomy, judge: str = "") -> str:
    """Put systems below the published rows, in the layout of arXiv 2603.10175.

    The published rows are of QualiSpeech's test split: on other clips only the layout is the
    same. "IoU if found" is their protocol, over clips in which the artifact was rightly found,
    which a system that names only the plain cases does well in. Beside it stand, for ours, the
    IoU that counts misses and false alarms as 0, and what the same presence would get by saying
    "all the time".

    Arguments
    ---------
    summaries : dict from str to dict
        Name of a system to its `summarise`. One of the scores form has dashes for artifacts.
    taxonomy : Taxonomy
        With the kinds that the published columns are about.
    judge : str
        Name of the reward whose mean is the long text's column, see `summarise`; beside it
        stands of how many texts, as a judge may fail. None gives dashes for ours.

    Returns
    -------
    str
        A markdown table. PCCs of ours have 95 % intervals.

    Raises
    ------
    KeyError
        If a system was not judged by that reward, or a summary has no such dimension or kind.
    """
    data = yaml.safe_load(Path(__file__).with_name("published.yaml").read_text(encoding="utf-8"))
    apart = {d.name: d.title for d in taxonomy.dimensions if d.magnitude}
    f1_kind, iou_kind = data["f1_kind"], data["iou_kind"]
    head = [
        "system",
        "n",
        "parse rate",
        f"mean PCC without {' and '.join(apart.values())}" if apart else "mean PCC",
        f"PCC {taxonomy.dimension(taxonomy.overall).title}",
        *(f"PCC {title}" for title in apart.values()),
        f"{f1_kind} F1",
        f"{iou_kind} IoU if found",
        f"{iou_kind} IoU",
        f"{iou_kind} IoU, times = whole clip",
        "long text, judge",
        "of n texts",
    ]
    rows = []
    for row in data["rows"]:
        scores = [NONE, NONE, row["mean_pcc"], row["mos_pcc"], *[NONE] * len(apart)]
        artifacts = [row["f1"], row["iou"], NONE, NONE, row["judge"], NONE]
        rows.append([f"{row['system']} ({data['source']})", *scores, *artifacts])
    for system, s in summaries.items():
        pccs = [s["dimensions"][name]["utt/pcc"] for name in (taxonomy.overall, *apart)]
        scores = [s["n"], s["parse_rate"], s["mean"]["utt/pcc_without_magnitude"], *pccs]
        rows.append([system, *scores, *_paper_artifacts(s, f1_kind, iou_kind, judge)])
    return _markdown(rows, head)


def _paper_artifacts(summary: dict, f1_kind: str, iou_kind: str, judge: str) -> list:
    """The last six cells of a system's row."""
    if "kinds" not in summary:
        return [NONE] * 6
    f1, iou = summary["kinds"][f1_kind], summary["kinds"][iou_kind]
    long_text = summary["rewards"][judge] if judge else {"mean": NONE, "n": NONE}
    cells = [
        f1["f1"],
        iou["temporal_iou_if_found"],
        iou["temporal_iou"],
        iou["temporal_iou_whole_clip"],
        long_text["mean"],
        long_text["n"],
    ]
    return [_without_interval(cell) for cell in cells]


def _without_interval(cell):
    return cell.value if isinstance(cell, Estimate) else cell


def _markdown(rows: Sequence[Sequence], head: Sequence[str]) -> str:
    """A table in which NaN is a dash and other floats have two places."""

    def text(cell):
        if isinstance(cell, float):
            return NONE if math.isnan(cell) else f"{cell:.2f}"
        return str(cell)

    return tabulate([[text(c) for c in row] for row in rows], head, "github", disable_numparse=True)
