"""What came of each clip in an evaluation, and the numbers made from it.

A clip whose answer cannot be read is not left out: it counts with the middle of the scale in
every dimension and with no artifacts, and the parse rate stands beside every number.
"""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tabulate import tabulate

from speechqa_plugin.answers import AnswerForm
from speechqa_plugin.manifest import check_labelled
from speechqa_plugin.metrics import (
    Counts,
    bootstrap_ci,
    detect,
    grouped_means,
    interval_f1,
    kendall,
    mae,
    pearson,
    rmse,
    rouge_l,
    spearman,
    temporal_iou,
)
from speechqa_plugin.metrics.counts import ratio
from speechqa_plugin.schema import (
    SCORE_MAX,
    SCORE_MIN,
    Assessment,
    Interval,
    Taxonomy,
    Utterance,
    round_score,
)

UNREAD_SCORE = (SCORE_MIN + SCORE_MAX) / 2
"""Score that an unreadable answer counts with."""

F1_THRESHOLD = 0.5


@dataclass(frozen=True)
class Record:
    """One clip of an evaluation.

    Arguments
    ---------
    utterance : Utterance
        The clip and its reference.
    text : str
        What the model wrote, or the message of the error.
    prediction : Assessment or None
        With expected scores; None where there is no readable answer.
    digits : dict from str to float
        The scores as the model wrote them; empty where there is no readable answer.
    failure : str
        Why there is none: a `ParseFailure` or ``unreadable_audio``; empty where there is one.
    """

    utterance: Utterance
    text: str
    prediction: Assessment | None
    digits: dict[str, float]
    failure: str = ""

    def to_dict(self) -> dict:
        """One line of ``records.jsonl``."""
        return {
            "id": self.utterance.id,
            "system": self.utterance.system,
            "duration_s": self.utterance.duration_s,
            "reference": self.utterance.reference.to_dict(),
            "prediction": self.prediction and self.prediction.to_dict(),
            "digits": self.digits,
            "text": self.text,
            "failure": self.failure,
        }


def constant_records(
    utterances: Sequence[Utterance], training: Sequence[Utterance]
) -> list[Record]:
    """What a model that has heard nothing would answer: the training split's mean scores.

    Arguments
    ---------
    utterances : sequence of Utterance
        The clips to be evaluated.
    training : sequence of Utterance
        Where the means come from; at least one.

    Returns
    -------
    list of Record

    Raises
    ------
    SchemaError
        If an utterance of either has no reference.
    """
    check_labelled(utterances)
    check_labelled(training)
    taxonomy = training[0].reference.taxonomy
    means = {n: float(np.mean([u.reference.scores[n] for u in training])) for n in taxonomy.names}
    constant = Assessment(taxonomy, means)
    digits = {n: float(round_score(s)) for n, s in means.items()}
    return [Record(u, "", constant, digits) for u in utterances]


def summarise(records: Sequence[Record], form: AnswerForm = AnswerForm.REASONED) -> dict:
    """All numbers of an evaluation.

    Arguments
    ---------
    records : sequence of Record
        At least one, of one taxonomy.
    form : AnswerForm
        The answers' form: scores alone have no numbers on artifacts and text.

    Returns
    -------
    dict
        ``n``, ``parse_rate``, ``parse_failure/<reason>`` and, under ``dimensions``, ``mean`` and
        (reasoned form) ``kinds``, ``artifacts`` (the means over the kinds) and ``text``, one dict
        of numbers each. Numbers with an interval are ``[value, low, high]`` (95 % percentile
        bootstrap over clips). NaN where undefined.

    Raises
    ------
    ValueError
        If there are no records.
    """
    if not records:
        raise ValueError("no records to summarise: the split is empty")
    taxonomy = records[0].utterance.reference.taxonomy
    failures = Counter(r.failure for r in records if r.failure)
    summary = {
        "n": len(records),
        "parse_rate": 1 - sum(failures.values()) / len(records),
        **{f"parse_failure/{k}": v / len(records) for k, v in sorted(failures.items())},
        "mean": _mean_numbers(records, taxonomy),
        "dimensions": {n: _score_numbers(records, n) for n in taxonomy.names},
    }
    if form == AnswerForm.SCORES:
        return summary
    described = [r for r in records if r.utterance.reference.description]
    return summary | {
        "kinds": {k: _kind_numbers(records, k) for k in taxonomy.kind_names},
        "artifacts": _artifact_numbers(records, taxonomy),
        "text": {"rouge_l": _mean(map(_rouge, described)), "n": len(described)},
    }


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
        row = [name, s["n"], s["parse_rate"], _interval_text(mean["utt/pcc"])]
        row += [mean["utt/pcc_digit"], mean["rmse"]]
        row += [s["dimensions"][d]["utt/pcc"][0] for d in dimensions]
        rows.append(row)
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
    with_interval = ("f1", "temporal_iou")
    rows = [
        [k, *(v[c][0] if c in with_interval else v[c] for c in columns.values())]
        for k, v in summary["kinds"].items()
    ]
    return _markdown(rows, ["artifact", *columns])


