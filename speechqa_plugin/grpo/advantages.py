"""From rewards to advantages: how much better a completion is than its siblings.

Two ways to bring several rewards together, K rewards with weights w_k:

- ``sum_then_normalize`` (GRPO, arXiv 2402.03300, section 4.1.2; also arXiv 2603.10175):
  r_i = Σ_k w_k r_ik and A_i = (r_i - mean_group r) / (std_group r + floor).
- ``normalize_then_sum`` (GDPO, arXiv 2601.05242): z_ik = (r_ik - mean_group r_k) / (std_group r_k
  + floor), s_i = Σ_k w_k z_ik and A_i = (s_i - mean_batch s) / (std_batch s + floor).

A missing reward (NaN) is neutral in both: it counts as the mean of its siblings, so it neither
pays nor costs. Standard deviations have Bessel's correction. A floor of 1e-4 is TRL's; with
``normalize_then_sum``, .05 suits rewards in [0, 1], as it keeps a reward that hardly varies from
weighing as much as one that does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from speechqa_plugin.grpo.credit import CREDITS, token_advantages
from speechqa_plugin.grpo.statistics import (
    ZERO_STD,
    RewardStatistics,
    group_std,
    mean_std,
    moments,
    reward_statistics,
    reward_sums,
    stack_rewards,
)
from speechqa_plugin.models.completions import Completions

AGGREGATIONS = ("sum_then_normalize", "normalize_then_sum")


class Advantages:
    """Advantage of each completion over its group, reward by reward, and of each of its tokens.

    Arguments
    ---------
    aggregation : str
        ``sum_then_normalize`` or ``normalize_then_sum``; see the module's docstring.
    std_floor : float
        Added to every standard deviation that is divided by.
    scale_rewards : bool
        False leaves ``sum_then_normalize`` undivided (Dr. GRPO, arXiv 2503.20783).
    credit : str
        ``answer`` gives a completion's whole advantage to each of its tokens, as GRPO does;
        ``causal`` see `speechqa_plugin.grpo.credit`.

    Raises
    ------
    ValueError
        If a word is not known, the floor is not above 0, or ``normalize_then_sum`` is not to
        divide.

    Example
    -------
    >>> ids = torch.ones(2, 3)
    >>> completions, by_reward, statistics = Advantages()(
    ...     Completions(ids, ids > 0, group_size=2), [[1.0], [0.0]], weights=[1.0]
    ... )
    >>> (completions.advantages * 100).int().tolist(), statistics.reward
    ([[70, 70, 70], [-70, -70, -70]], 0.5)
    """

    def __init__(
        self,
        aggregation: str = "sum_then_normalize",
        std_floor: float = 1e-4,
        scale_rewards: bool = True,
        credit: str = "answer",
    ):
        for name, word, known in (
            ("aggregation", aggregation, AGGREGATIONS),
            ("credit", credit, CREDITS),
        ):
            if word not in known:
                raise ValueError(f"{name} is {word!r}; known are {', '.join(known)}")
        if std_floor <= 0:
            raise ValueError(
                f"std_floor is {std_floor}; it must be above 0, as deviations may be 0"
            )
        if not scale_rewards and aggregation == "normalize_then_sum":
            raise ValueError(
                "normalize_then_sum divides by standard deviations; scale_rewards must be True"
            )
        self.aggregation = aggregation
        self.std_floor = std_floor
        self.scale_rewards = scale_rewards
        self.credit = credit

    def __call__(
        self,
        completions: Completions,
        rewards: Sequence[Sequence[float | None]],
        weights: Sequence[float],
        last_steps: Sequence[Sequence[int]] | None = None,
        all_reduce: Callable[[Tensor], Tensor] | None = None,
    ) -> tuple[Completions, Tensor, RewardStatistics]:
        """Compare completions with their siblings.

        Arguments
        ---------
        completions : Completions
            N of them.
        rewards : sequence of sequence of (float or None)
            [N][K]; None where there is none.
        weights : sequence of float
            K weights. 0 means: log this reward, don't train on it.
        last_steps : sequence of sequence of int, optional
            [N][K], the last token that has an influence on each reward; needed by ``causal``.
        all_reduce : callable, optional
            Sums a tensor over the ranks and returns it. Called exactly once.

        Returns
        -------
        tuple of Completions, Tensor and RewardStatistics
            With ``advantages``; [N, K] what each reward gives to them; over all ranks.
        """
        columns = list(zip(*rewards, strict=True))
        stacked = stack_rewards(columns, completions.group_size).to(completions.ids.device)
        by_reward, statistics = self.compare(stacked, weights, all_reduce)
        by_reward = by_reward.flatten(end_dim=1)
        steps = torch.full(by_reward.shape, completions.width - 1)
        if self.credit == "causal":
            steps = torch.tensor(last_steps)
        tokens = token_advantages(by_reward, steps, completions.width)
        return replace(completions, advantages=tokens), by_reward, statistics

    def compare(
        self,
        rewards_B_G_K: Tensor,
        weights: Sequence[float],
        all_reduce: Callable[[Tensor], Tensor] | None = None,
    ) -> tuple[Tensor, RewardStatistics]:
        """Compare groups, reward by reward, NaN where there is none.

        Returns
        -------
        tuple of Tensor and RewardStatistics
            [B, G, K] float32, what each reward gives to the advantage, which is their sum;
            exactly 0 in a group whose rewards are all equal and for a completion that has none;
            and the statistics over all ranks.
        """
        weights = torch.as_tensor(weights, dtype=torch.float64, device=rewards_B_G_K.device)
        if rewards_B_G_K.dim() != 3 or weights.shape != rewards_B_G_K.shape[2:]:
            raise ValueError(
                f"rewards have shape {tuple(rewards_B_G_K.shape)} and weights "
                f"{tuple(weights.shape)}; need [prompts, group, K] and [K]"
            )
        rewards = rewards_B_G_K.double()
        there = ~rewards.isnan()
        trained = (there & (weights != 0)).any(dim=-1)
        means = rewards.nanmean(dim=1, keepdim=True).nan_to_num()
        filled = torch.where(there, rewards, means)
        parts = filled - means
        stds = group_std(parts, there)
        if self.aggregation == "normalize_then_sum":
            parts = (parts / (stds + self.std_floor)).masked_fill(stds <= ZERO_STD, 0.0)
        parts = parts * weights
        combined = parts.sum(dim=-1)
        combined_std = group_std(combined, trained)
        equal = combined_std <= ZERO_STD

        totals = (filled * weights).sum(dim=-1)
        sums = reward_sums(rewards, there, stds, totals, trained, equal)
        sums = torch.cat([moments(combined[trained]), sums])
        if all_reduce is not None:
            sums = all_reduce(sums)
        if self.aggregation == "normalize_then_sum":
            # No mean to subtract: deviations from the means of groups have a mean of 0.
            parts = parts / (mean_std(sums[:3])[1] + self.std_floor)
        elif self.scale_rewards:
            parts = parts / (combined_std + self.std_floor).unsqueeze(-1)
        untrained = (equal | ~trained).unsqueeze(-1)
        return parts.masked_fill(untrained, 0.0).float(), reward_statistics(sums[3:])
