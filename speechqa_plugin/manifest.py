"""The manifest: a JSON-lines file, one recording per line.

A row is ``{"id", "path", "duration_s", "system", "reference"}``; the last two
may be absent, and ``reference`` is what `Assessment.to_dict` gives. A relative
path is relative to the manifest's folder, so a corpus can be moved as a whole.

Reading validates every row and repairs none: a preparation script is the place
for repairs, except that an artifact ends with its clip. No audio file is opened.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from speechqa_plugin.files import looks_like_windows, numbered_lines, write_json_lines
from speechqa_plugin.schema import SchemaError, Taxonomy, Utterance, assessment_from_dict

_REQUIRED = {"id": str, "path": str, "duration_s": float}
_OPTIONAL = {"system": str, "reference": dict}
_WORDS = {str: "a text", float: "a number", dict: "an object"}


class ManifestError(ValueError):
    """A manifest that breaks its rules; the message names file, line, id and field."""


def read_manifest(path: str | os.PathLike, taxonomy: Taxonomy) -> list[Utterance]:
    """Read a manifest and check every row of it.

    Arguments
    ---------
    path : str or path
        The JSON-lines file.
    taxonomy : Taxonomy
        The taxonomy the references speak of.

    Returns
    -------
    list of Utterance
        In the file's order, at least one, with absolute paths.

    Raises
    ------
    ManifestError
        If the file is missing or has no rows, or a row is not valid: the
        message names the file, the line, the row's id, the field and the value.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> folder = getfixture("tmp_path")
    >>> write_manifest(folder / "test.jsonl", [Utterance("a", str(folder / "a.wav"), 2.5)])
    >>> [u.id for u in read_manifest(folder / "test.jsonl", load_taxonomy("nisqa"))]
    ['a']
    """
    path = Path(path)
    if not path.is_file():
        raise ManifestError(
            f"manifest {path}: no such file; run the corpus's *_prepare.py or correct the path"
        )
    utterances, lines_by_id = [], {}
    for number, line in numbered_lines(path):
        where = f"manifest {path}, line {number}"
        utterance = _parse_row(where, line, path.parent, taxonomy)
        _refuse_double(where, utterance.id, lines_by_id, number)
        utterances.append(utterance)
    if not utterances:
        raise ManifestError(f"manifest {path}: has no rows; prepare it again")
    return utterances


def write_manifest(path: str | os.PathLike, utterances: Iterable[Utterance]) -> None:
    """Write a manifest, all of it or nothing.

    Arguments
    ---------
    path : str or path
        The file to write; its folder must exist. A file that is already there
        is replaced at once when the last row is written.
    utterances : iterable of Utterance
        The rows. A path below the manifest's folder is stored relative to it.

    Raises
    ------
    ManifestError
        If there are no rows or an id stands twice.

    Example
    -------
    >>> path = getfixture("tmp_path") / "test.jsonl"
    >>> write_manifest(path, [Utterance("a", str(path.parent / "clips" / "a.wav"), 2.5)])
    >>> print(path.read_text().strip())
    {"id": "a", "path": "clips/a.wav", "duration_s": 2.5}
    """
    write_json_lines(path, _rows(Path(path), utterances))


def check_labelled(utterances: Sequence[Utterance]) -> None:
    """Refuse rows without a reference, before time is spent on the others.

    Arguments
    ---------
    utterances : sequence of Utterance
        Rows to train on or to measure with.

    Raises
    ------
    SchemaError
        If one has no reference.

    Example
    -------
    >>> check_labelled([Utterance("a", "a.wav", 2.5)])
    Traceback (most recent call last):
    speechqa_plugin.schema.taxonomy.SchemaError: reference: 1 of 1 rows have none (the first is \
'a'); training and evaluation need labels on every row
    """
    unlabelled = [u.id for u in utterances if u.reference is None]
    if unlabelled:
        raise SchemaError(
            f"reference: {len(unlabelled)} of {len(utterances)} rows have none (the first is "
            f"{unlabelled[0]!r}); training and evaluation need labels on every row"
        )


def _rows(path: Path, utterances: Iterable[Utterance]) -> Iterator[dict]:
    folder = Path(os.path.abspath(path.parent))
    lines_by_id: dict[str, int] = {}
    for number, utterance in enumerate(utterances, start=1):
        _refuse_double(f"manifest {path}, line {number}", utterance.id, lines_by_id, number)
        yield _to_row(utterance, folder)
    if not lines_by_id:
        raise ManifestError(f"manifest {path}: no rows to write; check what was prepared")


def _to_row(utterance: Utterance, folder: Path) -> dict:
    audio = Path(os.path.abspath(utterance.path))
    below = audio.is_relative_to(folder)
    row = {
        "id": utterance.id,
        "path": (audio.relative_to(folder) if below else audio).as_posix(),
        "duration_s": float(utterance.duration_s),
    }
    if utterance.system:
        row["system"] = utterance.system
    if utterance.reference is not None:
        row["reference"] = utterance.reference.to_dict()
    return row


def _parse_row(where: str, line: bytes, folder: Path, taxonomy: Taxonomy) -> Utterance:
    try:
        # Every number becomes a float, so an integer of any length is in range or infinite.
        row = json.loads(line.decode("utf-8"), parse_int=float, parse_constant=_refuse_constant)
    except ValueError as err:
        raise ManifestError(
            f"{where}: is not JSON in UTF-8 ({err}); write one object a line"
        ) from err
    if not isinstance(row, dict):
        raise ManifestError(f"{where}: found {row!r}, need an object with {sorted(_REQUIRED)}")
    where = f"{where}, id {row.get('id')!r}"
    _check_fields(where, row)
    audio = os.path.abspath(folder / row["path"])
    # A name may hold backslashes; that is rare enough to look.
    if looks_like_windows(row["path"]) and not os.path.lexists(audio):
        raise ManifestError(
            f"{where}: path is {row['path']!r}, a path of Windows, and this is another system; "
            "write it with /, best relative to the manifest's folder"
        )
    try:
        reference = None
        if "reference" in row:
            reference = assessment_from_dict(row["reference"], taxonomy)
        return Utterance(
            id=row["id"],
            path=audio,
            duration_s=row["duration_s"],
            reference=reference,
            system=row.get("system", ""),
        )
    except SchemaError as err:
        raise ManifestError(f"{where}: {err}; correct or prepare it again") from err


def _check_fields(where: str, row: dict) -> None:
    fields = _REQUIRED | _OPTIONAL
    unknown = sorted(set(row) - set(fields))
    if unknown:
        found = {name: row[name] for name in unknown}
        raise ManifestError(f"{where}: unknown fields {found}; a row has only {sorted(fields)}")
    for name, type_ in fields.items():
        if name in _REQUIRED and name not in row:
            raise ManifestError(f"{where}: {name} is missing; give {_WORDS[type_]}")
        if name in row and not isinstance(row[name], type_):
            raise ManifestError(f"{where}: {name} is {row[name]!r}; need {_WORDS[type_]}")
    if not row["path"]:
        raise ManifestError(f"{where}: path is ''; name the audio file")


def _refuse_double(where: str, id_: str, lines_by_id: dict[str, int], number: int) -> None:
    if id_ in lines_by_id:
        raise ManifestError(
            f"{where}: id {id_!r} already stands in line {lines_by_id[id_]}; ids must be unique"
        )
    lines_by_id[id_] = number


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")
