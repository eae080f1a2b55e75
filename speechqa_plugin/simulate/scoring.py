"""From what was added to a clip to scores from 1 to 5.

**Dimensions.** An artifact of severity s takes ``p = a + (b - a) s`` points from
a dimension, with ``[a, b]`` from ``simulation.yaml``; one that covers a fraction
f of the clip takes ``p (c + (1 - c) f)``, with ``c = part_floor``, because a short
fault is noticed nearly as much as a long one. Artifacts of one type count as one
(its longest severity, its total time). A dimension loses the points of its worst
artifact type and a share of the others' sum, at most 4. Its score is
``ceiling - loss (ceiling - 1) / 4``; a magnitude dimension's is 3 plus the signed
points. The points are this project's own choice of what the five-point anchors
mean; they are monotone in severity and in time.

**Overall.** With the table's overall score, wide-band PESQ mapped to MOS-LQO
(ITU-T P.862.2) and STOI (Taal et al., IEEE TASL 19(7), 2011), each as a share of
its range in [0, 1]::

    measured = pesq_weight * (LQO - 1.02) / (4.64 - 1.02)
             + stoi_weight * (STOI - floor) / (1 - floor)
    best     = (source's ceiling - 1) / 4
    table    = (table's overall score - 1) / 4
    overall  = 1 + 4 * (best * measured)^w * table^(1 - w)

a weighted geometric mean, so either can pull the score down: PESQ and STOI hear
what severity alone does not tell (noise under a loud or a soft voice), the table
holds what they cannot hear (pauses, tempo, pitch).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import soxr
import yaml
from pesq import PesqError, pesq
from pystoi import stoi

from speechqa_plugin.schema import SCORE_MAX, SCORE_MIN, Artifact, Taxonomy
from speechqa_plugin.simulate.signals import SAMPLE_RATE_HZ, NoSpeechError, SimulationError

_LQO_MIN, _LQO_MAX = 1.02, 4.64
"""Range of the mapping of ITU-T P.862.2, equation 1."""

_RANGE = SCORE_MAX - SCORE_MIN
_STOI_RATE_HZ = 10000
"""STOI's own rate: resampling here is faster than inside pystoi."""


@lru_cache
def load_settings() -> dict:
    """What ``simulation.yaml`` holds: ``draw`` and ``score``.

    Example
    -------
    >>> 0 < load_settings()["draw"]["clean"] < 1
    True
    """
    path = Path(__file__).with_name("simulation.yaml")
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def score_dimensions(
    artifacts: Sequence[Artifact], duration_s: float, taxonomy: Taxonomy, ceiling: float = 5.0
) -> dict[str, float]:
    """Scores of a clip from its artifacts alone; see the module's docstring.

    Arguments
    ---------
    artifacts : sequence of Artifact
        With times and severities.
    duration_s : float
        Length of the clip.
    taxonomy : Taxonomy
    ceiling : float
        Quality of the clean source, in [1, 5]. It limits the dimensions that
        ``simulation.yaml`` lists under ``ceiling``.

    Returns
    -------
    dict from str to float
        A score in [1, 5] for every dimension; the overall one does not know
        PESQ and STOI yet, see `overall_score`.

    Raises
    ------
    SimulationError
        If an artifact has no severity or times, or no points in ``simulation.yaml``.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> loud = Artifact("noise", "white noise", 0.0, 4.0, severity=1.0)
    >>> score_dimensions([loud], 4.0, load_taxonomy("qualispeech"))["noise"]
    1.0
    """
    table = load_settings()["score"]
    lost = [_points_lost(group, duration_s, taxonomy) for group in _by_type(artifacts)]
    scores = {}
    for dimension in taxonomy.dimensions:
        points = [p[dimension.name] for p in lost if dimension.name in p]
        if dimension.magnitude:
            score = (SCORE_MIN + SCORE_MAX) / 2 + sum(points)
        else:
            worst = max(points, default=0.0)
            loss = min(_RANGE, worst + table["share"] * (sum(points) - worst))
            top = ceiling if dimension.name in table["ceiling"] else SCORE_MAX
            score = top - loss * (top - SCORE_MIN) / _RANGE
        scores[dimension.name] = float(min(SCORE_MAX, max(SCORE_MIN, score)))
    return scores


