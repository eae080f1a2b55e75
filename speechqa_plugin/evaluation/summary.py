"""The numbers of an evaluation, made from its records.

No clip is left out. One whose text cannot be read counts as a `Record` has it: with the scores
that were asked for in its place and with no artifacts. One that could not be heard counts with the
middle of the scale in every dimension. The parse rate stands beside every number.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from speechqa_plugin.evaluation.records import Record
from speechqa_plugin.evaluation.tallies import (
    column,
    f1_of_rows,
    interval_counts,
    iou_of_rows,
    kinds_present,
    kinds_timed,
    mean_of,
    presence_rows,
    score_rows,
    time_rows,
)
from speechqa_plugin.metrics import (
    Counts,
    Estimate,
    bootstrap_ci,
    detect,
    grouped_means,
    kendall,
    mae,
    mean_pearson,
    pearson,
    rmse,
    rouge_l,
    spearman,
    type_similarity,
)
from speechqa_plugin.metrics.counts import ratio
from speechqa_plugin.schema import SCORE_MAX, SCORE_MIN, Taxonomy, round_score
from speechqa_plugin.text.answers import AnswerForm, ParsedAnswer, ParseFailure
from speechqa_plugin.text.contradictions import Contradictions

F1_THRESHOLD = 0.5
JUDGED_AT_ONCE = 32
"""Clips that a reward is asked about at once: a judge has a deadline for each call."""


def summarise(
    records: Sequence[Record],
    form: AnswerForm = AnswerForm.REASONED,
    rewards: Sequence[Callable] = (),
    encode: Callable[[list[str]], np.ndarray] | None = None,
) -> dict:
    """All numbers of an evaluation.

    Arguments
    ---------
    records : sequence of Record
        At least one, of one taxonomy.
    form : AnswerForm
        The answers' form: scores alone have no numbers on artifacts and text.
    rewards : sequence of Reward
        Each is averaged over the clips (reasoned form): a judge of the long text, or the likeness
        of descriptions by a sentence encoder.
    encode : callable or None
        Sentence encoder for the kinds' ``type_similarity``; without one that is left out.

    Returns
    -------
    dict
        ``n``, ``parse_rate``, ``parse_failure/<reason>`` and, under ``dimensions``, ``mean`` and
        (reasoned form) ``kinds``, ``artifacts`` (the means over the kinds), ``text`` and
        ``rewards``, one dict of numbers each. Numbers with an interval are an `Estimate`
        (95 % percentile bootstrap over clips). NaN where undefined.

    Raises
    ------
    ValueError
        If there are no records.
    """
    if not records:
        raise ValueError("no records to summarise: the split is empty")
    taxonomy = records[0].utterance.reference.taxonomy
    failures = Counter(r.failure for r in records if r.failure)
    dimensions = {n: _score_numbers(records, n) for n in taxonomy.names}
    summary = {
        "n": len(records),
        "parse_rate": 1 - sum(failures.values()) / len(records),
        **{f"parse_failure/{k}": v / len(records) for k, v in sorted(failures.items())},
        "mean": _mean_numbers(records, taxonomy) | _mean_of_systems(dimensions),
        "dimensions": dimensions,
    }
    if form == AnswerForm.SCORES:
        return summary
    described = [r for r in records if r.utterance.reference.description]
    return summary | {
        "kinds": {k: _kind_numbers(records, k, encode) for k in taxonomy.kind_names},
        "artifacts": _artifact_numbers(records, taxonomy),
        "text": {
            "rouge_l": _mean(map(_rouge, described)),
            "n": len(described),
            "contradictions": _contradictions(records, taxonomy),
        },
        "rewards": {reward.name: _reward_numbers(records, reward) for reward in rewards},
    }


def _score_numbers(records: Sequence[Record], name: str) -> dict:
    reference = np.array([r.utterance.reference.scores[name] for r in records])
    expected = column(records, lambda r: r.prediction.scores[name])
    digits = column(records, lambda r: r.digits[name])
    systems = [r.utterance.system for r in records]
    numbers = {
        "utt/pcc": _estimate(pearson, expected, reference),
        "utt/pcc_digit": pearson(digits, reference),
        "utt/srcc": spearman(expected, reference),
        "utt/ktau": kendall(expected, reference),
        "rmse": rmse(expected, reference),
        "mae": mae(expected, reference),
        "digit_histogram": _histogram(r.digits[name] for r in records if r.prediction),
        "reference_histogram": _histogram(map(round_score, reference)),
    }
    if all(systems):
        ours, theirs = (grouped_means(systems, values) for values in (expected, reference))
        pair = [ours[k] for k in ours], [theirs[k] for k in ours]
        numbers |= {"sys/pcc": pearson(*pair), "sys/srcc": spearman(*pair), "sys/n": len(ours)}
    return numbers


def _histogram(digits: Iterable[float]) -> list[int]:
    """How often each score from the lowest to the highest is there."""
    counts = Counter(digits)
    return [counts[score] for score in range(SCORE_MIN, SCORE_MAX + 1)]


def _mean_numbers(records: Sequence[Record], taxonomy: Taxonomy) -> dict:
    """Means over the dimensions; undefined if any dimension's is."""
    expected, reference = score_rows(records, taxonomy.names)
    digits = np.array([column(records, lambda r, n=n: r.digits[n]) for n in taxonomy.names]).T
    graded = [not d.magnitude for d in taxonomy.dimensions]

    def mean(metric):
        return float(np.mean([metric(e, r) for e, r in zip(expected.T, reference.T, strict=True)]))

    return {
        "utt/pcc": _estimate(mean_pearson, expected, reference),
        "utt/pcc_without_magnitude": _estimate(
            mean_pearson, expected[:, graded], reference[:, graded]
        ),
        "utt/pcc_digit": mean_pearson(digits, reference),
        "utt/srcc": mean(spearman),
        "rmse": mean(rmse),
        "mae": mean(mae),
    }


