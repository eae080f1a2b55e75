"""``speechqa score``: any number of files, scores alone, to a file of results."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from speechqa_plugin import __version__
from speechqa_plugin.ahead import ahead
from speechqa_plugin.cli.app import (
    OWN_MODEL,
    BaseModel,
    BatchSize,
    Device,
    Model,
    Sources,
    app,
    check_model,
    load,
    refuse,
    sound_weights,
)
from speechqa_plugin.cli.assess import long_bar
from speechqa_plugin.cli.merge import FilterOption, conclude, merge_if_complete, passed_name
from speechqa_plugin.scoring.filters import Filter, FilterError
from speechqa_plugin.scoring.lock import LockedError, locked
from speechqa_plugin.scoring.results import (
    Format,
    ResultsError,
    Run,
    WriteError,
    Writer,
    check_same,
    finished_size,
    hash_of,
    model_hash,
    read_rows,
)
from speechqa_plugin.scoring.shares import find_shard, part_name
from speechqa_plugin.scoring.summary import counted
from speechqa_plugin.sources import Source, SourceError, find_sources

EXIT_CODES = (
    "Exit codes: 0 done (a file that can't be heard is a line with its error); 1 done, but no "
    "file could be heard; 2 refused: a wrong argument, list, model or results file; 3 broken off "
    "while writing (disk full): what is finished stays, go on with --resume; 130 interrupted by "
    "Ctrl-C: the same."
)
BROKEN_OFF, INTERRUPTED = 3, 130

WINDOW = 64
"""Batches whose files are put in order of length together."""


@app.command(epilog=EXIT_CODES)
def score(
    sources: Sources,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Results: JSON lines, or CSV if so named.")
    ],
    model: Model = OWN_MODEL,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with OUT: skip the files it holds.")
    ] = False,
    format_: Annotated[
        Format | None, typer.Option("--format", help="Whatever OUT is called.")
    ] = None,
    filter_: FilterOption = None,
    shard: Annotated[
        str | None,
        typer.Option(help="Score share I/N only (1/4 ... 4/4), into a part that is merged."),
    ] = None,
    base_model: BaseModel = None,
    device: Device = "cpu",
    batch_size: BatchSize = 16,
):
    """Scores alone, fast. A file that can't be heard becomes a line with its error."""
    try:
        condition = Filter(filter_) if filter_ else None
        share = find_shard(shard, os.environ)
        part = part_name(out, share) if share else out
        check_target(part, resume)
        check_target(out, resume)
        if condition:
            check_target(passed_name(out), resume)
        found = find_sources(sources)
        check_model(model)  # before there is an empty file of results
        run = Run(
            model=model_hash(model),
            form="scores",
            format=format_ or (Format.CSV if out.suffix.lower() == ".csv" else Format.JSONL),
            version=__version__,
            n_sources=len(found),
            sources=hash_of([s.path for s in found]),
            shard=list(share) if share else None,
        )
        mine = found[share[0] - 1 :: share[1]] if share else found
        make_folder(part)
        with locked(part):
            check_target(part, resume)  # again: another may just have finished it
            finish(part, run, mine, condition, (model, base_model, device), batch_size)
        if share:
            merge_if_complete(out, share[1], condition)
        else:
            conclude(out, run.format, condition)
    except (SourceError, ResultsError, FilterError, LockedError) as err:
        refuse(str(err))
    except OSError as err:
        refuse(f"{part}: can't be written ({err})")
    raise typer.Exit(all_failed(part, run.format))


def check_target(path: Path, resume: bool) -> None:
    """Refuse a target that is a folder, or is there and not to be gone on with."""
    if path.is_dir():
        refuse(f"{path} is a folder; --out needs a file")
    if path.exists() and path.stat().st_size and not resume:
        refuse(f"{path} is there; give --resume to go on with it, or another --out")


