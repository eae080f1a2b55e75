"""All degradations by the name of their type, in the order of a real recording chain.

The talker comes first (tempo, pauses, pitch), then the room, the noises, the
microphone and amplifier, the band, the codec, the network. The types are those
of the ``qualispeech`` taxonomy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

import numpy as np

from speechqa_plugin.schema import Artifact, ArtifactKind, Interval, Taxonomy
from speechqa_plugin.simulate import channel, codec, noise, room, timing, voice
from speechqa_plugin.simulate.noise import NoiseMaker
from speechqa_plugin.simulate.room import RoomMaker, room_response
from speechqa_plugin.simulate.signals import (
    Degraded,
    SimulationError,
    replace_part,
    to_interval,
    to_slice,
)

Process = Callable[[np.ndarray, np.random.Generator, float], np.ndarray]
"""``process(audio, rng, severity)``: a distortion that keeps the length."""

TALKER_TYPES = ("too fast", "too slow", "inserted pause", "pitch shift")
"""Changes of the talking itself. The aligned reference of a clip is taken after
them: PESQ and STOI compare sounds of the same moment and pitch and would call
such a change a destroyed signal."""

CHAIN = (
    *TALKER_TYPES,
    *("robotic voice", "reverberation"),
    *noise.RECORDED,
    *noise.SYNTHETIC,
    *("buzz", "clipping", "quantisation", "muffled", "narrow band"),
    *("codec", "packet loss", "cut-out"),
)
"""Every type, in the order in which they are applied."""

_PROCESSES: dict[str, Process] = {
    "pitch shift": voice.shift_pitch,
    "robotic voice": voice.robotise,
    "buzz": channel.buzz,
    "clipping": channel.clip,
    "quantisation": channel.quantise,
    "muffled": channel.muffle,
    "narrow band": channel.narrow_band,
    "packet loss": channel.lose_packets,
}

_OTHERS: dict[str, Callable[..., Degraded]] = {
    "too fast": partial(timing.change_tempo, fast=True),
    "too slow": partial(timing.change_tempo, fast=False),
    "inserted pause": timing.insert_pauses,
    "cut-out": timing.cut_out,
    "codec": codec.code_part,
}


def kind_of(taxonomy: Taxonomy, type_: str) -> ArtifactKind:
    """Artifact kind that a type belongs to.

    Raises
    ------
    SimulationError
        If no kind of the taxonomy has that type.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> kind_of(load_taxonomy("qualispeech"), "clipping").name
    'distortion'
    """
    for kind in taxonomy.kinds:
        if type_ in kind.types:
            return kind
    raise SimulationError(
        f"type {type_!r} belongs to no artifact kind of taxonomy {taxonomy.name!r}; add it there"
    )


def degrade(
    audio: np.ndarray,
    rng: np.random.Generator,
    type_: str,
    severity: float,
    taxonomy: Taxonomy,
    interval: Interval | None = None,
    noises: Mapping[str, NoiseMaker] | None = None,
    make_room: RoomMaker = room_response,
    processes: Mapping[str, Callable[..., Degraded]] = MappingProxyType({}),
) -> tuple[np.ndarray, tuple[Artifact, ...]]:
    """Add one degradation to a clip, or to a part of it.

    Arguments
    ---------
    audio : numpy.ndarray of float32, shape (n,)
        At 16 kHz.
    rng : numpy.random.Generator
    type_ : str
        One of `CHAIN`.
    severity : float
        From 0 (just there) to 1 (as bad as it gets).
    taxonomy : Taxonomy
        Gives the kind of the type.
    interval : Interval or None
        Where in the given clip; None for all of it.
    noises : mapping from str to callable, optional
        Makers of the recorded noises, see `noise.NoiseMaker`.
    make_room : RoomMaker
        Simulates rooms or gives recorded ones.
    processes : mapping from str to callable
        Degradations by type, see `signals.Degraded`, beside or instead of this module's.

    Returns
    -------
    audio : numpy.ndarray of float32
        Longer or shorter than before for changes of tempo and pauses.
    artifacts : tuple of Artifact
        With times of the returned clip; several for pauses and cut-outs. The
        severity is the one reached (a codec has a few settings only).

    Raises
    ------
    SimulationError
        If the type is unknown, or is a recorded noise and ``noises`` has none.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> rng, taxonomy = np.random.default_rng(0), load_taxonomy("qualispeech")
    >>> clip = np.sin(np.arange(16000) / 5).astype(np.float32)
    >>> degrade(clip, rng, "white noise", 0.5, taxonomy, Interval(0.2, 0.8))[1]
    (Artifact(kind='noise', type='white noise', start_s=0.2, end_s=0.8, severity=0.5),)
    """
    kind = kind_of(taxonomy, type_).name
    apply = processes.get(type_) or _find(type_, noises or {}, make_room)
    audio, intervals, reached = apply(audio, rng, severity, interval)
    artifacts = (Artifact(kind, type_, i.start_s, i.end_s, reached) for i in intervals)
    return audio.astype(np.float32), tuple(artifacts)


def distort(
    audio: np.ndarray,
    rng: np.random.Generator,
    severity: float,
    interval: Interval | None,
    process: Process,
) -> Degraded:
    """Apply a process to a stretch of a clip, with short crossfades inside it; see `Degraded`.

    Example
    -------
    >>> tone = np.sin(np.arange(16000) / 5).astype(np.float32)
    >>> out = distort(tone, None, 1.0, Interval(0.5, 1), channel.quantise).audio
    >>> bool(np.array_equal(out[:8000], tone[:8000])), len(np.unique(out[8200:])) < 10
    (True, True)
    """
    part = to_slice(audio, interval)
    out = replace_part(audio, part, process(audio[part], rng, severity))
    return Degraded(out, [to_interval(part)], severity)


def _find(
    type_: str, noises: Mapping[str, NoiseMaker], make_room: RoomMaker
) -> Callable[..., Degraded]:
    if type_ in _OTHERS:
        return _OTHERS[type_]
    if type_ == "reverberation":
        return partial(distort, process=partial(room.reverberate, make_room=make_room))
    if type_ in _PROCESSES:
        return partial(distort, process=_PROCESSES[type_])
    make = noise.SYNTHETIC.get(type_) or noises.get(type_)
    if make is None:
        raise SimulationError(
            f"type {type_!r}: no such degradation, or no recording of it was given; "
            f"known are {CHAIN}, given {sorted(noises)}"
        )
    return partial(noise.add_noise, type_=type_, make=make)
