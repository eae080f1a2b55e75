"""The dimensions that are scored and the kinds of artifact: a corpus's taxonomy, from its file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import yaml

_FOLDER = Path(__file__).parents[1] / "taxonomies"

SCORE_MIN, SCORE_MAX = 1, 5
"""Range of every score: the five-point scale of ITU-T P.800."""


class SchemaError(ValueError):
    """A value that breaks a rule of the schema; the message names the field."""


@dataclass(frozen=True)
class Dimension:
    """One perceptual dimension that is scored from 1 to 5.

    Arguments
    ---------
    name : str
        Identifier used in manifests, answers and log keys, e.g. ``noise``.
    title : str
        The words for it in a prompt or a report.
    anchors : tuple of str
        Five phrases, for scores 1 to 5 in that order.
    magnitude : bool
        True where 3 is best and both ends are faults (speaking speed).

    Raises
    ------
    SchemaError
        If there are not exactly five anchors, title or an anchor is no line of words, or the name
        has a separator.

    Example
    -------
    >>> Dimension("loud", "loudness", ("1", "2", "3", "4", "5")).anchor(4.6)
    '5'
    """

    name: str
    title: str
    anchors: tuple[str, ...]
    magnitude: bool = False

    def __post_init__(self):
        _check_name("Dimension.name", self.name)
        if len(self.anchors) != SCORE_MAX - SCORE_MIN + 1:
            raise SchemaError(
                f"dimension {self.name!r}: {len(self.anchors)} anchors, "
                f"need {SCORE_MAX - SCORE_MIN + 1} (scores {SCORE_MIN} to {SCORE_MAX})"
            )
        for words in (self.title, *self.anchors):
            if not isinstance(words, str) or not words or words != " ".join(words.split()):
                raise SchemaError(
                    f"dimension {self.name!r}: {words!r} is not one line of plain words; in YAML "
                    "put quotes around numbers and around yes, no, on and off"
                )
        if not isinstance(self.magnitude, bool):
            raise SchemaError(
                f"dimension {self.name!r}: magnitude is {self.magnitude!r}; need true or false"
            )

    def anchor(self, score: float) -> str:
        """Phrase for a score in [1, 5], rounded to the nearest whole score."""
        return self.anchors[round_score(score) - SCORE_MIN]


@dataclass(frozen=True)
class ArtifactKind:
    """A class of artifact, the dimension it lowers and its usual types.

    Arguments
    ---------
    name : str
        Identifier, e.g. ``noise``.
    dimension : str
        Name of the dimension it shows in.
    types : tuple of str
        Types known to the corpus. The list is open: a text from an annotator
        or a model may name another one.

    Example
    -------
    >>> ArtifactKind("noise", "noise", ("babble", "music")).types[0]
    'babble'
    """

    name: str
    dimension: str
    types: tuple[str, ...] = ()

    def __post_init__(self):
        _check_name("ArtifactKind.name", self.name)
        for type_ in self.types:
            check_type(self.name, type_)


_RESERVED = {"description", "artifact"}
"""Lines of an answer that are no dimension's."""


@dataclass(frozen=True)
class Taxonomy:
    """The dimensions and artifact kinds of a corpus, in their fixed order.

    Arguments
    ---------
    name : str
        Name of the taxonomy.
    dimensions : tuple of Dimension
        In the order in which answers list them.
    overall : str
        Name of the dimension that is the MOS.
    kinds : tuple of ArtifactKind
        Artifact kinds; may be empty.

    Raises
    ------
    SchemaError
        If a name is doubled or a word that answers have for other lines, or ``overall`` or a
        kind's dimension is unknown.

    Example
    -------
    >>> load_taxonomy("qualispeech").names[-1]
    'mos'
    """

    name: str
    dimensions: tuple[Dimension, ...]
    overall: str
    kinds: tuple[ArtifactKind, ...] = ()

    def __post_init__(self):
        for what, names in (("dimension", self.names), ("kind", self.kind_names)):
            doubled = sorted({n for n in names if names.count(n) > 1})
            if doubled:
                raise SchemaError(f"taxonomy {self.name!r}: {what} named twice: {doubled}")
        taken = sorted(_RESERVED.intersection(self.names))
        if taken:
            raise SchemaError(
                f"taxonomy {self.name!r}: dimensions may not be named {taken}: lines of an answer "
                "have that name"
            )
        if self.overall not in self.names:
            raise SchemaError(
                f"taxonomy {self.name!r}: overall {self.overall!r} is none of {self.names}"
            )
        for kind in self.kinds:
            if kind.dimension not in self.names:
                raise SchemaError(
                    f"taxonomy {self.name!r}: kind {kind.name!r} points to dimension "
                    f"{kind.dimension!r}, which is none of {self.names}"
                )

    @property
    def names(self) -> tuple[str, ...]:
        """Dimension names in order."""
        return tuple(d.name for d in self.dimensions)

    @property
    def types(self) -> tuple[tuple[str, str], ...]:
        """Kind and type of all artifacts that have a name, in order."""
        return tuple((kind.name, type_) for kind in self.kinds for type_ in kind.types)

    @property
    def kind_names(self) -> tuple[str, ...]:
        """Artifact kind names in order."""
        return tuple(k.name for k in self.kinds)

    def to_dict(self) -> dict:
        """Plain data that `make_taxonomy` reads back."""
        data = json.loads(json.dumps(asdict(self)))  # tuples to lists
        return {k: data[k] for k in ("name", "overall", "dimensions", "kinds")}

    def dimension(self, name: str) -> Dimension:
        """Dimension of that name; KeyError if there is none."""
        return {d.name: d for d in self.dimensions}[name]

    def kind(self, name: str) -> ArtifactKind:
        """Artifact kind of that name; KeyError if there is none."""
        return {k.name: k for k in self.kinds}[name]


