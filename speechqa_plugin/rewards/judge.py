"""Rewards given by a language model that compares a completion with its reference.

The second reward of arXiv 2603.10175: a judge grades each dimension of the text from 0 to 10,
and a tenth of the grade is the reward. Unlike other rewards these may have no value though there
is a target: a judge that fails gives None, which is neutral, and never 0, which would cost.

The judge is injected; those of `speechqa_plugin.judges` ask a server or a local model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from speechqa_plugin.rewards.base import Part, check_pairs
from speechqa_plugin.schema import Assessment, Taxonomy
from speechqa_plugin.text.answers import ParsedAnswer
from speechqa_plugin.text.prompts import (
    JUDGE_MAX,
    build_description_judge_prompt,
    build_judge_prompt,
)


class Judge(Protocol):
    """Grades prompts."""

    def judge(self, prompts: Sequence[str]) -> list[float | None]:
        """N grades from 0 to 10 for N prompts; None where it failed."""

    def take_counts(self) -> dict[str, int]:
        """Counts since the last call under their log keys, the same keys at every call."""


class JudgePanel:
    """Puts all dimensions of a batch to a judge at once, and hands the columns out one by one.

    The first reward that asks for a batch starts the wave; the others find their column. Asking
    for a column twice asks the judge again.

    Arguments
    ---------
    judge : Judge
        Who is asked.
    dimensions : sequence of str
        Names of the dimensions.
    """

    def __init__(self, judge: Judge, dimensions: Sequence[str]):
        self.judge = judge
        self.dimensions = tuple(dimensions)
        self._batch: tuple[list, list] = ([], [])
        self._columns: dict[str, list[float | None]] = {}

    def column(
        self, dimension: str, predictions: Sequence[ParsedAnswer], references: Sequence[Assessment]
    ) -> list[float | None]:
        """N values of one dimension in [0, 1]; None where the judge failed."""
        batch = (list(predictions), list(references))
        if batch != self._batch or dimension not in self._columns:
            self._batch, self._columns = batch, self._wave(*batch)
        return self._columns.pop(dimension)

    def _wave(
        self, predictions: list[ParsedAnswer], references: list[Assessment]
    ) -> dict[str, list[float | None]]:
        rows = [
            None if p.assessment is None else build_judge_prompt(dimension, r, p.assessment)
            for dimension in self.dimensions
            for p, r in zip(predictions, references, strict=True)
        ]
        values, n = _ask(self.judge, rows), len(predictions)
        return {d: values[i * n : (i + 1) * n] for i, d in enumerate(self.dimensions)}


class JudgeReward:
    """A judge's grade of one dimension, over 10; see `judge_per_dimension`.

    Arguments
    ---------
    dimension : str
        One of the panel's dimensions.
    panel : JudgePanel
        Shared with the rewards of the other dimensions.
    """

    part = Part.REMARKS

    def __init__(self, dimension: str, panel: JudgePanel):
        self.dimension = dimension
        self.panel = panel
        self.name = f"judge/{dimension}"

    def __call__(
        self, predictions: Sequence[ParsedAnswer], references: Sequence[Assessment]
    ) -> list[float | None]:
        """See `Reward`; 0 where the completion cannot be read, None where the judge failed."""
        check_pairs(predictions, references)
        return self.panel.column(self.dimension, predictions, references)

    def take_counts(self) -> dict[str, int]:
        """The judge's counts; whoever of its rewards comes first takes them all."""
        return self.panel.judge.take_counts()


def judge_per_dimension(taxonomy: Taxonomy, judge: Judge) -> list[JudgeReward]:
    """One judged reward for each dimension, all asked for together.

    Arguments
    ---------
    taxonomy : Taxonomy
        Where the dimensions come from.
    judge : Judge
        Such as `speechqa_plugin.judges.ServerJudge`.

    Returns
    -------
    list of JudgeReward
        In the order of the taxonomy.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> class Kind:
    ...     def judge(self, prompts):
    ...         return [8] * len(prompts)
    >>> taxonomy = load_taxonomy("nisqa")
    >>> label = Assessment(taxonomy, dict.fromkeys(taxonomy.names, 4))
    >>> reward = judge_per_dimension(taxonomy, Kind())[-1]
    >>> reward.name, reward([ParsedAnswer("", label), ParsedAnswer("hello")], [label] * 2)
    ('judge/mos', [0.8, 0.0])
    """
    panel = JudgePanel(judge, taxonomy.names)
    return [JudgeReward(name, panel) for name in taxonomy.names]


class DescriptionJudge:
    """A judge's grade of the whole description, over 10.

    None where the reference has no description or the judge failed; 0 where the completion has
    none or cannot be read.

    Arguments
    ---------
    judge : Judge
        Who is asked, all completions at once.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> class Kind:
    ...     def judge(self, prompts):
    ...         return [8] * len(prompts)
    >>> taxonomy = load_taxonomy("nisqa")
    >>> label = Assessment(taxonomy, dict.fromkeys(taxonomy.names, 4), description="A hum.")
    >>> DescriptionJudge(Kind())([ParsedAnswer("", label), ParsedAnswer("hello")], [label] * 2)
    [0.8, 0.0]
    """

    name = "judge/description"
    part = Part.DESCRIPTION

    def __init__(self, judge: Judge):
        self.judge = judge

    def __call__(
        self, predictions: Sequence[ParsedAnswer], references: Sequence[Assessment]
    ) -> list[float | None]:
        """See `Reward`."""
        check_pairs(predictions, references)
        pairs = [
            (r.description, p.assessment.description if p.assessment else "")
            for p, r in zip(predictions, references, strict=True)
        ]
        asked = _ask(
            self.judge,
            [build_description_judge_prompt(*pair) if all(pair) else None for pair in pairs],
        )
        return [v if there else None for v, (there, _) in zip(asked, pairs, strict=True)]

    def take_counts(self) -> dict[str, int]:
        """The judge's counts."""
        return self.judge.take_counts()


def _ask(judge: Judge, prompts: Sequence[str | None]) -> list[float | None]:
    """Values in [0, 1] or None of prompts; 0 where there is nothing to ask."""
    grades = iter(judge.judge([p for p in prompts if p is not None]))
    values = [0 if p is None else next(grades) for p in prompts]
    return [None if v is None else v / JUDGE_MAX for v in values]
