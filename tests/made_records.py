"""Records of an evaluation as tests want them."""

from __future__ import annotations

from speechqa_plugin.evaluation.records import Record
from speechqa_plugin.schema import Artifact, Assessment, Utterance, load_taxonomy

NISQA = load_taxonomy("nisqa")
QUALISPEECH = load_taxonomy("qualispeech")


def assessment(value=3.0, *artifacts, taxonomy=QUALISPEECH, text="", **scores):
    return Assessment(taxonomy, dict.fromkeys(taxonomy.names, value) | scores, artifacts, text)


def record(reference, prediction, digits=None, failure="", **row):
    row = {"id": "a", "path": "a.wav", "duration_s": 8.0} | row
    if digits is None and prediction is not None:
        digits = dict(prediction.scores)
    utterance = Utterance(reference=reference, **row)
    return Record(utterance, row["path"], prediction, digits or {}, failure)


def hum(start_s=None, end_s=None, type_="mains hum"):
    return Artifact("noise", type_, start_s, end_s)


def timed(reference, predicted):
    """Records of 8 s with these noises; None for an unreadable answer."""
    said = None if predicted is None else assessment(3, *predicted)
    return record(assessment(3, *reference), said, failure="" if said else "empty")


def rows(*values):
    return [Utterance(f"r{i}", "a.wav", 1.0, assessment(v)) for i, v in enumerate(values)]
