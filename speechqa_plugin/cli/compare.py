"""``speechqa compare``: versions of the same clips beside each other."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from speechqa_plugin.cli.app import (
    OWN_MODEL,
    BaseModel,
    BatchSize,
    Device,
    Model,
    app,
    load,
    refuse,
)
from speechqa_plugin.cli.outputs import PAGES, check_output, write_output
from speechqa_plugin.cli.report import EMBEDDED_S, loaded, measured
from speechqa_plugin.files import numbered_lines
from speechqa_plugin.report.extra import check_extra
from speechqa_plugin.schema import Taxonomy
from speechqa_plugin.scoring.results import ResultsError, format_of, judged, read_rows
from speechqa_plugin.sources import AUDIO_SUFFIXES, find_sources

if TYPE_CHECKING:
    from speechqa_plugin.report.versions import Versions

Scored = dict[str, dict[str, float] | str | None]
"""Path to scores, or why it could not be heard, or None where there was nothing to judge."""


@app.command()
def compare(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="A B [C ...]",
            help="Audio files, folders, manifests, or results of score or of assess --json.",
        ),
    ],
    model: Model = OWN_MODEL,
    by: Annotated[
        str, typer.Option(help="The dimension that ranks and sorts, by its name or title.")
    ] = "mos",
    most: Annotated[int, typer.Option(min=0, help="How many of the most different clips.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Also a page to look at, one HTML file; the most different clips can be heard.",
        ),
    ] = None,
    base_model: BaseModel = None,
    device: Device = "cpu",
    batch_size: BatchSize = 16,
):
    """How versions of the same clips differ; more than two are ranked.

    Clips pair by file name, whatever the folder and the ending. Intervals are 95 % ones of a
    paired bootstrap. Two files are one pair.
    """
    if out is not None:
        check_output("-o", out, PAGES, sources)
    if len(sources) < 2:
        refuse(f"compare needs two sources or more; found {sources[0]!r} alone")
    for source in sources:
        if not Path(source).exists():
            refuse(f"{source}: no such file or folder")
    try:
        if out is not None:
            check_extra("jinja2", *(["matplotlib"] if most else []))
        found = _compared(sources, by, (model, base_model, device), batch_size)
        if out is not None:
            from speechqa_plugin.report.versions_page import render_versions

            page = render_versions(found, _sounds(found, most))
            write_output("-o", out, lambda path: path.write_text(page, encoding="utf-8"))
    except (ModuleNotFoundError, OSError, ValueError) as err:
        refuse(str(err))
    print(json.dumps(found.to_dict(), allow_nan=False) if as_json else found.text(most))


def _compared(
    sources: Sequence[str], by: str, model: tuple[str, str | None, str], batch_size: int
) -> Versions:
    """How the sources differ; what does not pair, or is no dimension, is found before any is heard.

    Raises
    ------
    ValueError
        If they can't be compared.
    """
    # Only now: it imports scipy, which takes longer than --help may.
    from speechqa_plugin.report.versions import compare_versions, find_dimension, pair

    results = [_read_results(source) for source in sources]
    paths = [
        list(found) if found else [audio.path for audio in find_sources([source])]
        for found, source in zip(results, sources, strict=True)
    ]
    files = all(Path(s).suffix.lower() in AUDIO_SUFFIXES and Path(s).is_file() for s in sources)
    pair(sources, paths, files)
    assessor = load(*model) if None in results else None
    taxonomy = assessor.answerer.taxonomy if assessor else _known(results)
    there = _names(results)
    if assessor or there:  # where nothing was heard, that is what to say
        by = find_dimension(by, taxonomy.names if taxonomy else there, taxonomy)
    if taxonomy and there and set(there) != set(taxonomy.names):
        raise ValueError(
            f"dimensions {there} of the results and {list(taxonomy.names)} of the model differ; "
            "need scores of one model's taxonomy"
        )
    if assessor:
        waiting = [p for p, found in zip(paths, results, strict=True) if found is None]
        heard = _score(assessor, waiting, batch_size)
        results = [found or next(heard) for found in results]
    return compare_versions(sources, results, by, files, taxonomy)


def _names(results: Sequence[Scored | None]) -> list[str]:
    """The dimensions of the first results that have scores; none where nothing was heard."""
    rows = (row for found in results if found for row in found.values())
    return next((list(row) for row in rows if isinstance(row, dict)), [])


def _known(results: Sequence[Scored]) -> Taxonomy | None:
    """The shipped taxonomy that results speak of; None if it is another, or nothing was heard."""
    from speechqa_plugin.report.clips import taxonomy_of

    names = _names(results)
    try:
        return taxonomy_of([{"scores": names}]) if names else None
    except ResultsError:
        return None


def _score(assessor, groups: list[list[str]], batch_size: int) -> Iterator[Scored]:
    """Scores of each group, in order."""
    from tqdm import tqdm

    for paths in groups:
        bar = tqdm(
            assessor.score_files(paths, batch_size),
            total=len(paths),
            unit="file",
            disable=True if len(paths) < 2 else None,  # unless it is a terminal
        )
        yield {result.path: _found(result.to_dict()) for result in bar}


def _found(row: Mapping) -> dict[str, float] | str | None:
    """What came of a file, in a row of results."""
    if judged(row):
        return row["scores"]
    return None if "scores" in row else row["error"]


def _sounds(found, most: int) -> dict[str, list]:
    """The clips that differ most, to listen to, as many as a page holds unasked."""
    from speechqa_plugin.report.clips import Clip

    sounds, left_s = {}, EMBEDDED_S
    for name in found.most_different[:most]:
        clips = []
        for path, source in zip(found.paths[name], found.sources, strict=True):
            beside = Path(source).parent / path  # as a list of files may name it
            there = beside if not Path(path).exists() and beside.exists() else path
            clips.append(measured(Clip(str(there), None)))
        left_s -= sum(clip.duration_s or 0 for clip in clips)
        if left_s < 0:
            break
        sounds[name] = [loaded(clip) for clip in clips]
    return sounds


def _read_results(source: str) -> Scored | None:
    """Results that a file holds; None if it is audio, a folder or a list.

    Raises
    ------
    SystemExit
        If it holds results and a line that is none.
    ResultsError
        The same, of a file that ``speechqa score`` wrote.
    """
    from speechqa_plugin.report.clips import is_result

    path = Path(source)
    format_ = format_of(path)
    if format_:
        rows = read_rows(path, format_)
        return {row["path"]: _found(row) for row in rows}
    if not path.is_file() or path.suffix.lower() in AUDIO_SUFFIXES:
        return None
    scored: Scored = {}
    for number, line in numbered_lines(path):
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not _is_row(row):
            if not scored and not (isinstance(row, dict) and is_result(row)):
                return None  # a list, or nothing that anybody knows: find_sources will say
            refuse(f"{source}, line {number}: no 'path' with 'scores'; found {line[:60]!r}")
        if row["path"] in scored:
            refuse(f"{source}, line {number}: {row['path']!r} stands twice")
        scored[row["path"]] = _found(row)
    return scored or None


def _is_row(row: object) -> bool:
    """Whether a line's JSON is what became of a file: numbers by name, or why there are none."""
    if not isinstance(row, dict) or not isinstance(row.get("path"), str):
        return False
    if "scores" not in row:
        return isinstance(row.get("error"), str)
    said = (row["scores"], row.get("confidence") or {})
    return all(
        isinstance(part, dict) and all(isinstance(value, int | float) for value in part.values())
        for part in said
    )
