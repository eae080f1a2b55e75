"""A reward that is a function of the policy itself: how near an expected value is to its target.

Where a token is one of a few that stand for numbers (the digits of a score), the policy does not
only choose one, it expects a value E = Σ_c p(c) v_c. A reward r = 1 - ((E - y) / range)² of a
completion o then has, beside what every reward has, a gradient of its own:

    ∇ E_o[r] = E_o[(r - baseline) ∇ log π(o)] + E_o[∇ r]

The first part is GRPO's: it credits the tokens that led to the expectation. `expectation_losses`
is the second, without the noise of sampling. Unlike the reward of a sampled digit it is best where
the expectation is right, and not where one digit has all the probability.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from speechqa_plugin.models.completions import Completions


def aim(completions: Completions, rows: Sequence[Mapping[int, tuple[float, float]]]) -> Completions:
    """Say which tokens stand for a number, and what should be expected there.

    Arguments
    ---------
    completions : Completions
        N of them.
    rows : sequence of mapping from int to (float, float)
        N mappings of a token's index to the right value and its weight in the sum of rewards.

    Returns
    -------
    Completions
        With ``target_values`` and ``target_weights``.

    Example
    -------
    >>> ids = torch.ones(2, 2)
    >>> aim(Completions(ids, ids > 0, 1), [{1: (4.5, 2.0)}, {}]).target_weights.tolist()
    [[0.0, 2.0], [0.0, 0.0]]
    """
    values, weights = torch.zeros(2, *completions.ids.shape)
    for n, row in enumerate(rows):
        for step, (value, weight) in row.items():
            values[n, step], weights[n, step] = value, weight
    device = completions.ids.device
    return replace(completions, target_values=values.to(device), target_weights=weights.to(device))


def expectation_losses(
    choice_logps: Tensor, choice_values: Sequence[float], completions: Completions
) -> Tensor:
    """Squared error of the expected values over their range, weighted.

    Arguments
    ---------
    choice_logps : Tensor
        [N, T, C] log-probabilities of the choices among themselves, with gradient.
    choice_values : sequence of float
        What each of the C choices stands for.
    completions : Completions
        With the targets that `aim` gives.

    Returns
    -------
    Tensor
        [N, T] losses of at least 0; 0 where the weight is 0.

    Example
    -------
    >>> ids = torch.ones(1, 1)
    >>> completions = aim(Completions(ids, ids > 0, 1), [{0: (4.0, 1.0)}])
    >>> expectation_losses(torch.full((1, 1, 2), 0.5).log(), [1, 5], completions).item()
    0.0625
    """
    values = torch.tensor(choice_values, dtype=choice_logps.dtype, device=choice_logps.device)
    expected = (choice_logps.exp() * values).sum(dim=-1)
    errors = (expected - completions.target_values) / (values.max() - values.min())
    weights = completions.target_weights
    return (weights * errors.square()).masked_fill(weights == 0, 0.0)
