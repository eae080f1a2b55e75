"""What each clip adds to the numbers of an evaluation, as rows to be counted or drawn again.

A clip without a prediction is not left out: it counts with the middle of the scale in every
dimension and with no artifacts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from speechqa_plugin.evaluation.records import Record
from speechqa_plugin.metrics import Counts, detect, interval_f1, temporal_iou
from speechqa_plugin.metrics.counts import ratio
from speechqa_plugin.schema import SCORE_MAX, SCORE_MIN, Interval, Taxonomy

UNREAD_SCORE = (SCORE_MIN + SCORE_MAX) / 2
"""Score that a clip without a prediction counts with."""


def score_rows(records: Sequence[Record], names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Expected and reference scores.

    Arguments
    ---------
    records : sequence of Record
        N clips.
    names : sequence of str
        D dimensions.

    Returns
    -------
    (array, array)
        Both of shape [N, D].
    """
    expected = [column(records, lambda r, n=n: r.prediction.scores[n]) for n in names]
    reference = [[r.utterance.reference.scores[n] for n in names] for r in records]
    return np.array(expected).T, np.array(reference)


def column(records: Sequence[Record], value: Callable[[Record], float]) -> np.ndarray:
    """[N] a value of each record; `UNREAD_SCORE` where there is no prediction."""
    return np.array([UNREAD_SCORE if r.prediction is None else value(r) for r in records])


def kinds_present(records: Sequence[Record], taxonomy: Taxonomy) -> list[str]:
    """Artifact kinds that a reference has."""
    return [k for k in taxonomy.kind_names if presence_rows(records, k)[:, 2].any()]


def kinds_timed(records: Sequence[Record], taxonomy: Taxonomy) -> list[str]:
    """Artifact kinds of which a reference knows all times."""
    return [k for k in taxonomy.kind_names if any(known_times(r, k) for r in records)]


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
    a miss and a false alarm both count 0, and so does a claim without a time; "if found" over those
    in which both have a time of it; "whole clip" keeps the predicted presence and says "all the
    time", which is what the predicted times must beat. Where the reference has the kind without its
    time, the clip does not count.

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
        reference, claims = known_times(record, kind), count_claims(record, kind)
        if reference is None or not (reference or claims):
            continue
        predicted = predicted_times(record, kind)
        whole = [Interval(0.0, record.utterance.duration_s)] if claims else []
        iou, iou_whole = (
            temporal_iou(times, reference) if reference else 0.0 for times in (predicted, whole)
        )
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
    return lambda *arrays: float(np.mean([*map(statistic, arrays)])) if arrays else math.nan


def known_times(record: Record, kind: str) -> list[Interval] | None:
    """The reference's times of a kind; None where it has the kind without its time."""
    artifacts = record.utterance.reference.of_kind(kind)
    return None if any(a.interval is None for a in artifacts) else [a.interval for a in artifacts]


def interval_counts(record: Record, kind: str, threshold: float) -> Counts:
    """`interval_f1` of a clip with known times; a claim without a time is one more predicted."""
    reference, predicted = known_times(record, kind), predicted_times(record, kind)
    if reference is None:
        return Counts()
    untimed = Counts(predicted=count_claims(record, kind) - len(predicted))
    return interval_f1(predicted, reference, threshold) + untimed


def predicted_times(record: Record, kind: str) -> list[Interval]:
    """The predicted times of a kind; none where there is no prediction."""
    return record.prediction.intervals(kind) if record.prediction else []


def count_claims(record: Record, kind: str) -> int:
    """How many artifacts of a kind are predicted, with a time or without."""
    return len(record.prediction.of_kind(kind)) if record.prediction else 0
