"""Rows of results as scoring writes them, without a model."""

from speechqa_plugin.activity import NO_SPEECH
from speechqa_plugin.scoring.results import Run, Writer


def run_of(**changes):
    made = {"model": "m", "form": "scores", "format": "jsonl", "version": "1"}
    return Run(**made | {"n_sources": 5, "sources": "s", "dimensions": ["mos", "noise"]} | changes)


def good(path, mos=4.0):
    return {
        "path": path,
        "id": f"id {path}",
        "duration_s": 1.5,
        "scores": {"mos": mos, "noise": 2.0},
        "confidence": {"mos": 0.75, "noise": 0.5},
    }


def silent(path):
    """What is said of a clip without speech."""
    unsure = {
        "scores": dict.fromkeys(("mos", "noise"), 3.0),
        "confidence": {"mos": 0.0, "noise": 0.0},
    }
    return good(path) | unsure | {"warnings": [NO_SPEECH]}


def bad(path):
    return {"path": path, "id": path, "error": 'is "empty",\nor so'}


def write(out, rows, **changes):
    writer = Writer(out, run_of(**changes))
    for row in rows:
        writer.write(row)
    writer.close()
    return out
