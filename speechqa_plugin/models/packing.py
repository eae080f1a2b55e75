"""One row for a whole group: the prompt once, and behind it all completions.

    columns    0 ............ P-1 | c1 | c2 | ... | cG | padding        L = P + S
    positions  0 1 2 ... p-1      | p..| p..|     | p..|                p tokens in the prompt

A completion sees the prompt and itself, its positions go on from the prompt's end, so every
hidden state is what it would be in a row of its own. The last token of a completion predicts
nothing and is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import pad

from speechqa_plugin.models.groups import expand_groups
from speechqa_plugin.models.inputs import token_positions


@dataclass(frozen=True)
class PackedRows:
    """Where the tokens of B packed rows stand.

    Arguments
    ---------
    prompt_mask : Tensor
        [B, P] bool, true on the prompt's tokens (left padded).
    lengths : Tensor
        [B, G] fed tokens of each completion: all but its last.

    Example
    -------
    >>> rows = PackedRows(torch.ones(1, 2, dtype=torch.bool), torch.tensor([[2, 1]]))
    >>> rows.positions.tolist()
    [[0, 1, 2, 3, 2]]
    >>> rows.dense_mask[0, 0, 4].tolist()
    [True, True, False, False, True]
    """

    prompt_mask: Tensor
    lengths: Tensor

    @classmethod
    def of(cls, prompt_mask: Tensor, completion_mask: Tensor) -> PackedRows:
        """Rows for [B, P] prompts and [N, T] completions."""
        lengths = (completion_mask.sum(dim=-1) - 1).clamp(min=0)
        return cls(prompt_mask.bool(), lengths.view(len(prompt_mask), -1))

    @property
    def prompt_width(self) -> int:
        """P."""
        return self.prompt_mask.shape[1]

    @cached_property
    def padded(self) -> bool:
        """Whether any prompt has padding."""
        return not bool(self.prompt_mask.all())

    @cached_property
    def starts(self) -> Tensor:
        """[B, G] column behind the prompt at which each completion starts."""
        return self.lengths.cumsum(dim=-1) - self.lengths

    @cached_property
    def slots(self) -> Tensor:
        """[B, S] where each packed token stands when all completions are padded to the longest.

        Slot g·C + t is token t of completion g, C the longest fed length; -1 on padding.
        """
        size, group_size = self.lengths.shape
        steps = torch.arange(self.slot_width, device=self.lengths.device)
        there = steps < self.lengths[..., None]
        row, member, step = there.nonzero(as_tuple=True)
        slots = self.lengths.new_full((size, int(self.lengths.sum(-1).max())), -1)
        slots[row, self.starts[row, member] + step] = member * self.slot_width + step
        return slots

    @cached_property
    def slot_width(self) -> int:
        """C."""
        return int(self.lengths.max())

    @cached_property
    def columns(self) -> Tensor:
        """[B, G·C] the inverse of `slots`: column behind the prompt, any on padding."""
        steps = torch.arange(self.slot_width, device=self.lengths.device)
        columns = self.starts[..., None] + steps
        return columns.clamp(max=max(self.slots.shape[1] - 1, 0)).flatten(1)

    @cached_property
    def positions(self) -> Tensor:
        """[B, L] position ids."""
        prompt = token_positions(self.prompt_mask)
        steps = self.slots.clamp(min=0) % max(self.slot_width, 1)
        return torch.cat([prompt, self.prompt_mask.sum(dim=-1, keepdim=True) + steps], dim=1)

    @cached_property
    def dense_mask(self) -> Tensor:
        """[B, 1, L, L], true where a query (row) sees a key (column); no row is all false.

        Bool: right for scaled dot product attention; eager attention would add it as a number.
        """
        members = torch.where(self.slots < 0, -1, self.slots // max(self.slot_width, 1) + 1)
        prompt = self.prompt_mask.long() - 1  # 0 on the prompt, -1 on padding
        parts = torch.cat([prompt, members], dim=1)
        seen = (parts[:, None, :] == 0) | (parts[:, None, :] == parts[:, :, None])
        return seen.tril().unsqueeze(1)

    @cached_property
    def prompt_attention_mask(self) -> Tensor | None:
        """[B, 1, P, P] for the prompts alone; None where plain causality will do."""
        if not self.padded:
            return None
        parts = self.prompt_mask
        seen = parts[:, None, :] | (parts[:, None, :] == parts[:, :, None])
        return seen.tril().unsqueeze(1)

    @cached_property
    def completion_attention_mask(self) -> Tensor:
        """[1 or N, 1, C, P + C] for slots that see their prompt and, causally, themselves."""
        width = self.slot_width
        own = torch.ones(width, width, dtype=torch.bool, device=self.lengths.device).tril()
        if not self.padded:
            return pad(own, (self.prompt_width, 0), value=True)[None, None]
        prompts = expand_groups(self.prompt_mask, self.lengths.shape[1])
        prompts = prompts[:, None, None].expand(-1, 1, width, -1)
        return torch.cat([prompts, own.expand(len(prompts), 1, -1, -1)], dim=-1)

    def pack(self, completion_ids: Tensor, pad_id: int) -> Tensor:
        """[B, S] tokens behind the prompts, from [N, T] completions."""
        size = len(self.lengths)
        fed = completion_ids[:, : self.slot_width].reshape(size, -1)
        return fed.gather(1, self.slots.clamp(min=0)).masked_fill(self.slots < 0, pad_id)

    def predictors(self, completion_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Row and column of the hidden state that predicts each of M masked tokens, both [M]."""
        completion, step = completion_mask.nonzero(as_tuple=True)
        group_size = self.lengths.shape[1]
        row, member = completion // group_size, completion % group_size
        column = self.prompt_width - 1 + step + self.starts[row, member] * (step > 0)
        return row, column
