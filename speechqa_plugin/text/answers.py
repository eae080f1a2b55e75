"""The text a model writes, in both directions: `render_answer` and `parse_answer`.

An answer is a list of lines, each ``key: value``::

    description: The voice is clear, but a hum lies under it.      reasoned form only
    noise: 3                                                       one line per dimension,
    mos: 4                                                         in the taxonomy's order
    artifact: noise (mains hum) 0.4-2.6 s                          reasoned form only, last

The *scores* form holds the score lines alone (the calibration answer of arXiv 2603.10175); the
*reasoned* form holds all of it. Prose stands before the scores so that they follow from it, and
times stand last: a model finds them best there. The *explained* form holds the same lines in the
order scores, artifacts, description: what is decided once stands before the prose that says it,
so that an answer agrees with itself.

A score is written as one digit and a time with one decimal; `as_written` rounds an assessment to
that grid, and ``parse_answer(render_answer(x)).assessment == as_written(x)`` for every valid x.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from speechqa_plugin.schema import (
    SCORE_MAX,
    SCORE_MIN,
    Artifact,
    Assessment,
    SchemaError,
    Taxonomy,
    round_score,
)

TIME_STEP_S = 0.1
"""Grid of the times in an answer; annotators of QualiSpeech write tenths of a second."""

_DESCRIPTION = "description"
_ARTIFACT = "artifact"
_NONE = "none"
_ARTIFACT_VALUE = re.compile(
    r"(?P<kind>\w+) \((?P<type>[^()]+)\)(?: (?P<start>\d{1,6}\.\d)-(?P<end>\d{1,6}\.\d) s)?"
)


class AnswerForm(StrEnum):
    """What an answer holds: the scores alone; reasons, scores and artifacts; or scores, artifacts
    and what there is to say of them.
    """

    SCORES = "scores"
    REASONED = "reasoned"
    EXPLAINED = "explained"


class ParseFailure(StrEnum):
    """Why a text is not an answer; the value is the log key's last part."""

    EMPTY = "empty"
    MISSING_DIMENSION = "missing_dimension"
    REPEATED_LINE = "repeated_line"
    NOT_A_SCORE = "not_a_score"
    SCORE_OUT_OF_RANGE = "score_out_of_range"
    BAD_ARTIFACT = "bad_artifact"
    MISSING_LINE = "missing_line"
    OUT_OF_ORDER = "out_of_order"
    UNKNOWN_LINE = "unknown_line"


@dataclass(frozen=True)
class ParsedAnswer:
    """A text as far as it could be read.

    Arguments
    ---------
    text : str
        What the model wrote.
    assessment : Assessment or None
        What it says; None if and only if ``failure`` is set.
    failure : ParseFailure or None
        The first rule that the text breaks.
    score_spans : tuple of int
        For each dimension, where its digit stands in ``text``.
    expected : mapping from str to float
        For each dimension, the mean of the score under the model's distribution where it wrote
        the digit; empty where that is not known.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> parse_answer("", load_taxonomy("nisqa")).failure
    <ParseFailure.EMPTY: 'empty'>
    """

    text: str
    assessment: Assessment | None = None
    failure: ParseFailure | None = None
    score_spans: tuple[int, ...] = ()
    expected: Mapping[str, float] = field(default_factory=dict)


def as_written(assessment: Assessment, form: AnswerForm = AnswerForm.REASONED) -> Assessment:
    """Round an assessment to what an answer of this form can hold.

    Scores go to the nearest whole number, times outward to tenths of a second (so that a click
    keeps a length), white space in the description becomes single blanks, and confidence and
    severity, which are never written, are dropped.

    Arguments
    ---------
    assessment : Assessment
        Any valid assessment.
    form : AnswerForm
        The scores form also drops description and artifacts.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> taxonomy = load_taxonomy("nisqa")
    >>> as_written(Assessment(taxonomy, dict.fromkeys(taxonomy.names, 3.6))).mos
    4.0
    """
    scores = {n: round_score(s) for n, s in assessment.scores.items()}
    if form == AnswerForm.SCORES:
        return Assessment(assessment.taxonomy, scores)
    return Assessment(
        assessment.taxonomy,
        scores,
        tuple(_written_artifact(a) for a in assessment.artifacts),
        " ".join(assessment.description.split()),
    )


