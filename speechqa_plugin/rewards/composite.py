"""Several rewards as the columns of one matrix, each with its weight."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from speechqa_plugin.rewards.answer_format import AnswerFormat
from speechqa_plugin.rewards.base import Part, Reward
from speechqa_plugin.rewards.scores import ExpectedScore
from speechqa_plugin.rewards.trl_function import TRLReward
from speechqa_plugin.schema import Assessment
from speechqa_plugin.text.answers import AnswerForm, ParsedAnswer


class Composite:
    """K rewards, kept apart: whoever makes advantages of them chooses how they are joined.

    Arguments
    ---------
    rewards : sequence of Reward or list of Reward
        A list, such as `per_dimension` makes, stands for its members, and each of them gets the
        weight given for the list.
    weights : sequence of float
        One for each of ``rewards``, at least 0; a reward of weight 0 is only logged.
    gate : Reward or None
        Where it gives 0 no reward pays: what is above 0 becomes 0. Penalties stay, since 0 would
        be their best value.
    unreadable : str
        What an answer that cannot be read earns where a reward judges its content: ``zero``, or
        ``neutral``, which is None. Readable answers are then compared among themselves, and being
        unreadable costs what `AnswerFormat` weighs, instead of the sum of all weights, beside
        which no difference in content would count.

    Raises
    ------
    ValueError
        If the lengths differ, ``unreadable`` is neither, it is ``neutral`` and `AnswerFormat`
        has no weight, a weight is negative or not finite, all weights are 0, or two
        rewards have one name.

    Example
    -------
    >>> from speechqa_plugin.rewards import AnswerFormat, KindF1, ScoreAccuracy, per_dimension
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> taxonomy = load_taxonomy("nisqa")
    >>> label = Assessment(taxonomy, dict.fromkeys(taxonomy.names, 4))
    >>> right = ParsedAnswer("", label)
    >>> composite = Composite([per_dimension(taxonomy, ScoreAccuracy), AnswerFormat()], [1, 0])
    >>> composite.names[-2:], composite.weights
    (('accuracy/mos', 'format'), (1.0, 1.0, 1.0, 1.0, 1.0, 0.0))
    >>> composite([right], [label])
    [[1.0, 1.0, 1.0, 1.0, 1.0, 1.0]]
    """

    def __init__(
        self,
        rewards: Sequence[Reward | list[Reward]],
        weights: Sequence[float],
        gate: Reward | None = None,
        unreadable: str = "zero",
    ):
        if len(rewards) != len(weights):
            raise ValueError(f"{len(rewards)} rewards and {len(weights)} weights; need one each")
        groups = [r if isinstance(r, list) else [r] for r in rewards]
        pairs = [(r, float(w)) for group, w in zip(groups, weights, strict=True) for r in group]
        self.rewards = tuple(reward for reward, _ in pairs)
        self.weights = tuple(weight for _, weight in pairs)
        self.names = tuple(reward.name for reward in self.rewards)
        self.judges: tuple[Reward | None, ...] = self.rewards  # of each column, if one has one
        self.gate = gate
        if not all(math.isfinite(w) and w >= 0 for w in self.weights) or not any(self.weights):
            raise ValueError(
                f"reward weights {dict(zip(self.names, self.weights, strict=True))}: "
                "need finite ones of at least 0, and one above 0"
            )
        self.unreadable = unreadable
        if unreadable not in ("zero", "neutral"):
            raise ValueError(f"unreadable is {unreadable!r}; need zero or neutral")
        priced = any(isinstance(r, AnswerFormat) and w > 0 for r, w in pairs)
        if unreadable == "neutral" and not priced:
            raise ValueError("unreadable is neutral, so it is free: give AnswerFormat a weight")
        doubled = sorted({n for n in self.names if self.names.count(n) > 1})
        if doubled:
            raise ValueError(f"rewards {doubled} are named twice; give each its own name")

    def __call__(
        self,
        predictions: Sequence[ParsedAnswer],
        references: Sequence[Assessment],
        forms: Sequence[AnswerForm] | None = None,
        **columns: Sequence,
    ) -> list[list[float | None]]:
        """Judge completions by every reward.

        Arguments
        ---------
        predictions : sequence of ParsedAnswer
            N completions.
        references : sequence of Assessment
            N references, in the same order.
        forms : sequence of AnswerForm, optional
            N forms that were asked for; without them, all reasoned. Of an answer in the scores
            form no description and no artifacts are judged.
        **columns : sequence
            N values each, for TRL's reward functions only; see `TRLReward`.

        Returns
        -------
        list of list of float or None
            ``[N][K]``, columns in the order of ``names``; None where a row has no target.

        Raises
        ------
        ValueError
            If the lengths differ.
        """
        forms = [AnswerForm.REASONED] * len(predictions) if forms is None else forms
        by_reward = [
            self._column(
                r, predictions, references, forms, columns if isinstance(r, TRLReward) else {}
            )
            for r in self.rewards
        ]
        rows = [list(row) for row in zip(*by_reward, strict=True)]
        if self.gate is None:
            return rows
        opened = self.gate(predictions, references)
        return [
            [v if v is None or gate != 0 else min(v, 0.0) for v in row]
            for row, gate in zip(rows, opened, strict=True)
        ]

    def _column(
        self,
        reward: Reward,
        predictions: Sequence[ParsedAnswer],
        references: Sequence[Assessment],
        forms: Sequence[AnswerForm],
        columns: dict[str, Sequence],
    ) -> list[float | None]:
        asked = [i for i, form in enumerate(forms) if _is_asked(reward, form)]
        if len(asked) < len(forms):  # a judge that costs is not asked what it cannot know
            predictions = [predictions[i] for i in asked]
            references = [references[i] for i in asked]
        values = reward(predictions, references, **columns)
        if self.unreadable == "neutral" and not isinstance(reward, AnswerFormat | TRLReward):
            values = [
                v if p.assessment is not None else None
                for v, p in zip(values, predictions, strict=True)
            ]
        column: list[float | None] = [None] * len(forms)
        for i, value in zip(asked, values, strict=True):
            column[i] = value
        return column

    def last_steps(self, score_steps: Sequence[Mapping[str, int]], last: int) -> list[list[int]]:
        """The last token of each completion that can have an influence on each reward.

        With a gate, or with ``unreadable="zero"``, that is the last one of all.

        Arguments
        ---------
        score_steps : sequence of mapping from str to int
            For each of N completions, the index of the token that wrote each dimension's score;
            empty where it could not be read.
        last : int
            Index where the whole completion decides.

        Returns
        -------
        list of list of int
            ``[N][K]``, columns in the order of ``names``.

        Example
        -------
        >>> from speechqa_plugin.rewards import DescriptionRouge, ScoreAccuracy
        >>> rewards = [DescriptionRouge(), ScoreAccuracy("mos"), AnswerFormat()]
        >>> composite = Composite(rewards, [1, 1, 1], unreadable="neutral")
        >>> composite.last_steps([{"noi": 6, "mos": 9}, {}], 20)
        [[5, 9, 20], [20, 20, 20]]
        """
        return [[self._last_step(r, steps, last) for r in self.judges] for steps in score_steps]

    def _last_step(self, reward: Reward | None, steps: Mapping[str, int], last: int) -> int:
        if not steps or self.unreadable == "zero" or self.gate is not None:
            return last  # up to its last token, an answer can lose all rewards at once
        part = getattr(reward, "part", Part.ANSWER)
        if part == Part.DESCRIPTION:
            return max(min(steps.values()) - 1, 0)  # it stands before the scores
        if part == Part.SCORE:
            # What score is expected is known before one is drawn.
            step = steps[reward.dimension]
            return max(step - 1, 0) if isinstance(reward, ExpectedScore) else step
        return last  # artifacts stand last

    def take_counts(self) -> dict[str, int]:
        """What rewards counted since the last call, summed, under their log keys.

        The keys are the same at every call. Most rewards count nothing; a judge counts failures.
        """
        counts: Counter[str] = Counter()
        for reward in self.rewards:
            if hasattr(reward, "take_counts"):
                counts.update(reward.take_counts())
        return dict(counts)


class Unified(Composite):
    """One reward for the whole answer: the weighted mean of the parts that have a target.

    This is the ablation of arXiv 2603.10175 against dimension-wise rewards. The parts stay in the
    matrix with weight 0, so that a log shows the same columns either way. Where every row has all
    targets it is `Composite` with ``sum_then_normalize`` up to a factor; it differs in that
    ``normalize_then_sum`` has nothing left to normalise apart.

    Arguments, result and errors are those of `Composite`, and ValueError if one of the rewards is
    `ExpectedScore`, whose own gradient one number for all does not have; the column ``unified``
    comes first.

    Example
    -------
    >>> from speechqa_plugin.rewards import AnswerFormat, ScoreAccuracy
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> taxonomy = load_taxonomy("nisqa")
    >>> label, other = (Assessment(taxonomy, dict.fromkeys(taxonomy.names, s)) for s in (4, 2))
    >>> unified = Unified([ScoreAccuracy("mos"), AnswerFormat()], [3, 1])
    >>> unified([ParsedAnswer("", other)], [label]), unified.weights
    ([[0.25, 0.0, 1.0]], (1.0, 0.0, 0.0))
    """

    def __init__(
        self,
        rewards: Sequence[Reward | list[Reward]],
        weights: Sequence[float],
        gate: Reward | None = None,
        unreadable: str = "zero",
    ):
        super().__init__(rewards, weights, gate, unreadable)
        if any(isinstance(reward, ExpectedScore) for reward in self.rewards):
            raise ValueError(
                "Unified cannot hold ExpectedScore; SoftScore judges the digit instead"
            )
        self.part_weights = self.weights
        self.names = ("unified", *self.names)
        self.judges = (None, *self.rewards)
        self.weights = (1.0, *(0.0 for _ in self.rewards))

    def __call__(
        self,
        predictions: Sequence[ParsedAnswer],
        references: Sequence[Assessment],
        forms: Sequence[AnswerForm] | None = None,
        **columns: Sequence,
    ) -> list[list[float | None]]:
        """Judge completions; see `Composite`."""
        parts = super().__call__(predictions, references, forms, **columns)
        return [[self._mean(row), *row] for row in parts]

    def _mean(self, row: Sequence[float | None]) -> float | None:
        known = [(v, w) for v, w in zip(row, self.part_weights, strict=True) if v is not None and w]
        if not known:
            return None
        return sum(v * w for v, w in known) / sum(w for _, w in known)


def _is_asked(reward: Reward, form: AnswerForm) -> bool:
    """Whether an answer of this form has what the reward judges."""
    part = getattr(reward, "part", Part.ANSWER)
    return form == AnswerForm.REASONED or part in (Part.SCORE, Part.ANSWER)
