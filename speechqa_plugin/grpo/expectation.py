"""A reward that is a function of the policy itself: how near an expected value is to its target.

Where a token is one of a few that stand for numbers (the digits of a score), the policy does not
only choose one, it expects a value E = Σ_c p(c) v_c. A reward r = 1 - ((E - y) / range)² of a
completion o then has, beside what every reward has, a gradient of its own:

    ∇ E_o[r] = E_o[(r - baseline) ∇ log π(o)] + E_o[∇ r]

The first part is GRPO's: it credits the tokens that led to the expectation. `expectation_losses`
is the second, without the noise of sampling. Unlike the reward of a sampled digit it is best where
the expectation is right, and not where one digit has all the probability.

Over a group of completions of one prompt the mean squared error is that of their mean plus their
spread around it:

    mean_g (E_g - y)² = (mean E - y)² + mean_g (E_g - mean E)²

The spread is what a completion's own words do to the numbers that follow, since all of a group
heard the same. Its gradient has none of the labels' noise, so it stands far above its own noise
where that of the error does not, and may weigh more: `group_targets`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Targets:
    """Which tokens of N completions stand for a number, and what it should be.

    Arguments
    ---------
    values : Tensor
        [N, T] right values; what stands where the weight is 0 has no influence.
    weights : Tensor
        [N, T] weight of each in the sum of rewards; 0 where no number is written.
    """

    values: Tensor
    weights: Tensor

    @classmethod
    def of(cls, rows: Sequence[dict[int, tuple[float, float]]], width: int) -> Targets:
        """From N dicts of token index to (value, weight), for completions of T tokens.

        Example
        -------
        >>> Targets.of([{1: (4.5, 2.0)}, {}], 2).weights.tolist()
        [[0.0, 2.0], [0.0, 0.0]]
        """
        values, weights = torch.zeros(2, len(rows), width)
        for n, row in enumerate(rows):
            for step, (value, weight) in row.items():
                values[n, step], weights[n, step] = value, weight
        return cls(values, weights)

    def to(self, device) -> Targets:
        """On another device."""
        return Targets(self.values.to(device), self.weights.to(device))

    def take(self, rows: Tensor, width: int) -> Targets:
        """Some completions, cut to a width."""
        return Targets(self.values[rows, :width], self.weights[rows, :width])


def group_targets(
    steps: Sequence[Mapping[str, int]],
    expected: Sequence[Mapping[str, float]],
    labels: Mapping[str, float],
    error_weights: Mapping[str, float],
    spread_weight: float = 0.0,
) -> list[dict[int, tuple[float, float]]]:
    """Draw a group's expected values to their label and to their own mean at once.

    e (E - y)² + s (E - m)² is (e + s) (E - t)² with t = (e y + s m) / (e + s), up to a constant, so
    the two are one target with one weight.

    Arguments
    ---------
    steps : sequence of mapping from str to int
        For each of G completions, the index of the token that wrote each number; empty where the
        completion could not be read.
    expected : sequence of mapping from str to float
        The expected values E of each completion, under the same names.
    labels : mapping from str to float
        y, the right values.
    error_weights : mapping from str to float
        e of each number that has a target; above 0.
    spread_weight : float
        s, of all of them.

    Returns
    -------
    list of dict from int to (float, float)
        G rows for `Targets.of`.

    Example
    -------
    >>> steps, expected = [{"mos": 7}, {"mos": 9}, {}], [{"mos": 2.0}, {"mos": 4.0}, {}]
    >>> group_targets(steps, expected, {"mos": 5.0}, {"mos": 1.0}, spread_weight=3.0)
    [{7: (3.5, 4.0)}, {9: (3.5, 4.0)}, {}]
    """
    targets = {}
    for name, error_weight in error_weights.items():
        said = [values[name] for values in expected if name in values]
        if said:
            weight = error_weight + spread_weight
            pull = error_weight * labels[name] + spread_weight * sum(said) / len(said)
            targets[name] = (pull / weight, weight)
    return [{step: targets[n] for n, step in row.items() if n in targets} for row in steps]


def expectation_losses(
    choice_logps: Tensor, choice_values: Sequence[float], targets: Targets
) -> Tensor:
    """Squared error of the expected values over their range, weighted.

    Arguments
    ---------
    choice_logps : Tensor
        [N, T, C] log-probabilities of the choices among themselves, with gradient.
    choice_values : sequence of float
        What each of the C choices stands for.
    targets : Targets
        Of shape [N, T].

    Returns
    -------
    Tensor
        [N, T] losses of at least 0; 0 where the weight is 0.

    Example
    -------
    >>> choices = torch.full((1, 1, 2), 0.5).log()
    >>> targets = Targets.of([{0: (4.0, 1.0)}], 1)
    >>> expectation_losses(choices, [1, 5], targets).item()
    0.0625
    """
    values = torch.tensor(choice_values, dtype=choice_logps.dtype, device=choice_logps.device)
    expected = (choice_logps.exp() * values).sum(dim=-1)
    errors = (expected - targets.values) / (values.max() - values.min())
    return (targets.weights * errors.square()).masked_fill(targets.weights == 0, 0.0)
