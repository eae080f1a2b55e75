"""The paper's table with systems of ours below its rows."""

from __future__ import annotations

from pathlib import Path

import yaml

from speechqa_plugin.evaluation.summary import interval_text, markdown
from speechqa_plugin.schema import Taxonomy


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
    apart = [d.title for d in taxonomy.dimensions if d.magnitude]
    f1_kind, iou_kind = data["f1_kind"], data["iou_kind"]
    head = [
        "system",
        "n",
        "parse rate",
        f"mean PCC without {' and '.join(apart)}" if apart else "mean PCC",
        f"PCC {taxonomy.dimension(taxonomy.overall).title}",
        *(f"PCC {title}" for title in apart),
        f"{f1_kind} F1",
        f"{iou_kind} IoU if found",
        f"{iou_kind} IoU",
        f"{iou_kind} IoU, times = whole clip",
        "long text, judge",
        "of n texts",
    ]
    none = "–"
    rows = [
        [
            f"{row['system']} ({data['source']})",
            none,
            none,
            row["mean_pcc"],
            row["mos_pcc"],
            *[none] * len(apart),
            row["f1"],
            row["iou"],
            none,
            none,
            row["judge"],
            none,
        ]
        for row in data["rows"]
    ]
    names = [d.name for d in taxonomy.dimensions if d.magnitude]
    for system, s in summaries.items():
        kinds = s.get("kinds")
        dimensions = s["dimensions"]
        if kinds is None:
            artifacts = [none] * 6
        else:
            long_text = s["rewards"][judge] if judge else None
            judged = [long_text["mean"][0], long_text["n"]] if long_text else [none] * 2
            artifacts = [
                kinds[f1_kind]["f1"][0],
                kinds[iou_kind]["temporal_iou_if_found"],
                kinds[iou_kind]["temporal_iou"][0],
                kinds[iou_kind]["temporal_iou_whole_clip"],
                *judged,
            ]
        rows.append(
            [
                system,
                s["n"],
                s["parse_rate"],
                interval_text(s["mean"]["utt/pcc_without_magnitude"]),
                interval_text(dimensions[taxonomy.overall]["utt/pcc"]),
                *(interval_text(dimensions[name]["utt/pcc"]) for name in names),
                *artifacts,
            ]
        )
    return markdown(rows, head)
