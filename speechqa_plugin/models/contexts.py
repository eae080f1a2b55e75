"""What a model has read so far, ready for the next token.

Two forms that give the same logits:

- `GrowingContext` holds what has been read and no more. Rows that are done with can be left
  behind, so it is the one for a CPU, where each row costs.
- `FixedContext` has room for all that will be read, at addresses that do not change. On a GPU the
  model's step is hundreds of small kernels, and to launch them takes longer than to compute them;
  with fixed addresses they can be recorded once and launched as one (`recorded`). A row more
  costs little there.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer, StaticLayer

from speechqa_plugin.models.audio_llm import AudioLLM
from speechqa_plugin.models.groups import expand_groups
from speechqa_plugin.models.inputs import token_positions


def cache_name(decoder: nn.Module) -> str:
    """What a decoder's version of transformers calls the argument that is its cache."""
    # ``past_key_values`` until 5.23; later ones still take it, with a warning, until 5.40.
    parameters = inspect.signature(decoder.forward).parameters
    return "cache" if "cache" in parameters else "past_key_values"


class GrowingContext:
    """A cache that grows with what is read.

    Arguments
    ---------
    audio_llm : AudioLLM
        The model that reads.
    """

    def __init__(self, audio_llm: AudioLLM):
        self.embedding = audio_llm.model.get_input_embeddings()
        self.decoder = audio_llm.model.get_decoder()
        self.cache_name = cache_name(self.decoder)
        self.head = audio_llm.model.get_output_embeddings()
        self.cache = DynamicCache(config=self.decoder.config)
        self.mask = None

    def read(self, embeds: Tensor, mask: Tensor) -> Tensor:
        """[R, V] logits of the token that follows [R, I, H] embeddings with a mask [R, I]."""
        self.mask = mask if self.mask is None else torch.cat([self.mask, mask], dim=1)
        hidden = self.decoder(
            inputs_embeds=embeds,
            attention_mask=self.mask,
            position_ids=token_positions(self.mask)[:, -embeds.shape[1] :],
            **{self.cache_name: self.cache},
            use_cache=True,
        ).last_hidden_state[:, -1]
        return self.head(hidden)

    def follow(self, tokens: Tensor) -> Tensor:
        """[R, V] logits of the tokens that follow [R] tokens."""
        tokens = tokens.unsqueeze(1)
        return self.read(self.embedding(tokens), torch.ones_like(tokens))

    def expand(self, group_size: int) -> None:
        """Go on with each row ``group_size`` times, in the order of `expand_groups`."""
        self.cache.batch_repeat_interleave(group_size)
        self.mask = expand_groups(self.mask, group_size)

    def select(self, rows: Tensor) -> None:
        """Forget the rows that are not true in [R]."""
        self.cache.batch_select_indices(rows.nonzero().flatten())
        self.mask = self.mask[rows]


class FixedContext:
    """A cache of a fixed size, for each row of another context ``group_size`` times.

    Arguments
    ---------
    context : GrowingContext
        B rows that have been read; it stays as it is.
    group_size : int
        G.
    new_tokens : int
        Tokens that `follow` will be given at most, a row.
    """

    def __init__(self, context: GrowingContext, group_size: int, new_tokens: int):
        self.embedding = context.embedding
        self.decoder = context.decoder
        self.cache_name = context.cache_name
        self.head = context.head
        length = context.mask.shape[1]
        width = -(-(length + new_tokens) // 8) * 8  # kernels of attention copy masks of others
        layers = [_Room(layer, group_size, width) for layer in context.cache.layers]
        self.cache = Cache(layers=layers)
        mask = expand_groups(context.mask, group_size)
        self.mask = functional.pad(mask.bool(), (0, width - length))[:, None, None]
        self.positions = mask.sum(dim=-1, keepdim=True)
        self.column = torch.full((1,), length, device=mask.device)

    @staticmethod
    def fits(context: GrowingContext) -> bool:
        """Whether all layers keep all that they have read, as those of a sliding window do not."""
        return all(type(layer) is DynamicLayer for layer in context.cache.layers)

    def follow(self, tokens: Tensor) -> Tensor:
        """[N, V] logits of the tokens that follow [N] tokens."""
        self.mask.index_fill_(3, self.column, True)
        hidden = self.decoder(
            inputs_embeds=self.embedding(tokens.unsqueeze(1)),
            attention_mask=self.mask,
            position_ids=self.positions,
            **{self.cache_name: self.cache},
            use_cache=True,
        ).last_hidden_state[:, -1]
        self.positions += 1
        self.column += 1
        return self.head(hidden)


class _Room(StaticLayer):
    """A layer of a fixed size that takes states of another type, as one that grows does."""

    def __init__(self, layer: DynamicLayer, group_size: int, width: int):
        super().__init__(width)
        length = layer.keys.shape[2]
        keys, values = (expand_groups(t, group_size) for t in (layer.keys, layer.values))
        self.lazy_initialization(keys, values)
        self.keys[:, :, :length], self.values[:, :, :length] = keys, values
        self.cumulative_length.fill_(length)

    def update(self, key_states: Tensor, value_states: Tensor, *args, **kwargs):
        return super().update(key_states.to(self.keys.dtype), value_states.to(self.values.dtype))


def recorded(step: Callable[[], None]) -> Callable[[], None]:
    """Record what a step launches on the GPU, to launch it as one.

    The step is not carried out by being recorded, and has to have been carried out before, so that
    all is allocated that is allocated once.

    Arguments
    ---------
    step : callable
        What it reads and writes stays where it is, and no number of it goes to the CPU.

    Returns
    -------
    callable
        The same step. It holds what was recorded, and the memory of its intermediate results.
    """
    graph = torch.cuda.CUDAGraph()
    # Other threads (a data loader's, NCCL's) may use the GPU meanwhile.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        step()
    return graph.replay
