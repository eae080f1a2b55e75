"""Rewards as a tensor, and what is logged of them and of the loss: sums that ranks add up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import add

import torch
from torch import Tensor

ZERO_STD = 1e-6
"""At or below this standard deviation all rewards of a group are taken to be equal.

It is above the rounding of float32, in which a model computes the rewards that it has a part in.
"""


@dataclass(frozen=True)
class RewardStatistics:
    """Rewards of a step over all ranks, each number over the completions that have one."""

    reward: float  # mean of the weighted sum
    reward_std: float  # its standard deviation
    frac_reward_zero_std: float  # groups in which all completions earn the same
    means: tuple[float, ...]  # of each reward; nan where no completion has it
    stds: tuple[float, ...]
    frac_zero_stds: tuple[float, ...]
    counts: tuple[int, ...]  # completions that have each reward

    def as_log(self, names: Sequence[str]) -> dict[str, float]:
        """Numbers under TRL's log keys; ``names`` are those of the K rewards."""
        log = {
            "reward": self.reward,
            "reward_std": self.reward_std,
            "frac_reward_zero_std": self.frac_reward_zero_std,
        }
        columns = zip(names, self.means, self.stds, self.frac_zero_stds, self.counts, strict=True)
        for name, mean, std, zero, count in columns:
            log[f"rewards/{name}/mean"] = mean
            log[f"rewards/{name}/std"] = std
            log[f"rewards/{name}/frac_zero_std"] = zero
            log[f"rewards/{name}/count"] = count
        return log


def stack_rewards(columns: Sequence[Sequence[float | None]], group_size: int) -> Tensor:
    """[B, G, K] float64, NaN where there is none, of K columns [N]; refuses what is no reward.

    Example
    -------
    >>> stack_rewards([[1, 0, None, 1]], group_size=2)[..., 0].tolist()
    [[1.0, 0.0], [nan, 1.0]]
    """
    sizes = {len(column) for column in columns}
    if len(sizes) != 1 or 0 in sizes or any(size % group_size for size in sizes):
        raise ValueError(
            f"{len(columns)} columns of {sorted(sizes)} rewards; each must hold one reward for "
            f"every completion of groups of {group_size}"
        )
    numbers = [[float("nan") if r is None else float(r) for r in column] for column in columns]
    rewards = torch.tensor(numbers, dtype=torch.float64)
    given = torch.tensor([[r is not None for r in column] for column in columns])
    for column, row in (given & ~rewards.isfinite()).nonzero().tolist():
        raise ValueError(
            f"reward {column} of completion {row} is {columns[column][row]}; a reward is a finite "
            "number, or None where there is none"
        )
    return rewards.T.reshape(-1, group_size, len(columns))


def reward_sums(
    rewards: Tensor, there: Tensor, stds: Tensor, totals: Tensor, trained: Tensor, equal: Tensor
) -> Tensor:
    """What ranks add up for their `RewardStatistics`, in one vector.

    Arguments
    ---------
    rewards, there : Tensor
        [B, G, K] float64, and where there is a reward.
    stds : Tensor
        [B, 1, K] standard deviations within groups.
    totals, trained : Tensor
        [B, G] weighted sums, and which of them are trained on.
    equal : Tensor
        [B, 1] groups in which all completions earn the same.
    """
    sums = [moments(totals[trained]), _count(equal, torch.ones_like(equal))]
    for k in range(rewards.shape[-1]):
        sums.append(moments(rewards[..., k][there[..., k]]))
        sums.append(_count(stds[..., k] <= ZERO_STD, there[..., k].any(dim=1, keepdim=True)))
    return torch.cat(sums)


def reward_statistics(sums: Tensor) -> RewardStatistics:
    """From what `reward_sums` gives, added up over ranks."""
    total, equal, sums = sums[:3], sums[3:5], sums[5:].view(-1, 5)
    means, stds = zip(*(map(float, mean_std(column)) for column in sums[:, :3]), strict=True)
    return RewardStatistics(
        *map(float, mean_std(total)),
        float(equal[0] / equal[1]),
        means,
        stds,
        tuple(float(zero / number) for zero, number in sums[:, 3:]),
        tuple(int(column[0]) for column in sums),
    )


