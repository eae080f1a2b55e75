"""One clean clip → one degraded clip, its labels and its aligned reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from speechqa_plugin.schema import Assessment, Interval, Taxonomy
from speechqa_plugin.simulate import timing
from speechqa_plugin.simulate.degradations import CHAIN, TALKER_TYPES, degrade, kind_of
from speechqa_plugin.simulate.describe import describe
from speechqa_plugin.simulate.noise import RECORDED, NoiseMaker
from speechqa_plugin.simulate.room import RoomMaker, room_response
from speechqa_plugin.simulate.scoring import (
    load_settings,
    measure,
    overall_score,
    score_dimensions,
)
from speechqa_plugin.simulate.signals import (
    GRID,
    SAMPLE_RATE_HZ,
    NoSpeechError,
    active_frames,
    active_rms,
    cut_where_quiet,
)

LONGEST_S = 9.9
"""A degraded clip is at most this long: compact models hear 10 s."""

_LEVEL_DB = (-32.0, -20.0)
"""Active level of the voice re full scale, drawn so that loudness tells nothing."""

_SHORTEST_PART_S = 0.5


@dataclass(frozen=True)
class Step:
    """One degradation that was drawn: its type, severity and whether it is partial.

    Arguments
    ---------
    type : str
    severity : float
        In [0, 1].
    partial : bool
        True where it covers a part of the clip only.
    """

    type: str
    severity: float
    partial: bool


@dataclass(frozen=True)
class SimulatedClip:
    """A degraded clip and all that is known about it.

    Arguments
    ---------
    audio : numpy.ndarray of float32, shape (n,)
        At 16 kHz, within [-1, 1].
    assessment : Assessment
    reference : numpy.ndarray of float32, shape (n,)
        The clean voice at the same moments: tempo, pauses and pitch as in
        ``audio``, without noise and distortion.
    plan : tuple of Step
        What was drawn, in the order of application.
    lqo, intelligibility : float
        PESQ and STOI, see `scoring.measure`.
    """

    audio: np.ndarray
    assessment: Assessment
    reference: np.ndarray
    plan: tuple[Step, ...]
    lqo: float
    intelligibility: float


def draw_plan(
    rng: np.random.Generator, taxonomy: Taxonomy, recorded: tuple[str, ...] = RECORDED
) -> tuple[Step, ...]:
    """Draw none to three degradations, as ``simulation.yaml`` says under ``draw``.

    Arguments
    ---------
    rng : numpy.random.Generator
    taxonomy : Taxonomy
    recorded : tuple of str
        Recorded noise types that there is material for.

    Returns
    -------
    tuple of Step
        In the order of application.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> len(draw_plan(np.random.default_rng(1), load_taxonomy("qualispeech"))) <= 3
    True
    """
    draw = load_settings()["draw"]
    if rng.random() < draw["clean"]:
        return ()
    kinds = {t: kind_of(taxonomy, t) for t in CHAIN if t not in RECORDED or t in recorded}
    left = {t: draw["kinds"][k.name] / len(k.types) for t, k in kinds.items()}
    steps = []
    for _ in range(1 + rng.choice(len(draw["count"]), p=draw["count"])):
        weights = np.array(list(left.values()))
        type_ = str(rng.choice(list(left), p=weights / weights.sum()))
        kind = kinds[type_].name
        gone = [t for t in left if t == type_ or (kind in draw["once"] and kinds[t].name == kind)]
        for name in gone:
            del left[name]
        steps.append(Step(type_, round(rng.random(), 3), bool(rng.random() >= draw["whole"])))
    return tuple(sorted(steps, key=lambda step: CHAIN.index(step.type)))


def simulate_clip(
    clean: np.ndarray,
    rng: np.random.Generator,
    taxonomy: Taxonomy,
    noises: Mapping[str, NoiseMaker] | None = None,
    ceiling: float = 5.0,
    make_room: RoomMaker = room_response,
    plan: tuple[Step, ...] | None = None,
) -> SimulatedClip:
    """Degrade a clean clip as drawn and label what was done.

    Arguments
    ---------
    clean : numpy.ndarray of float32, shape (n,)
        Clean speech at 16 kHz, best 3 to 8 s. What would make the result
        longer than 9.9 s is cut off at a quiet moment.
    rng : numpy.random.Generator
        Decides everything: the same state gives the same clip.
    taxonomy : Taxonomy
    noises : mapping from str to callable, optional
        Makers of the recorded noises; types without one are not drawn.
    ceiling : float
        Quality of the clean source, in [1, 5]; see `scoring.score_dimensions`.
    make_room : RoomMaker
        Simulates rooms or gives recorded ones.
    plan : tuple of Step, optional
        Degradations to apply; drawn by `draw_plan` if not given.

    Raises
    ------
    NoSpeechError
        If the clean clip has no speech or is shorter than 1 s.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> rng = np.random.default_rng(3)
    >>> voice = (rng.normal(0, 0.1, 32000) * np.hanning(32000)).astype(np.float32)
    >>> plan = (Step("white noise", 0.9, False),)
    >>> clip = simulate_clip(voice, rng, load_taxonomy("qualispeech"), plan=plan)
    >>> clip.assessment.artifacts[0].interval, clip.assessment.mos < 3
    (Interval(start_s=0.0, end_s=2.0), True)
    """
    noises = noises or {}
    if plan is None:
        plan = draw_plan(rng, taxonomy, tuple(sorted(noises)))
    audio = _set_level(fit_length(clean, plan), rng)
    reference, artifacts = audio, []
    for step in plan:
        interval = draw_part(audio, rng) if step.partial else None
        audio, added = degrade(
            audio, rng, step.type, step.severity, taxonomy, interval, noises, make_room
        )
        if step.type == "inserted pause":
            pauses = [a.interval for a in added]
            artifacts = [timing.after_pauses(a, pauses) for a in artifacts]
        artifacts += added
        if step.type in TALKER_TYPES:
            audio = audio[: len(audio) // GRID * GRID]
            reference = audio
    peak = max(1.0, float(np.max(np.abs(audio))) / 0.99)
    audio, reference = audio / np.float32(peak), reference / np.float32(peak)
    lqo, intelligibility = measure(reference, audio)
    duration_s = len(audio) / SAMPLE_RATE_HZ
    scores = score_dimensions(artifacts, duration_s, taxonomy, ceiling)
    overall = taxonomy.overall
    scores[overall] = overall_score(scores[overall], lqo, intelligibility, ceiling)
    scores = {name: round(score, 3) for name, score in scores.items()}
    assessment = Assessment(taxonomy, scores, tuple(artifacts))
    text = describe(assessment, duration_s, rng)
    assessment = Assessment(taxonomy, scores, tuple(artifacts), text)
    return SimulatedClip(audio, assessment, reference, plan, lqo, intelligibility)


def fit_length(clean: np.ndarray, plan: tuple[Step, ...]) -> np.ndarray:
    """Cut a clip so that it stays short enough after the plan, where it is quietest.

    Raises
    ------
    NoSpeechError
        If it is shorter than 1 s.
    """
    longest_s = LONGEST_S
    for step in reversed(plan):
        if step.type == "inserted pause":
            longest_s -= timing.pause_length_s(step.severity)
        if step.type == "too slow":
            longest_s *= timing.tempo(step.severity, fast=False)
    if len(clean) < SAMPLE_RATE_HZ:
        length_s = len(clean) / SAMPLE_RATE_HZ
        raise NoSpeechError(f"clean clip: is {length_s:.2f} s long; give at least 1 s")
    return cut_where_quiet(clean, int(longest_s * SAMPLE_RATE_HZ))


def _set_level(clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    level = active_rms(clean)
    if not level > 1e-6:
        raise NoSpeechError("clean clip: is silent; leave its source out")
    gain = 10 ** (rng.uniform(*_LEVEL_DB) / 20) / level
    gain = min(gain, 0.9 / float(np.max(np.abs(clean))))
    return (clean * np.float32(gain)).astype(np.float32)


def draw_part(audio: np.ndarray, rng: np.random.Generator) -> Interval:
    """Draw a stretch of 0.5 s to 70 % of a clip, on the 10 ms grid, with speech in it."""
    total = len(audio) // GRID
    active = np.r_[0, np.cumsum(active_frames(audio))]
    shortest = round(_SHORTEST_PART_S * SAMPLE_RATE_HZ / GRID)
    length = int(rng.integers(shortest, max(shortest + 1, int(0.7 * total))))
    length = min(length, total)
    starts = rng.integers(0, total - length + 1, size=4)
    start = int(starts[np.argmax(active[starts + length] - active[starts])])
    return Interval(start / 100, (start + length) / 100)
