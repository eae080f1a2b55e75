"""One clean clip → one degraded clip in any order of degradations, and its stems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import yaml

from speechqa_plugin.schema import Artifact, Taxonomy
from speechqa_plugin.simulate import noise, timing
from speechqa_plugin.simulate.clip import Step, draw_part, fit_length
from speechqa_plugin.simulate.degradations import TALKER_TYPES, kind_of
from speechqa_plugin.simulate.noise import RECORDED, NoiseMaker
from speechqa_plugin.simulate.room import RoomMaker, room_response
from speechqa_plugin.simulate.signals import GRID, SAMPLE_RATE_HZ, NoSpeechError
from speechqa_plugin.simulate.wide.degradations import TYPES, degrade
from speechqa_plugin.speech_level import set_speech_level, speech_level

STEMS = ("noise", "distortion")
"""Kinds of artifact that are also applied alone: something can measure them so."""

_NO_SPEECH_S = (1.0, 9.0)
_NO_SPEECH_DB = (-80.0, -20.0)
_SILENT = 0.25
"""Share of the clips without speech that are digital silence."""


@dataclass(frozen=True)
class WideClip:
    """A degraded clip and what it is measured by.

    Arguments
    ---------
    audio : numpy.ndarray of float32, shape (n,)
        At 16 kHz, within [-1, 1].
    artifacts : tuple of Artifact
    plan : tuple of Step
        What was drawn, in the order of application.
    reference : numpy.ndarray of float32, shape (n,), or None
        The clean voice at the same moments; None where nobody speaks.
    stems : mapping from str to numpy.ndarray of float32, shape (n,)
        The voice with the artifacts of one kind alone, for the kinds of `STEMS` that the clip has.
    """

    audio: np.ndarray
    artifacts: tuple[Artifact, ...]
    plan: tuple[Step, ...]
    reference: np.ndarray | None
    stems: Mapping[str, np.ndarray]


@lru_cache
def load_settings() -> dict:
    """What ``wide.yaml`` holds: ``draw`` and ``labels``.

    Example
    -------
    >>> 0 < load_settings()["draw"]["clean"] < 1
    True
    """
    path = Path(__file__).with_name("wide.yaml")
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def draw_plan(
    rng: np.random.Generator, taxonomy: Taxonomy, recorded: tuple[str, ...] = RECORDED
) -> tuple[Step, ...]:
    """Draw none to four degradations, as ``wide.yaml`` says under ``draw``.

    Arguments
    ---------
    rng : numpy.random.Generator
    taxonomy : Taxonomy
        Has all types of `degradations.TYPES`.
    recorded : tuple of str
        Recorded noise types that there is material for.

    Returns
    -------
    tuple of Step
        What the talker does comes first, the others in any order.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> len(draw_plan(np.random.default_rng(1), load_taxonomy("wide"))) <= 4
    True
    """
    draw = load_settings()["draw"]
    if rng.random() < draw["clean"]:
        return ()
    left: dict[str, dict[str, float]] = {}
    for type_ in TYPES:
        if type_ not in RECORDED or type_ in recorded:
            kind = kind_of(taxonomy, type_).name
            left.setdefault(kind, {})[type_] = draw["types"].get(type_, 1)
    steps = []
    for _ in range(1 + rng.choice(len(draw["count"]), p=draw["count"])):
        kind = _pick(rng, {k: draw["kinds"][k] for k, types in left.items() if types})
        type_ = _pick(rng, left[kind])
        del left[kind][type_]
        if kind in draw["once"]:
            del left[kind]
        steps.append(Step(type_, round(rng.random(), 3), bool(rng.random() >= draw["whole"])))
    return tuple(sorted(steps, key=lambda step: step.type not in TALKER_TYPES))


def simulate_wide(
    clean: np.ndarray,
    rng: np.random.Generator,
    taxonomy: Taxonomy,
    noises: Mapping[str, NoiseMaker] | None = None,
    make_room: RoomMaker = room_response,
    plan: tuple[Step, ...] | None = None,
) -> WideClip:
    """Degrade a clean clip as drawn.

    Each step has random numbers of its own, so that a stem has the very noise or distortion that
    the clip has.

    Arguments
    ---------
    clean : numpy.ndarray of float32, shape (n,)
        Clean speech at 16 kHz, best 3 to 8 s.
    rng : numpy.random.Generator
        Decides everything: the same state gives the same clip.
    taxonomy : Taxonomy
    noises : mapping from str to callable, optional
        Makers of the recorded noises; types without one are not drawn.
    make_room : RoomMaker
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
    >>> plan = (Step("white noise", 0.9, False), Step("clipping", 0.5, False))
    >>> clip = simulate_wide(voice, rng, load_taxonomy("wide"), plan=plan)
    >>> sorted(clip.stems), [a.type for a in clip.artifacts]
    (['distortion', 'noise'], ['white noise', 'clipping'])
    """
    noises = noises or {}
    if plan is None:
        plan = draw_plan(rng, taxonomy, tuple(sorted(noises)))
    audio, artifacts = _set_level(fit_length(clean, plan), rng), []
    seeds = rng.integers(2**63, size=len(plan))
    n_talker = sum(step.type in TALKER_TYPES for step in plan)
    steps = list(zip(plan, seeds, strict=True))
    for step, seed in steps[:n_talker]:
        audio, added = _apply(audio, audio, step, seed, taxonomy, noises, make_room)
        if step.type == "inserted pause":
            artifacts = [timing.after_pauses(a, [b.interval for b in added]) for a in artifacts]
        artifacts += added
        audio = audio[: len(audio) // GRID * GRID]
    reference = audio

    def render(kinds):
        out, found = reference, []
        for step, seed in steps[n_talker:]:
            if kind_of(taxonomy, step.type).name in kinds:
                out, added = _apply(out, reference, step, seed, taxonomy, noises, make_room)
                found += added
        return out, found

    audio, added = render(taxonomy.kind_names)
    stems = {k: render([k])[0] for k in STEMS if any(a.kind == k for a in added)}
    peak = max(1.0, *(np.max(np.abs(x)) / 0.99 for x in (audio, reference, *stems.values())))
    audio, reference = audio / np.float32(peak), reference / np.float32(peak)
    stems = {kind: stem / np.float32(peak) for kind, stem in stems.items()}
    return WideClip(audio, (*artifacts, *added), plan, reference, stems)


def without_speech(
    rng: np.random.Generator, taxonomy: Taxonomy, noises: Mapping[str, NoiseMaker] | None = None
) -> WideClip:
    """A clip of 1 to 9 s in which nobody speaks: silence, or a noise at -80 to -20 dB.

    Babble is left out, since it is speech.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> clip = without_speech(np.random.default_rng(0), load_taxonomy("wide"))
    >>> clip.reference is None, clip.artifacts[0].type
    (True, 'coloured noise')
    """
    n = round(rng.uniform(*_NO_SPEECH_S) * 100) * GRID
    if rng.random() < _SILENT:
        return WideClip(np.zeros(n, np.float32), (), (), None, {})
    makers = noise.SYNTHETIC | {t: m for t, m in (noises or {}).items() if t != "babble"}
    type_ = str(rng.choice(sorted(makers)))
    made = makers[type_](rng, n)
    audio = made / np.sqrt(np.mean(np.square(made))) * 10 ** (rng.uniform(*_NO_SPEECH_DB) / 20)
    artifact = Artifact(kind_of(taxonomy, type_).name, type_, 0.0, n / SAMPLE_RATE_HZ)
    return WideClip(np.clip(audio, -1, 1).astype(np.float32), (artifact,), (), None, {})


def _pick(rng: np.random.Generator, weights: Mapping[str, float]) -> str:
    values = np.array(list(weights.values()), dtype=np.float64)
    return str(rng.choice(list(weights), p=values / values.sum()))


def _set_level(clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if not speech_level(clean, SAMPLE_RATE_HZ).active_db > -120:
        raise NoSpeechError("clean clip: is silent; leave its source out")
    level_db = rng.uniform(*load_settings()["draw"]["level_db"])
    audio = set_speech_level(clean, SAMPLE_RATE_HZ, level_db)
    return audio * np.float32(min(1.0, 0.9 / float(np.max(np.abs(audio)))))


def _apply(
    audio: np.ndarray,
    reference: np.ndarray,
    step: Step,
    seed: int,
    taxonomy: Taxonomy,
    noises: Mapping[str, NoiseMaker],
    make_room: RoomMaker,
) -> tuple[np.ndarray, tuple[Artifact, ...]]:
    rng = np.random.default_rng(seed)
    part = draw_part(reference, rng) if step.partial else None
    return degrade(audio, rng, step.type, step.severity, taxonomy, part, noises, make_room)
