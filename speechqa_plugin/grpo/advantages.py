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
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from speechqa_plugin.grpo.credit import CREDITS, token_advantages
from speechqa_plugin.models.completions import Completions

AllReduce = Callable[[Tensor], Tensor]

AGGREGATIONS = ("sum_then_normalize", "normalize_then_sum")
ZERO_STD = 1e-6
"""At or below this standard deviation all rewards of a group are taken to be equal.

It is above the rounding of float32, in which a model computes the rewards that it has a part in.
"""


@dataclass(frozen=True)
class RewardStatistics:
    """Rewards of a step over all ranks, each number over the completions that have one.

    Arguments
    ---------
    reward, reward_std : float
        Mean and standard deviation of the weighted sum.
    frac_reward_zero_std : float
        Share of groups in which all completions earn the same.
    means, stds, frac_zero_stds : tuple of float
        The same of each reward; nan where no completion has it.
    counts : tuple of int
        Completions that have each reward.
    """

    reward: float
    reward_std: float
    frac_reward_zero_std: float
    means: tuple[float, ...]
    stds: tuple[float, ...]
    frac_zero_stds: tuple[float, ...]
    counts: tuple[int, ...]

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
    """Make a tensor of rewards.

    Arguments
    ---------
    columns : sequence of sequence of (float or None)
        K columns of N rewards, completions prompt after prompt; None where there is none.
    group_size : int
        G.

    Returns
    -------
    Tensor
        [B, G, K] float64, NaN where there is no reward.

    Raises
    ------
    ValueError
        If there is no column, a column is not N = B·G long, or a reward is not finite.

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
    wrong = (given & ~rewards.isfinite()).nonzero().tolist()
    if wrong:
        column, row = wrong[0]
        raise ValueError(
            f"reward {column} of completion {row} is {columns[column][row]}; a reward is a finite "
            "number, or None where there is none"
        )
    return rewards.T.reshape(-1, group_size, len(columns))


class Advantages:
    """Advantage of each completion over its group, reward by reward, and of each of its tokens.

    Arguments
    ---------
    aggregation : str
        ``sum_then_normalize`` or ``normalize_then_sum``; see the module's docstring.
    std_floor : float
        Added to every standard deviation that is divided by: of the weighted sum of rewards, in
        ``sum_then_normalize``; of each reward, and of the sum after that, in the other.
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
        if aggregation not in AGGREGATIONS:
            raise ValueError(f"aggregation is {aggregation!r}; known are {', '.join(AGGREGATIONS)}")
        if std_floor <= 0:
            raise ValueError(
                f"std_floor is {std_floor}; it must be above 0, as deviations may be 0"
            )
        if not scale_rewards and aggregation == "normalize_then_sum":
            raise ValueError(
                "normalize_then_sum divides by standard deviations; scale_rewards must be True"
            )
        if credit not in CREDITS:
            raise ValueError(f"credit is {credit!r}; known are {', '.join(CREDITS)}")
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
        all_reduce: AllReduce | None = None,
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
            See `compare`.

        Returns
        -------
        tuple of Completions, Tensor and RewardStatistics
            With ``advantages``; [N, K] what each reward gives to them; over all ranks.
        """
        columns = stack_rewards(list(zip(*rewards, strict=True)), completions.group_size)
        by_reward, statistics = self.compare(
            columns.to(completions.ids.device), weights, all_reduce
        )
        by_reward = by_reward.flatten(end_dim=1)
        steps = torch.full(by_reward.shape, completions.width - 1)
        if self.credit == "causal":
            steps = torch.tensor(last_steps)
        tokens = token_advantages(by_reward, steps, completions.width)
        return replace(completions, advantages=tokens), by_reward, statistics

    def compare(
        self,
        rewards_B_G_K: Tensor,
        weights: Sequence[float] | Tensor,
        all_reduce: AllReduce | None = None,
    ) -> tuple[Tensor, RewardStatistics]:
        """Compare groups, reward by reward.

        Arguments
        ---------
        rewards_B_G_K : Tensor
            Rewards of this rank's groups, NaN where there is none, on the device that
            ``all_reduce`` works on.
        weights : sequence of float
            K weights.
        all_reduce : callable, optional
            Sums a tensor over the ranks and returns it. Called exactly once.

        Returns
        -------
        tuple of Tensor and RewardStatistics
            [B, G, K] float32, what each reward gives to the advantage, which is their sum;
            exactly 0 in a group whose rewards are all equal and for a completion that has none;
            and the statistics over all ranks.

        Raises
        ------
        ValueError
            If a shape is wrong.
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
        deviations = filled - means
        stds = _group_std(deviations, there)
        parts = deviations
        if self.aggregation == "normalize_then_sum":
            parts = (deviations / (stds + self.std_floor)).masked_fill(stds <= ZERO_STD, 0.0)
        parts = parts * weights
        combined = parts.sum(dim=-1)
        combined_std = _group_std(combined, trained)
        equal = combined_std <= ZERO_STD

        sums = [_moments(combined[trained]), _moments((filled * weights).sum(dim=-1)[trained])]
        sums.append(_count(equal, torch.ones_like(equal)))
        for k in range(len(weights)):
            sums.append(_moments(rewards[..., k][there[..., k]]))
            sums.append(_count(stds[..., k] <= ZERO_STD, there[..., k].any(dim=1, keepdim=True)))
        vector = torch.cat(sums)
        if all_reduce is not None:
            vector = all_reduce(vector)
        batch, *sums = vector.split([len(some) for some in sums])

        if self.aggregation == "normalize_then_sum":
            # No mean to subtract: deviations from the means of groups have a mean of 0.
            parts = parts / (_mean_std(batch)[1] + self.std_floor)
        elif self.scale_rewards:
            parts = parts / (combined_std + self.std_floor).unsqueeze(-1)
        untrained = (equal | ~trained).unsqueeze(-1)
        return parts.masked_fill(untrained, 0.0).float(), _statistics(*sums)


def _group_std(deviations: Tensor, there: Tensor) -> Tensor:
    """Standard deviation within groups, dimension 1 kept."""
    count = there.sum(dim=1, keepdim=True)
    squares = (deviations.square() * there).sum(dim=1, keepdim=True)
    return (squares / (count - 1).clamp(min=1)).sqrt()


def _moments(values: Tensor) -> Tensor:
    """Count, sum and sum of squares: what ranks add up."""
    count = torch.tensor(values.numel(), dtype=torch.float64, device=values.device)
    return torch.stack([count, values.sum(), values.square().sum()])


def _count(chosen: Tensor, among: Tensor) -> Tensor:
    """How many are chosen, among how many."""
    return torch.stack([(chosen & among).sum(), among.sum()]).double()


def _mean_std(moments: Tensor) -> tuple[Tensor, Tensor]:
    count, total, squares = moments
    mean = total / count
    variance = (squares - total * mean) / (count - 1)
    return mean, variance.clamp(min=0).sqrt()


def _statistics(total: Tensor, equal_groups: Tensor, *columns: Tensor) -> RewardStatistics:
    """From sums over all ranks; ``columns`` are moments and group counts of each reward."""
    moments, groups = columns[::2], columns[1::2]
    means, stds = zip(*(map(float, _mean_std(column)) for column in moments), strict=True)
    return RewardStatistics(
        *map(float, _mean_std(total)),
        float(equal_groups[0] / equal_groups[1]),
        means,
        stds,
        tuple(float(zero / number) for zero, number in groups),
        tuple(int(column[0]) for column in moments),
    )
