"""Folders of speech, noise and room responses → what each split may draw from.

The test split shares no speaker, noise file or room file with the others.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
import soxr

from speechqa_plugin.simulate.noise import NoiseMaker
from speechqa_plugin.simulate.room import room_response
from speechqa_plugin.simulate.signals import GRID, SAMPLE_RATE_HZ, SimulationError, active_rms

SPLITS = ("train", "valid", "test")
_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".opus")
_TEST_SHARE, _VALID_SHARE = 0.2, 0.1
_SPEAKERS_FOR_OWN_VALID = 10
_TRIES = 20
_GAP_S = (0.12, 0.3)
_SHORTEST, _LONGEST = 3 * SAMPLE_RATE_HZ, 8 * SAMPLE_RATE_HZ
"""Range of a clean clip's length, in samples."""


class BadSource(Exception):
    """A source file that cannot be used; the message says why."""


@dataclass
class Sources:
    """What one split may draw from.

    Arguments
    ---------
    speech : dict from str to list of str
        Paths of each speaker.
    noises : dict from str to list of str
        Paths of each recorded noise type.
    rooms : list of str
        Paths of recorded room responses; may be empty.
    bad : dict from str to str
        Files met that could not be used, and why; grows with use.
    """

    speech: dict[str, list[str]]
    noises: dict[str, list[str]] = field(default_factory=dict)
    rooms: list[str] = field(default_factory=list)
    bad: dict[str, str] = field(default_factory=dict)

    def draw_speech(self, rng: np.random.Generator) -> tuple[np.ndarray, str, list[str]]:
        """Draw a clean clip of 3 to 8 s: one file, or short ones of one speaker joined.

        Arguments
        ---------
        rng : numpy.random.Generator

        Returns
        -------
        audio : numpy.ndarray of float32, shape (n,)
            At 16 kHz.
        speaker : str
        paths : list of str

        Raises
        ------
        SimulationError
            If no usable file was found in many draws.
        """
        names = sorted(self.speech)
        for speaker in (names[i] for i in rng.permutation(len(names))):
            parts, paths = self._draw_parts(rng, self.speech[speaker])
            if sum(map(len, parts)) >= SAMPLE_RATE_HZ:
                return np.concatenate(parts)[:_LONGEST], speaker, paths
        raise SimulationError(
            f"speech: nothing usable of any of {len(names)} speakers; "
            f"{len(self.bad)} files are bad, e.g. {next(iter(self.bad.values()), 'none')}"
        )

    def _draw_parts(self, rng: np.random.Generator, files: Sequence[str]) -> tuple[list, list]:
        wanted = int(rng.integers(_SHORTEST, _LONGEST))
        parts, paths, length = [], [], 0
        for i in rng.permutation(len(files))[:_TRIES]:
            part = self._try(files[i], partial(read_speech, rng=rng, wanted=wanted))
            if part is None:
                continue
            gap = round(rng.uniform(*_GAP_S) * 100) * GRID if parts else 0
            if length + gap + len(part) > _LONGEST and length >= _SHORTEST:
                break
            parts += [np.zeros(gap, np.float32), part]
            paths.append(files[i])
            length += gap + len(part)
            if length >= wanted:
                break
        return parts, paths

    def makers(self) -> dict[str, NoiseMaker]:
        """Makers of the recorded noises this split has material for.

        Returns
        -------
        dict from str to callable
            By type: ``make(rng, n)``.
        """
        made: dict[str, NoiseMaker] = {t: partial(self._draw_noise, t) for t in self.noises}
        return made | {"babble": self._draw_babble}

    def draw_room(self, rng: np.random.Generator, severity: float) -> np.ndarray:
        """Draw a recorded room response, or simulate one where there is none.

        Arguments
        ---------
        rng : numpy.random.Generator
        severity : float
            In [0, 1]; only for a simulated one.

        Returns
        -------
        numpy.ndarray, shape (n,)
            Starts with the direct sound.
        """
        for _ in range(_TRIES if self.rooms else 0):
            response = self._try(self.rooms[rng.integers(len(self.rooms))], read_audio)
            if response is not None:
                return response[int(np.argmax(np.abs(response))) :]
        return room_response(rng, severity)

    def _draw_noise(self, type_: str, rng: np.random.Generator, n: int) -> np.ndarray:
        for _ in range(_TRIES):
            path = self.noises[type_][rng.integers(len(self.noises[type_]))]
            noise = self._try(path, partial(read_noise, rng=rng, n=n))
            if noise is not None:
                return noise
        raise SimulationError(f"{type_}: no usable file in {_TRIES} draws; see {sorted(self.bad)}")

    def _draw_babble(self, rng: np.random.Generator, n: int) -> np.ndarray:
        babble = np.zeros(n)
        for _ in range(int(rng.integers(4, 8))):
            voice, _, _ = self.draw_speech(rng)
            babble += np.roll(np.resize(voice, n), rng.integers(n)) / active_rms(voice)
        return babble

    def _try(self, path: str, read: Callable[[str], np.ndarray]) -> np.ndarray | None:
        if path in self.bad:
            return None
        try:
            return read(path)
        except BadSource as err:
            self.bad[path] = str(err)
            return None


