"""Where a page or a figure is written: what is refused before anything is heard."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from speechqa_plugin.cli.app import refuse
from speechqa_plugin.files import replacing, try_replacing
from speechqa_plugin.report.marks import MAKER, PAGE

_BEGINNING = 1000  # bytes in which a file says what it is

PAGES = dict.fromkeys((".html", ".htm"), (b"<!DOCTYPE html>", PAGE.encode()))
"""Endings of a page, and what stands in one of ours."""

FIGURES = {
    ".png": (b"\x89PNG\r\n", f"tEXtSoftware\0{MAKER}".encode()),
    ".svg": (b"<svg", f"<dc:title>{MAKER}</dc:title>".encode()),
    ".pdf": (b"%PDF-", f"/Creator ({MAKER})".encode()),
}
"""The same of a figure."""


def check_output(
    option: str, out: Path, kinds: dict[str, tuple[bytes, ...]], sources: Sequence[str]
) -> None:
    """Refuse what can't be written, or must not be as something else is lost, in one sentence.

    Arguments
    ---------
    option : str
        What the user calls it.
    out : Path
        The file. A link stands for what it leads to.
    kinds : dict
        `PAGES` or `FIGURES`.
    sources : sequence of str
        What is read.
    """
    said, real = f"{option} {out}", Path(os.path.realpath(out))
    endings = ", ".join(kinds)
    example = "report.html" if kinds is PAGES else "figure.png"
    if str(out) == "-":
        refuse(f"{said}: standard output is not written to; give a file's name, like {example}")
    if str(real) in map(os.path.realpath, sources):
        refuse(f"{said}: is one of the files to read; give another name")
    if real.is_dir():
        refuse(f"{said}: is a folder; give a file's name, like {out / example}")
    if os.path.lexists(real) and not real.is_file():
        refuse(f"{said}: is no regular file (a device or a pipe, say); give another name")
    if out.suffix.lower() not in kinds:
        refuse(f"{said}: need a name that ends in {endings}")
    if not real.parent.is_dir():
        folder = real.parent if out.is_symlink() else out.parent
        refuse(f"{said}: folder {folder} does not exist")
    try:
        if real.exists() and not _is_of(real, kinds[out.suffix.lower()]):
            refuse(f"{said}: is there and was not made by this command; give another name")
        if real.exists() and not os.access(real, os.W_OK):
            refuse(f"{said}: can't be written (is read-only)")
        try_replacing(real)
    except OSError as err:
        refuse(f"{said}: can't be written ({err.strerror})")


def write_output(option: str, out: Path, write: Callable[[Path], object]) -> None:
    """Write a file that `check_output` let pass, whole or not at all.

    Arguments
    ---------
    option : str
        What the user calls it.
    out : Path
        The file.
    write : callable
        Takes the path to write.
    """
    try:
        with replacing(os.path.realpath(out)) as unfinished:
            write(unfinished)
    except OSError as err:
        refuse(f"{option} {out}: can't be written ({err.strerror or err})")


def _is_of(file: Path, marks: Sequence[bytes]) -> bool:
    """Whether a file is one of the kind that this command made, or empty."""
    with open(file, "rb") as opened:
        text = opened.read(_BEGINNING)
        if text.startswith(b"%PDF-"):  # which says at its end who made it
            text += opened.read()
    return not text or all(mark in text for mark in marks)
