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

from speechqa_plugin.models.audio_llm import AudioLLM, Generation
from speechqa_plugin.models.contexts import FixedContext, GrowingContext, recorded
from speechqa_plugin.models.groups import expand_groups, group_rows
from speechqa_plugin.models.inputs import ModelInputs
from speechqa_plugin.models.logprobs import among, log_softmax_without
from speechqa_plugin.models.modes import inference

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
        """The completions of some prompts, see `speechqa_plugin.models.groups.take_prompts`."""
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


@dataclass(frozen=True)
class RolloutRequest:
    """B prompts to be answered: in tensors for the model here, as they were said for a server.

    Arguments
    ---------
    inputs : ModelInputs
        B prompts without answers, on the model's device.
    wavs : sequence of Tensor
        B mono clips [T_i] that ``inputs`` were made from.
    prompts : sequence of str
        B instructions, likewise.
    seeds : sequence of int or of sequence of int
        B seeds, each what `numpy.random.default_rng` takes: (run's seed, step, prompt's index),
        for one. Prompts with the same seed and the same inputs get the same completions.
    choice_ids : sequence of int
        C tokens whose probabilities among themselves are recorded, see `Completions`.
    """

    inputs: ModelInputs
    wavs: Sequence[Tensor]
    prompts: Sequence[str]
    seeds: Sequence[int | Sequence[int]]
    choice_ids: Sequence[int] = ()


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
    fixed_context: bool | None = None,
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
    fixed_context : bool, optional
        Use a `speechqa_plugin.models.contexts.FixedContext` where the model can, and launch the
        computation of a token as one on a GPU. None: on a GPU alone.

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
    if fixed_context is None:
        fixed_context = draws.is_cuda
    with inference(audio_llm):  # in training mode, gradient checkpointing leaves a cache empty
        written = _write(
            audio_llm, inputs, group_size, draws, choice_ids, temperature, fixed_context
        )
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
    fixed: bool,
) -> Rollout:
    """Draw token after token with [T, N] numbers in [0, 1), in a context of a fixed size or not."""
    context = GrowingContext(audio_llm)
    logits = context.read(audio_llm.embed_prompt(inputs), inputs.prompt_mask)
    fixed = fixed and FixedContext.fits(context)
    if fixed:
        context = FixedContext(context, group_size, len(draws) - 1)
    else:
        context.expand(group_size)
    written = _Written(audio_llm, draws, choice_ids, temperature)
    written.draw(expand_groups(logits, group_size))

    def step():
        written.draw(context.follow(written.tokens))

    next_step = step
    for number in range(1, len(draws)):
        left = int(written.open.sum())
        if left == 0:
            break
        if not fixed and left <= KEPT_SHARE * len(written.rows):
            context.select(written.open)
            written.select(written.open)
        elif fixed and number == 2 and draws.is_cuda:
            next_step = recorded(step)
        next_step()
    return written.rollout(group_size)


class _Written:
    """What has been written; it changes in place, so that a step can be recorded.

    R of N rows are still computed, and some of these are not written any more.
    """

    def __init__(self, audio_llm, draws, choice_ids, temperature):
        limit, size = draws.shape
        self.draws, self.temperature = draws, temperature
        self.audio = audio_llm.audio_token_id
        self.end = audio_llm.tokenizer.eos_token_id
        self.pad = audio_llm.tokenizer.pad_token_id
        self.choice_ids = torch.tensor(list(choice_ids), dtype=torch.long, device=draws.device)
        self.step = torch.zeros(1, dtype=torch.long, device=draws.device)
        self.ids = torch.full((size, limit), self.pad, device=draws.device)
        self.mask = torch.zeros_like(self.ids, dtype=torch.bool)
        self.logps = torch.zeros(self.ids.shape, device=draws.device)
        self.choices = torch.zeros((*self.ids.shape, len(choice_ids)), device=draws.device)
        self.rows = torch.arange(size, device=draws.device)
        self.tokens = torch.full_like(self.rows, self.pad)
        self.open = torch.ones_like(self.rows, dtype=torch.bool)

    def draw(self, logits: Tensor) -> None:
        """Write a token of each open row after [R, V] logits."""
        logps = log_softmax_without(logits, self.audio, self.temperature)
        self.tokens.copy_(draw_tokens(logps, self.draws[self.step, self.rows]))
        drawn = logps.gather(1, self.tokens[:, None])[:, 0]
        choices = among(logps * self.temperature, self.choice_ids)
        self.ids[self.rows, self.step] = torch.where(self.open, self.tokens, self.pad)
        self.logps[self.rows, self.step] = torch.where(self.open, drawn, 0.0)
        self.choices[self.rows, self.step] = choices * self.open[:, None]
        self.mask[self.rows, self.step] = self.open
        self.open &= self.tokens != self.end
        self.step += 1

    def select(self, rows: Tensor) -> None:
        """Compute only those that are true in [R] from now on."""
        self.rows, self.tokens, self.open = self.rows[rows], self.tokens[rows], self.open[rows]

    def rollout(self, group_size: int) -> Rollout:
        width = int(self.mask.sum(dim=-1).max())
        ends = (self.ids == self.end) & self.mask
        tensors = (t[:, :width] for t in (self.ids, self.mask, self.logps, self.choices))
        return Rollout(*tensors, ends.any(dim=-1), group_size)


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
