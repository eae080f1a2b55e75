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

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from speechqa_plugin.grpo.policy import TokenLogps
from speechqa_plugin.grpo.statistics import LossStatistics, loss_statistics
from speechqa_plugin.models.completions import Completions

LOSS_TYPES = ("grpo", "dr_grpo", "dapo", "bnpo")


@dataclass(frozen=True)
class UpdateSize:
    """What an update is taken over on all ranks: completions (masked ones too), tokens that the
    loss is taken on, micro-batches.
    """

    completions: int
    tokens: int
    micro_batches: int = 1


class GRPOLoss:
    """A micro-batch's share of an update's loss.

    Arguments
    ---------
    loss_type : str
        One of `LOSS_TYPES`, see the module's docstring.
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
    >>> logps, ids = torch.zeros(2, 3, requires_grad=True), torch.ones(2, 3)
    >>> completions = Completions(ids, ids > 0, 2, advantages=torch.tensor([[1.0], [-1.0]]))
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
            Of the completions' tokens, with gradient.
        completions : Completions
            With ``advantages``, and with ``ref_logps`` if ``beta`` is not 0. What stands where
            ``loss_mask`` is false has no influence.
        token_losses : Tensor, optional
            [N, T], a loss of each token that is added to the policy's.
        update : UpdateSize, optional
            None if this call is the whole update.

        Returns
        -------
        tuple of Tensor and LossStatistics
            A scalar, and the statistics of this micro-batch.
        """
        advantages, ref_logps = completions.advantages, completions.ref_logps
        if self.beta and ref_logps is None:
            raise ValueError(
                f"beta is {self.beta} and there are no ref_logps; give them or set beta to 0"
            )
        mask = completions.mask if completions.loss_mask is None else completions.loss_mask
        logps, old_logps = policy.logps.masked_fill(~mask, 0.0), completions.old_logps
        old_logps = logps.detach() if old_logps is None else old_logps.masked_fill(~mask, 0.0)
        ratio = (logps - old_logps).exp()
        clipped = ratio.clamp(1 - self.epsilon_low, 1 + self.epsilon_high)
        losses = -torch.min(ratio * advantages, clipped * advantages)
        kl = None
        if ref_logps is not None:
            log_ratio = ref_logps.masked_fill(~mask, 0.0) - logps
            kl = log_ratio.exp() - log_ratio - 1
            if self.use_bias_correction_kl:
                kl = kl * ratio
        if self.beta:
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
            return loss, loss_statistics(mask, low, high, kl, policy.entropies, difference)

    def _share(self, losses: Tensor, mask: Tensor, update: UpdateSize) -> Tensor:
        if self.loss_type == "grpo":
            return (losses.sum(-1) / mask.sum(-1).clamp(min=1)).sum() / update.completions
        if self.loss_type == "dr_grpo":
            return losses.sum() / (update.completions * self.max_new_tokens)
        if self.loss_type == "dapo":
            return losses.sum() / max(update.tokens, 1)
        return losses.sum() / mask.sum().clamp(min=1) / update.micro_batches