def round_score(score: float) -> int:
    """Nearest whole score; halves go up, so 2.5 is 3 and 3.5 is 4.

    Arguments
    ---------
    score : float
        In [1, 5].

    Returns
    -------
    int
        In {1, ..., 5}.

    Example
    -------
    >>> round_score(2.5), round_score(4.49)
    (3, 4)
    """
    return min(SCORE_MAX, max(SCORE_MIN, math.floor(score + 0.5)))


def taxonomy_names() -> list[str]:
    """What the taxonomies are called that ship with the package."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


@lru_cache
def load_taxonomy(source: str) -> Taxonomy:
    """Load a taxonomy that ships with the package, or one of your own.

    Arguments
    ---------
    source : str
        One of `taxonomy_names`, or the path of a YAML file like theirs.

    Raises
    ------
    SchemaError
        If there is no such file or it does not describe a taxonomy.

    Example
    -------
    >>> load_taxonomy("qualispeech").overall
    'mos'
    """
    path = Path(source) if str(source).endswith((".yaml", ".yml")) else _FOLDER / f"{source}.yaml"
    if not path.is_file():
        raise SchemaError(f"taxonomy {source!r}: no file {path}; ours are {taxonomy_names()}")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        _check_fields("it", data, ("name", "overall", "dimensions", "kinds"))
        return make_taxonomy(**data)
    except (yaml.YAMLError, UnicodeDecodeError) as err:
        mark = getattr(err, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(err, "problem", None) or err
        raise SchemaError(f"taxonomy file {path}{where}: is no YAML ({problem})") from err
    except SchemaError as err:
        raise SchemaError(f"taxonomy file {path}: {err}") from err


def make_taxonomy(
    name: str, overall: str, dimensions: list[Mapping], kinds: list[Mapping]
) -> Taxonomy:
    """Build a taxonomy from plain data, as it stands in a taxonomy file.

    Arguments
    ---------
    name, overall : str
        See `Taxonomy`.
    dimensions : list of mapping
        Fields of `Dimension`.
    kinds : list of mapping
        Fields of `ArtifactKind`.

    Raises
    ------
    SchemaError
        If a field is missing, unknown or not valid.

    Example
    -------
    >>> taxonomy = load_taxonomy("nisqa")
    >>> make_taxonomy(**taxonomy.to_dict()) == taxonomy
    True
    """
    for what, items in (("dimensions", dimensions), ("kinds", kinds)):
        if not isinstance(items, list | tuple):
            raise SchemaError(f"{what}: found {items!r}, need a list")
    for i, dimension in enumerate(dimensions, start=1):
        where = f"dimension {i} of {len(dimensions)}"
        _check_fields(where, dimension, ("name", "title", "anchors"), ("magnitude",))
        if not isinstance(dimension["anchors"], list | tuple):
            raise SchemaError(f"{where}: anchors: found {dimension['anchors']!r}, need a list")
    for i, kind in enumerate(kinds, start=1):
        where = f"kind {i} of {len(kinds)}"
        _check_fields(where, kind, ("name", "dimension"), ("types",))
        if not isinstance(kind.get("types", []), list | tuple):
            raise SchemaError(f"{where}: types: found {kind['types']!r}, need a list")
    return Taxonomy(
        name,
        tuple(Dimension(**{**d, "anchors": tuple(d["anchors"])}) for d in dimensions),
        overall,
        tuple(ArtifactKind(**{**k, "types": tuple(k.get("types", ()))}) for k in kinds),
    )


def _check_fields(where: str, data, required: tuple[str, ...], optional: tuple[str, ...] = ()):
    if not isinstance(data, Mapping):
        raise SchemaError(f"{where}: found {data!r}, need the keys {', '.join(required)}")
    missing = [name for name in required if name not in data]
    unknown = [str(name) for name in data if name not in (*required, *optional)]
    if missing or unknown:
        found = f"; found {', '.join(unknown)}, which it may not have" if unknown else ""
        lacks = f"has no {' and no '.join(missing)}" if missing else "has too much"
        raise SchemaError(f"{where}: {lacks}{found}; need {', '.join(required)}")


def check_type(kind: str, type_: str) -> None:
    """A type stands between brackets on one line of an answer."""
    if not isinstance(type_, str) or not type_ or type_ != " ".join(type_.split()):
        raise SchemaError(f"artifact {kind!r}: type {type_!r} is not one line of plain words")
    if set(type_) & set("()"):
        raise SchemaError(f"artifact {kind!r}: type {type_!r} has a bracket")


def _check_name(where: str, name: str) -> None:
    """Names stand before a colon in answers and inside log keys."""
    if not (isinstance(name, str) and name.isidentifier() and name == name.lower()):
        raise SchemaError(f"{where}: {name!r} is not a lower-case identifier")