def write_report(folder: str | os.PathLike, records: Sequence[Record], summary: dict) -> None:
    """Write ``metrics.json`` and ``records.jsonl``; each appears whole or not at all.

    Arguments
    ---------
    folder : str or path
        Made if it is not there.
    records : sequence of Record
        The clips.
    summary : dict
        Their numbers; NaN is written as null.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # ASCII with escapes: the error of a file may hold the undecodable bytes of its name.
    lines = "".join(json.dumps(r.to_dict()) + "\n" for r in records)
    write_whole(folder / "records.jsonl", lines)
    write_whole(folder / "metrics.json", json.dumps(_without_nan(summary), indent=2) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that no reader ever sees half of it."""
    unfinished = path.with_name(path.name + ".partial")
    try:
        unfinished.write_text(text, encoding="utf-8")
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _score_numbers(records: Sequence[Record], name: str) -> dict:
    reference = np.array([r.utterance.reference.scores[name] for r in records])
    expected = _column(records, lambda r: r.prediction.scores[name])
    digits = _column(records, lambda r: r.digits[name])
    systems = [r.utterance.system for r in records]
    numbers = {
        "utt/pcc": _with_interval(pearson, expected, reference),
        "utt/pcc_digit": pearson(digits, reference),
        "utt/srcc": spearman(expected, reference),
        "utt/ktau": kendall(expected, reference),
        "rmse": rmse(expected, reference),
        "mae": mae(expected, reference),
        "digit_histogram": [int((digits == s).sum()) for s in range(SCORE_MIN, SCORE_MAX + 1)],
    }
    if all(systems):
        ours, theirs = (grouped_means(systems, values) for values in (expected, reference))
        pair = [ours[k] for k in ours], [theirs[k] for k in ours]
        numbers |= {"sys/pcc": pearson(*pair), "sys/srcc": spearman(*pair), "sys/n": len(ours)}
    return numbers


def _mean_numbers(records: Sequence[Record], taxonomy: Taxonomy) -> dict:
    """Means over the dimensions; undefined if any dimension's is."""
    names = taxonomy.names
    reference = np.array([[r.utterance.reference.scores[n] for n in names] for r in records])
    expected = np.array([_column(records, lambda r, n=n: r.prediction.scores[n]) for n in names]).T
    digits = np.array([_column(records, lambda r, n=n: r.digits[n]) for n in names]).T

    def mean(metric, ours, theirs):
        return float(np.mean([metric(o, t) for o, t in zip(ours.T, theirs.T, strict=True)]))

    mean_pcc = partial(mean, pearson)
    graded = [not d.magnitude for d in taxonomy.dimensions]
    return {
        "utt/pcc": _with_interval(mean_pcc, expected, reference),
        "utt/pcc_without_magnitude": _with_interval(
            mean_pcc, expected[:, graded], reference[:, graded]
        ),
        "utt/pcc_digit": mean_pcc(digits, reference),
        "utt/srcc": mean(spearman, expected, reference),
        "rmse": mean(rmse, expected, reference),
        "mae": mean(mae, expected, reference),
    }


def _kind_numbers(records: Sequence[Record], kind: str) -> dict:
    """Presence, type and time of one artifact kind, times after `time_rows`."""
    found = detect([r.prediction for r in records], [r.utterance.reference for r in records], kind)
    times = time_rows(records, kind)
    hits = Counts()
    for record in records:
        reference = _known_times(record, kind)
        if reference is not None:
            hits += interval_f1(_predicted_times(record, kind), reference, F1_THRESHOLD)
    total = times.sum(axis=0)
    return {
        "n_reference": found.presence.reference,
        "n_predicted": found.presence.predicted,
        "precision": found.presence.precision,
        "recall": found.presence.recall,
        "f1": _with_interval(f1_of_rows, presence_rows(records, kind)),
        "type_accuracy": found.type_accuracy,
        "temporal_iou": _with_interval(iou_of_rows, times),
        "temporal_iou_n": int(total[2]),
        "temporal_iou_if_found": ratio(float(total[0]), float(total[3])),
        "temporal_iou_whole_clip": ratio(float(total[1]), float(total[2])),
        f"f1@{F1_THRESHOLD}": hits.f1,
    }


def _artifact_numbers(records: Sequence[Record], taxonomy: Taxonomy) -> dict:
    """Means over the kinds that occur in the references (for the IoU: with known times).

    The kinds are those of all records in every resample of the bootstrap.
    """
    present = [presence_rows(records, k) for k in kinds_present(records, taxonomy)]
    times = [time_rows(records, k) for k in kinds_timed(records, taxonomy)]
    whole = [ratio(float(t[:, 1].sum()), float(t[:, 2].sum())) for t in times]
    return {
        "f1": _with_interval(mean_of(f1_of_rows), *present),
        "temporal_iou": _with_interval(mean_of(iou_of_rows), *times),
        "temporal_iou_whole_clip": _mean(whole),
    }


