"""What came of each clip in an evaluation, written to a file and read from it."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import NoneType

import numpy as np

from speechqa_plugin.files import write_json, write_json_lines
from speechqa_plugin.manifest import check_labelled
from speechqa_plugin.metrics import Estimate
from speechqa_plugin.schema import (
    Assessment,
    SchemaError,
    Taxonomy,
    Utterance,
    assessment_from_dict,
    round_score,
)

_FIELDS = {
    "id": str,
    "system": str,
    "duration_s": (int, float),
    "reference": dict,
    "prediction": (dict, NoneType),
    "digits": dict,
    "text": str,
    "failure": str,
}
"""Of a line of ``records.jsonl``, with their types."""

UNREADABLE_AUDIO = "unreadable_audio"
"""Failure of a record whose file could not be heard."""


@dataclass(frozen=True)
class Record:
    """One clip of an evaluation, with what a user of the model gets for it.

    Where a text cannot be read, a user gets the scores that the model was asked for in its place,
    no artifacts, and the text as the description. That is the prediction then, and counts as one
    in every number but the rewards, which judge the text; the failure stays, and the parse rate
    counts it. A clip longer than the model hears at once was heard in parts.

    Arguments
    ---------
    utterance : Utterance
        The clip and its reference.
    text : str
        What the model wrote (the parts' texts, a line break between them), or the message of the
        error.
    prediction : Assessment or None
        With expected scores, joined over the parts; None where the file could not be heard.
    digits : dict from str to float
        The scores as the model wrote them (of a clip in parts, the joined ones rounded); empty
        where there is no prediction.
    failure : str
        Why the text (of any part) could not be read: a `ParseFailure`, or `UNREADABLE_AUDIO`;
        empty where it could.
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


def fill_dimensions(records: Sequence[Record], constant: Sequence[Record]) -> list[Record]:
    """Records of a model that has another taxonomy than the references.

    Arguments
    ---------
    records : sequence of Record
        Predictions with dimensions of the model's own.
    constant : sequence of Record
        `constant_records` of the same clips.

    Returns
    -------
    list of Record
        Predictions with the references' dimensions: as predicted where the model has one of that
        name, else the constant. Without artifacts and descriptions.
    """
    filled = []
    for record, known in zip(records, constant, strict=True):
        if record.prediction is not None:
            taxonomy = known.prediction.taxonomy
            scores, digits = (
                {n: theirs.get(n, ours[n]) for n in taxonomy.names}
                for theirs, ours in (
                    (record.prediction.scores, known.prediction.scores),
                    (record.digits, known.digits),
                )
            )
            record = replace(record, prediction=Assessment(taxonomy, scores), digits=digits)
        filled.append(record)
    return filled


def read_records(path: str | os.PathLike, taxonomy: Taxonomy) -> list[Record]:
    """Read the ``records.jsonl`` that `write_records` wrote; nothing in it is repaired.

    Arguments
    ---------
    path : str or path
        The file.
    taxonomy : Taxonomy
        The taxonomy of its references.

    Returns
    -------
    list of Record
        In the file's order, at least one. The audio files' paths, which it does not hold, are
        empty.

    Raises
    ------
    SchemaError
        If there is no such file, it has no rows, an id stands twice or a row is not valid: the
        message names the file, the line and the field.
    """
    path = Path(path)
    if not path.is_file():
        raise SchemaError(f"records {path}: no such file; evaluate.py writes it")
    records: dict[str, Record] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        where = f"records {path}, line {number}"
        try:
            record = _record_from_dict(json.loads(line), taxonomy)
        except ValueError as err:  # SchemaError and JSONDecodeError are of these
            raise SchemaError(f"{where}: {err}; evaluate again") from err
        if record.utterance.id in records:
            raise SchemaError(f"{where}: id {record.utterance.id!r} stands twice; evaluate again")
        records[record.utterance.id] = record
    if not records:
        raise SchemaError(f"records {path}: has no rows; evaluate again")
    return list(records.values())


def write_records(folder: str | os.PathLike, records: Sequence[Record]) -> None:
    """Write ``records.jsonl``, whole or not at all.

    Arguments
    ---------
    folder : str or path
        Made if it is not there.
    records : sequence of Record
        The clips.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json_lines(folder / "records.jsonl", (r.to_dict() for r in records))


def write_summary(folder: str | os.PathLike, summary: dict) -> None:
    """Write the records' numbers to ``metrics.json``; folder and wholeness as of `write_records`.

    NaN is written as null and an `Estimate` as a list of its three numbers.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "metrics.json", _without_nan(summary))


def read_summary(folder: str | os.PathLike) -> dict:
    """Read the numbers that `write_summary` wrote, as they were.

    Arguments
    ---------
    folder : str or path
        Holds ``metrics.json``.

    Raises
    ------
    SchemaError
        If there is no such file or it is not JSON.
    """
    path = Path(folder) / "metrics.json"
    if not path.is_file():
        raise SchemaError(f"metrics {path}: no such file; evaluate.py writes it")
    try:
        return _as_it_was(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as err:
        raise SchemaError(f"metrics {path}: is not JSON ({err}); evaluate again") from err


def _without_nan(value):
    if isinstance(value, dict):
        return {k: _without_nan(v) for k, v in value.items()}
    if isinstance(value, (list, Estimate)):
        return [_without_nan(v) for v in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _as_it_was(value):
    if isinstance(value, dict):
        return {k: _as_it_was(v) for k, v in value.items()}
    if isinstance(value, list):
        values = map(_as_it_was, value)
        return Estimate(*values) if len(value) == len(Estimate._fields) else list(values)
    return math.nan if value is None else value


def _record_from_dict(row: dict, taxonomy: Taxonomy) -> Record:
    if not isinstance(row, dict) or set(row) != set(_FIELDS):
        raise SchemaError(f"found {row!r}, need an object with exactly {list(_FIELDS)}")
    for name, types in _FIELDS.items():
        if not isinstance(row[name], types) or isinstance(row[name], bool):
            raise SchemaError(f"{name} is {row[name]!r}")
    prediction, digits = row["prediction"], row["digits"]
    if row["failure"] == ("" if prediction is None else UNREADABLE_AUDIO):
        found = "no prediction" if prediction is None else "a prediction"
        raise SchemaError(f"failure is {row['failure']!r} and there is {found}; need one of them")
    if prediction is None and digits:
        raise SchemaError(f"digits: {digits} without a prediction")
    utterance = Utterance(
        row["id"],
        "",
        row["duration_s"],
        assessment_from_dict(row["reference"], taxonomy),
        row["system"],
    )
    if prediction is not None:
        prediction = assessment_from_dict(prediction, taxonomy)
        digits = Assessment(taxonomy, digits).scores  # validates them
    return Record(utterance, row["text"], prediction, digits, row["failure"])
