"""`Completions`: the one container of what a model wrote, and of what each token of it earns.

A batch of B prompts with G completions each is N = B·G rows, prompt after prompt. A GRPO step adds
a column at each of its stations: rollout → rewards → advantages → credit → loss.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from speechqa_plugin.models.groups import group_rows


@dataclass(frozen=True)
class Completions:
    """N = B·G completions of T tokens at most, prompt after prompt, right padded.

    Arguments
    ---------
    ids : Tensor
        [N, T] tokens, end token included.
    mask : Tensor
        [N, T] bool, true on tokens.
    group_size : int
        G.
    finished : Tensor, optional
        [N] bool, false where the limit of new tokens cut the completion.
    sampled_logps : Tensor, optional
        [N, T] float32, log-probability of each token when it was drawn; 0 on padding.
    choice_ids : tuple of int
        C tokens that stand for numbers, such as the digits of a score.
    choice_logps : Tensor, optional
        [N, T, C] float32, their log-probabilities among themselves at each token, at temperature
        1; 0 on padding.
    loss_mask : Tensor, optional
        [N, T] bool, true on tokens that a loss is taken on. None: on all.
    advantages : Tensor, optional
        [N, T] of each token, or [N, 1] where a completion's tokens share one.
    old_logps : Tensor, optional
        [N, T] under the policy that sampled. None on policy: the ratio is exactly 1.
    ref_logps : Tensor, optional
        [N, T] under the reference.
    target_values, target_weights : Tensor, optional
        [N, T] what the expected value at a token should be, and the weight of its error; the
        weight is 0 where no number is written.

    Example
    -------
    >>> ids = torch.tensor([[5, 6], [5, 0], [7, 8], [9, 0]])
    >>> completions = Completions(ids, ids > 0, group_size=2)
    >>> completions.owners.tolist(), completions.take(torch.tensor([1])).ids.tolist()
    ([0, 0, 1, 1], [[7, 8], [9, 0]])
    """

    ids: Tensor
    mask: Tensor
    group_size: int
    finished: Tensor | None = None
    sampled_logps: Tensor | None = None
    choice_ids: tuple[int, ...] = ()
    choice_logps: Tensor | None = None
    loss_mask: Tensor | None = None
    advantages: Tensor | None = None
    old_logps: Tensor | None = None
    ref_logps: Tensor | None = None
    target_values: Tensor | None = None
    target_weights: Tensor | None = None

    def __post_init__(self):
        shape, short = tuple(self.ids.shape), (len(self.ids), 1)
        for name, column in vars(self).items():
            if isinstance(column, Tensor) and column.dim() > 1:
                found = tuple(column.shape[:2])
                if found != shape and not (name == "advantages" and found == short):
                    raise ValueError(f"{name} have shape {found}, ids {shape}: need one [N, T]")

    def __len__(self) -> int:
        """N."""
        return len(self.ids)

    @property
    def width(self) -> int:
        """T."""
        return self.ids.shape[1]

    @property
    def owners(self) -> Tensor:
        """[N] index of each completion's prompt."""
        return torch.arange(len(self), device=self.ids.device) // self.group_size

    @property
    def lengths(self) -> Tensor:
        """[N] tokens of each completion, end token included."""
        return self.mask.sum(dim=-1)

    def check_finite(self) -> None:
        """Raise FloatingPointError where a broken model has written."""
        if not self.sampled_logps.isfinite().all():
            raise FloatingPointError(
                "log-probabilities of sampled tokens are not finite: the model's weights or the "
                "audio features hold nan or inf"
            )

    def rows(self) -> list[list[int]]:
        """Tokens of each completion without end token and padding, to be decoded."""
        lengths = (self.lengths - self.finished.long()).tolist()
        return [ids[:n] for ids, n in zip(self.ids.tolist(), lengths, strict=True)]

    def take(self, prompts: Tensor) -> Completions:
        """The completions of [M] prompts, cut to the longest of them."""
        rows = group_rows(prompts, self.group_size)
        width = int(self.lengths[rows].max())
        return replace(
            self,
            **{
                name: column[rows] if column.dim() == 1 else column[rows, :width]
                for name, column in vars(self).items()
                if isinstance(column, Tensor)
            },
        )
