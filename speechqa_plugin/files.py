"""JSON lines, and files that appear whole or not at all."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Write a file so that no reader ever sees half of it.

    Arguments
    ---------
    path : str or path
        The file; its folder must exist. It is replaced when the block ends, and stays as it was
        if the block raises.

    Yields
    ------
    Path
        Where to write it.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.txt"
    >>> with replacing(path) as unfinished:
    ...     _ = unfinished.write_text("all of it")
    >>> path.read_text()
    'all of it'
    """
    path = Path(path)
    unfinished = _unfinished(path)
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def try_replacing(path: str | os.PathLike) -> None:
    """Raise the OSError that `replacing` would, where the file can't be written; change nothing."""
    unfinished = _unfinished(Path(path))
    unfinished.touch()
    unfinished.unlink()


def _unfinished(path: Path) -> Path:
    # In the same folder, because os.replace is atomic within one file system only.
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def write_whole(path: str | os.PathLike, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all."""
    with replacing(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike, data) -> None:
    """Write data for people to read, whole or not at all."""
    write_whole(path, json.dumps(data, indent=2) + "\n")


def write_json_lines(path: str | os.PathLike, rows: Iterable[dict], for_people=False) -> None:
    r"""Write one object a line, all of them or, if the rows raise, none.

    In ASCII with escapes, so that file names with undecodable bytes survive the way back; for
    people in UTF-8.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.jsonl"
    >>> write_json_lines(path, [{"id": "ä"}, {"id": "b"}])
    >>> path.read_text()
    '{"id": "\\u00e4"}\n{"id": "b"}\n'
    """
    with replacing(path) as unfinished, open(unfinished, "w", encoding="utf-8") as out:
        out.writelines(json.dumps(row, ensure_ascii=not for_people) + "\n" for row in rows)


def append_json_line(file: TextIO, row: dict) -> None:
    """Add an object to an open file; it is there even if the process is killed afterwards."""
    file.write(json.dumps(row) + "\n")
    file.flush()


def numbered_lines(path: str | os.PathLike) -> Iterator[tuple[int, bytes]]:
    """Lines of a file that are not blank, with their numbers from 1."""
    for number, line in enumerate(Path(path).read_bytes().splitlines(), start=1):
        if line.strip():
            yield number, line


def appended_lines(path: str | os.PathLike) -> tuple[list[bytes], bytes]:
    r"""Finished lines of a file that was written line by line, and what a kill cut short.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.jsonl"
    >>> _ = path.write_text('{"id": "a"}\n{"id"')
    >>> appended_lines(path)
    ([b'{"id": "a"}'], b'{"id"')
    """
    whole, end, rest = Path(path).read_bytes().rpartition(b"\n")
    return (whole + end).splitlines(), rest


def looks_like_windows(path: str) -> bool:
    r"""Whether a path was written on Windows and this is another system.

    Example
    -------
    >>> looks_like_windows("wav/a.wav")
    False
    """
    return os.sep == "/" and bool("\\" in path or re.match("[A-Za-z]:/", path))
