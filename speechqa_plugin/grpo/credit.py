"""Which tokens of a completion a reward's advantage is given to.

What a reward judges may be decided long before the completion ends: the description's likeness
when the scores begin, an expected score before its digit is drawn. The tokens after that have no
influence on it, so to them it is noise. Leaving it out there keeps the policy gradient's
expectation and lowers its variance: this is the reward to go of REINFORCE (Sutton and Barto,
Reinforcement Learning, 2nd edition, equation 13.8), reward by reward. What stands last, the
artifacts, is then credited by the rewards of artifacts alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

CREDITS = ("answer", "causal")
"""To all tokens of a completion what all rewards give it, or to each only what it can decide."""


def token_advantages(advantages: Tensor, last_steps: Tensor, width: int) -> Tensor:
    """Give each token the advantages of the rewards that it can have an influence on.

    Arguments
    ---------
    advantages : Tensor
        [N, K] of each reward.
    last_steps : Tensor
        [N, K], below T: the last token of the completion that has an influence on each reward.
    width : int
        T.

    Returns
    -------
    Tensor
        [N, T] sums over rewards.

    Example
    -------
    >>> token_advantages(torch.tensor([[1.0, 10.0]]), torch.tensor([[0, 2]]), 3)
    tensor([[11., 10., 10.]])
    """
    # Summed from the end: what is decided at a token counts for it and all before.
    at_steps = torch.zeros(len(advantages), width, dtype=advantages.dtype, device=advantages.device)
    at_steps.scatter_add_(1, last_steps.to(advantages.device), advantages)
    return at_steps.flip(1).cumsum(1).flip(1)
