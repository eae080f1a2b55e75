"""Several rewards as the columns of one matrix, each with its weight."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from speechqa_plugin.rewards.base import IN_ANY_FORM, Part, Reward, part_of
from speechqa_plugin.rewards.decided import last_steps
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
        If the lengths differ, ``unreadable`` is neither, or ``neutral`` and for free, a weight is
        negative or not finite, all weights are 0, or two rewards have one name.

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
        self.gate = gate
        if not all(math.isfinite(w) and w >= 0 for w in self.weights) or not any(self.weights):
            raise ValueError(
                f"reward weights {dict(zip(self.names, self.weights, strict=True))}: "
                "need finite ones of at least 0, and one above 0"
            )
        self.unreadable = unreadable
        if unreadable not in ("zero", "neutral"):
            raise ValueError(f"unreadable is {unreadable!r}; need zero or neutral")
        priced = any(part_of(r) == Part.FORMAT and w > 0 for r, w in pairs)
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
        by_reward = [self._column(r, predictions, references, forms, columns) for r in self.rewards]
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
        part = part_of(reward)
        asked = [
            i for i, form in enumerate(forms) if form != AnswerForm.SCORES or part in IN_ANY_FORM
        ]
        if len(asked) < len(forms):  # a judge that costs is not asked what it cannot know
            predictions = [predictions[i] for i in asked]
            references = [references[i] for i in asked]
        values = reward(predictions, references, **(columns if part == Part.TEXT else {}))
        if self.unreadable == "neutral" and part not in (Part.FORMAT, Part.TEXT):
            values = [
                v if p.assessment is not None else None
                for v, p in zip(values, predictions, strict=True)
            ]
        column: list[float | None] = [None] * len(forms)
        for i, value in zip(asked, values, strict=True):
            column[i] = value
        return column

    def last_steps(self, score_steps: Sequence[Mapping[str, int]], last: int) -> list[list[int]]:
        """See `speechqa_plugin.rewards.decided.last_steps`; columns in the order of ``names``."""
        if self.unreadable == "zero" or self.gate is not None:
            # Up to its last token, an answer can lose all rewards at once.
            score_steps = [{} for _ in score_steps]
        return last_steps(self.rewards, score_steps, last)

    @property
    def expected_dimensions(self) -> dict[str, float]:
        """Weight of each dimension whose expected score has a reward of positive weight."""
        return {
            reward.dimension: weight
            for reward, weight in zip(self.rewards, self.weights, strict=True)
            if part_of(reward) == Part.EXPECTATION and weight > 0
        }

    def take_counts(self) -> dict[str, int]:
        """What rewards counted since the last call, summed, under their log keys.

        The keys are the same at every call. Most rewards count nothing; a judge counts failures.
        """
        counts: Counter[str] = Counter()
        for reward in self.rewards:
            if hasattr(reward, "take_counts"):
                counts.update(reward.take_counts())
        return dict(counts)
