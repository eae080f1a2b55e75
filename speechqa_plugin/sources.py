"""What the user names, as a list of audio files: files, folders, globs and lists of any kind.

A list is a manifest of ours (JSON lines with ``path``), a CSV or JSON manifest as SpeechBrain's
recipes write them, or a Kaldi ``wav.scp``. No audio file is opened.
"""

from __future__ import annotations

import csv
import glob
import json
import logging
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from speechqa_plugin.files import numbered_lines

logger = logging.getLogger(__name__)

# fmt: off
AUDIO_SUFFIXES = (
    ".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aiff", ".aif", ".aifc", ".au", ".snd",
    ".caf", ".w64", ".rf64", ".nist", ".sph", ".voc", ".avr", ".pvf", ".paf", ".sf", ".ircam",
    ".svx", ".8svx", ".htk", ".sds", ".wve", ".xi", ".mp1", ".mp2", ".mpga", ".wave", ".bwf",
    ".amb", ".gsm", ".vox", ".vox6", ".vox8",
)
"""Files that a folder is searched for: what libsndfile reads, except what names other things more
often (``.mat``) or has no header (``.raw``). GSM and VOX have none either, but one rate each."""

_UNREADABLE = (
    ".m4a", ".aac", ".wma", ".webm", ".amr", ".ape", ".mka", ".ac3", ".mpc", ".wv", ".m4b", ".mp4",
    ".mov", ".mkv", ".avi", ".3gp", ".spx", ".dts", ".tta", ".ra", ".raw", ".pcm", ".g722", ".g729",
)
# fmt: on

READABLE = "WAV, FLAC, MP3, Ogg, Opus, AIFF or another format that libsndfile reads"
"""For messages."""

PATH_FIELDS = (
    "path",
    "wav",
    "audio",
    "file",
    "filename",
    "filepath",
    "wav_path",
    "audio_path",
    "sig",
)
"""Names of the column (or field) that holds the audio file, in SpeechBrain's recipes and here; the
first that is there counts."""

_CONVERT = "libsndfile can't read {}; convert to FLAC"
_PLACEHOLDER = re.compile(r"\$\{?(\w+)\}?|\{(\w+)\}")
_ARCHIVE = re.compile(r"\.ark:\d+$")


class SourceError(ValueError):
    """Nothing can be scored there; one sentence with what was found and what is needed."""


@dataclass(frozen=True)
class Source:
    """One audio file.

    Arguments
    ---------
    path : str
        Where it is.
    id : str
        What it is called: as its list calls it, or its path below the folder that was searched,
        so that the same clip has the same id in two folders, or else its path. Unique.
    """

    path: str
    id: str


def unreadable(name: str) -> str:
    """Why a file of this name can't be read and what to do; empty where the name tells nothing.

    Example
    -------
    >>> unreadable("call.M4A")
    "libsndfile can't read .m4a; convert to FLAC"
    """
    suffix = os.path.splitext(name)[1].lower()
    return _CONVERT.format(suffix) if suffix in _UNREADABLE else ""


def find_sources(arguments: list[str]) -> list[Source]:
    """All audio files that some arguments of a command name.

    Arguments
    ---------
    arguments : list of str
        Each is an audio file; a folder, which is searched below; a glob (``**`` for any depth),
        which stands for what it matches; a list (``.jsonl``, ``.json``, ``.csv``, ``.scp``, or
        whatever starts with ``{``); or ``-`` for paths on standard input, one a line.
        A relative path in a list is looked for below the list's folder, then below the
        current one. ``$name`` and ``{name}`` in it are environment variables.

    Returns
    -------
    list of Source
        At least one, in the order of the arguments, in a folder in order of path; a path that is
        named again is left out.

    Raises
    ------
    SourceError
        If an argument names nothing, or a list has a row that names no file. That a file named
        by a list is missing does not show here.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> for name in ("b.flac", "a.opus", "notes.txt"):
    ...     (folder / name).touch()
    >>> [s.id for s in find_sources([str(folder)])]
    ['a.opus', 'b.flac']
    """
    by_path: dict[str, Source] = {}
    ids: set[str] = set()
    for argument in arguments:
        for path, id_ in _expand(argument):
            if path not in by_path:
                by_path[path] = Source(path, path if id_ in ids else id_)
                ids.add(by_path[path].id)
    return list(by_path.values())


def _expand(argument: str) -> Iterator[tuple[str, str]]:
    if argument == "-":
        return _standard_input()
    if os.path.lexists(argument):
        return _expand_path(argument)
    matches = sorted(glob.glob(argument, recursive=True)) if glob.has_magic(argument) else None
    if matches is None:
        raise SourceError(f"{argument}: no such file or folder")
    if not matches:
        raise SourceError(f"{argument}: no file matches it")
    return (found for match in matches for found in _expand_path(match))


def _expand_path(argument: str) -> Iterator[tuple[str, str]]:
    path = Path(argument)
    if path.is_dir():
        return _search(path)
    suffix = path.suffix.lower()
    if suffix in AUDIO_SUFFIXES:
        return iter([(str(path), str(path))])
    try:
        if suffix == ".csv":
            return iter(_csv(path))
        if suffix == ".scp":
            return iter(_kaldi(path))
        if suffix == ".jsonl":
            return iter(_json_lines(path))
        if suffix == ".json" or _starts_with_brace(path):
            return iter(_json(path))
    except OSError as err:
        raise SourceError(f"{argument}: can't be read ({err.strerror})") from err
    return iter([(str(path), str(path))])