def find_audio(folders: Iterable[str | os.PathLike]) -> list[tuple[str, str]]:
    """All audio files below some folders, by the ending of their names.

    Arguments
    ---------
    folders : iterable of path

    Returns
    -------
    list of (root, path)
        Sorted, with the folder each was found in.

    Raises
    ------
    SimulationError
        If a folder does not exist or holds no audio.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> (folder / "a.wav").touch()
    >>> [Path(path).name for _, path in find_audio([folder])]
    ['a.wav']
    """
    found = []
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise SimulationError(f"{folder}: no such folder; correct the path")
        paths = sorted(str(p) for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES)
        if not paths:
            raise SimulationError(f"{folder}: no audio files ({', '.join(_SUFFIXES)}) in it")
        found += [(str(folder), path) for path in paths]
    return found


def find_speech(
    folders: Iterable[str | os.PathLike], speaker_level: int = 1
) -> dict[str, list[str]]:
    """Speech files by speaker, who is told by a folder's name.

    Arguments
    ---------
    folders : iterable of path
    speaker_level : int
        Which folder above a file names the speaker: 1 its parent (VCTK), 2 the
        parent's parent (LibriSpeech, whose parents are chapters).

    Returns
    -------
    dict from str to list of str

    Raises
    ------
    SimulationError
        See `find_audio`.
    """
    speakers: dict[str, list[str]] = {}
    for _, path in find_audio(folders):
        speaker = Path(os.path.abspath(path)).parents[speaker_level - 1]
        speakers.setdefault(str(speaker), []).append(path)
    return speakers


def find_noises(folders: Iterable[str | os.PathLike]) -> dict[str, list[str]]:
    """Noise files by type: music where a folder or file name says so, ambience else.

    MUSAN's ``speech`` folder is left out: babble is made of the split's own speakers.

    Arguments
    ---------
    folders : iterable of path

    Returns
    -------
    dict from str to list of str

    Raises
    ------
    SimulationError
        See `find_audio`.
    """
    noises: dict[str, list[str]] = {}
    for root, path in find_audio(folders):
        parts = Path(path).relative_to(root).parts
        names = [Path(root).name.lower(), *(p.lower() for p in parts)]
        if "speech" in names:
            continue
        type_ = "music" if any("music" in name for name in names) else "ambience"
        noises.setdefault(type_, []).append(path)
    return noises


