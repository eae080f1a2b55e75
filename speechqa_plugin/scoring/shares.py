"""Many processes, each with its share of the files, and one file of results in the end."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from speechqa_plugin.files import replacing
from speechqa_plugin.scoring.results import (
    ResultsError,
    Run,
    Writer,
    check_same,
    read_rows,
    run_file,
)

_PART = re.compile(r"\.(\d+)-of-(\d+)$")


def find_shard(given: str | None, environment: Mapping[str, str]) -> tuple[int, int] | None:
    """Which share of how many this process has, from 1; None for all.

    Arguments
    ---------
    given : str or None
        ``i/n``.
    environment : mapping
        Where torchrun says it, if it was not given.

    Raises
    ------
    ResultsError
        If what was given is no share.

    Example
    -------
    >>> find_shard("2/4", {}), find_shard(None, {"RANK": "0", "WORLD_SIZE": "2"})
    ((2, 4), (1, 2))
    """
    if given is None:
        n = int(environment.get("WORLD_SIZE", 1))
        return (int(environment["RANK"]) + 1, n) if n > 1 and "RANK" in environment else None
    match = re.fullmatch(r"(\d+)/(\d+)", given)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise ResultsError(f"--shard {given}: need i/n with i from 1 to n, like 1/4")
    return int(match[1]), int(match[2])


def part_name(out: Path, shard: tuple[int, int]) -> Path:
    """Where a share's results go.

    Example
    -------
    >>> part_name(Path("scores.jsonl"), (1, 2)).name
    'scores.1-of-2.jsonl'
    """
    return out.with_name(f"{out.stem}.{shard[0]}-of-{shard[1]}{out.suffix}")


def parts_of(out: Path) -> list[Path]:
    """The parts that lie beside a file of results that is to be merged from them."""
    beside = out.parent.glob(f"*{out.suffix}") if out.parent.is_dir() else ()
    return sorted(p for p in beside if _PART.sub("", p.stem) == out.stem and _PART.search(p.stem))


def merge(out: Path, parts: Sequence[Path]) -> None:
    """Make one file of results from all its parts, or say what is missing.

    Arguments
    ---------
    out : Path
        The file to make; must not be there.
    parts : sequence of Path
        Results of all shares, each finished. They stay.

    Raises
    ------
    ResultsError
        If a part is missing, unfinished, twice there or made from another list of files, by
        another model or in another form.
    """
    if not parts:
        raise ResultsError(f"{out}: no parts of it found beside it; name them after it")
    if os.path.lexists(out) and os.path.getsize(out):
        raise ResultsError(f"{out} is there; give another name")
    runs = {part: Run.read(part) for part in parts}
    first = runs[parts[0]]
    if first.shard is None:
        raise ResultsError(f"{parts[0]}: is no part of anything; it holds all results")
    by_share: dict[int, Path] = {}
    for part, run in runs.items():
        if run.shard is None or run.shard[1] != first.shard[1]:
            raise ResultsError(f"{part}: is share {run.shard}, but {parts[0]} {first.shard}")
        check_same(part, run, replace(first, shard=run.shard))
        if run.shard[0] in by_share:
            raise ResultsError(f"{part}: is the same share as {by_share[run.shard[0]]}; give one")
        by_share[run.shard[0]] = part
    _check_complete(out, by_share, first)
    with replacing(out) as unfinished:
        rows = chain.from_iterable(read_rows(p, first.format) for _, p in sorted(by_share.items()))
        whole = replace(first, shard=None)
        writer = Writer(unfinished, whole)
        try:
            for row in rows:
                writer.write(row)
        finally:
            writer.close()
            run_file(unfinished).unlink(missing_ok=True)
        whole.write(out)


def _check_complete(out: Path, by_share: Mapping[int, Path], run: Run) -> None:
    n = run.shard[1]
    for i in range(1, n + 1):
        wanted = len(range(i - 1, run.n_sources, n))
        if i not in by_share:
            if wanted:  # there may be fewer files than processes
                raise ResultsError(
                    f"share {i} of {n} is missing ({part_name(out, (i, n)).name}); score it with "
                    f"--shard {i}/{n}"
                )
            continue
        found = sum(1 for _ in read_rows(by_share[i], run.format))
        if found != wanted:
            raise ResultsError(
                f"{by_share[i]}: holds {found} of {wanted} files; finish it with --shard {i}/{n} "
                "--resume"
            )
