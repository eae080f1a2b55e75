"""Things done to time: pauses put in, stretches cut out, another tempo."""

from __future__ import annotations

import av
import numpy as np

from speechqa_plugin.schema import Artifact, Interval
from speechqa_plugin.simulate.signals import (
    EDGE,
    GRID,
    SAMPLE_RATE_HZ,
    Degraded,
    active_frames,
    edge_fades,
    to_interval,
    to_slice,
)

_OCTAVES = (0.15, 0.85)
"""|log2 tempo| at severity 0 and 1: 1.11 to 1.80 times, .90 to .55 times."""

_PAUSE_S, _CUT_S = (0.3, 2.0), (0.15, 1.5)
"""Silence put in, and speech taken away, at severity 0 and 1: all gaps together."""

_SHORTEST_PAUSE_S, _SHORTEST_CUT_S = 0.25, 0.1

_APART = 15
"""Frames of 10 ms between two gaps, at least."""


def tempo(severity: float, fast: bool) -> float:
    """Tempo factor of a severity in [0, 1]; above 1 for fast.

    Example
    -------
    >>> round(tempo(1, fast=True), 2), round(tempo(1, fast=False), 2)
    (1.8, 0.55)
    """
    octaves = _OCTAVES[0] + (_OCTAVES[1] - _OCTAVES[0]) * severity
    return 2 ** (octaves if fast else -octaves)


def pause_length_s(severity: float) -> float:
    """Seconds of silence that `insert_pauses` adds, at most, by its severity in [0, 1].

    Example
    -------
    >>> pause_length_s(1)
    2.0
    """
    return _PAUSE_S[0] + (_PAUSE_S[1] - _PAUSE_S[0]) * severity