def split_sources(
    speech: dict[str, list[str]],
    noises: dict[str, list[str]],
    rooms: Sequence[str],
    seed: int,
    test_speakers: Sequence[str] = (),
) -> tuple[dict[str, Sources], list[str]]:
    """Give each split its speakers, noises and rooms.

    A fifth of the speakers (at least one), noise files of each type and rooms go
    to test alone. With ten speakers or more, a tenth of them are valid's alone;
    with fewer, valid has a tenth of the files of each training speaker.

    Arguments
    ---------
    speech : dict from str to list of str
        See `find_speech`.
    noises : dict from str to list of str
        See `find_noises`.
    rooms : sequence of str
        Recorded room responses.
    seed : int
    test_speakers : sequence of str
        Take these for test instead of drawing them.

    Returns
    -------
    sources : dict from str to Sources
        For train, valid and test.
    remarks : list of str
        Sentences a user must read, e.g. that there is one speaker only.

    Raises
    ------
    SimulationError
        If there is too little speech to split.

    Example
    -------
    >>> speech = {s: [f"{s}{i}.wav" for i in range(10)] for s in "abc"}
    >>> sources, remarks = split_sources(speech, {}, [], seed=1, test_speakers=["c"])
    >>> sorted(sources["train"].speech), sorted(sources["test"].speech), remarks
    (['a', 'b'], ['c'], [])
    """
    rng = np.random.default_rng([seed, 1])
    remarks = []
    names = [str(n) for n in rng.permutation(sorted(speech))]
    if len(names) == 1:
        remarks.append("one speaker only: the splits' speakers are NOT disjoint, their files are")
        parts = _cut(rng.permutation(sorted(speech[names[0]])), _TEST_SHARE, _VALID_SHARE)
        by_split = {s: {names[0]: p} for s, p in zip(SPLITS, parts, strict=True)}
    else:
        n_test = max(1, round(_TEST_SHARE * len(names)))
        test = list(test_speakers) or names[:n_test]
        others = [n for n in names if n not in test]
        by_split = _split_training(rng, speech, others) | {"test": {n: speech[n] for n in test}}
    if not all(files and all(files.values()) for files in by_split.values()):
        raise SimulationError(
            f"speech: {sum(map(len, speech.values()))} files of {len(names)} speakers are too "
            "few to split; give at least 10 files of each speaker"
        )
    of_noise, of_rooms = {}, _cut(rng.permutation(sorted(rooms)), _TEST_SHARE, 0.0)
    for type_ in sorted(noises):
        train, _, test = _cut(rng.permutation(sorted(noises[type_])), _TEST_SHARE, 0.0)
        of_noise[type_] = {"train": train, "valid": train, "test": test}
        if not test:
            remarks.append(f"{type_}: one file only, so test has none")
    sources = {
        split: Sources(
            {name: sorted(files) for name, files in by_split[split].items()},
            {t: sorted(parts[split]) for t, parts in of_noise.items() if parts[split]},
            sorted(of_rooms[2] if split == "test" else of_rooms[0]),
        )
        for split in SPLITS
    }
    return sources, remarks


def read_audio(path: str, start: int = 0, stop: int | None = None) -> np.ndarray:
    """Read a file, or a part of it, as 16 kHz mono.

    Arguments
    ---------
    path : str
    start, stop : int
        Samples at the file's own rate.

    Returns
    -------
    numpy.ndarray of float32, shape (n,)

    Raises
    ------
    BadSource
        If it cannot be read, is empty or silent, or holds NaN or infinity.
    """
    try:
        audio, rate_hz = soundfile.read(
            path, start=start, stop=stop, dtype="float32", always_2d=True
        )
    except (soundfile.LibsndfileError, OSError) as err:
        raise BadSource(f"{path}: cannot be read as audio ({err})") from err
    audio = audio.mean(axis=1)
    if not np.isfinite(audio).all():
        raise BadSource(f"{path}: holds samples that are not finite")
    if not np.any(np.abs(audio) > 1e-4):
        raise BadSource(f"{path}: is empty or silent (samples {start} to {stop or 'the end'})")
    return soxr.resample(audio, rate_hz, SAMPLE_RATE_HZ)


