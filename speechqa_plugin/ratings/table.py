"""A CSV file of ratings, read with all that people's spreadsheets do to it.

Comma, semicolon, tab or bar between the cells, a decimal comma where the comma is not between
them, UTF-8 or UTF-16, with or without a byte order mark. All that is wrong with it is said at once.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from speechqa_plugin.files import looks_like_windows
from speechqa_plugin.schema import SCORE_MAX, SCORE_MIN
from speechqa_plugin.sources import PATH_FIELDS

OVERALL = "mos"
"""The dimension that the column of ratings is about."""

COLUMNS = {
    "file": PATH_FIELDS,
    "rating": (OVERALL, "rating", "score"),
    "listener": ("listener", "listener_id", "rater", "worker", "subject"),
    "split": ("split",),
    "group": ("group", "talker", "speaker"),
    "system": ("system", "condition"),
}
"""What a column is for, and the names that it is known by."""

_NEEDED = ("file", "rating")
_DELIMITERS = ",;\t|"
_SHOWN = 10
"""Problems that a message lists."""


class RatingsError(ValueError):
    """Ratings that cannot be used; the message says where, what was found and what to do."""


@dataclass(frozen=True)
class Layout:
    """How a table is written and what its columns are for.

    Arguments
    ---------
    path : Path
        The file.
    text : str
        All of it.
    delimiter : str
        Between cells.
    header : tuple of str
        Names of the columns.
    roles : dict from str to int
        Position of the column for each of `COLUMNS` that there is.
    dimensions : dict from str to int
        Position of each dimension's column, the overall one's last.
    unused : tuple of str
        Columns that are for nothing.
    """

    path: Path
    text: str = field(repr=False)
    delimiter: str
    header: tuple[str, ...]
    roles: dict[str, int]
    dimensions: dict[str, int]
    unused: tuple[str, ...]


@dataclass(frozen=True)
class Rated:
    """A file and what its listeners thought of it.

    Arguments
    ---------
    file : str
        As the table names it, with ``/`` between folders.
    where : str
        Where it first stands: the table and its line.
    scores : dict from str to float
        Mean over its ratings for each dimension, on the scale of the schema.
    n_ratings : int
        How many rows that are.
    split, group, system : str
        As the table has them; empty where it has no such column.
    """

    file: str
    where: str
    scores: dict[str, float]
    n_ratings: int
    split: str = ""
    group: str = ""
    system: str = ""


def read_layout(
    path: str | os.PathLike,
    columns: Mapping[str, str] | None = None,
    dimensions: Sequence[str] | None = None,
    known: Sequence[str] = (),
) -> Layout:
    r"""Find out how a table is written and what its columns are for.

    Arguments
    ---------
    path : str or path
        The CSV file.
    columns : mapping from str to str, optional
        Key of `COLUMNS` to the name of the column, where it is not one of those listed there.
    dimensions : sequence of str, optional
        Columns with ratings of dimensions beside the overall one.
    known : sequence of str
        Names of dimensions that are taken where there is such a column and ``dimensions`` is not
        given.

    Raises
    ------
    RatingsError
        If there is no such file, it is empty or no text, or a column is missing or there twice.

    Example
    -------
    >>> path = getfixture("tmp_path") / "test.csv"
    >>> _ = path.write_text("Clip;MOS;noise;age\na.wav;3,5;4;31\n")
    >>> layout = read_layout(path, {"file": "clip"}, known=["noise"])
    >>> list(layout.dimensions), layout.unused
    (['noise', 'mos'], ('age',))
    """
    path = Path(path)
    text = _read_text(path)
    columns = {role: name for role, name in (columns or {}).items() if name}
    unknown = sorted(set(columns) - set(COLUMNS))
    if unknown:
        raise RatingsError(f"columns: {unknown[0]!r} is none of {', '.join(COLUMNS)}")
    names = {role: (columns[role],) if role in columns else COLUMNS[role] for role in COLUMNS}
    delimiter, header = _read_header(text, [n for some in names.values() for n in some])
    where = f"{path}, line 1"
    plain = [name.casefold() for name in header]
    roles = {}
    for role, known_as in names.items():
        found = [i for n in known_as for i, h in enumerate(plain) if h == n.casefold()]
        if role in columns and not found:
            raise RatingsError(f"{where}: no column {columns[role]!r}; found {_listed(header)}")
        if not found and role in _NEEDED:
            raise RatingsError(
                f"{where}: no column for the {role}; found {_listed(header)}. Name one of them by "
                f"--columns {role}=NAME, or call it {' or '.join(known_as)}; the first line has to "
                "name the columns, with comma, semicolon or tab between them"
            )
        if len(found) > 1 and role != "file":  # of several for a file the first counts
            raise RatingsError(
                f"{where}: {_listed([header[i] for i in found])} could each be the {role}; choose "
                f"by --columns {role}=NAME"
            )
        if found:
            roles[role] = found[0]
    asked = _find_dimensions(where, header, roles, dimensions, known)
    used = {*roles.values(), *asked.values()}
    unused = tuple(h for i, h in enumerate(header) if i not in used)
    return Layout(path, text, delimiter, header, roles, {**asked, OVERALL: roles["rating"]}, unused)


def read_ratings(layout: Layout, scale: Sequence[float] = (SCORE_MIN, SCORE_MAX)) -> list[Rated]:
    r"""Read all rows and average over listeners.

    Arguments
    ---------
    layout : Layout
        Of the table.
    scale : (float, float)
        Worst and best rating of the test; mapped linearly to the schema's 1 to 5.

    Returns
    -------
    list of Rated
        A row for each file, in the order in which they first stand; at least one.

    Raises
    ------
    RatingsError
        If there are no rows, or a row is not as it should be: up to ten of these are listed, each
        with its line, column and what was found.

    Example
    -------
    >>> path = getfixture("tmp_path") / "test.csv"
    >>> _ = path.write_text("file,rating,listener\na.wav,0,x\na.wav,50,y\nb.wav,100,x\n")
    >>> [(r.file, r.scores, r.n_ratings) for r in read_ratings(read_layout(path), (0, 100))]
    [('a.wav', {'mos': 2.0}, 2), ('b.wav', {'mos': 5.0}, 1)]
    """
    low, high = map(float, scale)
    if not low < high:
        raise RatingsError(
            f"scale is {scale}; need the worst and then the best rating, as in 0 100"
        )
    return _Reading(layout, low, high).files()


class _Reading:
    """One pass over the rows, and all problems on the way."""

    def __init__(self, layout: Layout, low: float, high: float):
        self.layout, self.low, self.high = layout, low, high
        self.problems: list[str] = []
        self.rows: dict[str, list[tuple[int, dict[str, float], dict[str, str]]]] = defaultdict(list)
        self.line_of: dict[tuple[str, str], int] = {}

    def files(self) -> list[Rated]:
        """Means of what was read, or all that is wrong."""
        path = self.layout.path
        for line, cells in self._lines():
            self._read_row(line, cells)
        if self.problems:
            n = len(self.problems)
            more = [f"and {n - _SHOWN} more"] if n > _SHOWN else []
            listed = "\n  ".join(self.problems[:_SHOWN] + more)
            raise RatingsError(f"{path}: {n} problem{'s' if n > 1 else ''}\n  {listed}")
        if not self.rows:
            raise RatingsError(f"{path}: has a header and no rows; need a row for each rating")
        return [self._mean(file, rows) for file, rows in self.rows.items()]

    def _lines(self):
        reader = csv.reader(
            io.StringIO(self.layout.text, newline=""), delimiter=self.layout.delimiter
        )
        try:
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield reader.line_num, [cell.strip() for cell in cells]
        except csv.Error as err:
            raise RatingsError(
                f"{self.layout.path}, line {reader.line_num}: is no CSV ({err}); export it again"
            ) from err

    def _read_row(self, line: int, cells: list[str]) -> None:
        layout = self.layout
        if tuple(cells) == layout.header:  # the first line, or files that were joined
            return
        if len(cells) != len(layout.header):
            self.problems.append(
                f"line {line}: found {len(cells)} cells, and the header has {len(layout.header)}; "
                f"a cell with {layout.delimiter!r} in it needs quotes"
            )
            return
        about = {role: cells[i] for role, i in layout.roles.items()}
        for role in ("file", "listener", "split", "group"):
            if about.get(role) == "":
                self._add(line, layout.roles[role], "", f"need the {role} of this rating")
                return
        scores = {d: self._score(line, i, cells[i]) for d, i in layout.dimensions.items()}
        file = plain_path(about["file"])
        if self._is_doubled(line, file, about) or None in scores.values():
            return
        if self.rows[file]:
            first, _, there = self.rows[file][0]
            for role in ("split", "group", "system"):
                if about.get(role) != there.get(role):
                    need = f"need {there[role]!r}, as in line {first}, which is of the same file"
                    self._add(line, layout.roles[role], about[role], need)
        self.rows[file].append((line, scores, about))

    def _score(self, line: int, column: int, cell: str) -> float | None:
        text = cell if self.layout.delimiter == "," else cell.replace(",", ".")
        try:
            rating = float(text)
        except ValueError:
            rating = math.nan
        if math.isfinite(rating) and self.low <= rating <= self.high:
            share = (rating - self.low) / (self.high - self.low)
            return SCORE_MIN + (SCORE_MAX - SCORE_MIN) * share
        need = f"need a number from {self.low:g} to {self.high:g}"
        if math.isfinite(rating):
            need += "; if the test has another scale, give its ends as in --scale 0 100"
        elif re.fullmatch(r"\d+,\d+", cell):
            need += ", with a point in it"
        self._add(line, column, cell, need)
        return None

    def _is_doubled(self, line: int, file: str, about: Mapping[str, str]) -> bool:
        listener = about.get("listener", "")
        first = self.line_of.setdefault((file, listener), line)
        if first == line:
            return False
        by = f" by listener {listener!r}" if listener else ""
        hint = "take one out" if listener else "take one out, or add a column 'listener'"
        there = f"need one rating of a file{by}, and line {first} has it, too; {hint}"
        self._add(line, self.layout.roles["file"], about["file"], there)
        return True

    def _add(self, line: int, column: int, found: str, need: str) -> None:
        name = self.layout.header[column]
        self.problems.append(f"line {line}, column {name!r}: found {found!r}; {need}")

    def _mean(self, file: str, rows) -> Rated:
        line, _, about = rows[0]
        scores = {
            name: sum(scores[name] for _, scores, _ in rows) / len(rows)
            for name in self.layout.dimensions
        }
        rest = {role: about.get(role, "") for role in ("split", "group", "system")}
        return Rated(file, f"{self.layout.path}, line {line}", scores, len(rows), **rest)


def plain_path(path: str) -> str:
    r"""A path with ``/`` between folders, without detours.

    Example
    -------
    >>> plain_path("wav\\a.wav"), plain_path("./wav//a.wav")
    ('wav/a.wav', 'wav/a.wav')
    """
    if looks_like_windows(path):
        path = path.replace("\\", "/")
    return str(PurePosixPath(os.path.normpath(path)))


def dimension_name(column: str) -> str:
    """Name of the dimension that a column rates.

    Example
    -------
    >>> dimension_name("Background Noise")
    'background_noise'
    """
    return re.sub(r"\W+", "_", column.casefold()).strip("_")


def _find_dimensions(where: str, header, roles, dimensions, known) -> dict[str, int]:
    taken = set(roles.values())
    by_name = {dimension_name(h): i for i, h in enumerate(header) if i not in taken}
    if dimensions is None:
        return {n: i for n, i in by_name.items() if n in known and n != OVERALL}
    for column in dimensions:
        name = dimension_name(column)
        if name not in by_name:
            raise RatingsError(
                f"{where}: no column {column!r} for a further dimension; found {_listed(header)}"
            )
        if not name.isidentifier() or name == OVERALL:
            raise RatingsError(
                f"{where}: column {column!r} can't give its name to a further dimension; call it "
                f"by a word, and not {OVERALL!r}, which is the rating's"
            )
    return {dimension_name(d): by_name[dimension_name(d)] for d in dimensions}


def _read_text(path: Path) -> str:
    if not path.is_file():
        raise RatingsError(f"{path}: no such file; need a CSV file of ratings")
    data = path.read_bytes()
    if data.startswith(b"PK"):
        raise RatingsError(f"{path}: is a workbook or an archive, no CSV; export it as CSV UTF-8")
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as err:
        line = data[: err.start].count(b"\n") + 1
        found = data[err.start : err.start + 1]
        raise RatingsError(
            f"{path}, line {line}: found the byte {found!r}, which is not UTF-8; save it as CSV "
            "UTF-8"
        ) from err
    if not text.strip():
        raise RatingsError(
            f"{path}: is empty; need a line that names the columns, then the ratings"
        )
    return text


def _read_header(text: str, known: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """The delimiter that makes most sense of the first line, and the names in it."""
    first = next(line for line in text.splitlines() if line.strip())
    known = {name.casefold() for name in known}

    def names(delimiter: str) -> list[str]:
        return [name.strip() for name in next(csv.reader([first], delimiter=delimiter))]

    def sense(delimiter: str) -> tuple[int, int]:
        found = names(delimiter)
        return sum(name.casefold() in known for name in found), len(found)

    delimiter = max(_DELIMITERS, key=sense)
    return delimiter, tuple(names(delimiter))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))
