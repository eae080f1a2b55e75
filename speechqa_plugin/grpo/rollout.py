"""Let the model write G completions of each prompt.

The audio is encoded once a prompt and the prompt forwarded once; only its cache is copied. Tokens
come from the whole distribution (nothing cut off, as by top-p): any truncation would make the
distribution that is sampled differ from the one that is scored. The same `log_softmax_without`
serves both, with the same temperature.

Every completion draws from random numbers of its own, which are a function of its prompt's seed.
So what is written does not depend on the other prompts of the batch, on the rank, or on what was
drawn before, and an interrupted run has no generator to bring back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from speechqa_plugin.grpo.groups import expand_groups, group_rows
from speechqa_plugin.grpo.logprobs import among, log_softmax_without
from speechqa_plugin.grpo.modes import inference
from speechqa_plugin.models.audio_llm import AudioLLM, Generation
from speechqa_plugin.models.inputs import ModelInputs

KEPT_SHARE = 0.75
"""Rows are dropped when no more than this share of them is still written: each time costs a copy
of the cache."""


@dataclass(frozen=True)
class Rollout:
    """What was written: N = B·G completions, prompt after prompt.

    Arguments
    ---------
    completion_ids : Tensor
        [N, T] tokens, end token included, right padded.
    completion_mask : Tensor
        [N, T] bool, true on tokens.
    sampled_logps : Tensor
        [N, T] float32, log-probability of each token when it was drawn; 0 on padding.
    choice_logps : Tensor
        [N, T, C] float32, log-probabilities among themselves of the tokens that `rollout` was
        asked about, at each token and temperature 1; 0 on padding.
    finished : Tensor
        [N] bool, false where the limit of new tokens cut the completion.
    group_size : int
        G.
    """

    completion_ids: Tensor
    completion_mask: Tensor
    sampled_logps: Tensor
    choice_logps: Tensor
    finished: Tensor
    group_size: int

    @property
    def lengths(self) -> Tensor:
        """[N] tokens of each completion, end token included."""
        return self.completion_mask.sum(dim=-1)

    def rows(self) -> list[list[int]]:
        """Tokens of each completion without end token and padding, to be decoded."""
        lengths = (self.lengths - self.finished.long()).tolist()
        return [ids[:n] for ids, n in zip(self.completion_ids.tolist(), lengths, strict=True)]

    def generation(self, tokenizer) -> Generation:
        """The same as `AudioLLM.generate` gives, if the score tokens were asked about."""
        ids, probs = self.rows(), list(self.choice_logps.exp().cpu())
        return Generation(ids, tokenizer.batch_decode(ids), probs, self.finished.tolist())

    def loss_mask(self, mask_truncated: bool = False) -> Tensor:
        """[N, T] tokens to train on; without those of cut completions on request."""
        if mask_truncated:
            return self.completion_mask & self.finished.unsqueeze(1)
        return self.completion_mask

    def take_prompts(self, prompts: Tensor) -> Rollout:
        """The completions of some prompts, see `speechqa_plugin.grpo.groups.take_prompts`."""
        rows = group_rows(prompts, self.group_size)
        width = int(self.lengths[rows].max())
        return Rollout(
            self.completion_ids[rows, :width],
            self.completion_mask[rows, :width],
            self.sampled_logps[rows, :width],
            self.choice_logps[rows, :width],
            self.finished[rows],
            self.group_size,
        )


def rollout(
    audio_llm: AudioLLM,
    inputs: ModelInputs,
    group_size: int,
    max_new_tokens: int,
    seeds: Sequence[int | Sequence[int]],
    choice_ids: Sequence[int] = (),
    temperature: float = 1.0,
    wavs: Sequence[Tensor] = (),
    prompts: Sequence[str] = (),
) -> Rollout:
    """Sample completions, in evaluation mode and without gradient.

    Arguments
    ---------
    audio_llm : AudioLLM
        The model; it is left in the mode it was in.
    inputs : ModelInputs
        B prompts without answers, on the model's device.
    group_size : int
        G, completions of each prompt.
    max_new_tokens : int
        Limit of a completion, end token included.
    seeds : sequence of int or of sequence of int
        B seeds, each what `numpy.random.default_rng` takes: (run's seed, step, prompt's index),
        for one. Prompts with the same seed and the same inputs get the same completions.
    choice_ids : sequence of int
        C tokens whose probabilities among themselves are recorded, see `Rollout`.
    temperature : float
        Of the policy, see `speechqa_plugin.grpo.scoring.Scorer`.
    wavs : sequence of Tensor
        Not used; the clips that ``inputs`` were made from, for a rollout that is made elsewhere
        (`speechqa_plugin.grpo.served.ServedRollout`).
    prompts : sequence of str
        Not used; the instructions, likewise.

    Returns
    -------
    Rollout

    Raises
    ------
    ValueError
        If there are not as many seeds as prompts, or a number is below 1.
    FloatingPointError
        If the model's log-probabilities are not finite.

    Example
    -------
    >>> from speechqa_plugin.models.compact import CompactAudioFlamingo3
    >>> model = CompactAudioFlamingo3(32, 1, 2, 32, 1, 2, window_s=1)
    >>> written = rollout(model, model.inputs([torch.zeros(8000)], ["Rate this."]), 3, 4, [1])
    >>> written.completion_ids.shape
    torch.Size([3, 4])
    """
    del wavs, prompts
    if len(seeds) != len(inputs.prompt_ids) or min(group_size, max_new_tokens) < 1:
        raise ValueError(
            f"{len(seeds)} seeds for {len(inputs.prompt_ids)} prompts, group_size {group_size}, "
            f"max_new_tokens {max_new_tokens}: need a seed for each prompt and numbers above 0"
        )
    draws = torch.cat(
        [
            torch.from_numpy(np.random.default_rng(seed).random((max_new_tokens, group_size)))
            for seed in seeds
        ],
        dim=1,
    ).to(audio_llm.device)
    with inference(audio_llm):  # in training mode, gradient checkpointing leaves a cache empty
        written = _write(audio_llm, inputs, group_size, draws, choice_ids, temperature)
    check_finite(written)
    return written


def check_finite(written: Rollout) -> None:
    """Raise FloatingPointError where a broken model has written."""
    if not written.sampled_logps.isfinite().all():
        raise FloatingPointError(
            "log-probabilities of sampled tokens are not finite: the model's weights or the "
            "audio features hold nan or inf"
        )


def _write(
    audio_llm: AudioLLM,
    inputs: ModelInputs,
    group_size: int,
    draws: Tensor,
    choice_ids: Sequence[int],
    temperature: float,
) -> Rollout:
    """Draw token after token with [T, N] numbers in [0, 1)."""
    end, pad = audio_llm.tokenizer.eos_token_id, audio_llm.tokenizer.pad_token_id
    limit, size = draws.shape
    context = _Context(audio_llm)
    logits = context.feed(audio_llm.embed_prompt(inputs), inputs.prompt_mask)
    context.expand(group_size)
    logits = expand_groups(logits, group_size)
    ids = torch.full((size, limit), pad, device=draws.device)
    mask = torch.zeros_like(ids, dtype=torch.bool)
    logps = torch.zeros(ids.shape, device=draws.device)
    choices = torch.zeros((*ids.shape, len(choice_ids)), device=draws.device)
    rows = torch.arange(size, device=draws.device)  # those that are still computed
    open_ = torch.ones_like(rows, dtype=torch.bool)  # those of them that are still written
    for step in range(limit):
        step_logps = log_softmax_without(logits, audio_llm.audio_token_id, temperature)
        tokens = draw_tokens(step_logps, draws[step, rows])
        ids[rows, step] = torch.where(open_, tokens, pad)
        logps[rows, step] = torch.where(open_, step_logps.gather(1, tokens[:, None])[:, 0], 0.0)
        choices[rows, step] = among(step_logps * temperature, choice_ids) * open_[:, None]
        mask[rows, step] = open_
        open_ = open_ & (tokens != end)
        left = int(open_.sum())
        if left == 0 or step + 1 == limit:
            break
        if left <= KEPT_SHARE * len(rows):
            context.select(open_)
            rows, tokens, open_ = rows[open_], tokens[open_], open_[open_]
        embeds = audio_llm.model.get_input_embeddings()(tokens[:, None])
        logits = context.feed(embeds, torch.ones_like(tokens[:, None]))
    width = int(mask.sum(dim=-1).max())
    ends = (ids == end) & mask
    written = (tensor[:, :width] for tensor in (ids, mask, logps, choices))
    return Rollout(*written, ends.any(dim=-1), group_size)


class _Context:
    """What the model has read, and its cache."""

    def __init__(self, audio_llm: AudioLLM):
        self.decoder = audio_llm.model.get_decoder()
        self.head = audio_llm.model.get_output_embeddings()
        self.cache = DynamicCache(config=self.decoder.config)
        self.mask = None

    def feed(self, embeds: Tensor, mask: Tensor) -> Tensor:
        """[R, V] logits of the token that follows [R, I, H] embeddings with a mask [R, I]."""
        self.mask = mask if self.mask is None else torch.cat([self.mask, mask], dim=1)
        positions = (self.mask.cumsum(dim=-1) - 1).clamp(min=0)[:, -embeds.shape[1] :]
        hidden = self.decoder(
            inputs_embeds=embeds,
            attention_mask=self.mask,
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
        ).last_hidden_state[:, -1]
        return self.head(hidden)

    def expand(self, group_size: int) -> None:
        self.cache.batch_repeat_interleave(group_size)
        self.mask = expand_groups(self.mask, group_size)

    def select(self, rows: Tensor) -> None:
        """Forget the other rows."""
        self.cache.batch_select_indices(rows.nonzero().flatten())
        self.mask = self.mask[rows]


def draw_tokens(logps: Tensor, draws: Tensor) -> Tensor:
    """Turn uniform numbers into tokens: the first at which the summed probability exceeds them.

    Arguments
    ---------
    logps : Tensor
        [R, V] log-probabilities.
    draws : Tensor
        [R] in [0, 1).

    Returns
    -------
    Tensor
        [R] token ids; a token of probability 0 is never drawn.

    Example
    -------
    >>> logps = torch.tensor([0.0, 0.5, 0.5]).log().expand(4, 3)
    >>> draw_tokens(logps, torch.tensor([0.0, 0.4, 0.5, 0.9])).tolist()
    [1, 1, 2, 2]
    """
    summed = logps.double().exp().cumsum(dim=-1)
    # The sum may end a rounding error off 1.
    targets = draws.double().unsqueeze(1) * summed[:, -1:]
    tokens = torch.searchsorted(summed, targets, right=True).squeeze(1)
    return tokens.clamp(max=logps.shape[1] - 1)
