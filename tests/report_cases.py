"""Clips of a report, without a model and without torch."""

import html
import json
import re

import numpy as np
import soundfile

from speechqa_plugin.report.clips import Clip
from speechqa_plugin.schema import Artifact, Assessment, load_taxonomy

RATE_HZ = 16000
TAXONOMY = load_taxonomy("qualispeech")
KINDS = [(kind.name, type_) for kind in TAXONOMY.kinds for type_ in kind.types]


def tone(seconds=2.0):
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (0.3 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)


def assessed(mos=3.0, artifacts=(), description="It hums.", sure=0.5):
    scores = dict.fromkeys(TAXONOMY.names, 3.0) | {"mos": mos}
    confidence = dict.fromkeys(TAXONOMY.names, sure) if sure else {}
    return Assessment(TAXONOMY, scores, tuple(artifacts), description, confidence)


HUM = Artifact("noise", "mains hum", 0.5, 1.25)
CUT = Artifact("pause", "cut-out", 1.5, 1.7)


def clip(path="call.wav", sound=True, **changes):
    fields = {"assessment": assessed(2.0, [HUM, CUT])} | changes
    return Clip(path, samples=tone() if sound else None, **fields)


def silent(path="set/silent.wav", **changes):
    """Nothing was judged: the middle of the scale, of which nothing is sure."""
    scores = dict.fromkeys(TAXONOMY.names, 3.0)
    assessment = Assessment(TAXONOMY, scores, confidence=dict.fromkeys(scores, 0.0))
    return Clip(path, assessment, warnings=("no speech found",), **changes)


def many(n):
    """Clips of three systems with all kinds of artifacts, without sound."""
    rng = np.random.default_rng(0)
    clips = []
    for i in range(n):
        kinds = [KINDS[k] for k in rng.integers(len(KINDS), size=rng.integers(4))]
        artifacts = [Artifact(kind, type_, 0.1 * k, 1.0) for k, (kind, type_) in enumerate(kinds)]
        scores = {name: float(rng.uniform(1, 5)) for name in TAXONOMY.names}
        assessment = Assessment(
            TAXONOMY, scores, artifacts, "Some words on it. " * 8, dict.fromkeys(scores, 0.5)
        )
        clips.append(
            Clip(f"set/clip-{i:04}.wav", assessment, system=f"codec-{i % 3}", duration_s=4.0)
        )
    return clips


def write_results(folder):
    """A results file with one good clip, which is there, and one that was not heard."""
    soundfile.write(folder / "call.wav", tone(), RATE_HZ)
    path = str(folder / "call.wav")
    rows = [
        {"path": path, **assessed(2.0, [HUM]).to_dict()},
        {"path": str(folder / "b.wav"), "error": "b.wav: is empty (0 bytes)"},
    ]
    (folder / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "results.jsonl"


EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7 * 7 }}&amp;"
"""What a file name, a list or a model may hold."""


def text_of(page_html):
    """What a reader sees, on one line."""
    body = re.sub(r"<(script|style)>.*?</\1>", "", page_html, flags=re.DOTALL)
    return html.unescape(" ".join(re.sub(r"<[^>]*>", " ", body).split()))


def row_names(page_html):
    return re.findall(r'class="open"[^>]*>([^<]*)<', page_html)
