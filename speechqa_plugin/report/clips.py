"""Lines of a results file as clips that a report can show."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from speechqa_plugin.files import numbered_lines
from speechqa_plugin.schema import (
    Assessment,
    SchemaError,
    Taxonomy,
    assessment_from_dict,
    load_taxonomy,
    taxonomy_names,
)
from speechqa_plugin.scoring import results
from speechqa_plugin.scoring.results import ResultsError

_ASSESSMENT = ("scores", "artifacts", "description", "confidence")


@dataclass(frozen=True)
class Clip:
    """A recording and what was said of it.

    Arguments
    ---------
    path : str
        The file.
    assessment : Assessment or None
        None where it could not be heard.
    error : str
        Why; empty where there is an assessment.
    failure : str
        Why the model's text could not be read, if so: artifacts are then unknown.
    scores_only : bool
        Whether nothing but scores was asked for: artifacts are then unknown, too.
    warnings : tuple of str
        What to know before the scores are believed.
    system : str
        What made the clip; empty where it is not known.
    duration_s : float or None
        Length, if known.
    no_sound : str
        Why there are no samples, if there should be.
    samples : array or None
        Shape [T], full scale [-1, 1]: what a waveform, a spectrogram and a player are made of.
    rate_hz : int
        Rate of the samples.
    """

    path: str
    assessment: Assessment | None
    error: str = ""
    failure: str = ""
    scores_only: bool = False
    warnings: tuple[str, ...] = ()
    system: str = ""
    duration_s: float | None = None
    no_sound: str = ""
    samples: np.ndarray | None = field(default=None, repr=False, compare=False)
    rate_hz: int = 16000

    @property
    def judged(self) -> bool:
        """Whether its scores say anything: not of what was not heard, nor of what lacks speech."""
        return self.assessment is not None and self.assessment.judged

    @property
    def artifacts_known(self) -> bool:
        """Whether no artifacts means that none were heard."""
        return self.judged and not self.failure and not self.scores_only


def is_result(row: Mapping) -> bool:
    """Whether a line says what came of a file, or only names one."""
    return "scores" in row or "error" in row


def read_rows(path: str | os.PathLike) -> list[dict]:
    """Rows of a results file or of a manifest.

    Arguments
    ---------
    path : str or path
        What `speechqa score` wrote, or JSON lines with a ``path``. Where only the file's folder
        makes a relative path one of a file, it is joined to the folder.

    Raises
    ------
    ResultsError
        If there is no such file or a line is no such object.

    Example
    -------
    >>> file = getfixture("tmp_path") / "results.jsonl"
    >>> _ = file.write_text('{"path": "a.wav", "error": "a.wav: no such file"}')
    >>> read_rows(file)
    [{'path': 'a.wav', 'error': 'a.wav: no such file'}]
    """
    path = Path(path)
    need = "need results of `speechqa score` or `assess --json`, or a manifest (JSON lines)"
    if not path.is_file():
        raise ResultsError(f"{path}: no such file; {need}")
    format_ = results.format_of(path)
    if format_ is None:
        rows = list(_json_lines(path))
    else:
        rows = [row | {"form": "scores"} for row in results.read_rows(path, format_)]
    if not rows:
        raise ResultsError(f"{path}: is empty; {need}")
    for row in rows:
        beside = os.path.join(path.parent, row["path"])
        if not os.path.exists(row["path"]) and (os.path.exists(beside) or not is_result(row)):
            row["path"] = beside
    return rows


def _json_lines(path: Path) -> Iterator[dict]:
    for number, line in numbered_lines(path):
        try:
            row = json.loads(line)
            if not isinstance(row["path"], str):
                raise TypeError
        except (ValueError, KeyError, TypeError):
            raise ResultsError(
                f"{path}, line {number}: not a JSON object with a 'path'; found {line[:60]!r}"
            ) from None
        yield row


def taxonomy_of(rows: Iterable[Mapping]) -> Taxonomy:
    """The shipped taxonomy whose dimensions the results have, or one if nothing was scored.

    Raises
    ------
    ResultsError
        If it is none of them.

    Example
    -------
    >>> taxonomy_of([{"path": "a.wav", "error": "is empty"}]).name
    'qualispeech'
    """
    scores = next((row["scores"] for row in rows if row.get("scores")), None)
    if scores is None:
        return load_taxonomy("qualispeech")  # any would do
    for taxonomy in map(load_taxonomy, taxonomy_names()):
        if set(scores) == set(taxonomy.names):
            return taxonomy
    raise ResultsError(
        f"the results' dimensions {sorted(scores)} are of none of {', '.join(taxonomy_names())}; "
        "give --taxonomy, the YAML file of the model's taxonomy"
    )


def clip_from_row(row: Mapping, taxonomy: Taxonomy) -> Clip:
    """A line of a results file as a clip.

    Arguments
    ---------
    row : mapping
        ``path``, and either ``error`` or an assessment's fields; optionally ``failure``,
        ``warnings``, ``system``, and the ``form`` that was asked for. Other fields are not looked
        at.
    taxonomy : Taxonomy
        What the results speak of.

    Raises
    ------
    ResultsError
        If the assessment is not valid; the message names the clip.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> taxonomy = load_taxonomy("nisqa")
    >>> row = {"path": "a.wav", "scores": dict.fromkeys(taxonomy.names, 2), "system": "codec"}
    >>> clip = clip_from_row(row, taxonomy)
    >>> clip.assessment.mos, clip.system
    (2.0, 'codec')
    """
    path, system = row["path"], str(row.get("system") or "")
    if "scores" not in row:
        return Clip(path, None, error=str(row["error"]), system=system)
    try:
        fields = {name: row[name] for name in _ASSESSMENT if name in row}
        assessment = assessment_from_dict(fields, taxonomy)
    except SchemaError as err:
        raise ResultsError(f"result of {path}: {err}") from err
    warnings = row.get("warnings") or ()
    if isinstance(warnings, str):
        warnings = (warnings,)
    return Clip(
        path,
        assessment,
        failure=str(row.get("failure") or ""),
        scores_only=row.get("form") == "scores",
        warnings=tuple(map(str, warnings)),
        system=system,
    )
