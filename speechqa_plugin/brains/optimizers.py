"""The optimizer that a small network learns fastest with, and its learning rate over time."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

NOT_HIDDEN = ("embed_tokens", "lm_head")
"""Matrices whose rows are single tokens: what they need differs from token to token."""


class MuonAdamW(torch.optim.Optimizer):
    """Muon for the hidden weight matrices, AdamW for everything else.

    Muon orthogonalises each matrix's momentum (K. Jordan et al., 2024; here `torch.optim.Muon`).
    A compact model that starts from random weights learns from far fewer clips with it than with
    AdamW alone. Orthogonalising runs in bfloat16, so processes that share a batch follow one
    process closely, but not to the last bit.

    Arguments
    ---------
    named_parameters : iterable of (str, nn.Parameter)
        What is to be trained, with names.
    muon_lr : float
        Learning rate of the matrices: the size of an update's singular values.
    lr : float
        Learning rate of the rest.
    weight_decay : float
        Decoupled weight decay of all.
    betas : tuple of float
        AdamW's decay rates.

    Example
    -------
    >>> layer = nn.Linear(4, 4)
    >>> optimizer = MuonAdamW(layer.named_parameters(), muon_lr=0.02, lr=0.001)
    >>> [group["lr"] for group in optimizer.param_groups]
    [0.02, 0.001]
    """

    def __init__(
        self,
        named_parameters: Iterable[tuple[str, nn.Parameter]],
        muon_lr: float,
        lr: float,
        weight_decay: float = 0.01,
        betas: tuple[float, float] = (0.9, 0.98),
    ):
        named = list(named_parameters)
        hidden = [p for n, p in named if p.ndim == 2 and not any(part in n for part in NOT_HIDDEN)]
        chosen = {id(p) for p in hidden}
        rest = [p for _, p in named if id(p) not in chosen]
        self.parts = {
            "muon": torch.optim.Muon(hidden, lr=muon_lr, weight_decay=weight_decay),
            "adamw": torch.optim.AdamW(rest, lr=lr, weight_decay=weight_decay, betas=betas),
        }
        self.defaults = {}

    @property
    def param_groups(self) -> list[dict]:
        """Muon's group and AdamW's."""
        return [group for part in self.parts.values() for group in part.param_groups]

    @property
    def state(self) -> dict:
        """Per parameter."""
        return {k: v for part in self.parts.values() for k, v in part.state.items()}

    def step(self, closure=None):
        """Update all parameters."""
        loss = None if closure is None else closure()
        for part in self.parts.values():
            part.step()
        return loss

    def zero_grad(self, set_to_none: bool = True):
        """Forget the gradients."""
        for part in self.parts.values():
            part.zero_grad(set_to_none)

    def state_dict(self) -> dict:
        """Both parts' states by name."""
        return {name: part.state_dict() for name, part in self.parts.items()}

    def load_state_dict(self, state_dict: dict):
        """Read what `state_dict` gave."""
        for name, part in self.parts.items():
            part.load_state_dict(state_dict[name])


class WarmCool:
    """Each group's learning rate: up from 0, its own value, down to 0 again, all linear.

    It depends on the step alone, so nothing of it needs to be saved.

    Arguments
    ---------
    warmup_steps, cooldown_steps, total_steps : int
        Steps to rise, to fall, and of the whole training.

    Example
    -------
    >>> optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> schedule = WarmCool(warmup_steps=2, cooldown_steps=4, total_steps=8)
    >>> rates = []
    >>> for step in range(1, 9):
    ...     schedule(optimizer, step)
    ...     rates.append(optimizer.param_groups[0]["lr"])
    >>> rates
    [0.5, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25]
    """

    def __init__(self, warmup_steps: int, cooldown_steps: int, total_steps: int):
        self.warmup_steps = warmup_steps
        self.cooldown_steps = cooldown_steps
        self.total_steps = total_steps

    def __call__(self, optimizer: torch.optim.Optimizer, step: int) -> None:
        """Set the rates for update number ``step``, counted from 1."""
        left = max(0, self.total_steps - step + 1)
        share = min(1.0, step / max(1, self.warmup_steps), left / max(1, self.cooldown_steps))
        for group in optimizer.param_groups:
            group["lr"] = share * group.setdefault("initial_lr", group["lr"])