def stretch(audio: np.ndarray, factor: float) -> np.ndarray:
    """Other tempo, same pitch, by FFmpeg's ``atempo`` (WSOLA).

    Arguments
    ---------
    audio : numpy.ndarray of float32, shape (n,)
    factor : float
        In [0.5, 2]; above 1 is faster.

    Returns
    -------
    numpy.ndarray of float32, shape (round(n / factor),)

    Example
    -------
    >>> len(stretch(np.zeros(16000, dtype=np.float32), 2.0))
    8000
    """
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=SAMPLE_RATE_HZ, format="flt", layout="mono")
    filter_ = graph.add("atempo", f"{factor:.6f}")
    sink = graph.add("abuffersink")
    source.link_to(filter_)
    filter_.link_to(sink)
    graph.configure()
    # The filter swallows up to a window at the end: give it silence to swallow.
    samples = np.pad(np.asarray(audio, dtype=np.float32), (0, SAMPLE_RATE_HZ // 2))
    frame = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
    frame.sample_rate, frame.pts = SAMPLE_RATE_HZ, 0
    graph.push(frame)
    graph.push(None)
    parts = []
    while True:
        try:
            parts.append(graph.pull().to_ndarray().ravel())
        except av.error.EOFError:
            return np.concatenate(parts)[: round(len(audio) / factor)]


def change_tempo(
    audio: np.ndarray,
    rng: np.random.Generator,
    severity: float,
    interval: Interval | None,
    fast: bool,
) -> Degraded:
    """Speak faster or slower in a stretch, see `Degraded`; the clip's length changes.

    Example
    -------
    >>> clip = np.zeros(32000, dtype=np.float32)
    >>> out, where, _ = change_tempo(clip, None, 1, Interval(1, 2), fast=False)
    >>> where[0].start_s, round(where[0].length_s, 1)
    (1.0, 1.8)
    """
    del rng
    part = to_slice(audio, interval)
    factor = tempo(severity, fast)
    # With what comes after it, so that the stretch does not end as if the clip did.
    new = stretch(audio[part.start : part.stop + SAMPLE_RATE_HZ // 2], factor)
    new = new[: int((part.stop - part.start) / factor) // GRID * GRID].copy()
    # It begins as the clip goes on and ends a little elsewhere: without this, with a click.
    edge = min(EDGE, len(new), part.stop)
    fade = np.linspace(0, 1, edge, dtype=np.float32)
    new[len(new) - edge :] *= 1 - fade
    new[len(new) - edge :] += fade * audio[part.stop - edge : part.stop]
    out = np.concatenate([audio[: part.start], new, audio[part.stop :]]).astype(np.float32)
    return Degraded(out, [to_interval(slice(part.start, part.start + len(new)))], severity)


def insert_pauses(
    audio: np.ndarray, rng: np.random.Generator, severity: float, interval: Interval | None
) -> Degraded:
    """Put one to three silences into running speech; the clip becomes longer.

    A degradation, see `Degraded`: the silences last 0.3 to 2 s together.

    Example
    -------
    >>> clip = np.ones(32000, dtype=np.float32)
    >>> out, where, _ = insert_pauses(clip, np.random.default_rng(0), 1, None)
    >>> (len(out) - len(clip)) / 16000, round(sum(w.length_s for w in where), 6)
    (2.0, 2.0)
    """
    pieces, intervals, done, added = [], [], 0, 0
    total_s = pause_length_s(severity)
    for place, length in _draw_gaps(audio, rng, interval, total_s, _SHORTEST_PAUSE_S, False):
        pieces += [_faded(audio, done, place), np.zeros(length, np.float32)]
        intervals.append(to_interval(slice(place + added, place + added + length)))
        done, added = place, added + length
    pieces.append(_faded(audio, done, len(audio)))
    return Degraded(np.concatenate(pieces).astype(np.float32), intervals, severity)


def cut_out(
    audio: np.ndarray, rng: np.random.Generator, severity: float, interval: Interval | None
) -> Degraded:
    """Silence one to three stretches of speech, which start in the interval; the length stays.

    A degradation, see `Degraded`: 0.15 to 1.5 s together. The severity given back is that of the
    seconds that are gone: fewer where the clip ends first.

    Example
    -------
    >>> clip = np.ones(32000, dtype=np.float32)
    >>> out, where, _ = cut_out(clip, np.random.default_rng(0), 0, None)
    >>> int(np.sum(out == 0)) == round(sum(w.length_s for w in where) * 16000)
    True
    """
    total_s = _CUT_S[0] + (_CUT_S[1] - _CUT_S[0]) * severity
    out = np.array(audio, dtype=np.float32)
    intervals = []
    for place, length in _draw_gaps(audio, rng, interval, total_s, _SHORTEST_CUT_S, True):
        gap = slice(place, min(place + length, len(out)))
        out[gap] = 0
        intervals.append(to_interval(gap))
    gone_s = sum(i.length_s for i in intervals)
    reached = (gone_s - _CUT_S[0]) / (_CUT_S[1] - _CUT_S[0])
    return Degraded(out, intervals, min(severity, max(0.0, reached)))


def after_pauses(artifact: Artifact, pauses: list[Interval]) -> Artifact:
    """Move an artifact that was there before pauses were put in.

    Arguments
    ---------
    artifact : Artifact
        With times of the clip without the pauses.
    pauses : list of Interval
        What `insert_pauses` gave, in order.

    Returns
    -------
    Artifact
        With times of the clip with them; a pause inside makes it longer.

    Example
    -------
    >>> after_pauses(Artifact("speed", "too fast", 0.0, 2.0), [Interval(1.0, 1.5)]).end_s
    2.5
    """
    start, end = artifact.start_s, artifact.end_s
    for pause in pauses:
        start += pause.length_s if start >= pause.start_s else 0.0
        end += pause.length_s if end > pause.start_s else 0.0
    return Artifact(artifact.kind, artifact.type, round(start, 6), round(end, 6), artifact.severity)


def _draw_gaps(
    audio: np.ndarray,
    rng: np.random.Generator,
    interval: Interval | None,
    total_s: float,
    shortest_s: float,
    inside: bool,
) -> list[tuple[int, int]]:
    """One to three gaps where speech is running, so that each is heard as one.

    Returns (start, length) in samples on the grid, in order, of the given audio;
    ``inside`` says that the gaps take away audio instead of being put between.
    """
    count = int(rng.integers(1, max(1, min(3, int(total_s / shortest_s))) + 1))
    while True:
        lengths = _split_length(rng, round(total_s * SAMPLE_RATE_HZ / GRID), count)
        taken = max(lengths) if inside else 0
        places = _draw_places(audio, rng, interval, count, taken)
        if len(places) == count:
            return [(p * GRID, n * GRID) for p, n in zip(places, lengths, strict=True)]
        count = len(places)


def _split_length(rng: np.random.Generator, total: int, count: int) -> list[int]:
    ends = np.cumsum(rng.uniform(0.5, 1.0, count))
    return [int(n) for n in np.diff(np.round(ends / ends[-1] * total), prepend=0)]


def _draw_places(
    audio: np.ndarray, rng: np.random.Generator, interval: Interval | None, count: int, taken: int
) -> list[int]:
    """At most `count` frames, at least one, with room for a gap after each but the last."""
    part = to_slice(audio, interval)
    running = np.convolve(active_frames(audio), np.ones(11), mode="same") > 8
    frames = np.arange(len(running))
    allowed = (frames * GRID >= part.start) & (frames * GRID < part.stop)
    fitting = allowed & (frames <= max(0, len(frames) - taken))
    for choice in (running & fitting, fitting, allowed):
        if choice.any():
            break
    left, places = np.flatnonzero(choice), []
    while len(left) and len(places) < count:
        places.append(int(rng.choice(left)))
        left = left[np.abs(left - places[-1]) >= taken + _APART]
    return sorted(places)


def _faded(audio: np.ndarray, start: int, stop: int) -> np.ndarray:
    """A voice that starts and stops within 5 ms: abrupt, but without a click."""
    return audio[start:stop] * edge_fades(slice(start, stop), len(audio)).astype(np.float32)
