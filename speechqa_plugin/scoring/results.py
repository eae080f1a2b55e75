"""A file of results: one row a file heard, as JSON lines or CSV, and beside it how it was made.

What made the rows (model, form, ...) stands in ``<file>.run.json`` and not in a first line, so that
every line of the file is a row for whatever reads it, and CSV is CSV.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path

from speechqa_plugin.files import write_json
from speechqa_plugin.schema import is_judged

_FIRST, _LAST = ["path", "id", "duration_s"], ["warnings", "failure", "error"]
_BETWEEN = " | "  # of warnings in a cell of CSV: one line a row, whatever counts lines
_CONFIDENCE = "confidence_"
_CALLED = {"sources": "list of files"}


class Format(StrEnum):
    """How rows are written."""

    JSONL = "jsonl"
    CSV = "csv"


class ResultsError(ValueError):
    """Results that can't be shown, gone on with, merged or written; a sentence that says why."""


class WriteError(OSError):
    """A row that could not be written; those before it are there."""


@dataclass(frozen=True)
class Run:
    """How rows were made.

    Arguments
    ---------
    model : str
        Hash of the model; see `model_hash`.
    form : str
        Which answer was asked for.
    format : str
        A `Format`.
    dimensions : list of str
        What is scored; empty where the model has not been loaded.
    version : str
        The package's.
    n_sources : int
        Files to be heard, in all shares together.
    sources : str
        Hash of their paths, in order.
    shard : list of int or None
        Which share of how many, from 1; None for all.
    """

    model: str
    form: str
    format: str
    version: str
    n_sources: int
    sources: str
    shard: list[int] | None = None
    dimensions: list[str] = field(default_factory=list)

    def write(self, out: str | os.PathLike) -> None:
        """Write it beside its results."""
        write_json(run_file(out), asdict(self))

    @classmethod
    def read(cls, out: str | os.PathLike) -> Run:
        """Read what stands beside results.

        Raises
        ------
        ResultsError
            If there is nothing of the kind, so that they are not ours.
        """
        try:
            return cls(**json.loads(run_file(out).read_bytes()))
        except FileNotFoundError:
            raise ResultsError(
                f"{out}: was not made by this command (no {run_file(out).name} beside it), so it "
                "stays as it is; give another --out"
            ) from None
        except (OSError, ValueError, TypeError) as err:
            raise ResultsError(f"{run_file(out)}: is damaged ({err}); give another --out") from err


def run_file(out: str | os.PathLike) -> Path:
    """Where it stands how results were made."""
    return Path(f"{os.fspath(out)}.run.json")


def check_same(out: str | os.PathLike, found: Run, wanted: Run) -> None:
    """Refuse to mix rows of two kinds in one file.

    Raises
    ------
    ResultsError
        If model, form, format or share differ; of a share also if the list of files does.
    """
    names = ["model", "form", "format", "shard"]
    names += ["sources"] if wanted.shard else []
    for name in names:
        old, new = getattr(found, name), getattr(wanted, name)
        if old != new:
            short = [v[:12] if isinstance(v, str) else v for v in (old, new)]
            raise ResultsError(
                f"{out}: was made with {_CALLED.get(name, name)} {short[0]}, not {short[1]}; "
                "results of two kinds don't go into one file, so give another --out"
            )


def model_hash(folder: str | os.PathLike) -> str:
    """What tells one exported model from another: SHA-256 of its weights and hyperparameters.

    A published base that the model stands on is not part of it.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "audio_llm.ckpt").write_bytes(b"weights")
    >>> before = model_hash(folder)
    >>> _ = (folder / "README.md").write_text("words")
    >>> model_hash(folder) == before
    True
    """
    total = hashlib.sha256()
    for file in sorted(Path(folder).iterdir()):
        if file.name == "hyperparams.yaml" or file.suffix in (".ckpt", ".safetensors"):
            with open(file, "rb") as opened:
                total.update(hashlib.file_digest(opened, "sha256").digest())
    return total.hexdigest()


def hash_of(paths: Sequence[str]) -> str:
    """SHA-256 of paths in order."""
    return hashlib.sha256(b"\0".join(map(os.fsencode, paths))).hexdigest()


# --- reading


def read_rows(out: str | os.PathLike, format_: str) -> Iterator[dict]:
    """Rows of a results file, one at a time; a last one that a kill left unfinished is left out.

    Arguments
    ---------
    out : str or path
        The file.
    format_ : str
        A `Format`.

    Yields
    ------
    dict
        As it was written: ``path``, ``id``, and ``error`` or ``scores``, ``confidence``,
        ``duration_s`` and, if there are any, ``warnings``.

    Raises
    ------
    ResultsError
        If a line is no row; the message names it.
    """
    columns = None
    for number, record in _records(out, format_):
        if not record.endswith(b"\n"):
            return
        try:
            if format_ == "csv":
                (cells,) = csv.reader(io.StringIO(_text(record), newline=""))
                if columns is None:
                    columns = _columns(cells)
                    continue
                row = _from_cells(columns, cells)
            else:
                row = json.loads(record)
            row["path"] + ""
        except (ValueError, KeyError, TypeError, csv.Error) as err:
            raise ResultsError(
                f"{out}, line {number}: not a result of this command; found {record[:60].strip()!r}"
            ) from err
        yield row


def judged(row: Mapping) -> bool:
    """Whether a row's scores say anything: not of what lacks speech, nor of what was not heard.

    Example
    -------
    >>> silence = {"path": "a.wav", "scores": {"mos": 3.0}, "confidence": {"mos": 0.0}}
    >>> judged(silence), judged(silence | {"confidence": {"mos": 0.5}})
    (False, True)
    """
    return "scores" in row and is_judged(row.get("confidence") or {})


