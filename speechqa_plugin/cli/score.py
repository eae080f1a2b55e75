"""``speechqa score``: many files, scores alone, to a file of results."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from speechqa_plugin.cli.app import (
    BaseModel,
    BatchSize,
    Device,
    Model,
    app,
    check_model,
    load,
    refuse,
)
from speechqa_plugin.files import append_json_line, appended_lines, numbered_lines

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
"""Files that a folder is searched for."""


@app.command()
def score(
    source: Annotated[
        str, typer.Argument(help="A folder (searched below) or a manifest (JSON lines with path).")
    ],
    out: Annotated[Path, typer.Option(help="Results, one JSON object a line.")],
    model: Model,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with OUT: skip the files it holds.")
    ] = False,
    base_model: BaseModel = None,
    device: Device = "cpu",
    batch_size: BatchSize = 16,
):
    """Scores alone, fast. A file that can't be heard becomes a line with its error."""
    from tqdm import tqdm

    if out.is_dir():
        refuse(f"{out} is a folder; --out needs a file")
    if out.exists() and not resume:
        refuse(f"{out} is there; give --resume to go on with it, or another --out")
    paths = find_files(source)
    done = read_done(out) if out.exists() else set()
    waiting = [p for p in paths if p not in done]
    failed = 0
    check_model(model)  # before there is an empty file of results
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        file = open(out, "a", encoding="ascii")  # names with undecodable bytes are escaped
    except OSError as err:
        refuse(f"{out}: can't be written ({err})")
    with file:
        results = load(model, base_model, device).score_files(waiting, batch_size)
        bar = tqdm(results, total=len(paths), initial=len(paths) - len(waiting), unit="file")
        for result in bar:
            failed += result.assessment is None
            append_json_line(file, result.to_dict())
    print(
        f"{len(waiting)} files, {failed} of them unreadable, {len(paths) - len(waiting)} done "
        f"before: {out}"
    )


def find_files(source: str) -> list[str]:
    """Audio files of a folder (searched below, in order of name) or of a manifest.

    Arguments
    ---------
    source : str
        A folder, or a JSON-lines file whose rows have a ``path`` (relative to the file).

    Returns
    -------
    list of str
        At least one.

    Raises
    ------
    SystemExit
        If there is nothing to be found there; the message says what was looked for.
    """
    path = Path(source)
    if path.is_dir():
        found = sorted(str(p) for p in path.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES)
        return found or refuse(f"{source}: no audio files ({', '.join(AUDIO_SUFFIXES)}) below it")
    if not path.is_file():
        refuse(f"{source}: no such folder or manifest")
    found = []
    for number, line in numbered_lines(path):
        try:
            found.append(os.path.join(path.parent, json.loads(line)["path"]))
        except (ValueError, KeyError, TypeError):
            refuse(f"{source}, line {number}: not a JSON object with a 'path'; found {line[:60]!r}")
    return found or refuse(f"{source}: is empty")


def read_done(out: Path) -> set[str]:
    """Paths that a results file holds. A last line that a kill left unfinished is cut off it.

    Arguments
    ---------
    out : Path
        File that an earlier run wrote.

    Raises
    ------
    SystemExit
        If it is another file; it stays as it is.
    """
    lines, rest = appended_lines(out)
    done = set()
    for number, line in enumerate(lines, start=1):
        try:
            done.add(json.loads(line)["path"])
        except (ValueError, KeyError, TypeError):
            refuse(f"{out}, line {number}: not a result of this command; found {line[:60]!r}")
    if rest:
        start = b'{"path": '
        if rest[: len(start)] != start[: len(rest)]:
            refuse(f"{out}: does not end in a result of this command; found {rest[:60]!r}")
        os.truncate(out, out.stat().st_size - len(rest))
    return done
