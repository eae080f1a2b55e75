"""The ``speechqa`` command: assess a few files, or score many."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from speechqa_plugin.files import append_json_line, appended_lines, numbered_lines

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
"""Files that a folder is searched for."""

app = typer.Typer(
    help="Say how good speech recordings sound, what is wrong with them, and when.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_Model = Annotated[
    str,
    typer.Option(
        help="Folder of an exported model. It runs code: use folders of people you trust.",
        envvar="SPEECHQA_MODEL",
    ),
]
_BaseModel = Annotated[
    str | None, typer.Option(help="Base of the model, if it is no longer where it was.")
]
_Device = Annotated[str, typer.Option(help="Where to run: cpu, cuda, cuda:1, ...")]
_BatchSize = Annotated[int, typer.Option(min=1, help="Files heard at once.")]


@app.command()
def assess(
    files: Annotated[list[str], typer.Argument(help="Audio files (WAV, FLAC, OGG, MP3).")],
    model: _Model,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    base_model: _BaseModel = None,
    device: _Device = "cpu",
    batch_size: _BatchSize = 8,
):
    """Scores, artifacts with their times, and the reasons in words."""
    failed = False
    for result in _load(model, base_model, device).assess_files(files, batch_size):
        failed |= result.assessment is None
        if as_json:
            print(json.dumps(result.to_dict()), flush=True)
        elif result.assessment is None:
            print(f"error: {result.error}", file=sys.stderr)
        else:
            print(format_assessment(result.path, result.assessment, result.failure), end="\n\n")
            sys.stdout.flush()
    raise typer.Exit(int(failed))


@app.command()
def score(
    source: Annotated[
        str, typer.Argument(help="A folder (searched below) or a manifest (JSON lines with path).")
    ],
    out: Annotated[Path, typer.Option(help="Results, one JSON object a line.")],
    model: _Model,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with OUT: skip the files it holds.")
    ] = False,
    base_model: _BaseModel = None,
    device: _Device = "cpu",
    batch_size: _BatchSize = 16,
):
    """Scores alone, fast. A file that can't be heard becomes a line with its error."""
    from tqdm import tqdm

    if out.is_dir():
        _refuse(f"{out} is a folder; --out needs a file")
    if out.exists() and not resume:
        _refuse(f"{out} is there; give --resume to go on with it, or another --out")
    paths = find_files(source)
    done = read_done(out) if out.exists() else set()
    waiting = [p for p in paths if p not in done]
    failed = 0
    _check_model(model)  # before there is an empty file of results
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        file = open(out, "a", encoding="ascii")  # names with undecodable bytes are escaped
    except OSError as err:
        _refuse(f"{out}: can't be written ({err})")
    with file:
        results = _load(model, base_model, device).score_files(waiting, batch_size)
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
        return found or _refuse(f"{source}: no audio files ({', '.join(AUDIO_SUFFIXES)}) below it")
    if not path.is_file():
        _refuse(f"{source}: no such folder or manifest")
    found = []
    for number, line in numbered_lines(path):
        try:
            found.append(os.path.join(path.parent, json.loads(line)["path"]))
        except (ValueError, KeyError, TypeError):
            _refuse(
                f"{source}, line {number}: not a JSON object with a 'path'; found {line[:60]!r}"
            )
    return found or _refuse(f"{source}: is empty")


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
            _refuse(f"{out}, line {number}: not a result of this command; found {line[:60]!r}")
    if rest:
        start = b'{"path": '
        if rest[: len(start)] != start[: len(rest)]:
            _refuse(f"{out}: does not end in a result of this command; found {rest[:60]!r}")
        os.truncate(out, out.stat().st_size - len(rest))
    return done


def format_assessment(path: str, assessment, failure: str | None = None) -> str:
    """An assessment as people like to read it.

    Arguments
    ---------
    path : str
        The file it is about.
    assessment : Assessment
        What was found.
    failure : str, optional
        Why the model's text could not be read, if so: the scores alone were found.

    Returns
    -------
    str
        Several lines.
    """
    taxonomy = assessment.taxonomy
    width = max(len(d.title) for d in taxonomy.dimensions)
    lines = [path, f"  {assessment.description or '(no description)'}", ""]
    for dimension in taxonomy.dimensions:
        score = assessment.scores[dimension.name]
        bar = ("█" * round(2 * score)).ljust(10, "·")
        sure = assessment.confidence.get(dimension.name)
        note = "" if sure is None else f"  confidence {sure:.2f}"
        lines.append(
            f"  {dimension.title:<{width}}  {bar} {score:.1f}  {dimension.anchor(score)}{note}"
        )
    lines.append("")
    for artifact in assessment.artifacts:
        when = artifact.interval
        time = "" if when is None else f"  {when.start_s:.1f} to {when.end_s:.1f} s"
        lines.append(f"  {artifact.kind}: {artifact.type}{time}")
    if failure:
        lines.append(f"  (the model's text is unreadable: {failure}; artifacts unknown)")
    elif not assessment.artifacts:
        lines.append("  no artifacts found")
    return "\n".join(lines)


def _check_model(model: str) -> None:
    if not (Path(model) / "hyperparams.yaml").is_file():
        _refuse(
            f"{model}: no hyperparams.yaml in it; --model needs the folder of an exported model"
        )


def _load(model: str, base_model: str | None, device: str):
    """Import torch only now: help and refusals come at once."""
    _check_model(model)
    import torch

    from speechqa_plugin import SpeechQualityAssessor

    try:
        # With its index: SpeechBrain parses "cuda:0" only.
        found = torch.zeros(1, device=device).device
    except (RuntimeError, AssertionError) as err:
        _refuse(f"--device {device}: {str(err).splitlines()[0]}")
    try:
        return SpeechQualityAssessor.from_hparams(
            source=model,
            run_opts={"device": str(found)},
            overrides={"base_model": base_model} if base_model else {},
        )
    except (OSError, ValueError) as err:
        _refuse(f"{model}: {err}")


def _refuse(message: str):
    print(f"speechqa: {message}", file=sys.stderr)
    raise SystemExit(2)


def main() -> None:
    """Entry point of the ``speechqa`` command."""
    sys.stdout.reconfigure(errors="backslashreplace")  # any file name, any terminal
    app()
