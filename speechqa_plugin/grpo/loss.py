"""The clipped policy-gradient losses that GRPO and its descendants share.

With ratio ρ_it = π(o_it) / π_old(o_it) of token t of completion i, advantage A_i and mask m_it,

    ℓ_it = -min(ρ_it A_i, clip(ρ_it, 1 - ε_low, 1 + ε_high) A_i) + β k3_it
    k3_it = π_ref / π - log(π_ref / π) - 1

(arXiv 2402.03300, equations 3 and 4; two epsilons: DAPO, arXiv 2503.14476, section 3.1), the types
differ only in how the ℓ_it of an update are averaged:

- ``grpo``     mean over completions of Σ_t m ℓ / Σ_t m            (arXiv 2402.03300, eq. 3)
- ``dr_grpo``  Σ m ℓ / (completions · longest that is allowed)     (arXiv 2503.20783, section 3.2)
- ``dapo``     Σ m ℓ / tokens of the whole update                  (arXiv 2503.14476, eq. 8)
- ``bnpo``     Σ m ℓ / tokens of the micro-batch, then the mean over micro-batches (TRL)

Tokens may have losses of their own beside the policy's; they are averaged in the same way.

An update may be spread over micro-batches and ranks: each call returns its share, and the shares
add up to the loss of the update.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from operator import add

import torch
from torch import Tensor

from speechqa_plugin.grpo.policy import TokenLogps
from speechqa_plugin.models.completions import Completions

LOSS_TYPES = ("grpo", "dr_grpo", "dapo", "bnpo")


@dataclass(frozen=True)
class UpdateSize:
    """What one optimizer step is taken over, all micro-batches of all ranks together.

    Arguments
    ---------
    completions : int
        Completions, masked ones included.
    tokens : int
        Tokens that the loss is taken on.
    micro_batches : int
        Calls of a `GRPOLoss`.
    """

    completions: int
    tokens: int
    micro_batches: int = 1


@dataclass(frozen=True)
class LossStatistics:
    """Sums over tokens; two of them add up, so micro-batches and ranks can be brought together.

    Arguments
    ---------
    tokens : float
        Tokens that the loss was taken on.
    low_clipped, high_clipped : float
        Tokens whose ratio was clipped from below or above, which takes them out of the gradient.
    low_min, high_max : float
        Smallest and largest share of such tokens in a completion; inf and -inf without any.
    kl : float or None
        Sum of the k3 estimates against the reference; None without one.
    entropy : float or None
        Sum of the entropies; None where they were not given.
    sampling_difference, sampling_difference_max : float or None
        Sum and largest of the distances between a token's log-probability when it was drawn and
        that under the policy that drew it, which should be 0; None where they were not given.
    """

    tokens: float
    low_clipped: float
    high_clipped: float
    low_min: float
    high_max: float
    kl: float | None = None
    entropy: float | None = None
    sampling_difference: float | None = None
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


class GRPOLoss:
    """A micro-batch's share of an update's loss; see the module's docstring.

    Arguments
    ---------
    loss_type : str
        ``grpo``, ``dr_grpo``, ``dapo`` or ``bnpo``.
    epsilon_low, epsilon_high : float
        How far the ratio may fall below and rise above 1.
    beta : float
        Weight of the KL term; 0 needs no reference.
    use_bias_correction_kl : bool
        Multiply each k3 by its ratio (TRL's default; DeepSeek-V3.2, arXiv 2512.02556). Off: the
        KL of arXiv 2402.03300.
    max_new_tokens : int, optional
        Longest completion that is allowed; needed by ``dr_grpo``.
    mask_truncated : bool
        Take no loss on completions that the limit cut.

    Raises
    ------
    ValueError
        If the type is unknown or something that it needs is missing.

    Example
    -------
    >>> from speechqa_plugin.grpo.policy import TokenLogps
    >>> logps = torch.zeros(2, 3, requires_grad=True)
    >>> completions = Completions(
    ...     torch.ones(2, 3), torch.ones(2, 3).bool(), 2, advantages=torch.tensor([[1.0], [-1.0]])
    ... )
    >>> loss, _ = GRPOLoss("grpo")(TokenLogps(logps), completions)
    >>> loss.backward()
    >>> (6 * logps.grad[:, 0]).tolist()
    [-1.0, 1.0]
    """

    def __init__(
        self,
        loss_type: str = "grpo",
        epsilon_low: float = 0.2,
        epsilon_high: float = 0.2,
        beta: float = 0.0,
        use_bias_correction_kl: bool = False,
        max_new_tokens: int | None = None,
        mask_truncated: bool = False,
    ):
        if loss_type not in LOSS_TYPES:
            raise ValueError(f"loss_type is {loss_type!r}; known are {', '.join(LOSS_TYPES)}")
        if loss_type == "dr_grpo" and max_new_tokens is None:
            raise ValueError(
                "dr_grpo divides by the longest completion allowed: give max_new_tokens"
            )
        self.loss_type = loss_type
        self.epsilon_low, self.epsilon_high = epsilon_low, epsilon_high
        self.beta = beta
        self.use_bias_correction_kl = use_bias_correction_kl
        self.max_new_tokens = max_new_tokens
        self.mask_truncated = mask_truncated

    def mask(self, completions: Completions) -> Completions:
        """Say on which tokens the loss is taken."""
        mask = completions.mask
        if self.mask_truncated:
            mask = mask & completions.finished.unsqueeze(1)
        return replace(completions, loss_mask=mask)

    def __call__(
        self,
        policy: TokenLogps,
        completions: Completions,
        token_losses: Tensor | None = None,
        update: UpdateSize | None = None,
    ) -> tuple[Tensor, LossStatistics]:
        """Take the loss; ranks that average gradients must multiply it by their number.

        Arguments
        ---------
        policy : TokenLogps
            [N, T] of the completions' tokens, with gradient.
        completions : Completions
            With ``advantages`` ([N, T], or [N, 1] where a completion's tokens share one), and
            with ``ref_logps`` if ``beta`` is not 0. What stands where ``loss_mask`` is false has
            no influence.
        token_losses : Tensor, optional
            [N, T], a loss of each token that is added to the policy's.
        update : UpdateSize, optional
            None if this call is the whole update.

        Returns
        -------
        tuple of Tensor and LossStatistics
            A scalar and the statistics of this micro-batch.

        Raises
        ------
        ValueError
            If shapes disagree or ``ref_logps`` are missing.
        """
        logps, advantages = policy.logps, completions.advantages
        mask = completions.mask if completions.loss_mask is None else completions.loss_mask
        self._check(logps, completions, mask, policy.entropies, token_losses)
        logps = logps.masked_fill(~mask, 0.0)
        old_logps = completions.old_logps
        old_logps = logps.detach() if old_logps is None else old_logps.masked_fill(~mask, 0.0)
        ratio = (logps - old_logps).exp()
        clipped = ratio.clamp(1 - self.epsilon_low, 1 + self.epsilon_high)
        losses = -torch.min(ratio * advantages, clipped * advantages)
        kl = None
        if completions.ref_logps is not None:
            log_ratio = completions.ref_logps.masked_fill(~mask, 0.0) - logps
            kl = log_ratio.exp() - log_ratio - 1
            if self.use_bias_correction_kl:
                kl = kl * ratio
        if self.beta != 0.0:
            losses = losses + self.beta * kl
        if token_losses is not None:
            losses = losses + token_losses
        update = update or UpdateSize(len(mask), int(mask.sum()))
        loss = self._share(losses.masked_fill(~mask, 0.0), mask, update)

        with torch.no_grad():
            low = (ratio < 1 - self.epsilon_low) & (advantages < 0) & mask
            high = (ratio > 1 + self.epsilon_high) & (advantages > 0) & mask
            sampled = completions.sampled_logps
            difference = None if sampled is None else (old_logps - sampled).abs()
            statistics = _statistics(mask, low, high, kl, policy.entropies, difference)
        return loss, statistics

    def _share(self, losses: Tensor, mask: Tensor, update: UpdateSize) -> Tensor:
        if self.loss_type == "grpo":
            return (losses.sum(-1) / mask.sum(-1).clamp(min=1)).sum() / update.completions
        if self.loss_type == "dr_grpo":
            return losses.sum() / (update.completions * self.max_new_tokens)
        if self.loss_type == "dapo":
            return losses.sum() / max(update.tokens, 1)
        return losses.sum() / mask.sum().clamp(min=1) / update.micro_batches

    def _check(self, logps: Tensor, completions: Completions, *others: Tensor | None) -> None:
        if self.beta != 0.0 and completions.ref_logps is None:
            raise ValueError(
                f"beta is {self.beta} and there are no ref_logps; give them or set beta to 0"
            )
        others += (completions.old_logps, completions.ref_logps, completions.sampled_logps)
        shapes = [tuple(t.shape) for t in others if t is not None]
        advantages = tuple(completions.advantages.shape)
        if any(s != tuple(logps.shape) for s in shapes) or advantages not in (
            tuple(logps.shape),
            (len(logps), 1),
        ):
            raise ValueError(
                f"logps have shape {tuple(logps.shape)}, mask and other log-probabilities "
                f"{shapes}, advantages {advantages}; need one shape [N, T] and advantages [N, T] "
                "or [N, 1]"
            )


def _statistics(mask: Tensor, low: Tensor, high: Tensor, *others: Tensor | None) -> LossStatistics:
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