def group_std(deviations: Tensor, there: Tensor) -> Tensor:
    """Standard deviation within groups, dimension 1 kept."""
    count = there.sum(dim=1, keepdim=True)
    squares = (deviations.square() * there).sum(dim=1, keepdim=True)
    return (squares / (count - 1).clamp(min=1)).sqrt()


def moments(values: Tensor) -> Tensor:
    """Count, sum and sum of squares: what ranks add up."""
    count = torch.tensor(values.numel(), dtype=torch.float64, device=values.device)
    return torch.stack([count, values.sum(), values.square().sum()])


def mean_std(moments: Tensor) -> tuple[Tensor, Tensor]:
    """From `moments`; the standard deviation has Bessel's correction."""
    count, total, squares = moments
    mean = total / count
    variance = (squares - total * mean) / (count - 1)
    return mean, variance.clamp(min=0).sqrt()


def _count(chosen: Tensor, among: Tensor) -> Tensor:
    """How many are chosen, among how many."""
    return torch.stack([(chosen & among).sum(), among.sum()]).double()


@dataclass(frozen=True)
class LossStatistics:
    """Sums over tokens; two of them add up, so micro-batches and ranks can be brought together.

    What is None was not given: no reference, no entropies, no log-probabilities when drawn.
    """

    tokens: float  # that the loss was taken on
    low_clipped: float  # whose ratio was clipped from below: out of the gradient
    high_clipped: float
    low_min: float  # smallest share of such tokens in a completion; inf without any
    high_max: float  # largest; -inf without any
    kl: float | None = None  # of k3 estimates
    entropy: float | None = None
    sampling_difference: float | None = None  # of log-probabilities when drawn, which should be 0
    sampling_difference_max: float | None = None

    def __add__(self, other: LossStatistics) -> LossStatistics:
        return LossStatistics(
            self.tokens + other.tokens,
            self.low_clipped + other.low_clipped,
            self.high_clipped + other.high_clipped,
            min(self.low_min, other.low_min),
            max(self.high_max, other.high_max),
            *(
                None if mine is None else join(mine, theirs)
                for mine, theirs, join in (
                    (self.kl, other.kl, add),
                    (self.entropy, other.entropy, add),
                    (self.sampling_difference, other.sampling_difference, add),
                    (self.sampling_difference_max, other.sampling_difference_max, max),
                )
            ),
        )

    def as_log(self) -> dict[str, float]:
        """Means over tokens under TRL's log keys."""
        count = max(self.tokens, 1.0)
        clipped = self.low_clipped + self.high_clipped
        log = {
            "clip_ratio/low_mean": self.low_clipped / count,
            "clip_ratio/high_mean": self.high_clipped / count,
            "clip_ratio/region_mean": clipped / count,
            "clip_ratio/low_min": self.low_min if self.tokens else math.nan,
            "clip_ratio/high_max": self.high_max if self.tokens else math.nan,
        }
        if self.kl is not None:
            log["kl"] = self.kl / count
        if self.entropy is not None:
            log["entropy"] = self.entropy / count
        if self.sampling_difference is not None:
            log["sampling/sampling_logp_difference/mean"] = self.sampling_difference / count
            log["sampling/sampling_logp_difference/max"] = self.sampling_difference_max
        return log


def loss_statistics(
    mask: Tensor, low: Tensor, high: Tensor, *others: Tensor | None
) -> LossStatistics:
    """Of a micro-batch.

    Arguments
    ---------
    mask, low, high : Tensor
        [N, T] tokens that the loss is taken on, and those clipped from below and above.
    *others : Tensor or None
        [N, T] k3 estimates, entropies, distances of log-probabilities when drawn.
    """
    lengths = mask.sum(-1)
    kl, entropies, difference = (None if v is None else v.masked_fill(~mask, 0.0) for v in others)
    numbers = [
        lengths.sum(),
        low.sum(),
        high.sum(),
        torch.where(lengths > 0, low.sum(-1) / lengths, math.inf).min(),
        torch.where(lengths > 0, high.sum(-1) / lengths, -math.inf).max(),
        *(None if values is None else values.sum() for values in (kl, entropies, difference)),
        None if difference is None else difference.max(),
    ]
    known = torch.stack([number.double() for number in numbers if number is not None])
    values = iter(known.tolist())  # one wait for a GPU
    return LossStatistics(*(None if number is None else next(values) for number in numbers))
