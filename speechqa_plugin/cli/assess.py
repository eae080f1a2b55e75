"""``speechqa assess``: some files, with reasons, for people to read."""

from __future__ import annotations

import glob
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from speechqa_plugin.cli.app import (
    OWN_MODEL,
    BaseModel,
    BatchSize,
    Device,
    Model,
    Sources,
    app,
    load,
    refuse,
    sound_weights,
)
from speechqa_plugin.sources import SourceError, find_sources


@app.command()
def assess(
    sources: Sources,
    model: Model = OWN_MODEL,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    base_model: BaseModel = None,
    device: Device = "cpu",
    batch_size: BatchSize = 8,
):
    """Scores, artifacts with their times, and the reasons in words."""
    failed = False
    try:
        paths = named(sources)
    except SourceError as err:
        refuse(str(err))
    progress = long_bar(sys.stderr)
    assessor = load(model, base_model, device)
    from speechqa_plugin.cli.readable import format_assessment  # imports numpy

    with sound_weights(model):
        for result in assessor.assess_files(paths, batch_size, progress):
            failed |= result.assessment is None
            if as_json:
                print(json.dumps(result.to_dict()), flush=True)
            elif result.assessment is None:
                print(f"error: {result.error}", file=sys.stderr)
            else:
                print(format_assessment(result.path, result.assessment, result.failure), end="\n\n")
                sys.stdout.flush()
    raise typer.Exit(int(failed))


def named(sources: Sequence[str]) -> list[str]:
    """The files that these name, each once; one that is not there is refused when its turn comes.

    Arguments
    ---------
    sources : sequence of str
        See `speechqa_plugin.sources.find_sources`.

    Raises
    ------
    SourceError
        If a folder, glob or list names nothing.
    """
    paths: list[str] = []
    for source in sources:
        gone = source != "-" and not (os.path.lexists(source) or glob.has_magic(source))
        paths += [source] if gone else [found.path for found in find_sources([source])]
    return list(dict.fromkeys(paths))


def long_bar(stream) -> Callable[[str, float, float], None]:
    """A bar for each long recording, where the stream is a terminal.

    Arguments
    ---------
    stream : text file
        Where to draw it.

    Returns
    -------
    callable
        A `speechqa_plugin.listening.Progress`.
    """
    from tqdm import tqdm

    bars: dict[str, tqdm] = {}

    def show(path: str, heard_s: float, total_s: float) -> None:
        if path not in bars:
            bars[path] = tqdm(
                total=round(total_s),
                desc=Path(path).name,
                unit="s",
                file=stream,
                leave=False,
                disable=None,  # unless it is a terminal
            )
        bars[path].update(round(heard_s) - bars[path].n)
        if heard_s >= total_s:
            bars.pop(path).close()

    return show
