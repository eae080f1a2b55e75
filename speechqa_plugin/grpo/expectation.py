"""A reward that is a function of the policy itself: how near an expected value is to its target.

Where a token is one of a few that stand for numbers (the digits of a score), the policy does not
only choose one, it expects a value E = Σ_c p(c) v_c. A reward r = 1 - ((E - y) / range)² of a
completion o then has, beside what every reward has, a gradient of its own:

    ∇ E_o[r] = E_o[(r - baseline) ∇ log π(o)] + E_o[∇ r]

The first part is GRPO's: it credits the tokens that led to the expectation. `expectation_losses`
is the second, without the noise of sampling. Unlike the reward of a sampled digit it is best where
the expectation is right, and not where one digit has all the probability.

In a reasoned answer the number follows a description, and a model that was taught with right ones
believes its own, right or not. Asked for the numbers alone, the same weights hear better. So the
policy that training started from, without words, is a teacher of the policy with words: E is drawn
to the label y and to the teacher's expectation t at once (`draw_to`). The teacher is the poorer
target where both are free of noise, but it has heard the same clip; a label also has what cannot
be heard in it, and its gradient on few clips is mostly that. What it hears
depends a little on where in the clip its audio tokens begin, which says nothing of quality: the
mean over some beginnings is a better teacher.
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


def draw_to(
    labels: Mapping[str, float],
    error_weights: Mapping[str, float],
    taught: Mapping[str, float] | None = None,
    teacher_weight: float = 0.0,
) -> dict[str, tuple[float, float]]:
    """Draw expected values to labels and to a teacher's values at once.

    e (E - y)² + w (E - t)² is (e + w) (E - z)² with z = (e y + w t) / (e + w), up to a constant, so
    the two are one target with one weight.

    Arguments
    ---------
    labels : mapping from str to float
        y, the right values.
    error_weights : mapping from str to float
        e of each number that has a target; above 0.
    taught : mapping from str to float, optional
        t, what the teacher expects.
    teacher_weight : float
        w, of all of them; without influence where there is no teacher.

    Returns
    -------
    dict from str to (float, float)
        Value and weight of each number that has a target.

    Example
    -------
    >>> draw_to({"mos": 5.0, "noi": 1.0}, {"mos": 1.0}, {"mos": 3.0, "noi": 2.0}, 3.0)
    {'mos': (3.5, 4.0)}
    """
    if not taught:
        taught, teacher_weight = labels, 0.0
    targets = {}
    for name, error_weight in error_weights.items():
        weight = error_weight + teacher_weight
        value = error_weight * labels[name] + teacher_weight * taught[name]
        targets[name] = (value / weight, weight)
    return targets


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
