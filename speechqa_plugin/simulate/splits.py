"""Folders of speech, noise and room responses → what each split may draw from.

The test split shares no speaker, noise file or room file with the others.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from speechqa_plugin.simulate.signals import SimulationError
from speechqa_plugin.simulate.sources import Sources

SPLITS = ("train", "valid", "test")

_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".opus")
_CHANNEL = re.compile(r"ch(?:annel)?[-_ ]?\d+", re.IGNORECASE)
_TEST_SHARE, _VALID_SHARE = 0.2, 0.1
_SPEAKERS_FOR_OWN_VALID = 10


def find_audio(folders: Iterable[str | os.PathLike]) -> list[tuple[str, str]]:
    """All audio files below some folders, by the ending of their names.

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
        Paths by the speaker's folder.

    Raises
    ------
    SimulationError
        See `find_audio`.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> for path in ("19/198/a.flac", "19/227/b.flac", "26/495/c.flac"):
    ...     (folder / path).parent.mkdir(parents=True)
    ...     (folder / path).touch()
    >>> [len(files) for files in find_speech([folder], speaker_level=2).values()]
    [2, 1]
    """
    speakers: dict[str, list[str]] = {}
    for _, path in find_audio(folders):
        speaker = Path(os.path.abspath(path)).parents[speaker_level - 1]
        speakers.setdefault(str(speaker), []).append(path)
    return speakers


def find_noises(folders: Iterable[str | os.PathLike]) -> dict[str, list[str]]:
    """Noise files by type: music where a folder or file name says so, ambience else.

    MUSAN's ``speech`` folder is left out: babble is made of the split's own speakers.

    Raises
    ------
    SimulationError
        See `find_audio`.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> for path in ("music/a.wav", "street/b.wav"):
    ...     (folder / path).parent.mkdir()
    ...     (folder / path).touch()
    >>> sorted(find_noises([folder]))
    ['ambience', 'music']
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
        by_split = _split_training(rng, speech, others, len(names) >= _SPEAKERS_FOR_OWN_VALID) | {
            "test": {n: speech[n] for n in test}
        }
    if not all(files and all(files.values()) for files in by_split.values()):
        raise SimulationError(
            f"speech: {sum(map(len, speech.values()))} files of {len(names)} speakers are too "
            "few to split; give at least 10 files of each speaker"
        )
    of_noise, of_rooms = {}, _cut(rng.permutation(sorted(rooms)), _TEST_SHARE, 0.0)
    for type_ in sorted(noises):
        by_recording: dict[str, list[str]] = {}
        for path in sorted(noises[type_]):
            by_recording.setdefault(_recording(path), []).append(path)
        cut = _cut(rng.permutation(sorted(by_recording)), _TEST_SHARE, 0.0)
        train, _, test = ([p for name in part for p in by_recording[name]] for part in cut)
        of_noise[type_] = {"train": train, "valid": train, "test": test}
        if not test:
            remarks.append(f"{type_}: one recording only, so test has none")
    sources = {
        split: Sources(
            {name: sorted(files) for name, files in by_split[split].items()},
            {t: sorted(parts[split]) for t, parts in of_noise.items() if parts[split]},
            sorted(of_rooms[2] if split == "test" else of_rooms[0]),
        )
        for split in SPLITS
    }
    return sources, remarks


def _recording(path: str) -> str:
    """The folder of a file that is one channel of what many microphones heard, else the file."""
    return str(Path(path).parent) if _CHANNEL.fullmatch(Path(path).stem) else path


def _split_training(
    rng: np.random.Generator, speech: dict[str, list[str]], names: list[str], own_valid: bool
) -> dict[str, dict[str, list[str]]]:
    if own_valid:
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