def _mean_of_systems(dimensions: dict[str, dict]) -> dict:
    """Means over the dimensions of the system-level numbers, where there are some."""
    keys = [k for k in next(iter(dimensions.values())) if k.startswith("sys/")]
    return {k: float(np.mean([d[k] for d in dimensions.values()])) for k in keys if k != "sys/n"}


def _kind_numbers(records: Sequence[Record], kind: str, encode) -> dict:
    """Presence, type and time of one artifact kind, times after `time_rows`."""
    pairs = [r.prediction for r in records], [r.utterance.reference for r in records]
    found = detect(*pairs, kind)
    lenient = {} if encode is None else {"type_similarity": type_similarity(*pairs, kind, encode)}
    times = time_rows(records, kind)
    hits = sum((interval_counts(r, kind, F1_THRESHOLD) for r in records), start=Counts())
    total = times.sum(axis=0)
    return {
        "n_reference": found.presence.reference,
        "n_predicted": found.presence.predicted,
        "precision": found.presence.precision,
        "recall": found.presence.recall,
        "f1": _estimate(f1_of_rows, presence_rows(records, kind)),
        "type_accuracy": found.type_accuracy,
        **lenient,
        "temporal_iou": _estimate(iou_of_rows, times),
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
        "f1": _estimate(mean_of(f1_of_rows), *present),
        "temporal_iou": _estimate(mean_of(iou_of_rows), *times),
        "temporal_iou_whole_clip": _mean(whole),
    }


def _reward_numbers(records: Sequence[Record], reward: Callable) -> dict:
    """A reward's mean; ``none`` counts clips without a target and judges that failed."""
    answers, references = [_as_parsed(r) for r in records], [r.utterance.reference for r in records]
    values = []
    for i in range(0, len(records), JUDGED_AT_ONCE):
        some = slice(i, i + JUDGED_AT_ONCE)
        values += reward(answers[some], references[some])
    judged = np.array([v for v in values if v is not None], dtype=float)
    mean = _estimate(_mean, judged)
    return {"mean": mean, "n": len(judged), "none": len(values) - len(judged)}


def _as_parsed(record: Record) -> ParsedAnswer:
    """What a reward judges, as in training: the text, whatever was asked for in its place.

    A file that could not be heard counts as an empty answer.
    """
    if record.failure in set(ParseFailure):
        return ParsedAnswer(record.text, None, ParseFailure(record.failure))
    if record.prediction is None:
        return ParsedAnswer("", None, ParseFailure.EMPTY)
    written = replace(record.prediction, scores=record.digits)
    return ParsedAnswer(record.text, written, expected=record.prediction.scores)


def _contradictions(records: Sequence[Record], taxonomy: Taxonomy) -> Estimate:
    """Share of the answers that can be read and contradict themselves."""
    contradictions = Contradictions(taxonomy)
    answers = [_as_parsed(r).assessment for r in records]
    return _estimate(_mean, np.array([bool(contradictions(a)) for a in answers if a], float))


def _rouge(record: Record) -> float:
    said = record.prediction.description if record.prediction else ""
    return rouge_l(said, record.utterance.reference.description)


def _estimate(statistic: Callable[..., float], *arrays: np.ndarray) -> Estimate:
    value = statistic(*arrays)
    interval = (value, value) if math.isnan(value) else bootstrap_ci(statistic, *arrays)
    return Estimate(value, *interval)


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    return float(np.mean(values)) if values else math.nan