def render_answer(assessment: Assessment, form: AnswerForm = AnswerForm.REASONED) -> str:
    r"""Write an assessment as the text a model should give.

    Arguments
    ---------
    assessment : Assessment
        Any valid assessment.
    form : AnswerForm
        Which of the forms.

    Returns
    -------
    str
        Lines separated by a newline, none at the end.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> taxonomy = load_taxonomy("nisqa")
    >>> render_answer(Assessment(taxonomy, dict.fromkeys(taxonomy.names, 4)), "scores")
    'noi: 4\ncol: 4\ndis: 4\nloud: 4\nmos: 4'
    """
    written = as_written(assessment, form)
    lines = [f"{name}: {score:.0f}" for name, score in written.scores.items()]
    if form == AnswerForm.SCORES:
        return "\n".join(lines)
    description = [f"{_DESCRIPTION}: {written.description}".rstrip(" ")]
    artifacts = [f"{_ARTIFACT}: {render_artifact(a)}" for a in written.artifacts]
    artifacts = artifacts or [f"{_ARTIFACT}: {_NONE}"]
    if form == AnswerForm.EXPLAINED:
        return "\n".join(lines + artifacts + description)
    return "\n".join(description + lines + artifacts)


def parse_answer(
    text: str, taxonomy: Taxonomy, form: AnswerForm = AnswerForm.REASONED
) -> ParsedAnswer:
    r"""Read what a model wrote. Never raises, whatever the text.

    Lower and upper case and blanks around a line do not matter, and an artifact whose times are
    reversed is one without times: models that are small or sample write that now and then, and all
    else they say can be read. Everything else is strict: a text that is not a whole answer is a
    failure with its reason, not half an assessment.

    Arguments
    ---------
    text : str
        Any text.
    taxonomy : Taxonomy
        The dimensions that must be there, once each and in order.
    form : AnswerForm
        Which form the text should have.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> text = "noi: 4\ncol: 4\ndis: 4\nloud: 4\nmos: 3"
    >>> parse_answer(text, load_taxonomy("nisqa"), "scores").assessment.mos
    3.0
    """
    try:
        return _parse(text, taxonomy, form)
    except _Unreadable as err:
        return ParsedAnswer(text, failure=err.failure)


class _Unreadable(Exception):
    def __init__(self, failure: ParseFailure):
        super().__init__(failure)
        self.failure = failure


def _parse(text: str, taxonomy: Taxonomy, form: AnswerForm) -> ParsedAnswer:
    if not text.strip():
        raise _Unreadable(ParseFailure.EMPTY)
    explained = form == AnswerForm.EXPLAINED
    description, scores, spans, artifacts = None, {}, [], None
    position = 0
    for line in text.split("\n"):
        key, colon, value = line.partition(":")
        key = key.strip().lower()
        if key in taxonomy.names and colon:
            if key in scores:
                raise _Unreadable(ParseFailure.REPEATED_LINE)
            out_of_place = artifacts is not None or (explained and description is not None)
            if out_of_place or key != taxonomy.names[len(scores)]:
                raise _Unreadable(_out_of_order(taxonomy, text))
            scores[key] = _parse_score(value)
            spans.append(position + line.index(value.strip(), line.index(":")))
        elif key == _DESCRIPTION and colon and form != AnswerForm.SCORES:
            if description is not None:
                raise _Unreadable(ParseFailure.REPEATED_LINE)
            if artifacts is None if explained else scores or artifacts is not None:
                raise _Unreadable(ParseFailure.OUT_OF_ORDER)
            description = " ".join(value.split())
        elif key == _ARTIFACT and colon and form != AnswerForm.SCORES:
            if len(scores) < len(taxonomy.names):
                raise _Unreadable(ParseFailure.MISSING_DIMENSION)
            if explained and description is not None:
                raise _Unreadable(ParseFailure.OUT_OF_ORDER)
            artifacts = _add_artifact(artifacts, value.strip(), taxonomy)
        elif line.strip():
            raise _Unreadable(ParseFailure.UNKNOWN_LINE)
        position += len(line) + 1
    if len(scores) < len(taxonomy.names):
        raise _Unreadable(ParseFailure.MISSING_DIMENSION)
    if form != AnswerForm.SCORES and (artifacts is None or description is None):
        raise _Unreadable(ParseFailure.MISSING_LINE)
    assessment = Assessment(taxonomy, scores, tuple(artifacts or ()), description or "")
    return ParsedAnswer(text, assessment, score_spans=tuple(spans))


