"""What the project talks about, as frozen classes that validate themselves.

Everything else (answers, metrics, models) works on these types, and the
dimension and artifact names they hold come from a taxonomy file, never from
code.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import yaml

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
        If there are not exactly five anchors or the name has a separator.

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
            _check_type(self.name, type_)


RESERVED = {"description", "artifact"}
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
        taken = sorted(RESERVED.intersection(self.names))
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


class _Bounds(NamedTuple):
    start_s: float
    end_s: float


class Interval(_Bounds):
    """A stretch of time, ``0 <= start_s < end_s``, both in seconds; a pair of the two.

    Raises
    ------
    SchemaError
        If a bound is not finite or negative, or the end is not after the start.

    Example
    -------
    >>> Interval(0.5, 2.0).length_s
    1.5
    >>> Interval(0.5, 2.0) == (0.5, 2.0)
    True
    """

    __slots__ = ()

    def __new__(cls, start_s: float, end_s: float):
        """Check the bounds, which a tuple can do only here."""
        if not (math.isfinite(start_s) and math.isfinite(end_s)):
            raise SchemaError(f"interval {start_s}-{end_s}: bounds must be finite")
        if not 0 <= start_s < end_s:
            raise SchemaError(f"interval {start_s}-{end_s} s: need 0 <= start_s < end_s")
        return super().__new__(cls, start_s, end_s)

    @property
    def length_s(self) -> float:
        """Length in seconds, above 0."""
        return self.end_s - self.start_s


@dataclass(frozen=True)
class Artifact:
    """One artifact heard in a clip.

    Arguments
    ---------
    kind : str
        Name of an artifact kind of the taxonomy.
    type : str
        What it is, in one line without brackets, e.g. ``mains hum``.
    start_s, end_s : float or None
        When, in seconds from the clip's start; both None where it is not known.
    severity : float or None
        From 0 (just there) to 1 (as bad as it gets); known for simulated clips
        only and never written in an answer.

    Raises
    ------
    SchemaError
        If the type, the times or the severity are not as described.

    Example
    -------
    >>> Artifact("noise", "babble", 0.0, 1.5).interval
    Interval(start_s=0.0, end_s=1.5)
    """

    kind: str
    type: str
    start_s: float | None = None
    end_s: float | None = None
    severity: float | None = None

    def __post_init__(self):
        _check_type(self.kind, self.type)
        if (self.start_s is None) != (self.end_s is None):
            raise SchemaError(
                f"artifact {self.kind!r}: start_s={self.start_s} and end_s={self.end_s}: "
                "give both or neither"
            )
        for name in ("start_s", "end_s", "severity"):
            value = getattr(self, name)
            if value is not None:
                _check_number(f"artifact {self.kind!r}: {name}", value)
        if self.start_s is not None:
            Interval(self.start_s, self.end_s)
        if self.severity is not None and not 0 <= self.severity <= 1:
            raise SchemaError(f"artifact {self.kind!r}: severity {self.severity} not in [0, 1]")

    @property
    def interval(self) -> Interval | None:
        """The artifact's time, or None where it is not known."""
        return None if self.start_s is None else Interval(self.start_s, self.end_s)

    def to_dict(self) -> dict:
        """Plain dict for JSON, without the fields that are not known."""
        items = {k: getattr(self, k) for k in ("kind", "type", "start_s", "end_s", "severity")}
        return {k: v for k, v in items.items() if v is not None}