def kinds_present(records: Sequence[Record], taxonomy: Taxonomy) -> list[str]:
    """Artifact kinds that a reference has."""
    return [k for k in taxonomy.kind_names if presence_rows(records, k)[:, 2].any()]


def kinds_timed(records: Sequence[Record], taxonomy: Taxonomy) -> list[str]:
    """Artifact kinds of which a reference knows all times."""
    return [k for k in taxonomy.kind_names if any(_known_times(r, k) for r in records)]


def presence_rows(records: Sequence[Record], kind: str) -> np.ndarray:
    """Counts of one artifact kind's presence, to be summed over clips.

    Arguments
    ---------
    records : sequence of Record
        N clips.
    kind : str
        Name of the kind.

    Returns
    -------
    array
        Shape [N, 3], the fields of `Counts`: found rightly, said, there.
    """
    counts = [detect([r.prediction], [r.utterance.reference], kind).presence for r in records]
    return np.array([(c.hits, c.predicted, c.reference) for c in counts])


def time_rows(records: Sequence[Record], kind: str) -> np.ndarray:
    """Overlap in time of one artifact kind, to be summed over clips.

    IoU is averaged over the clips in which the reference or the prediction has the kind, so that
    a miss and a false alarm both count 0; "if found" over those in which both have it; "whole
    clip" keeps the predicted presence and says "all the time", which is what the predicted times
    must beat. Where the reference has the kind without its time, the clip does not count.

    Arguments
    ---------
    records : sequence of Record
        N clips.
    kind : str
        Name of the kind.

    Returns
    -------
    array
        Shape [N, 4]: IoU, IoU of the whole clip, 1 where the clip counts, 1 where it is found.
    """
    rows = np.zeros((len(records), 4))
    for row, record in zip(rows, records, strict=True):
        reference, predicted = _known_times(record, kind), _predicted_times(record, kind)
        if reference is None or not (reference or predicted):
            continue
        whole = [Interval(0.0, record.utterance.duration_s)] if predicted else []
        iou, iou_whole = (temporal_iou(times, reference) for times in (predicted, whole))
        row[:] = iou, iou_whole, 1, bool(reference and predicted)
    return rows


def f1_of_rows(rows: np.ndarray) -> float:
    """F1 of `presence_rows`."""
    return Counts(*rows.sum(axis=0).tolist()).f1


def iou_of_rows(rows: np.ndarray) -> float:
    """Mean IoU of `time_rows`."""
    total = rows.sum(axis=0)
    return ratio(float(total[0]), float(total[2]))


def mean_of(statistic: Callable[[np.ndarray], float]) -> Callable[..., float]:
    """The statistic's mean over arrays; undefined if one's is, or there are none."""
    return lambda *arrays: _mean(map(statistic, arrays))


def _known_times(record: Record, kind: str) -> list[Interval] | None:
    """The reference's times of a kind; None where it has the kind without its time."""
    artifacts = [a for a in record.utterance.reference.artifacts if a.kind == kind]
    return None if any(a.interval is None for a in artifacts) else [a.interval for a in artifacts]


def _predicted_times(record: Record, kind: str) -> list[Interval]:
    return record.prediction.intervals(kind) if record.prediction else []


def _rouge(record: Record) -> float:
    said = record.prediction.description if record.prediction else ""
    return rouge_l(said, record.utterance.reference.description)


def _with_interval(statistic: Callable[..., float], *arrays: np.ndarray) -> list[float]:
    value = statistic(*arrays)
    if math.isnan(value):
        return [value] * 3
    return [value, *bootstrap_ci(statistic, *arrays)]


def _column(records: Sequence[Record], value: Callable[[Record], float]) -> np.ndarray:
    return np.array([UNREAD_SCORE if r.prediction is None else value(r) for r in records])


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    return float(np.mean(values)) if values else math.nan


def _markdown(rows: list[list], head: list[str]) -> str:
    def text(cell):
        if isinstance(cell, float):
            return "–" if math.isnan(cell) else f"{cell:.2f}"
        return str(cell)

    return tabulate([[text(c) for c in row] for row in rows], head, "github", disable_numparse=True)


def _interval_text(value: Sequence[float]) -> str:
    return "–" if math.isnan(value[0]) else "{:.2f} [{:.2f}, {:.2f}]".format(*value)


def _without_nan(value):
    if isinstance(value, dict):
        return {k: _without_nan(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_without_nan(v) for v in value]
    return None if isinstance(value, float) and math.isnan(value) else value