def _parse_score(value: str) -> int:
    value = value.strip()
    if not re.fullmatch(r"0|-?[1-9][0-9]{0,8}", value):  # "03" is no digit between 1 and 5
        raise _Unreadable(ParseFailure.NOT_A_SCORE)
    if not SCORE_MIN <= int(value) <= SCORE_MAX:
        raise _Unreadable(ParseFailure.SCORE_OUT_OF_RANGE)
    return int(value)


def _out_of_order(taxonomy: Taxonomy, text: str) -> ParseFailure:
    """A skipped dimension is missing, unless it comes later."""
    keys = {line.partition(":")[0].strip().lower() for line in text.split("\n")}
    complete = set(taxonomy.names) <= keys
    return ParseFailure.OUT_OF_ORDER if complete else ParseFailure.MISSING_DIMENSION


def _add_artifact(
    artifacts: list[Artifact] | None, value: str, taxonomy: Taxonomy
) -> list[Artifact]:
    if value.lower() == _NONE:
        if artifacts is not None:
            raise _Unreadable(ParseFailure.REPEATED_LINE)
        return []
    if artifacts == []:  # "none" was said before
        raise _Unreadable(ParseFailure.BAD_ARTIFACT)
    match = _ARTIFACT_VALUE.fullmatch(value)
    kind = match["kind"].lower() if match else ""
    if kind not in taxonomy.kind_names:
        raise _Unreadable(ParseFailure.BAD_ARTIFACT)
    start_s, end_s = (None if match[k] is None else float(match[k]) for k in ("start", "end"))
    if start_s is not None and start_s >= end_s:
        start_s = end_s = None
    try:
        artifact = Artifact(kind, match["type"], start_s, end_s)
    except SchemaError as err:
        raise _Unreadable(ParseFailure.BAD_ARTIFACT) from err
    return [*(artifacts or []), artifact]


def render_artifact(artifact: Artifact) -> str:
    """Write an artifact as it stands in an answer, times to tenths of a second.

    Arguments
    ---------
    artifact : Artifact
        As `as_written` rounds it.

    Example
    -------
    >>> render_artifact(Artifact("noise", "mains hum", 0.4, 2.6))
    'noise (mains hum) 0.4-2.6 s'
    """
    text = f"{artifact.kind} ({artifact.type})"
    if artifact.start_s is None:
        return text
    return f"{text} {artifact.start_s:.1f}-{artifact.end_s:.1f} s"


def _written_artifact(artifact: Artifact) -> Artifact:
    if artifact.start_s is None:
        return replace(artifact, severity=None)
    # 1e-6 steps of slack keep a time that is on the grid where it is, in spite of binary floats.
    first = math.floor(artifact.start_s / TIME_STEP_S + 1e-6)
    last = max(first + 1, math.ceil(artifact.end_s / TIME_STEP_S - 1e-6))
    per_second = round(1 / TIME_STEP_S)
    return replace(artifact, start_s=first / per_second, end_s=last / per_second, severity=None)