@dataclass(frozen=True)
class Assessment:
    """What is said of one clip, by a person, a simulator or a model.

    Arguments
    ---------
    taxonomy : Taxonomy
        The dimensions and kinds it speaks of.
    scores : mapping from str to float
        A score in [1, 5] for every dimension of the taxonomy.
    artifacts : tuple of Artifact
        What is wrong, and when.
    description : str
        The reasons in prose.
    confidence : mapping from str to float
        For each dimension, how sure the model is of its score, in [0, 1];
        empty where nobody said.

    Raises
    ------
    SchemaError
        If a dimension is missing, unknown or out of range, or an artifact's
        kind is not in the taxonomy.

    Example
    -------
    >>> taxonomy = load_taxonomy("nisqa")
    >>> Assessment(taxonomy, dict.fromkeys(taxonomy.names, 4)).mos
    4.0
    """

    taxonomy: Taxonomy = field(repr=False)
    scores: Mapping[str, float]
    artifacts: tuple[Artifact, ...] = ()
    description: str = ""
    confidence: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self):
        _check_keys("scores", self.scores, self.taxonomy, SCORE_MIN, SCORE_MAX)
        missing = [n for n in self.taxonomy.names if n not in self.scores]
        if missing:
            raise SchemaError(f"scores: no value for {missing} of {self.taxonomy.name!r}")
        _check_keys("confidence", self.confidence, self.taxonomy, 0, 1)
        for artifact in self.artifacts:
            if artifact.kind not in self.taxonomy.kind_names:
                raise SchemaError(
                    f"artifacts: kind {artifact.kind!r} is none of {self.taxonomy.kind_names} "
                    f"of {self.taxonomy.name!r}"
                )
        if not isinstance(self.description, str):
            raise SchemaError(f"description: need a text, found {self.description!r}")
        order = self.taxonomy.names
        for name in ("scores", "confidence"):
            given = getattr(self, name)
            fixed = {n: float(given[n]) for n in order if n in given}
            object.__setattr__(self, name, fixed)
        object.__setattr__(self, "artifacts", tuple(self.artifacts))

    @property
    def mos(self) -> float:
        """The overall score, in [1, 5]."""
        return self.scores[self.taxonomy.overall]

    def of_kind(self, kind: str) -> list[Artifact]:
        """The artifacts of one kind, as they were given."""
        return [a for a in self.artifacts if a.kind == kind]

    def intervals(self, kind: str) -> list[Interval]:
        """Known times of the artifacts of one kind, as they were given."""
        return [a.interval for a in self.of_kind(kind) if a.interval]

    def to_dict(self) -> dict:
        """Plain dict for JSON; `assessment_from_dict` reads it back."""
        out = {
            "scores": dict(self.scores),
            "artifacts": [a.to_dict() for a in self.artifacts],
            "description": self.description,
        }
        if self.confidence:
            out["confidence"] = dict(self.confidence)
        return out


@dataclass(frozen=True)
class Utterance:
    """One row of a manifest: a recording and, if known, what is right for it.

    Arguments
    ---------
    id : str
        Unique in its manifest.
    path : str
        Audio file.
    duration_s : float
        Length in seconds, above 0.
    reference : Assessment or None
        The labels.
    system : str
        What made the clip (codec, enhancement, TTS); groups clips for
        system-level numbers. Empty where it is not known.

    Raises
    ------
    SchemaError
        If the id is empty or the duration is not above 0.

    Example
    -------
    >>> Utterance("a", "a.wav", 2.5).system
    ''
    """

    id: str
    path: str
    duration_s: float
    reference: Assessment | None = None
    system: str = ""

    def __post_init__(self):
        if not self.id:
            raise SchemaError("id: is empty")
        if not (math.isfinite(self.duration_s) and self.duration_s > 0):
            raise SchemaError(f"duration_s: {self.duration_s} is not above 0")


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


