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


def scored(pairs, **row):
    """A record for each (reference, expected, digit) of the MOS; None is unreadable."""
    records = []
    for i, (reference, expected, digit) in enumerate(pairs):
        right = assessment(3 + 0.1 * i, taxonomy=NISQA, mos=reference)
        if expected is None:
            records.append(record(right, None, failure="empty"))
        else:
            said = assessment(3 - 0.2 * i, taxonomy=NISQA, mos=expected)
            digits = dict.fromkeys(NISQA.names, 3.0) | {"mos": float(digit)}
            records.append(record(right, said, digits))
    return records


PAIRS = [(1, 1.4, 1), (2, 1.9, 2), (3, 3.8, 4), (4, 3.7, 4), (5, 4.9, 5), (2, 2.5, 3)]

# Timelines: one character is 1 s, a clip lasts 8 s.
TIMELINES = [
    # predicted  |####....|  IoU 2/6, the whole clip 4/8
    # reference  |..####..|
    timed([hum(2, 6)], [hum(0, 4)]),
    # predicted  |........|  a miss: 0, and nothing to say "all the time" of
    # reference  |####....|
    timed([hum(0, 4)], []),
    # predicted  |##......|  a false alarm: 0
    # reference  |........|
    timed([], [hum(0, 2)]),
    # predicted  |........|  rightly silent: not counted
    # reference  |........|
    timed([], []),
    # unreadable             a miss
    # reference  |####....|
    timed([hum(0, 4)], None),
    # predicted  |.######.|  in two pieces that overlap: 6/8, the whole clip 8/8
    # reference  |########|
    timed([hum(0, 8)], [hum(1, 5), hum(4, 7)]),
]
