"""The optimizer that a small network learns fastest with, and its learning rate over time."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic iteration (K. Jordan et al., 2024): steepest at 0."""

NOT_HIDDEN = ("embed_tokens", "lm_head")
"""Matrices whose rows are single tokens: what they need differs from token to token."""


def orthogonalise(matrix: Tensor, steps: int = 5) -> Tensor:
    """The nearest matrix with singular values of about 1, by Newton and Schulz's iteration.

    In float32, unlike `torch.optim.Muon`: a CPU without bfloat16 arithmetic takes thirty times as
    long for the same product in it, and processes that share a batch stay closer.

    Arguments
    ---------
    matrix : Tensor
        [M, N].
    steps : int
        Of the iteration.

    Returns
    -------
    Tensor
        [M, N] float32, with singular values from about 0.7 to 1.2.

    Example
    -------
    >>> singular = torch.linalg.svdvals(orthogonalise(torch.tensor([[3.0, 1.0], [0.0, 0.5]])))
    >>> bool((singular > 0.6).all() and (singular < 1.3).all())
    True
    """
    a, b, c = _NEWTON_SCHULZ
    tall = matrix.shape[0] > matrix.shape[1]
    out = (matrix.T if tall else matrix).float()
    out = out / out.norm().clamp(min=1e-7)
    for _ in range(steps):
        gram = out @ out.T
        out = torch.addmm(out, torch.addmm(gram, gram, gram, beta=b, alpha=c), out, beta=a)
    return out.T if tall else out


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, made orthogonal: K. Jordan et al., 2024; as `torch.optim.Muon`.

    Arguments
    ---------
    params : iterable of nn.Parameter
        Matrices.
    lr : float
        The size of an update's singular values, times the root of how much taller than wide.
    weight_decay : float
        Decoupled.
    momentum : float
        Decay rate of the mean gradient.

    Example
    -------
    >>> layer = nn.Linear(4, 4, bias=False)
    >>> layer(torch.ones(4)).sum().backward()
    >>> Muon(layer.parameters(), lr=0.02).step()
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
    ):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure=None):
        """Update the matrices that have a gradient."""
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is not None:
                    self._update(matrix, group)

    def _update(self, matrix: Tensor, group: dict) -> None:
        lr, momentum = group["lr"], group["momentum"]
        state = self.state[matrix]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(matrix)
        mean = state["momentum_buffer"].lerp_(matrix.grad, 1 - momentum)
        update = orthogonalise(matrix.grad.lerp(mean, momentum)).to(matrix.dtype)
        matrix.mul_(1 - lr * group["weight_decay"])
        matrix.add_(update, alpha=-lr * max(1, matrix.shape[0] / matrix.shape[1]) ** 0.5)


class MuonAdamW(torch.optim.Optimizer):
    """Muon for the hidden weight matrices, AdamW for everything else.

    A compact model that starts from random weights learns from far fewer clips with it than with
    AdamW alone.

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
            "muon": Muon(hidden, lr=muon_lr, weight_decay=weight_decay),
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