def assessment_from_dict(data: Mapping, taxonomy: Taxonomy) -> Assessment:
    """Read what `Assessment.to_dict` wrote.

    Arguments
    ---------
    data : mapping
        Keys ``scores``, and optionally ``artifacts``, ``description`` and
        ``confidence``.
    taxonomy : Taxonomy
        The taxonomy it was written with.

    Returns
    -------
    Assessment

    Raises
    ------
    SchemaError
        If a field is missing, unknown or not valid.

    Example
    -------
    >>> taxonomy = load_taxonomy("nisqa")
    >>> assessment = Assessment(taxonomy, dict.fromkeys(taxonomy.names, 4))
    >>> assessment_from_dict(assessment.to_dict(), taxonomy) == assessment
    True
    """
    if not isinstance(data, Mapping) or not isinstance(data.get("scores"), Mapping):
        raise SchemaError(f"scores: need a mapping from dimension to score, found {data!r}")
    unknown = sorted(set(data) - {"scores", "artifacts", "description", "confidence"})
    if unknown:
        raise SchemaError(f"assessment: unknown fields {unknown}")
    artifacts, confidence = data.get("artifacts", []), data.get("confidence", {})
    if not isinstance(artifacts, list):
        raise SchemaError(f"artifacts: need a list, found {artifacts!r}")
    if not isinstance(confidence, Mapping):
        raise SchemaError(
            f"confidence: need a mapping from dimension to confidence, found {confidence!r}"
        )
    try:
        artifacts = tuple(Artifact(**item) for item in artifacts)
    except TypeError as err:
        raise SchemaError(f"artifacts: {err}") from err
    return Assessment(
        taxonomy,
        data["scores"],
        artifacts,
        data.get("description", ""),
        confidence,
    )


@lru_cache
def load_taxonomy(source: str) -> Taxonomy:
    """Load a taxonomy that ships with the package, or one of your own.

    Arguments
    ---------
    source : str
        ``qualispeech``, ``nisqa``, or the path of a YAML file like theirs.

    Returns
    -------
    Taxonomy

    Raises
    ------
    SchemaError
        If there is no such file or it does not describe a taxonomy.

    Example
    -------
    >>> load_taxonomy("qualispeech").overall
    'mos'
    """
    folder = Path(__file__).parent / "taxonomies"
    path = Path(source) if str(source).endswith((".yaml", ".yml")) else folder / f"{source}.yaml"
    if not path.is_file():
        known = sorted(p.stem for p in folder.glob("*.yaml"))
        raise SchemaError(f"taxonomy {source!r}: no file {path}; ours are {known}")
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    try:
        return make_taxonomy(**data)
    except TypeError as err:
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

    Returns
    -------
    Taxonomy

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
    try:
        return Taxonomy(
            name,
            tuple(Dimension(**{**d, "anchors": tuple(d["anchors"])}) for d in dimensions),
            overall,
            tuple(ArtifactKind(**{**k, "types": tuple(k.get("types", ()))}) for k in kinds),
        )
    except (KeyError, TypeError) as err:
        raise SchemaError(f"taxonomy {name!r}: {type(err).__name__} {err}") from err


def _check_name(where: str, name: str) -> None:
    """Names stand before a colon in answers and inside log keys."""
    if not (isinstance(name, str) and name.isidentifier() and name == name.lower()):
        raise SchemaError(f"{where}: {name!r} is not a lower-case identifier")


def _check_type(kind: str, type_: str) -> None:
    """A type stands between brackets on one line of an answer."""
    if not isinstance(type_, str) or not type_ or type_ != " ".join(type_.split()):
        raise SchemaError(f"artifact {kind!r}: type {type_!r} is not one line of plain words")
    if set(type_) & set("()"):
        raise SchemaError(f"artifact {kind!r}: type {type_!r} has a bracket")


def _check_number(where: str, value) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise SchemaError(f"{where} is {value!r}, not a number")


def _check_keys(name: str, values: Mapping, taxonomy: Taxonomy, low: float, high: float) -> None:
    unknown = [k for k in values if k not in taxonomy.names]
    if unknown:
        raise SchemaError(f"{name}: {unknown} are no dimensions of {taxonomy.name!r}")
    for key, value in values.items():
        _check_number(f"{name}: {key}", value)
        if not low <= value <= high:
            raise SchemaError(f"{name}: {key} is {value}, not in [{low}, {high}]")
