"""What is said of a clip: its scores, its artifacts and when they are, and a manifest's row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from speechqa_plugin.schema.taxonomy import (
    SCORE_MAX,
    SCORE_MIN,
    SchemaError,
    Taxonomy,
    check_type,
)

_FIELDS = {"scores", "artifacts", "description", "confidence", "timeline", "warnings"}
"""Of an assessment as a dict."""


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
        check_type(self.kind, self.type)
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

    def within(self, end_s: float) -> Artifact:
        """The artifact in a clip that ends there: no time of it lies behind.

        Where all of its time does, the time is not known.

        Example
        -------
        >>> Artifact("noise", "babble", 1.0, 9.0).within(8.5).end_s
        8.5
        """
        if self.end_s is None or self.end_s <= end_s:
            return self
        if self.start_s >= end_s:
            return replace(self, start_s=None, end_s=None)
        return replace(self, end_s=end_s)

    def to_dict(self) -> dict:
        """Plain dict for JSON, without the fields that are not known."""
        items = {k: getattr(self, k) for k in ("kind", "type", "start_s", "end_s", "severity")}
        return {k: v for k, v in items.items() if v is not None}


@dataclass(frozen=True)
class Stretch:
    """A stretch of a long recording, and the scores of it alone.

    Arguments
    ---------
    start_s, end_s : float
        When, in seconds from the recording's start.
    scores : mapping from str to float
        A score in [1, 5] for every dimension of a taxonomy.

    Example
    -------
    >>> Stretch(0.0, 10.0, {"mos": 3.5}).to_dict()
    {'start_s': 0.0, 'end_s': 10.0, 'scores': {'mos': 3.5}}
    """

    start_s: float
    end_s: float
    scores: Mapping[str, float]

    def __post_init__(self):
        for name in ("start_s", "end_s"):
            _check_number(f"timeline: {name}", getattr(self, name))
        Interval(self.start_s, self.end_s)

    def to_dict(self) -> dict:
        """Plain dict for JSON."""
        return {"start_s": self.start_s, "end_s": self.end_s, "scores": dict(self.scores)}


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
    timeline : tuple of Stretch
        Scores over time, of a recording longer than the model hears at once;
        empty for all others.
    warnings : tuple of str
        What stands against the scores, a sentence each.

    Raises
    ------
    SchemaError
        If a dimension is missing, unknown or out of range, or an artifact's
        kind is not in the taxonomy.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> taxonomy = load_taxonomy("nisqa")
    >>> Assessment(taxonomy, dict.fromkeys(taxonomy.names, 4)).mos
    4.0
    """

    taxonomy: Taxonomy = field(repr=False)
    scores: Mapping[str, float]
    artifacts: tuple[Artifact, ...] = ()
    description: str = ""
    confidence: Mapping[str, float] = field(default_factory=dict)
    timeline: tuple[Stretch, ...] = ()
    warnings: tuple[str, ...] = ()

    def __post_init__(self):
        _check_scores("scores", self.scores, self.taxonomy)
        for stretch in self.timeline:
            _check_scores(
                f"timeline: {stretch.start_s}-{stretch.end_s} s", stretch.scores, self.taxonomy
            )
        _check_keys("confidence", self.confidence, self.taxonomy, 0, 1)
        for artifact in self.artifacts:
            if artifact.kind not in self.taxonomy.kind_names:
                raise SchemaError(
                    f"artifacts: kind {artifact.kind!r} is none of {self.taxonomy.kind_names} "
                    f"of {self.taxonomy.name!r}"
                )
        if not isinstance(self.description, str):
            raise SchemaError(f"description: need a text, found {self.description!r}")
        given = self.warnings
        if not isinstance(given, (list, tuple)) or not all(isinstance(w, str) for w in given):
            raise SchemaError(f"warnings: need a list of texts, found {self.warnings!r}")
        for name in ("scores", "confidence"):
            given = getattr(self, name)
            fixed = {n: float(given[n]) for n in self.taxonomy.names if n in given}
            object.__setattr__(self, name, fixed)
        for name in ("artifacts", "timeline", "warnings"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @property
    def mos(self) -> float:
        """The overall score, in [1, 5]."""
        return self.scores[self.taxonomy.overall]

    @property
    def judged(self) -> bool:
        """False where there was nothing to judge; see `is_judged`."""
        return is_judged(self.confidence)

    def of_kind(self, kind: str) -> list[Artifact]:
        """The artifacts of one kind, as they were given."""
        return [a for a in self.artifacts if a.kind == kind]

    def intervals(self, kind: str) -> list[Interval]:
        """Known times of the artifacts of one kind, as they were given."""
        return [a.interval for a in self.of_kind(kind) if a.interval]

    def within(self, end_s: float) -> Assessment:
        """The assessment of a clip that ends there; see `Artifact.within`."""
        return replace(self, artifacts=tuple(a.within(end_s) for a in self.artifacts))

    def to_dict(self) -> dict:
        """Plain dict for JSON; `assessment_from_dict` reads it back."""
        out = {
            "scores": dict(self.scores),
            "artifacts": [a.to_dict() for a in self.artifacts],
            "description": self.description,
        }
        if self.confidence:
            out["confidence"] = dict(self.confidence)
        if self.timeline:
            out["timeline"] = [s.to_dict() for s in self.timeline]
        if self.warnings:
            out["warnings"] = list(self.warnings)
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
        The labels; an artifact that ends after the clip is cut to it.
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
        if self.reference is not None:
            object.__setattr__(self, "reference", self.reference.within(self.duration_s))


def is_judged(confidence: Mapping[str, float]) -> bool:
    """False where these say that there was nothing to judge: all of them are 0."""
    return not confidence or any(confidence.values())


def assessment_from_dict(data: Mapping, taxonomy: Taxonomy) -> Assessment:
    """Read what `Assessment.to_dict` wrote.

    Arguments
    ---------
    data : mapping
        Keys ``scores``, and optionally ``artifacts``, ``description``, ``confidence``,
        ``timeline`` and ``warnings``.
    taxonomy : Taxonomy
        The taxonomy it was written with.

    Raises
    ------
    SchemaError
        If a field is missing, unknown or not valid.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> taxonomy = load_taxonomy("nisqa")
    >>> assessment = Assessment(taxonomy, dict.fromkeys(taxonomy.names, 4))
    >>> assessment_from_dict(assessment.to_dict(), taxonomy) == assessment
    True
    """
    if not isinstance(data, Mapping) or not isinstance(data.get("scores"), Mapping):
        raise SchemaError(f"scores: need a mapping from dimension to score, found {data!r}")
    unknown = sorted(set(data) - _FIELDS)
    if unknown:
        raise SchemaError(f"assessment: unknown fields {unknown}")
    confidence = data.get("confidence", {})
    if not isinstance(confidence, Mapping):
        raise SchemaError(
            f"confidence: need a mapping from dimension to confidence, found {confidence!r}"
        )
    return Assessment(
        taxonomy,
        data["scores"],
        _items("artifacts", Artifact, data),
        data.get("description", ""),
        confidence,
        _items("timeline", Stretch, data),
        data.get("warnings", ()),
    )


def _items(name: str, type_: type, data: Mapping) -> tuple:
    """Objects of a list of mappings."""
    items = data.get(name, [])
    if not isinstance(items, list):
        raise SchemaError(f"{name}: need a list, found {items!r}")
    try:
        return tuple(type_(**item) for item in items)
    except TypeError as err:
        raise SchemaError(f"{name}: {err}") from err


def _check_number(where: str, value) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise SchemaError(f"{where} is {value!r}, not a number")


def _check_scores(name: str, scores: Mapping, taxonomy: Taxonomy) -> None:
    if not isinstance(scores, Mapping):
        raise SchemaError(f"{name}: need a mapping from dimension to score, found {scores!r}")
    _check_keys(name, scores, taxonomy, SCORE_MIN, SCORE_MAX)
    missing = [n for n in taxonomy.names if n not in scores]
    if missing:
        raise SchemaError(f"{name}: no value for {missing} of {taxonomy.name!r}")


def _check_keys(name: str, values: Mapping, taxonomy: Taxonomy, low: float, high: float) -> None:
    unknown = [k for k in values if k not in taxonomy.names]
    if unknown:
        raise SchemaError(f"{name}: {unknown} are no dimensions of {taxonomy.name!r}")
    for key, value in values.items():
        _check_number(f"{name}: {key}", value)
        if not low <= value <= high:
            raise SchemaError(f"{name}: {key} is {value}, not in [{low}, {high}]")
