"""Log-probabilities of chosen tokens: the one definition that sampling and scoring share.

The distribution is the model's own, at a temperature and with one token taken out: the audio
placeholder, which must never be written. Both are done in sampling *and* in scoring, so both are
of the same distribution. The softmax is in float32: in bfloat16 it errs by .07 nats over a
vocabulary of 152,000.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

LOGITS_AT_ONCE = 2**26
"""Logits that exist at a time (256 MiB in float32)."""


def log_softmax_without(logits: Tensor, suppressed_id: int, temperature: float = 1.0) -> Tensor:
    """Log-probabilities of all tokens but one.

    Arguments
    ---------
    logits : Tensor
        [..., V] of any float type.
    suppressed_id : int
        Token whose probability is 0.
    temperature : float
        What logits are divided by, above 0.

    Returns
    -------
    Tensor
        [..., V] float32 in nats; -inf at ``suppressed_id``.

    Example
    -------
    >>> log_softmax_without(torch.zeros(3), 2).exp().tolist()
    [0.5, 0.5, 0.0]
    """
    logits = logits.float() / temperature
    barred = torch.arange(logits.shape[-1], device=logits.device) == suppressed_id
    return logits.masked_fill(barred, -torch.inf).log_softmax(dim=-1)


def token_logps(
    hidden: Tensor,
    head: Callable[[Tensor], Tensor],
    token_ids: Tensor,
    suppressed_id: int,
    choice_ids: Sequence[int] = (),
    temperature: float = 1.0,
    logits_at_once: int = LOGITS_AT_ONCE,
) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probabilities of chosen tokens, without all logits at a time.

    Chunk after chunk; where there is more than one, its logits are computed again in the backward
    pass instead of kept.

    Arguments
    ---------
    hidden : Tensor
        [M, H], last hidden states that predict the tokens.
    head : callable
        From hidden states [..., H] to logits [..., V]; its parameters get gradients.
    token_ids : Tensor
        [M].
    suppressed_id : int
        Token whose probability is 0.
    choice_ids : sequence of int
        C tokens whose probabilities among themselves are wanted too.
    temperature : float
        Of the distribution that tokens are drawn from.
    logits_at_once : int
        Size of a chunk in logits.

    Returns
    -------
    tuple of Tensor
        Log-probabilities [M]; the entropies of the distributions [M], without gradient; the
        log-probabilities of the C choices among themselves [M, C], at temperature 1. All float32,
        in nats.

    Example
    -------
    >>> logps, entropies, choices = token_logps(
    ...     torch.zeros(2, 4), torch.nn.Linear(4, 9, bias=False), torch.tensor([0, 5]), 8, (1, 2)
    ... )
    >>> logps.exp().tolist(), entropies.exp().round().tolist(), choices[0].exp().tolist()
    ([0.125, 0.125], [8.0, 8.0], [0.5, 0.5])
    """
    width = max(1, logits_at_once // _vocabulary(head, hidden))

    def chunk_logps(hidden: Tensor, token_ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logps = log_softmax_without(head(hidden), suppressed_id, temperature)
        chosen = logps.gather(-1, token_ids.unsqueeze(-1)).squeeze(-1)
        entropies = torch.special.entr(logps.detach().exp()).sum(dim=-1)
        return chosen, entropies, among(logps * temperature, choice_ids)

    pairs = list(zip(hidden.split(width), token_ids.split(width), strict=True))
    if len(pairs) == 1:
        return chunk_logps(hidden, token_ids)
    parts = [checkpoint(chunk_logps, *pair, use_reentrant=False) for pair in pairs]
    logps, entropies, choices = zip(*parts, strict=True)
    return torch.cat(logps), torch.cat(entropies), torch.cat(choices)


def among(logps: Tensor, choice_ids: Sequence[int] | Tensor) -> Tensor:
    """Log-probabilities of some tokens among themselves.

    Arguments
    ---------
    logps : Tensor
        [..., V] logits or log-probabilities, float32.
    choice_ids : sequence of int or Tensor
        C tokens; there may be none.

    Returns
    -------
    Tensor
        [..., C].

    Example
    -------
    >>> among(torch.tensor([0.0, 1.0, 1.0]), (1, 2)).exp().tolist()
    [0.5, 0.5]
    """
    if not isinstance(choice_ids, Tensor):
        choice_ids = torch.tensor(list(choice_ids), dtype=torch.long, device=logps.device)
    return logps[..., choice_ids].log_softmax(dim=-1)


def _vocabulary(head: Callable[[Tensor], Tensor], hidden: Tensor) -> int:
    with torch.no_grad():
        return head(hidden[:0]).shape[-1]
