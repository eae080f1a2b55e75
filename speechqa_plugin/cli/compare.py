"""``speechqa compare``: versions of the same clips beside each other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from speechqa_plugin.cli.app import (
    BaseModel,
    BatchSize,
    Device,
    ModelUnlessResults,
    app,
    check_model,
    load,
    refuse,
)
from speechqa_plugin.files import numbered_lines
from speechqa_plugin.scoring.results import format_of, read_rows
from speechqa_plugin.sources import AUDIO_SUFFIXES, find_sources

Scored = dict[str, dict[str, float] | str]
"""Path to scores or, where it could not be heard, why."""


@app.command()
def compare(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="A B [C ...]",
            help="Audio files, folders, manifests, or results of score or of assess --json.",
        ),
    ],
    model: ModelUnlessResults = None,
    by: Annotated[str, typer.Option(help="The dimension that ranks and sorts.")] = "mos",
    most: Annotated[int, typer.Option(min=0, help="How many of the most different clips.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    base_model: BaseModel = None,
    device: Device = "cpu",
    batch_size: BatchSize = 16,
):
    """How versions of the same clips differ; more than two are ranked.

    Clips pair by file name, whatever the folder and the ending. Intervals are 95 % ones of a
    paired bootstrap. Two files are one pair.
    """
    if len(sources) < 2:
        refuse(f"compare needs two sources or more; found {sources[0]!r} alone")
    for source in sources:
        if not Path(source).exists():
            refuse(f"{source}: no such file or folder")
    try:
        results = [_read_results(source) for source in sources]
        if None in results:
            if model is None:
                unscored = sources[results.index(None)]
                refuse(f"{unscored}: has to be scored; give --model, or results of speechqa score")
            check_model(model)
            paths = [
                None if found else [audio.path for audio in find_sources([source])]
                for found, source in zip(results, sources, strict=True)
            ]
            scored = _score(load(model, base_model, device), paths, batch_size)
            results = [found or next(scored) for found in results]
        report, text = _compare(sources, results, by, most)
    except ValueError as err:
        refuse(str(err))
    print(json.dumps(report, allow_nan=False) if as_json else text)


def _compare(sources: list[str], results: list[Scored], by: str, most: int) -> tuple[dict, str]:
    """What there is to say of the sources, for programs and for people."""
    # Only now: it imports scipy, which takes longer than --help may.
    from speechqa_plugin.report import pairs

    if all(Path(s).suffix.lower() in AUDIO_SUFFIXES and Path(s).is_file() for s in sources):
        matched = {" / ".join(sources): tuple(sources)}
    else:
        matched = pairs.match([list(scored) for scored in results])
    rows, errors = {}, {}
    for name, paths in matched.items():
        row = [scored[path] for scored, path in zip(results, paths, strict=True)]
        wrong = [found for found in row if isinstance(found, str)]
        if wrong:
            errors[name] = wrong[0]
        else:
            rows[name] = row
    alone = [len(scored) - len(matched) for scored in results]
    report = {"sources": sources, "without_partner": alone}
    head = [f"{chr(65 + i) if i < 26 else i + 1}: {s}" for i, s in enumerate(sources)]
    counts = f"{len(rows)} clip{'s' if len(rows) != 1 else ''} in all of them"
    if any(alone):
        counts += f"; without a partner: {', '.join(map(str, alone))}"
    if errors:
        counts += f"; left out because they cannot be heard: {len(errors)} ({_first(errors)})"
    if len(sources) == 2:
        comparison = pairs.compare_pairs(
            [pairs.Pair(n, *row) for n, row in rows.items()], by, errors
        )
        report |= comparison.to_dict()
        body = pairs.comparison_text(comparison, most)
    else:
        if not rows:
            raise ValueError(f"no clips to compare: {_first(errors)}")
        systems = zip(_distinct(sources), zip(*rows.values(), strict=True), strict=True)
        ranks = pairs.rank(dict(systems), by)
        report |= {"n": len(rows), "by": by, "errors": errors}
        report["ranking"] = [r.to_dict() for r in ranks]
        body = pairs.ranking_text(ranks, by)
    return report, "\n".join([*head, counts, "", body])


def _first(errors: dict[str, str]) -> str:
    return f"the first: {next(iter(errors.values()))}"


def _distinct(sources: list[str]) -> list[str]:
    if len(set(sources)) < len(sources):
        raise ValueError(f"{', '.join(sources)}: one of them stands twice; give each once")
    return sources


def _score(assessor, groups: list[list[str] | None], batch_size: int) -> Iterator[Scored]:
    """Scores of each group that is not None, in order."""
    from tqdm import tqdm

    for paths in groups:
        if paths is None:
            continue
        bar = tqdm(
            assessor.score_files(paths, batch_size),
            total=len(paths),
            unit="file",
            disable=len(paths) < 2,
        )
        yield {r.path: r.error if r.assessment is None else dict(r.assessment.scores) for r in bar}


def _read_results(source: str) -> Scored | None:
    """Results that a file holds; None if it is audio, a folder or a list.

    Raises
    ------
    SystemExit
        If it holds results and a line that is none.
    ResultsError
        The same, of a file that ``speechqa score`` wrote.
    """
    path = Path(source)
    format_ = format_of(path)
    if format_:
        rows = read_rows(path, format_)
        return {row["path"]: row.get("error") or row["scores"] for row in rows}
    if not path.is_file() or path.suffix.lower() in AUDIO_SUFFIXES:
        return None
    scored: Scored = {}
    for number, line in numbered_lines(path):
        try:
            row = json.loads(line)
            found = row["scores"] if "scores" in row else row["error"]
            if not isinstance(found, dict | str):
                raise TypeError
            if row["path"] in scored:
                refuse(f"{source}, line {number}: {row['path']!r} stands twice")
            scored[row["path"]] = found
        except (ValueError, KeyError, TypeError):
            if not scored:
                return None  # a list, or nothing that anybody knows: find_sources will say
            refuse(f"{source}, line {number}: no 'path' with 'scores'; found {line[:60]!r}")
    return scored or None
