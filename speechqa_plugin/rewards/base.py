"""What every reward is, and the loop that most of them share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Protocol

from speechqa_plugin.schema import Assessment, Taxonomy
from speechqa_plugin.text.answers import ParsedAnswer


class Part(StrEnum):
    """What of an answer a reward judges, and so where in it the reward is decided."""

    DESCRIPTION = "description"
    EXPECTATION = "expectation"  # of the reward's dimension: known before a digit is drawn
    SCORE = "score"  # of the reward's dimension
    ARTIFACTS = "artifacts"
    REMARKS = "remarks"  # description, score and artifacts
    ANSWER = "answer"
    FORMAT = "format"  # whether the answer can be read
    TEXT = "text"  # whatever was written, readable or not


IN_ANY_FORM = (Part.SCORE, Part.EXPECTATION, Part.ANSWER, Part.FORMAT, Part.TEXT)
"""Parts that an answer in the scores form has, too."""


class Reward(Protocol):
    """Judges N completions against N references.

    Arguments
    ---------
    name : str
        Key of its column in the log.
    part : Part, optional
        What it judges; without it, the whole answer.
    """

    name: str

    def __call__(
        self, predictions: Sequence[ParsedAnswer], references: Sequence[Assessment]
    ) -> list[float | None]:
        """Judge completions.

        Arguments
        ---------
        predictions : sequence of ParsedAnswer
            N completions.
        references : sequence of Assessment
            N references, in the same order.

        Returns
        -------
        list of float or None
            N values in [0, 1]; None where the reference has no such target.

        Raises
        ------
        ValueError
            If there are not as many predictions as references.
        """


def part_of(reward: Reward) -> Part:
    """What a reward judges."""
    return getattr(reward, "part", Part.ANSWER)


class RowReward:
    """A reward that judges one completion at a time; subclasses give ``name`` and `score`.

    Whether a row has a target is a matter of its reference alone. All completions of a prompt
    then have one or none has, and no completion can escape its judgement by what it says.
    """

    name: str

    def has_target(self, reference: Assessment) -> bool:
        """Whether the reference says what is asked."""
        return True

    def score(self, prediction: Assessment, reference: Assessment) -> float:
        """Value in [0, 1] of a readable completion whose reference has a target."""
        raise NotImplementedError

    def __call__(
        self, predictions: Sequence[ParsedAnswer], references: Sequence[Assessment]
    ) -> list[float | None]:
        """See `Reward`: None without a target, 0 if the completion cannot be read, else `score`."""
        check_pairs(predictions, references)
        return [self._row(p, r) for p, r in zip(predictions, references, strict=True)]

    def _row(self, prediction: ParsedAnswer, reference: Assessment) -> float | None:
        if not self.has_target(reference):
            return None
        if prediction.assessment is None:
            return 0.0
        return self.score(prediction.assessment, reference)


def check_pairs(predictions: Sequence[ParsedAnswer], references: Sequence[Assessment]) -> None:
    """Raise ValueError unless there are as many predictions as references."""
    if len(predictions) != len(references):
        raise ValueError(
            f"{len(predictions)} predictions and {len(references)} references; need pairs"
        )


def per_dimension(taxonomy: Taxonomy, make: Callable[[str], Reward]) -> list[Reward]:
    """One reward for each dimension, so that the log shows each by itself.

    Arguments
    ---------
    taxonomy : Taxonomy
        Where the dimensions come from.
    make : callable
        Takes a dimension's name, such as `ScoreAccuracy` or `SoftScore`.

    Returns
    -------
    list of Reward
        In the order of the taxonomy.

    Example
    -------
    >>> from speechqa_plugin.rewards import ScoreAccuracy
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> per_dimension(load_taxonomy("nisqa"), ScoreAccuracy)[0].name
    'accuracy/noi'
    """
    return [make(name) for name in taxonomy.names]


def per_kind(taxonomy: Taxonomy, make: Callable[[str], Reward]) -> list[Reward]:
    """One reward for each artifact kind, such as `TemporalIoU`; see `per_dimension`.

    Example
    -------
    >>> from speechqa_plugin.rewards import TemporalIoU
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> [r.name for r in per_kind(load_taxonomy("qualispeech"), TemporalIoU)][:2]
    ['temporal_iou/noise', 'temporal_iou/distortion']
    """
    return [make(name) for name in taxonomy.kind_names]
