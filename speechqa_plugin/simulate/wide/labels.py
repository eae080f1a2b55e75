"""From measures of a clip and its stems to scores from 1 to 5.

Each measure is brought to 1 to 5 in a straight line (``range`` in ``wide.yaml``) and kept within.

========================= ==========================================================================
dimension                 score
========================= ==========================================================================
mos                       mean of PESQ, ViSQOL and Distill-MOS of the clip
noise                     mean of DNSMOS's background score and PESQ of the voice with the clip's
                          noises alone; 5 where it has none
distortion                mean of PESQ, ViSQOL and Distill-MOS of the voice with the clip's
                          distortions alone; 5 where it has none
listening_effort          mean of STOI and PESQ of the clip
naturalness, continuity,  points of ``simulation.yaml`` by type, severity and time: see `scoring`
speed
========================= ==========================================================================

The reference has the clip's own inserted pauses, tempo and pitch (`degradations.TALKER_TYPES`), so
no measure that compares with it hears them; of a cut-out it has what was cut. A measured score m is
lowered for them by the points that they alone would take from its dimension: with the points' score
p, it is ``1 + (m - 1) (p - 1) / 4``. How far the mean of the three agrees with listeners is
shown by the recipe's ``agreement.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from speechqa_plugin.measures.measuring import Pair
from speechqa_plugin.schema import SCORE_MAX, SCORE_MIN, Artifact, Assessment, Taxonomy
from speechqa_plugin.simulate.degradations import TALKER_TYPES
from speechqa_plugin.simulate.describe import describe
from speechqa_plugin.simulate.scoring import score_dimensions
from speechqa_plugin.simulate.signals import SimulationError
from speechqa_plugin.simulate.wide.clip import load_settings

_RANGE = SCORE_MAX - SCORE_MIN


def pairs_of(record: Mapping, folder: Path) -> dict[str, Pair]:
    """What is to be measured of a clip.

    Arguments
    ---------
    record : mapping
        A line of ``<split>_simulation.jsonl``, as `worker.WideClipMaker` makes it.
    folder : Path
        The corpus.

    Returns
    -------
    dict from str to Pair
        ``overall``, and ``noise`` and ``distortion`` where the clip has such; none where nobody
        speaks.

    Example
    -------
    >>> stems = {"reference": "stems/a.reference.flac", "noise": "clips/a.wav"}
    >>> pairs = pairs_of({"clip": "clips/a.wav", "stems": stems}, Path("corpus"))
    >>> pairs["noise"].names
    ('dnsmos_bak', 'pesq')
    """
    stems = record["stems"]
    if not stems:
        return {}
    clips = {"overall": record["clip"], **{k: v for k, v in stems.items() if k != "reference"}}
    names: dict[str, dict[str, None]] = {}
    for source in load_settings()["labels"]["measured"].values():
        names.setdefault(source["pair"], {}).update(dict.fromkeys(source["measures"]))
    return {
        pair: Pair(str(folder / clip), str(folder / stems["reference"]), tuple(names[pair]))
        for pair, clip in clips.items()
    }


def combine(values: Mapping[str, float | None], names: Sequence[str]) -> float:
    """Mean of some measures on the scale from 1 to 5.

    Arguments
    ---------
    values : mapping from str to float or None
        Values by measure; None or NaN where it found no speech.
    names : sequence of str
        What the mean is taken of, as far as there is a value.

    Returns
    -------
    float
        NaN where there is no value at all.

    Example
    -------
    >>> combine({"pesq": 4.64, "visqol": 1.0, "stoi": None}, ["pesq", "visqol", "stoi"])
    3.0
    """
    ranges, scaled = load_settings()["labels"]["range"], []
    for name in names:
        value = values[name]
        if value is not None and np.isfinite(value):
            low, high = ranges[name]
            scaled.append(SCORE_MIN + _RANGE * float(np.clip((value - low) / (high - low), 0, 1)))
    return float(np.mean(scaled)) if scaled else float("nan")


def label(
    name: str,
    duration_s: float,
    artifacts: Sequence[Artifact],
    measures: Mapping[str, Mapping[str, float | None]],
    taxonomy: Taxonomy,
) -> Assessment:
    """Scores of a clip; see the module's docstring.

    Arguments
    ---------
    name : str
        The clip's id: decides the wording of the description.
    duration_s : float
    artifacts : sequence of Artifact
        With times and severities.
    measures : mapping
        Values by pair and measure, as `measuring.measure_all` gives them for `pairs_of`.
    taxonomy : Taxonomy

    Returns
    -------
    Assessment
        With a description that fits the scores.

    Raises
    ------
    SimulationError
        If no measure found speech in the clip.
    """
    settings = load_settings()["labels"]
    unheard = [a for a in artifacts if a.type in TALKER_TYPES]
    scores = score_dimensions(artifacts, duration_s, taxonomy)
    spared = score_dimensions(unheard, duration_s, taxonomy)
    for dimension, source in settings["measured"].items():
        of_pair = measures.get(source["pair"])
        measured = SCORE_MAX if of_pair is None else combine(of_pair, source["measures"])
        if np.isnan(measured):
            raise SimulationError(
                f"{name}: {source['measures']} found no speech in it; leave its source out"
            )
        share = (spared[dimension] - SCORE_MIN) / _RANGE
        scores[dimension] = SCORE_MIN + (measured - SCORE_MIN) * share
    scores = {dimension: round(score, 3) for dimension, score in scores.items()}
    assessment = Assessment(taxonomy, scores, tuple(artifacts))
    text = describe(assessment, duration_s, np.random.default_rng(list(name.encode())))
    return Assessment(taxonomy, scores, tuple(artifacts), text)
