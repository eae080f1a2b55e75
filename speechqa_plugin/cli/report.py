"""``speechqa report``: assessed clips as a page to look at, or one as a figure for a paper."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

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
from speechqa_plugin.cli.outputs import FIGURES, PAGES, check_output, write_output
from speechqa_plugin.report.extra import check_extra
from speechqa_plugin.schema import SchemaError, Taxonomy, load_taxonomy
from speechqa_plugin.scoring.results import ResultsError, format_of
from speechqa_plugin.sources import AUDIO_SUFFIXES, SourceError, find_sources

EMBEDDED_S = 300
"""A page holds its audio unasked up to this much in all: 13 MB."""


@app.command()
def report(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="FILES",
            help="Audio files, folders, globs, manifests, results of score or of assess --json.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The page, one HTML file.")
    ] = None,
    png: Annotated[
        Path | None,
        typer.Option(help="A figure of one clip; the ending says PNG, SVG or PDF."),
    ] = None,
    model: Model = OWN_MODEL,
    audio: Annotated[
        bool | None,
        typer.Option(
            "--audio/--no-audio",
            help="Player, waveform and spectrogram of every clip; if not said, up to "
            f"{EMBEDDED_S // 60} minutes of audio in all.",
        ),
    ] = None,
    taxonomy: Annotated[
        str | None, typer.Option(help="YAML file of the results' dimensions, if not ours.")
    ] = None,
    base_model: BaseModel = None,
    device: Device = "cpu",
    batch_size: BatchSize = 8,
):
    """A page to look at: what is wrong with a clip and when, or how many clips compare."""
    from speechqa_plugin.report.page import render_page

    if out is None and png is None:
        refuse("nothing to write; give -o report.html, or --png figure.png for one clip")
    if out is not None:
        check_output("-o", out, PAGES, sources)
    if png is not None:
        check_output("--png", png, FIGURES, sources)
    try:
        check_extra(*([] if out is None else ["jinja2"]), *([] if png is None else ["matplotlib"]))
        rows = gather(sources)
        if png is not None and len(rows) != 1:
            refuse(f"--png draws one clip, and {len(rows)} were given")
        known = load_taxonomy(taxonomy) if taxonomy else None
        clips, known = assessed(rows, known, audio, (model, base_model, device), batch_size)
        clips = with_sound(clips, True if png else audio)
    except (ModuleNotFoundError, ResultsError, SchemaError, SourceError) as err:
        refuse(str(err))
    try:
        if png is not None:
            draw(clips[0], png)
        if out is not None:
            page = render_page(clips, known)
            write_output("-o", out, lambda path: path.write_text(page, encoding="utf-8"))
    except ModuleNotFoundError as err:
        refuse(str(err))
    print(f"wrote {' and '.join(str(f) for f in (out, png) if f)}: {counts(clips)}")
    raise typer.Exit(int(any(clip.assessment is None for clip in clips)))


def counts(clips: Sequence) -> str:
    """How many clips there are, and which of them have no scores."""
    from speechqa_plugin.report.words import some_of
    from speechqa_plugin.scoring.summary import counted

    said = [counted(len(clips), "clip")]
    unheard = [clip.error for clip in clips if clip.assessment is None]
    silent = [clip.path for clip in clips if clip.assessment and not clip.judged]
    if unheard:
        said.append(f"could not be heard: {len(unheard)} ({some_of(unheard)})")
    if silent:
        said.append(f"not judged: {len(silent)} ({some_of(silent)})")
    return "; ".join(said)


def gather(sources: Sequence[str]) -> list[dict]:
    """Rows of results and manifests as they are, and one with its path for each other file."""
    from speechqa_plugin.report.clips import read_rows

    rows = []
    for source in sources:
        if Path(source).suffix.lower() in (".jsonl", ".json") or format_of(source):
            rows += read_rows(source)
        elif Path(source).suffix.lower() in AUDIO_SUFFIXES and not glob.has_magic(source):
            rows.append({"path": source})  # one that is missing is on the page as such
        else:
            rows += [{"path": found.path} for found in find_sources([source])]
    return rows


def assessed(
    rows: Sequence[dict],
    taxonomy: Taxonomy | None,
    audio: bool | None,
    model: tuple[str, str | None, str],
    batch_size: int,
) -> tuple[list, Taxonomy]:
    """Rows as clips, those that have a path alone after the model heard them, and the taxonomy.

    What is wrong with the others, or with the pictures of what is heard, is found before.
    """
    from speechqa_plugin.report.clips import clip_from_row, is_result, taxonomy_of

    waiting = [row for row in rows if not is_result(row)]
    if waiting:
        check_extra(*([] if audio is False else ["matplotlib"]))
        assessor = load(*model)
        taxonomy = assessor.answerer.taxonomy
    taxonomy = taxonomy or taxonomy_of(rows)
    clips = [clip_from_row(row, taxonomy) if is_result(row) else None for row in rows]
    if waiting:
        heard = listened(assessor, waiting, batch_size)
        clips = [clip or clip_from_row(next(heard), taxonomy) for clip in clips]
    return clips, taxonomy


def listened(assessor, rows: Sequence[dict], batch_size: int) -> Iterator[dict]:
    """Rows that have a path alone with what the model says."""
    from tqdm import tqdm

    results = assessor.assess_files([row["path"] for row in rows], batch_size)
    bar = tqdm(results, total=len(rows), unit="file", disable=None)  # unless it is a terminal
    for row, result in zip(rows, bar, strict=True):
        yield row | result.to_dict()


def with_sound(clips: Sequence, audio: bool | None) -> list:
    """Clips with their lengths and, if asked or not much in all, their samples.

    Where a file of results names what is not there any more, the clip stays without, and says so.
    """
    found = [clip if clip.assessment is None else measured(clip) for clip in clips]
    if audio is None:
        audio = sum(clip.duration_s or 0 for clip in found) <= EMBEDDED_S
    if not audio:
        note = f"not asked for, and more than {EMBEDDED_S // 60} minutes in all; --audio shows it"
        return [replace(c, no_sound=note) if c.duration_s else c for c in found]
    return [loaded(clip) for clip in found]


def measured(clip):
    """A clip with its length or the reason why it has none."""
    from speechqa_plugin.audio import AudioError, audio_duration_s

    try:
        return replace(clip, duration_s=audio_duration_s(clip.path))
    except AudioError as err:
        return replace(clip, no_sound=str(err))


def loaded(clip):
    """A clip that has a length, with its samples or the reason why not."""
    from speechqa_plugin.audio import SAMPLE_RATE_HZ, AudioError, load_audio

    if not clip.duration_s:
        return clip
    try:
        samples = load_audio(clip.path).numpy()
    except AudioError as err:
        return replace(clip, no_sound=str(err))
    return replace(clip, samples=samples, rate_hz=SAMPLE_RATE_HZ)


def draw(clip, path: Path) -> None:
    """The figure of a clip, or in one sentence why there is none."""
    from speechqa_plugin.report.clip_figure import clip_figure

    if clip.assessment is None:
        refuse(clip.error)
    if clip.samples is None:
        refuse(f"no sound to draw: {clip.no_sound}")
    ending = path.suffix[1:].lower()
    write_output("--png", path, lambda file: clip_figure(clip, file, format=ending))
