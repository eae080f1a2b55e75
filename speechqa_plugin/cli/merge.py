"""``speechqa merge``: one file of results from the parts of several processes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from speechqa_plugin.cli.app import app, refuse
from speechqa_plugin.manifest import write_manifest
from speechqa_plugin.schema import Utterance
from speechqa_plugin.scoring.filters import Filter, FilterError
from speechqa_plugin.scoring.lock import LockedError, locked
from speechqa_plugin.scoring.results import ResultsError, Run, judged, read_rows
from speechqa_plugin.scoring.shares import merge as merge_parts
from speechqa_plugin.scoring.shares import part_name, parts_of
from speechqa_plugin.scoring.summary import Summary, counted

FilterOption = Annotated[
    str | None,
    typer.Option(
        "--filter",
        metavar="CONDITION",
        help="Also write a manifest (OUT's name with .passed.jsonl) of the files that meet a "
        "condition on their scores, like 'mos >= 3.5 and noise > 3'; one that was not judged (no "
        "speech or too short) meets none.",
    ),
]


@app.command()
def merge(
    out: Annotated[Path, typer.Argument(help="Results to make.")],
    parts: Annotated[
        list[Path] | None,
        typer.Argument(help="Results of all shares; those beside OUT if not given."),
    ] = None,
    filter_: FilterOption = None,
):
    """One file of results from the parts that --shard wrote, if none is missing."""
    try:
        condition = Filter(filter_) if filter_ else None
        with locked(out):
            merge_parts(out, parts or parts_of(out))
        conclude(out, Run.read(out).format, condition)
    except (ResultsError, FilterError, LockedError) as err:
        refuse(str(err))
    except OSError as err:
        refuse(f"{out}: can't be written ({err})")


def merge_if_complete(out: Path, n: int, condition: Filter | None) -> None:
    """What the last of several processes does: merge, once all parts are finished."""
    try:
        with locked(out):
            parts = [p for i in range(1, n + 1) if (p := part_name(out, (i, n))).exists()]
            merge_parts(out, parts)
    except (ResultsError, LockedError):
        print(f"when all {n} shares are finished, the last merges them into {out}")
        return
    conclude(out, Run.read(out).format, condition)


def conclude(out: Path, format_: str, condition: Filter | None) -> None:
    """Print what results hold, and write the manifest of the files that meet the condition."""
    if not out.exists():
        return
    print(Summary(read_rows(out, format_), out))
    if condition is None:
        return
    condition.check_names([*Run.read(out).dimensions, "duration_s"])
    passed = passed_name(out)
    n = sum(1 for _ in passing(out, format_, condition))
    if n:
        write_manifest(passed, passing(out, format_, condition))
    else:
        passed.unlink(missing_ok=True)
    meet = f"{counted(n, 'file')} meet{'s' if n == 1 else ''}"
    print(f"{meet} {condition.text!r}{f': {passed}' if n else ''}")


def passed_name(out: Path) -> Path:
    """Where the manifest of the files goes that meet the condition."""
    return out.with_name(f"{out.stem}.passed.jsonl")


def passing(out: Path, format_: str, condition: Filter):
    """The files that were judged and meet a condition, as rows of a manifest."""
    for row in read_rows(out, format_):
        if judged(row) and condition(row["scores"] | {"duration_s": row["duration_s"]}):
            yield Utterance(row["id"], row["path"], row["duration_s"])