def overall_score(
    table_score: float, lqo: float, intelligibility: float, ceiling: float = 5.0
) -> float:
    """Overall score from the table's and the two measures; see the module's docstring.

    Arguments
    ---------
    table_score : float
        In [1, 5], from `score_dimensions`.
    lqo : float
        MOS-LQO of ITU-T P.862.2.
    intelligibility : float
        STOI, at most 1.
    ceiling : float
        Quality of the clean source, in [1, 5].

    Returns
    -------
    float
        In [1, 5].

    Example
    -------
    >>> overall_score(5.0, 4.64, 1.0), overall_score(4.5, 4.64, 1.0, ceiling=4.5)
    (5.0, 4.5)
    """
    table = load_settings()["score"]
    weights, floor = table["overall"], table["stoi_floor"]
    heard = np.clip((lqo - _LQO_MIN) / (_LQO_MAX - _LQO_MIN), 0, 1)
    understood = np.clip((intelligibility - floor) / (1 - floor), 0, 1)
    measured = weights["pesq"] * heard + weights["stoi"] * understood
    share = (table_score - SCORE_MIN) / _RANGE
    w = weights["measures"]
    best = (ceiling - SCORE_MIN) / _RANGE
    return float(SCORE_MIN + _RANGE * (best * measured) ** w * share ** (1 - w))


def measure(reference: np.ndarray, degraded: np.ndarray) -> tuple[float, float]:
    """PESQ and STOI of a clip against its aligned clean reference.

    Arguments
    ---------
    reference, degraded : numpy.ndarray of float32, shape (n,)
        At 16 kHz.

    Returns
    -------
    lqo : float
        MOS-LQO of ITU-T P.862.2, in [1.02, 4.64].
    intelligibility : float
        STOI, in [0, 1] but for noise below it.

    Raises
    ------
    NoSpeechError
        If PESQ finds no speech in the reference.

    Example
    -------
    >>> noise = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
    >>> round(measure(noise, noise)[0], 1)
    4.6
    """
    lqo = pesq(SAMPLE_RATE_HZ, reference, degraded, "wb", on_error=PesqError.RETURN_VALUES)
    if lqo < 0:
        raise NoSpeechError("clean clip: PESQ finds no speech in it; leave its source out")
    slow = [soxr.resample(x, SAMPLE_RATE_HZ, _STOI_RATE_HZ) for x in (reference, degraded)]
    return float(lqo), float(stoi(*slow, _STOI_RATE_HZ))


def _by_type(artifacts: Sequence[Artifact]) -> list[list[Artifact]]:
    groups: dict[tuple[str, str], list[Artifact]] = {}
    for artifact in artifacts:
        if artifact.severity is None or artifact.interval is None:
            raise SimulationError(f"{artifact}: needs times and a severity to be scored")
        groups.setdefault((artifact.kind, artifact.type), []).append(artifact)
    return list(groups.values())


def _points_lost(
    group: Sequence[Artifact], duration_s: float, taxonomy: Taxonomy
) -> Mapping[str, float]:
    """Points that one type of artifact takes, by dimension."""
    table = load_settings()["score"]
    kind, type_ = taxonomy.kind(group[0].kind), group[0].type
    if kind.name not in table["points"]:
        raise SimulationError(f"artifact kind {kind.name!r}: no points in simulation.yaml")
    of_kind = table["points"][kind.name]
    points = of_kind["default"] | of_kind.get("types", {}).get(type_, {})
    severity = max(a.severity for a in group)
    fraction = min(1.0, sum(a.interval.length_s for a in group) / duration_s)
    if kind.name in table["by_total_time"]:
        fraction = 1.0
    floor = of_kind.get("part_floor", table["part_floor"])
    counted = floor + (1 - floor) * fraction
    return {
        kind.dimension if name == "own" else name: (low + (high - low) * severity) * counted
        for name, (low, high) in points.items()
    }
