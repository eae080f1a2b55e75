"""Two systems on the same clips: is the difference more than the luck of clips and seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from tabulate import tabulate

from speechqa_plugin.evaluation.records import Record
from speechqa_plugin.evaluation.tallies import (
    f1_of_rows,
    iou_of_rows,
    kinds_present,
    kinds_timed,
    mean_of,
    presence_rows,
    score_rows,
    time_rows,
)
from speechqa_plugin.metrics import (
    Estimate,
    bootstrap_values,
    mean_pearson,
    pearson,
    percentile_interval,
    rmse,
    spearman,
)
from speechqa_plugin.schema import Taxonomy


@dataclass(frozen=True)
class Number:
    """A number of `summarise` as a statistic that a bootstrap can draw.

    Arguments
    ---------
    name : str
        Where it stands in the summary.
    statistic : callable
        From the rows to the number.
    rows : callable
        From a run's N records to one or more arrays of shape [N, ...].
    """

    name: str
    statistic: Callable[..., float]
    rows: Callable[[Sequence[Record]], Sequence[np.ndarray]]


def compare(
    ours: Sequence[Sequence[Record]],
    theirs: Sequence[Sequence[Record]] = (),
    numbers: Sequence[Number] | None = None,
) -> dict:
    """Numbers of one system, or of two and their difference, over runs and clips.

    Arguments
    ---------
    ours : sequence of sequence of Record
        A run (seed) each, all on the same clips.
    theirs : sequence of sequence of Record
        As many runs of another system on these clips, paired with ours by position; none to
        look at ours alone.
    numbers : sequence of Number, optional
        What to compare in. If not given: the mean PCC, with and without magnitude dimensions, the
        overall dimension's, the parse rate, and the artifacts' macro F1 and IoU (where any run
        names an artifact).

    Returns
    -------
    dict from str to dict from str to Estimate
        For each number ``ours`` and, with two systems, ``theirs`` and ``difference`` (ours minus
        theirs), each the mean over the runs with an interval by `bootstrap_values`. NaN where
        undefined.

    Raises
    ------
    ValueError
        If there is no run, the runs are not on the same clips with the same references, or are
        not as many of either system.
    """
    runs = [*ours, *theirs]
    _check_same_clips(runs)
    if theirs and len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} and {len(theirs)} runs; they are paired, give as many")
    result = {}
    for number in _numbers(runs) if numbers is None else numbers:
        sides = {"ours": ours, "theirs": theirs} if theirs else {"ours": ours}
        row, values = {}, {}
        for side, its_runs in sides.items():
            rows = [number.rows(run) for run in its_runs]
            values[side] = bootstrap_values(number.statistic, rows)
            mean = float(np.mean([number.statistic(*r) for r in rows]))
            row[side] = Estimate(mean, *percentile_interval(values[side]))
        if theirs:
            row["difference"] = Estimate(
                row["ours"].value - row["theirs"].value,
                *percentile_interval(values["ours"] - values["theirs"]),
            )
        result[number.name] = row
    return result


def score_numbers(taxonomy: Taxonomy) -> list[Number]:
    """PCC, SRCC and RMSE of each dimension, to `compare` in."""

    def number(name: str, key: str, metric: Callable[..., float]) -> Number:
        return Number(
            f"{name}/{key}",
            lambda expected, reference: metric(expected[:, 0], reference[:, 0]),
            lambda run: score_rows(run, [name]),
        )

    metrics = {"utt/pcc": pearson, "utt/srcc": spearman, "rmse": rmse}
    return [number(n, k, metric) for n in taxonomy.names for k, metric in metrics.items()]


def gain_table(comparison: dict[str, dict[str, Estimate]]) -> str:
    """What training gained, as a markdown table: ours is the trained model, theirs its start.

    A number is better or worse where its interval does not hold 0: less RMSE is better.
    """
    rows = []
    for name, row in comparison.items():
        gain = row["difference"]
        low, high = (-gain.high, -gain.low) if name.endswith("rmse") else gain[1:]
        verdict = "better" if low > 0 else "worse" if high < 0 else "not decided"
        verdict = "–" if np.isnan(gain.value) else verdict
        rows.append([name, f"{row['theirs'].value:.3f}", f"{row['ours'].value:.3f}"])
        rows[-1] += [f"{gain:+.3f}", verdict]
    rows = [["–" if cell == "nan" else cell for cell in row] for row in rows]
    return tabulate(
        rows, ["", "start", "trained", "gain [95 %]", ""], "github", disable_numparse=True
    )


def comparison_table(comparison: dict[str, dict[str, Estimate]]) -> str:
    """`compare`'s numbers as a markdown table, a row per number; ours are A's, theirs B's."""
    names = {"ours": "A", "theirs": "B", "difference": "A − B"}
    sides = list(next(iter(comparison.values())))
    spec = {"ours": ".3f", "theirs": ".3f", "difference": "+.3f"}
    rows = [[k, *(f"{row[s]:{spec[s]}}" for s in sides)] for k, row in comparison.items()]
    head = ["[95 %]", *(names[side] for side in sides)]
    return tabulate(rows, head, "github", disable_numparse=True)


def _numbers(runs: Sequence[Sequence[Record]]) -> list[Number]:
    taxonomy = runs[0][0].utterance.reference.taxonomy
    graded = [d.name for d in taxonomy.dimensions if not d.magnitude]
    numbers = [
        Number("mean/utt/pcc", mean_pearson, lambda run: score_rows(run, taxonomy.names)),
        Number("mean/utt/pcc_without_magnitude", mean_pearson, lambda run: score_rows(run, graded)),
        Number(
            f"{taxonomy.overall}/utt/pcc",
            mean_pearson,
            lambda run: score_rows(run, [taxonomy.overall]),
        ),
        # Beside every number: what cannot be read counts with scores asked for in its place.
        Number("parse_rate", np.mean, lambda run: [np.array([not r.failure for r in run])]),
    ]
    if not any(r.prediction and r.prediction.artifacts for run in runs for r in run):
        return numbers
    present, timed = kinds_present(runs[0], taxonomy), kinds_timed(runs[0], taxonomy)
    f1 = Number(
        "artifacts/f1", mean_of(f1_of_rows), lambda run: [presence_rows(run, k) for k in present]
    )
    iou = Number(
        "artifacts/temporal_iou",
        mean_of(iou_of_rows),
        lambda run: [time_rows(run, k) for k in timed],
    )
    return [*numbers, *([f1] if present else []), *([iou] if timed else [])]


def _check_same_clips(runs: Sequence[Sequence[Record]]) -> None:
    if not runs or not runs[0]:
        raise ValueError("no records to compare")
    first = [(r.utterance.id, r.utterance.reference) for r in runs[0]]
    for i, run in enumerate(runs[1:], start=2):
        if len(run) != len(first):
            raise ValueError(f"run {i} has {len(run)} clips, run 1 has {len(first)}; need the same")
        for (id_, reference), record in zip(first, run, strict=True):
            clip = record.utterance
            if clip.id != id_:
                raise ValueError(f"run {i} has clip {clip.id!r} where run 1 has {id_!r}")
            if clip.reference != reference:
                raise ValueError(f"clip {id_!r} has another reference in run {i} than in run 1")