def _starts_with_brace(path: Path) -> bool:
    if not path.is_file():  # opening a FIFO would wait for its writer
        return False
    with open(path, "rb") as file:
        return file.read(64).lstrip()[:1] == b"{"


def _search(folder: Path) -> Iterator[tuple[str, str]]:
    def refuse(err: OSError):
        raise SourceError(f"{err.filename}: can't be searched ({err.strerror})") from err

    found, others = [], Counter()
    for parent, _, names in os.walk(folder, onerror=refuse):
        for name in names:
            suffix = os.path.splitext(name)[1].lower()
            if suffix in AUDIO_SUFFIXES:
                found.append(str(Path(parent, name)))
            elif suffix in _UNREADABLE:
                others[suffix] += 1
    left_out = ""
    if others:
        kinds = _CONVERT.format(" and ".join(sorted(others)))
        left_out = f"left out {', '.join(f'{n} {s}' for s, n in sorted(others.items()))}: {kinds}"
    if not found:
        need = left_out or f"need {READABLE}"
        raise SourceError(f"{folder}: no audio file that can be read below it; {need}")
    if left_out:
        logger.warning(f"{folder}: {left_out}")
    return ((path, os.path.relpath(path, folder)) for path in sorted(found))


def _standard_input() -> Iterator[tuple[str, str]]:
    lines = (os.fsdecode(line.rstrip(b"\r\n")) for line in sys.stdin.buffer)
    paths = [str(Path(line)) for line in lines if line.strip()]
    if not paths:
        raise SourceError("standard input: is empty; need the path of an audio file on each line")
    return ((path, path) for path in paths)


# --- lists


def _json_lines(path: Path) -> list[tuple[str, str]]:
    found = []
    for number, line in numbered_lines(path):
        where = f"{path}, line {number}"
        try:
            row = json.loads(line)
            named = os.path.join(row["path"])
        except (ValueError, KeyError, TypeError) as err:
            raise SourceError(
                f"{where}: not a JSON object with a 'path'; found {line[:60]!r}"
            ) from err
        found.append(_row(where, path, named, row.get("id")))
    return _some(path, found)


def _json(path: Path) -> list[tuple[str, str]]:
    """SpeechBrain's: ``{id: {"wav": ..., "length": ...}, ...}``; or JSON lines by another name."""
    try:
        rows = json.loads(path.read_bytes())
    except ValueError:
        return _json_lines(path)
    if not isinstance(rows, dict) or not all(isinstance(r, dict) for r in rows.values()):
        return _json_lines(path)
    return _some(
        path,
        [
            _row(f"{path}, id {i!r}", path, _file_of(f"{path}, id {i!r}", r), i)
            for i, r in rows.items()
        ],
    )


def _csv(path: Path) -> list[tuple[str, str]]:
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        found = []
        try:
            for row in reader:
                where = f"{path}, line {reader.line_num}"
                fields = {(k or "").strip().lower(): v for k, v in row.items()}
                found.append(_row(where, path, _file_of(where, fields), fields.get("id")))
        except csv.Error as err:
            raise SourceError(f"{path}, line {reader.line_num}: is no CSV ({err})") from err
    return _some(path, found)


def _kaldi(path: Path) -> list[tuple[str, str]]:
    found = []
    for number, line in numbered_lines(path):
        where = f"{path}, line {number}"
        id_, _, named = os.fsdecode(line).strip().partition(" ")
        named = named.strip()
        if not named:
            raise SourceError(f"{where}: need an id and a file; found {id_[:60]!r}")
        if named.endswith("|") or _ARCHIVE.search(named):
            raise SourceError(
                f"{where}: {named[:60]!r} is a command or a place in an archive, no file; write "
                "the audio to files first (wav-copy)"
            )
        found.append(_row(where, path, named, id_))
    return _some(path, found)


def _file_of(where: str, row: Mapping[str, str]) -> str:
    name = next((n for n in PATH_FIELDS if n in row), None)
    if name is None:
        raise SourceError(
            f"{where}: names no audio file; need one of {', '.join(PATH_FIELDS)}, found "
            f"{', '.join(map(str, row)) or 'nothing'}"
        )
    if not isinstance(row[name], str) or not row[name].strip():
        raise SourceError(f"{where}: {name} is {row[name]!r}; need the path of an audio file")
    return row[name].strip()


def _row(where: str, list_: Path, named: str, id_) -> tuple[str, str]:
    """Path and id of a row whose file is called this; see `find_sources` on relative paths."""

    def value(match: re.Match) -> str:
        name = match[1] or match[2]
        if name not in os.environ:
            raise SourceError(
                f"{where}: {match[0]} in {named!r} is not known; set the environment variable "
                f"{name} to the folder that it stands for"
            )
        return os.environ[name]

    below = str(list_.parent / named)
    if not os.path.exists(below):
        if _PLACEHOLDER.search(named):
            named = _PLACEHOLDER.sub(value, named)
            below = str(list_.parent / named)
        if os.path.exists(named) and not os.path.exists(below):
            below = named
    return below, below if id_ in (None, "") else str(id_)


def _some(path: Path, found: list) -> list:
    if not found:
        raise SourceError(f"{path}: is empty")
    return found
