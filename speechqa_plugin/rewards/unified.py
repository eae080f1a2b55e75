"""All rewards as one number, to compare dimension-wise rewards with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from speechqa_plugin.rewards.base import Part, Reward, part_of
from speechqa_plugin.rewards.composite import Composite
from speechqa_plugin.schema import Assessment
from speechqa_plugin.text.answers import AnswerForm, ParsedAnswer


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
        if any(part_of(reward) == Part.EXPECTATION for reward in self.rewards):
            raise ValueError(
                "Unified cannot hold ExpectedScore; SoftScore judges the digit instead"
            )
        self.part_weights = self.weights
        self.names = ("unified", *self.names)
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

    def last_steps(self, score_steps: Sequence[Mapping[str, int]], last: int) -> list[list[int]]:
        """See `Composite`; the whole completion decides the one number."""
        return [[last, *row] for row in super().last_steps(score_steps, last)]

    @property
    def expected_dimensions(self) -> dict[str, float]:
        """None: `ExpectedScore` is refused."""
        return {}

    def _mean(self, row: Sequence[float | None]) -> float | None:
        known = [(v, w) for v, w in zip(row, self.part_weights, strict=True) if v is not None and w]
        if not known:
            return None
        return sum(v * w for v, w in known) / sum(w for _, w in known)