def make_folder(out: Path) -> None:
    """Make the folder of the results."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        refuse(f"{out}: can't be written ({err})")


def read_done(out: Path, run: Run) -> tuple[set[str], Run]:
    """Paths that a results file holds, and the run as it began.

    A last row that a kill left unfinished is cut off the file.

    Arguments
    ---------
    out : Path
        File that an earlier run may have written.
    run : Run
        What this run is.

    Raises
    ------
    ResultsError
        If it is another file, or of another model or form; it stays as it is.
    """
    if not out.exists() or not out.stat().st_size:
        return set(), run
    done = {row["path"] for row in read_rows(out, run.format)}
    size = finished_size(out, run.format)
    earlier = Run.read(out)
    check_same(out, earlier, run)
    if size < out.stat().st_size:
        os.truncate(out, size)
    return done, replace(run, dimensions=earlier.dimensions)


def finish(
    out: Path,
    run: Run,
    sources: Sequence[Source],
    condition: Filter | None,
    model: tuple[str, str | None, str],
    batch_size: int,
) -> None:
    """Score what results don't hold yet, and add it to them."""
    from tqdm import tqdm

    done, run = read_done(out, run)
    waiting = [s for s in sources if s.path not in done]
    bar = tqdm(total=len(sources), initial=len(sources) - len(waiting), unit="file", disable=None)
    progress = long_bar(sys.stderr)
    n = heard = 0
    heard_s, start = 0.0, time.perf_counter()
    try:
        if waiting:
            assessor = load(*model)
            run = replace(run, dimensions=list(assessor.answerer.taxonomy.names))
        writer = Writer(out, run)
        if condition and run.dimensions:
            condition.check_names([*run.dimensions, "duration_s"])
        start = time.perf_counter()
        with bar, closing(writer), sound_weights(model[0]):
            for row in scored(assessor, waiting, batch_size, progress) if waiting else ():
                writer.write(row)
                n, heard = n + 1, heard + ("error" not in row)
                heard_s += row.get("duration_s", 0.0)
                bar.update()
    except WriteError as err:
        break_off(str(err), BROKEN_OFF, len(done) + n, len(sources))
    except KeyboardInterrupt:
        break_off(f"{out}: interrupted", INTERRUPTED, len(done) + n, len(sources))
    took_s = time.perf_counter() - start
    print(f"{out}: {counted(n, 'file')}, {len(done)} done before")
    if heard_s:
        print(f"{heard / took_s:.1f} files/s, {heard_s / took_s:.1f} seconds of audio a second")


def break_off(what: str, code: int, n: int, total: int) -> NoReturn:
    """Say in one sentence how far it came."""
    hint = "go on with --resume" if n else "nothing was written"
    print(f"\nspeechqa: {what}; {n} of {counted(total, 'file')} finished, {hint}", file=sys.stderr)
    raise SystemExit(code)


def scored(
    assessor, sources: Sequence[Source], batch_size: int, progress: Callable
) -> Iterator[dict]:
    """Rows of results, in the order in which they come.

    Files of like length are heard together, which saves padding; within a window only, so that
    the first rows come at once.
    """
    for window in ahead(by_length(sources, WINDOW * batch_size)):
        paths = [source.path for _, source in window]
        results = assessor.score_files(paths, batch_size, progress)
        for (duration_s, source), result in zip(window, results, strict=True):
            row = {"path": source.path, "id": source.id}
            if result.assessment is not None:
                row["duration_s"] = round(duration_s, 3)
            yield row | result.to_dict()


def by_length(sources: Sequence[Source], window: int) -> Iterator[list[tuple[float, Source]]]:
    """Windows of the sources with their lengths in seconds, 0 where it can't be told, in order."""
    from speechqa_plugin.audio import AudioError, audio_duration_s

    def length(source: Source) -> float:
        try:
            return audio_duration_s(source.path)
        except AudioError:  # is heard, and refused, in its turn
            return 0.0

    for first in range(0, len(sources), window):
        some = [(length(s), s) for s in sources[first : first + window]]
        yield sorted(some, key=lambda pair: pair[0])


def all_failed(out: Path, format_: str) -> int:
    """Exit code: 1 if there are results, and no file of them could be heard."""
    if not out.exists() or not out.stat().st_size:
        return 0
    return int(all("error" in row for row in read_rows(out, format_)))
