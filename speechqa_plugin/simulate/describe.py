"""Prose for an assessment: what is wrong, how bad, and how good it is overall.

Times and numbers stay out of it: an answer lists them elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import yaml

from speechqa_plugin.metrics import merge
from speechqa_plugin.schema import Artifact, Assessment, Dimension

_WHOLE = 0.9
"""Share of the clip from which on artifacts of a type are there throughout."""


@lru_cache
def load_wording() -> dict:
    """What ``wording.yaml`` says."""
    path = Path(__file__).with_name("wording.yaml")
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def describe(assessment: Assessment, duration_s: float, rng: np.random.Generator) -> str:
    """Describe an assessment in two to five short sentences.

    Arguments
    ---------
    assessment : Assessment
        Its own description is not looked at.
    duration_s : float
        Length of the clip, above 0.
    rng : numpy.random.Generator
        Chooses among the wordings.

    Returns
    -------
    str
        One line of about 20 to 60 words, without digits.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> taxonomy = load_taxonomy("qualispeech")
    >>> scores = dict.fromkeys(taxonomy.names, 4) | {"noise": 1.2, "speed": 3}
    >>> babble = Artifact("noise", "babble", 0.0, 4.0)
    >>> text = describe(Assessment(taxonomy, scores, (babble,)), 4.0, np.random.default_rng(0))
    >>> "abble" in text and "very intrusive" in text
    True
    """
    taxonomy = assessment.taxonomy
    by_dimension: dict[str, list[Artifact]] = {}
    for artifact in assessment.artifacts:
        by_dimension.setdefault(taxonomy.kind(artifact.kind).dimension, []).append(artifact)
    faults = [d for d in taxonomy.dimensions if d.name in by_dimension]
    others = [d for d in taxonomy.dimensions if d not in faults and d.name != taxonomy.overall]
    sentences = [
        _clause(d, assessment.scores[d.name], by_dimension[d.name], duration_s, rng) for d in faults
    ]
    # Remarks beside the faults, worst first; few where there are many faults.
    remarks = sorted(others, key=lambda d: _goodness(d, assessment.scores[d.name]))
    for dimension in remarks[: max(1, 3 - len(faults))]:
        sentences.append(_clause(dimension, assessment.scores[dimension.name], (), duration_s, rng))
    overall = taxonomy.dimension(taxonomy.overall)
    template = str(rng.choice(load_wording()["overall"]))
    sentences.append(template.format(anchor=overall.anchor(assessment.mos)))
    return " ".join(f"{s[0].upper()}{s[1:]}." for s in sentences)


def _clause(
    dimension: Dimension,
    score: float,
    artifacts: Sequence[Artifact],
    duration_s: float,
    rng: np.random.Generator,
) -> str:
    words = load_wording()
    templates = words["with_artifacts" if artifacts else "without_artifacts"]
    template = str(rng.choice(templates.get(dimension.name, words["generic"])))
    by_type: dict[str, list[Artifact]] = {}
    for artifact in sorted(artifacts, key=lambda a: a.type):
        by_type.setdefault(artifact.type, []).append(artifact)
    nouns = {type_: _noun(type_, len(some)) for type_, some in by_type.items()}
    by_extent: dict[str, list[str]] = {}
    for type_, some in by_type.items():
        times = merge([a.interval for a in some if a.interval])
        whole = sum(i.length_s for i in times) >= _WHOLE * duration_s
        by_extent.setdefault("whole" if whole else "part", []).append(nouns[type_])
    lasting = [
        f"{_join(some)} {rng.choice(words['extent'][extent])}" for extent, some in by_extent.items()
    ]
    return template.format(
        title=dimension.title,
        anchor=dimension.anchor(score),
        types=_join(list(nouns.values())),
        lasting_types=" and ".join(lasting),
    )


def _noun(type_: str, count: int) -> str:
    one, several = load_wording()["nouns"].get(type_, (type_, type_))
    return one if count == 1 else several


def _join(names: Sequence[str]) -> str:
    return " and ".join(names) if len(names) < 3 else f"{', '.join(names[:-1])} and {names[-1]}"


def _goodness(dimension: Dimension, score: float) -> float:
    return 5 - 2 * abs(score - 3) if dimension.magnitude else score
