"""What a model said of a clip or a recording, and how sure it is: probabilities to scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from speechqa_plugin.schema import SCORE_MAX, SCORE_MIN, Assessment
from speechqa_plugin.text.answers import ParsedAnswer
from speechqa_plugin.windows import join

SCORES = range(SCORE_MIN, SCORE_MAX + 1)
"""What the five score tokens stand for, in their order."""

UNKNOWN = (0.5, 0.0, 0.0, 0.0, 0.5)
"""Probabilities of the scores of what lacks speech: the middle of the scale, confidence 0."""


@dataclass(frozen=True)
class Answer:
    """A model's answer on one clip.

    Arguments
    ---------
    parsed : ParsedAnswer
        The text as far as it could be read; its scores are the digits.
    probs : dict from str to tuple of float
        For each dimension, the probabilities of scores 1 to 5 where the model wrote its digit;
        empty if the text could not be read.
    steps : dict from str to int
        For each dimension, the index of the token that wrote its digit; empty if the text could
        not be read or was not written freely.
    finished : bool
        False where the limit of new tokens cut the text.
    rescue : Answer or None
        The scores answer that was asked for because the text could not be read.
    warning : str
        Why the model was not asked at all, so that this is no answer of it; empty where it was.
    """

    parsed: ParsedAnswer
    probs: dict[str, tuple[float, ...]]
    steps: dict[str, int] = field(default_factory=dict)
    finished: bool = True
    rescue: Answer | None = None
    warning: str = ""

    @property
    def assessment(self) -> Assessment | None:
        """The assessment with expected scores and confidences; None if the text is unreadable.

        Of a rescued one the scores without artifacts, and the text as their description.
        """
        if self.rescue is not None:
            return replace(self.rescue.assessment, description=self.parsed.text)
        if self.parsed.assessment is None:
            return None
        return replace(
            self.parsed.assessment,
            scores={n: expected_score(p) for n, p in self.probs.items()},
            confidence={n: confidence(p) for n, p in self.probs.items()},
            warnings=(self.warning,) if self.warning else (),
        )


@dataclass(frozen=True)
class Heard:
    """What a model said of one recording, which may be longer than it hears at once.

    Arguments
    ---------
    parts : tuple of (float, float, Answer)
        Start and end in seconds, in order, and the answer on the window; at least one. Windows
        overlap.
    warnings : tuple of str
        What a listener should know of the recording.
    """

    parts: tuple[tuple[float, float, Answer], ...]
    warnings: tuple[str, ...] = ()

    @property
    def assessment(self) -> Assessment:
        """The windows' assessments, joined by `speechqa_plugin.windows.join`."""
        joined = join([(start_s, end_s, a.assessment) for start_s, end_s, a in self.parts])
        if self.warnings:
            joined = replace(joined, warnings=(*self.warnings, *joined.warnings))
        return joined

    @property
    def failure(self) -> str:
        """Why a text could not be read (of the last such part); empty if all could."""
        failures = [a.parsed.failure for _, _, a in self.parts if a.parsed.failure]
        return str(["", *failures][-1])


def with_expected(parsed: ParsedAnswer, probs: Mapping[str, Sequence[float]]) -> ParsedAnswer:
    """The same with the expected score of each dimension's probabilities."""
    return replace(parsed, expected={n: expected_score(p) for n, p in probs.items()})


def expected_score(probs: Sequence[float]) -> float:
    """Mean of the score under its distribution.

    Arguments
    ---------
    probs : sequence of float
        Five probabilities, of scores 1 to 5, that sum to 1.

    Returns
    -------
    float
        In [1, 5].

    Raises
    ------
    FloatingPointError
        If the probabilities are those of a broken model.

    Example
    -------
    >>> expected_score((0, 0, 0.5, 0.5, 0))
    3.5
    """
    mean = sum(s * p for s, p in zip(SCORES, probs, strict=True))
    if math.isnan(mean):
        raise FloatingPointError(
            "a score's probabilities are not finite: the model's weights hold nan or inf, or its "
            "dtype is too narrow for them"
        )
    return min(float(SCORE_MAX), max(float(SCORE_MIN), mean))


def confidence(probs: Sequence[float]) -> float:
    """How narrow a score's distribution is: ``1 - std / 2``.

    2 is the largest standard deviation that a distribution on 1 to 5 can have (half of it on
    either end), so 1 is certain, .29 an even spread and 0 torn between worst and best.

    Arguments
    ---------
    probs : sequence of float
        Five probabilities, of scores 1 to 5, that sum to 1.

    Returns
    -------
    float
        In [0, 1].

    Example
    -------
    >>> confidence((0, 0, 1, 0, 0)), confidence((0.5, 0, 0, 0, 0.5))
    (1.0, 0.0)
    """
    mean = expected_score(probs)
    variance = sum(p * (s - mean) ** 2 for s, p in zip(SCORES, probs, strict=True))
    widest = (SCORE_MAX - SCORE_MIN) / 2
    return min(1.0, max(0.0, 1 - math.sqrt(max(variance, 0.0)) / widest))