def read_speech(path: str, rng: np.random.Generator, wanted: int) -> np.ndarray:
    """Read speech with its level set and its silent ends cut off.

    Arguments
    ---------
    path : str
    rng : numpy.random.Generator
        Chooses the part of a file that is longer than a clip may be.
    wanted : int
        Samples to take of such a file; a shorter file is read as a whole.

    Returns
    -------
    numpy.ndarray of float32, shape (n,)
        With an active level of -26 dB re full scale; a multiple of 10 ms long.

    Raises
    ------
    BadSource
        See `read_audio`.
    """
    audio = _read_part(path, rng, _LONGEST, wanted)
    frames = np.abs(audio[: len(audio) // GRID * GRID]).reshape(-1, GRID)
    if not len(frames):
        raise BadSource(f"{path}: is shorter than 10 ms")
    loud = np.flatnonzero(frames.max(axis=1) > 0.02 * frames.max())
    audio = audio[max(0, loud[0] - 3) * GRID : (loud[-1] + 6) * GRID]
    audio = audio[: len(audio) // GRID * GRID] * np.float32(10 ** (-26 / 20) / active_rms(audio))
    fade = np.linspace(0, 1, GRID, dtype=np.float32)
    audio[:GRID] *= fade
    audio[-GRID:] *= fade[::-1]
    return audio


def read_noise(path: str, rng: np.random.Generator, n: int) -> np.ndarray:
    """Read n samples of noise from a random place; a short file is repeated.

    Arguments
    ---------
    path : str
    rng : numpy.random.Generator
    n : int
        In samples at 16 kHz.

    Returns
    -------
    numpy.ndarray of float32, shape (n,)

    Raises
    ------
    BadSource
        See `read_audio`.
    """
    audio = _read_part(path, rng, n, n)
    if len(audio) >= n:
        return audio[:n]
    return np.roll(np.resize(audio, n), rng.integers(len(audio)))


def _read_part(path: str, rng: np.random.Generator, longest: int, wanted: int) -> np.ndarray:
    """All of a file that is at most `longest`, else `wanted` samples from a random place."""
    try:
        info = soundfile.info(path)
    except (soundfile.LibsndfileError, OSError) as err:
        raise BadSource(f"{path}: cannot be read as audio ({err})") from err
    if info.frames * SAMPLE_RATE_HZ <= longest * info.samplerate:
        return read_audio(path)
    length = int(np.ceil((wanted + GRID) * info.samplerate / SAMPLE_RATE_HZ))
    start = int(rng.integers(max(1, info.frames - length)))
    audio = read_audio(path, start, min(start + length, info.frames))
    return audio[:wanted]


def _split_training(
    rng: np.random.Generator, speech: dict[str, list[str]], names: list[str]
) -> dict[str, dict[str, list[str]]]:
    if len(names) >= _SPEAKERS_FOR_OWN_VALID - 1:
        n_valid = max(1, round(_VALID_SHARE * len(names)))
        valid, train = names[:n_valid], names[n_valid:]
        return {"train": {n: speech[n] for n in train}, "valid": {n: speech[n] for n in valid}}
    split: dict[str, dict[str, list[str]]] = {"train": {}, "valid": {}}
    for name in names:
        split["train"][name], split["valid"][name], _ = _cut(
            rng.permutation(sorted(speech[name])), 0.0, _VALID_SHARE
        )
    return split


def _cut(paths: np.ndarray, test: float, valid: float) -> tuple[list[str], list[str], list[str]]:
    """First part, valid's and test's share; a share above 0 gets one of two files at least."""
    paths = [str(p) for p in paths]
    sizes = [max(1, round(s * len(paths))) if s and len(paths) > 1 else 0 for s in (test, valid)]
    n_test, n_valid = sizes
    return paths[n_test + n_valid :], paths[n_test : n_test + n_valid], paths[:n_test]