def format_of(path: str | os.PathLike) -> str | None:
    """How the results that a file holds are written; None where it holds none of this command.

    CSV results that were taken away from what stood beside them are known by their columns.

    Raises
    ------
    ResultsError
        If what stands beside it is damaged.

    Example
    -------
    >>> file = getfixture("tmp_path") / "list.csv"
    >>> _ = file.write_text("ID,duration,wav")
    >>> format_of(file) is None
    True
    """
    path = Path(path)
    if run_file(path).is_file():
        return Run.read(path).format
    if path.suffix.lower() != ".csv" or not path.is_file():
        return None
    with open(path, "rb") as file:
        cells = file.readline().rstrip(b"\r\n").split(b",")
    return Format.CSV if _are_ours([_text(cell) for cell in cells]) else None


def finished_size(out: str | os.PathLike, format_: str) -> int:
    """Bytes of a results file without a row that a kill left unfinished.

    Raises
    ------
    ResultsError
        If what comes last is no start of a row.
    """
    size = 0
    for number, record in _records(out, format_):
        if record.endswith(b"\n"):
            size += len(record)
            continue
        start = b'{"path": ' if format_ == "jsonl" else b"path,id," if not size else b""
        if record[: len(start)] != start[: len(record)]:
            raise ResultsError(
                f"{out}: does not end in a result of this command (line {number}); found "
                f"{record[:60]!r}"
            )
    return size


def _records(out: str | os.PathLike, format_: str) -> Iterator[tuple[int, bytes]]:
    """Each row with the number of its first line; a name with a line break makes one of two."""
    with open(out, "rb") as file:
        record, start = b"", 1
        for number, line in enumerate(file, start=1):
            record += line
            if format_ == "jsonl" or (record.count(b'"') % 2 == 0 and record.endswith(b"\n")):
                yield start, record
                record, start = b"", number + 1
        if record:
            yield start, record.rstrip(b"\n")  # an open quote: it goes on


def _text(record: bytes) -> str:
    return record.decode("utf-8", "surrogateescape")


def _columns(cells: list[str]) -> list[str]:
    if not _are_ours(cells):
        raise ValueError("other columns")
    return cells


def _are_ours(cells: list[str]) -> bool:
    return cells[: len(_FIRST)] == _FIRST and cells[-len(_LAST) :] == _LAST


def _from_cells(columns: list[str], cells: list[str]) -> dict:
    row: dict = {}
    scores, sure = {}, {}
    for name, cell in zip(columns, cells, strict=True):
        if name.startswith(_CONFIDENCE):
            sure |= {name.removeprefix(_CONFIDENCE): float(cell)} if cell else {}
        elif name == "warnings":
            row |= {name: cell.split(_BETWEEN)} if cell else {}
        elif name in _FIRST or name in _LAST:
            row |= {name: float(cell) if name == "duration_s" else cell} if cell else {}
        elif cell:
            scores[name] = float(cell)
    return row | ({"scores": scores, "confidence": sure} if scores else {})


# --- writing


class Writer:
    """Adds rows to a results file; each is there even if the process is killed afterwards.

    The file appears with its first row. What a failed write leaves of a row is taken back.

    Arguments
    ---------
    out : Path
        The file.
    run : Run
        How the rows are made; written beside the file when that appears.
    """

    def __init__(self, out: Path, run: Run):
        self.out, self.run, self.file = out, run, None

    def write(self, row: dict) -> None:
        """Add a row.

        Raises
        ------
        WriteError
            If it can't be; the message says what the system says.
        """
        try:
            self._write(row)
        except OSError as err:
            self._take_back()
            raise WriteError(f"{self.out}: can't be written ({err.strerror})") from err

    def close(self) -> None:
        """Close the file."""
        if self.file is not None:
            self.file.close()

    def _write(self, row: dict) -> None:
        if self.file is None:
            self.is_new = not os.path.lexists(self.out)
            self.size = 0
            self.run.write(self.out)
            self.file = open(self.out, "ab", buffering=0)
            self.size = self.file.tell()
        data = self._encoded(row)
        rest = memoryview(data)
        while rest:
            rest = rest[self.file.write(rest) :]
        self.size += len(data)

    def _encoded(self, row: dict) -> bytes:
        if self.run.format == "jsonl":
            return (json.dumps(row) + "\n").encode("ascii")  # undecodable names are escaped
        names = self.run.dimensions
        sure = [_CONFIDENCE + n for n in names]
        scores, confidence = row.get("scores", {}), row.get("confidence", {})
        flat = row | scores | {_CONFIDENCE + n: v for n, v in confidence.items()}
        flat["warnings"] = _BETWEEN.join(row.get("warnings", ()))
        columns = [*_FIRST, *names, *sure, *_LAST]
        text = io.StringIO(newline="")
        rows = csv.writer(text, lineterminator="\n")
        if not self.size:
            rows.writerow(columns)
        rows.writerow([flat.get(c, "") for c in columns])
        return text.getvalue().encode("utf-8", "surrogateescape")

    def _take_back(self) -> None:
        with suppress(OSError):
            if self.file is not None:
                os.ftruncate(self.file.fileno(), self.size)
        if not self.size and self.is_new:
            with suppress(OSError):
                self.out.unlink(missing_ok=True)
                run_file(self.out).unlink(missing_ok=True)
