"""Attention of packed rows without the blocks that are masked anyway.

A dense mask over [prompt, c1, …, cG] computes (P + G·C)² products, of which a completion may use
P + C a token. Here the prompt attends to itself once, and each completion to the prompt and
itself: P² + G·C·(P + C). Same result.

It plugs in where transformers lets attention be plugged in, by name, and is `sdpa` for every call
that does not bring `PackedRows`. The choice lies in the call's arguments and not in a state, so
that gradient checkpointing repeats it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from speechqa_plugin.models.audio_llm import AudioLLM
from speechqa_plugin.models.groups import expand_groups
from speechqa_plugin.models.packing import PackedRows

SHARED_PREFIX = "shared_prefix"
"""Name under which transformers knows this attention."""


def shared_prefix_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    packed_rows: PackedRows | None = None,
    **kwargs,
) -> tuple[Tensor, None]:
    """Attend as `sdpa` does, or within packed rows.

    Arguments
    ---------
    module : nn.Module
        The attention layer that asks.
    query, key, value : Tensor
        [B, heads, L, D] after rotation by positions; key and value may have fewer heads.
    attention_mask : Tensor or None
        For `sdpa`; not used with packed rows.
    packed_rows : PackedRows, optional
        The rows' layout.
    **kwargs
        What transformers hands to an attention function (dropout, scaling).

    Returns
    -------
    tuple of Tensor and None
        [B, L, heads, D], and no attention weights.
    """
    if packed_rows is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    width, group_size = packed_rows.prompt_width, packed_rows.lengths.shape[1]
    prompt = [states[:, :, :width] for states in (query, key, value)]
    prompt_out, _ = sdpa_attention_forward(
        module, *prompt, packed_rows.prompt_attention_mask, **kwargs
    )
    if packed_rows.slots.shape[1] == 0:
        return prompt_out, None
    own = [_to_slots(states[:, :, width:], packed_rows) for states in (query, key, value)]
    seen = [
        torch.cat([expand_groups(shared, group_size), states], dim=2)
        for shared, states in zip(prompt[1:], own[1:], strict=True)
    ]
    out, _ = sdpa_attention_forward(
        module, own[0], *seen, packed_rows.completion_attention_mask, **kwargs
    )
    rows = torch.arange(len(query), device=query.device)[:, None]
    out = out.reshape(len(query), -1, *out.shape[2:])[rows, packed_rows.slots.clamp(min=0)]
    return torch.cat([prompt_out, out], dim=1), None


def _to_slots(states: Tensor, packed_rows: PackedRows) -> Tensor:
    """[B, heads, S, D] tight to [N, heads, C, D] padded."""
    size, heads, _, depth = states.shape
    rows = torch.arange(size, device=states.device)[:, None]
    slots = states.transpose(1, 2)[rows, packed_rows.columns]
    return slots.reshape(-1, packed_rows.slot_width, heads, depth).transpose(1, 2)


AttentionInterface.register(SHARED_PREFIX, shared_prefix_attention)
AttentionMaskInterface.register(SHARED_PREFIX, sdpa_mask)


def use_shared_prefix_attention(audio_llm: AudioLLM) -> None:
    """Let a model's language model attend by `shared_prefix_attention`.

    Arguments
    ---------
    audio_llm : AudioLLM
        A model whose language model uses ``sdpa``.

    Raises
    ------
    ValueError
        If it uses another attention.

    Example
    -------
    >>> from speechqa_plugin.models.compact import CompactAudioFlamingo3
    >>> use_shared_prefix_attention(CompactAudioFlamingo3(32, 1, 2, 32, 1, 2, window_s=1))
    """
    config = audio_llm.model.get_decoder().config
    if config._attn_implementation not in ("sdpa", SHARED_PREFIX):
        raise ValueError(
            f"attention implementation is {config._attn_implementation!r}; packed rows need a "
            "model that was loaded with attn_implementation='sdpa'"
        )
    config._attn_implementation = SHARED_PREFIX
