"""The one decoder: a model writes freely, in groups or alone, or fills in a template.

However many completions a prompt gets, its audio is encoded once and the prompt forwarded once;
only its cache is copied. Sampled tokens come from the whole distribution (nothing cut off, as by
top-p): any truncation would make the distribution that is drawn from differ from the one that a
policy is trained under. The same `log_softmax_without` serves both, with the same temperature.

Every completion draws from random numbers of its own, which are a function of its prompt's seed.
So what is written does not depend on the other prompts of the batch, on the rank, or on what was
drawn before, and an interrupted run has no generator to bring back.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from speechqa_plugin.models.audio_llm import AudioLLM
from speechqa_plugin.models.completions import Completions
from speechqa_plugin.models.contexts import FixedContext, GrowingContext, recorded
from speechqa_plugin.models.groups import expand_groups
from speechqa_plugin.models.inputs import ModelInputs
from speechqa_plugin.models.logprobs import among, log_softmax_without
from speechqa_plugin.models.modes import inference
from speechqa_plugin.models.template import ScoreTemplate

KEPT_SHARE = 0.75
"""Rows are dropped when no more than this share of them is still written: each time costs a copy
of the cache."""


def sample(
    audio_llm: AudioLLM,
    inputs: ModelInputs,
    seeds: Sequence[int | Sequence[int]],
    group_size: int,
    max_new_tokens: int,
    choice_ids: Sequence[int] = (),
    temperature: float = 1.0,
    fixed_context: bool | None = None,
) -> Completions:
    """Let the model write completions at random, in evaluation mode and without gradient.

    Arguments
    ---------
    audio_llm : AudioLLM
        The model; it is left in the mode it was in.
    inputs : ModelInputs
        B prompts without answers, on the model's device.
    seeds : sequence of int or of sequence of int
        B seeds, each what `numpy.random.default_rng` takes: (run's seed, step, prompt's index),
        for one. Prompts with the same seed and the same inputs get the same completions.
    group_size : int
        G, completions of each prompt.
    max_new_tokens : int
        Limit of a completion, end token included.
    choice_ids : sequence of int
        C tokens whose probabilities among themselves are recorded, see `Completions`.
    temperature : float
        What logits are divided by, above 0.
    fixed_context : bool, optional
        Use a `FixedContext` where the model can, and launch the computation of a token as one on
        a GPU. None: on a GPU alone.

    Returns
    -------
    Completions

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
    >>> sample(model, model.inputs([torch.zeros(8000)], ["Rate this."]), [1], 3, 4).ids.shape
    torch.Size([3, 4])
    """
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
    writing = _Writing(audio_llm, draws.shape[::-1], choice_ids, temperature, draws)
    completions = _write(audio_llm, inputs, group_size, writing, fixed_context)
    completions.check_finite()
    return completions


def write(
    audio_llm: AudioLLM,
    inputs: ModelInputs,
    max_new_tokens: int,
    choice_ids: Sequence[int] = (),
    first_ids: Sequence[int] = (),
) -> Completions:
    """Let the model write greedily: a group of one, of the likeliest token each time.

    Result, modes and other arguments are those of `sample`.

    Arguments
    ---------
    first_ids : sequence of int
        What the first token is chosen among, if not all.

    Example
    -------
    >>> from speechqa_plugin.models.compact import CompactAudioFlamingo3
    >>> model = CompactAudioFlamingo3(32, 1, 2, 32, 1, 2, window_s=1)
    >>> write(model, model.inputs([torch.zeros(8000)], ["Rate this."]), 4).ids.shape
    torch.Size([1, 4])
    """
    size = (len(inputs.prompt_ids), max_new_tokens)
    writing = _Writing(audio_llm, size, choice_ids)
    return _write(audio_llm, inputs, 1, writing, first_ids=first_ids)


def fill_template(audio_llm: AudioLLM, inputs: ModelInputs, template: ScoreTemplate) -> Tensor:
    """Let the model choose nothing but scores: only legal answers can come out.

    Each score is chosen greedily given the ones chosen before it, as in free writing.

    Arguments
    ---------
    audio_llm : AudioLLM
        The model; it is left in the mode it was in.
    inputs : ModelInputs
        B prompts without answers, on the model's device.
    template : ScoreTemplate
        The fixed tokens around D scores.

    Returns
    -------
    Tensor
        [B, D, 5] probabilities of scores 1 to 5 (float32, on the CPU).
    """
    score_ids = torch.tensor(template.score_ids, device=audio_llm.device)
    embedding = audio_llm.model.get_input_embeddings()
    context = GrowingContext(audio_llm)
    steps = []
    with inference(audio_llm):
        embeds, mask = audio_llm.embed_prompt(inputs), inputs.prompt_mask
        for segment in template.segments:
            fed = torch.tensor(segment, device=score_ids.device, dtype=torch.long)
            fed = embedding(fed.expand(len(mask), -1)).to(embeds.dtype)
            mask = torch.cat([mask, mask.new_ones(fed.shape[:2])], dim=1)
            logits = context.read(torch.cat([embeds, fed], dim=1), mask)
            steps.append(logits[:, score_ids].float().softmax(dim=-1))
            embeds = embedding(score_ids[steps[-1].argmax(dim=-1)].unsqueeze(1))
            mask = mask.new_ones(len(mask), 1)
    return torch.stack(steps, dim=1).cpu()


def _write(
    audio_llm: AudioLLM,
    inputs: ModelInputs,
    group_size: int,
    writing: _Writing,
    fixed: bool | None = None,
    first_ids: Sequence[int] = (),
) -> Completions:
    """Write token after token, in a context of a fixed size or not."""
    limit, on_gpu = writing.ids.shape[1], writing.ids.is_cuda
    with inference(audio_llm):  # in training mode, gradient checkpointing leaves a cache empty
        context = GrowingContext(audio_llm)
        logits = context.read(audio_llm.embed_prompt(inputs), inputs.prompt_mask)
        if first_ids:
            others = torch.ones_like(logits, dtype=torch.bool)
            others[:, list(first_ids)] = False
            logits = logits.masked_fill(others, -torch.inf)
        fixed = (on_gpu if fixed is None else fixed) and FixedContext.fits(context)
        if fixed:
            context = FixedContext(context, group_size, limit - 1)
        else:
            context.expand(group_size)
        writing.add(expand_groups(logits, group_size))

        def step():
            writing.add(context.follow(writing.tokens))

        next_step = step
        for number in range(1, limit):
            left = int(writing.open.sum())
            if left == 0:
                break
            if not fixed and left <= KEPT_SHARE * len(writing.rows):
                context.select(writing.open)
                writing.select(writing.open)
            elif fixed and number == 2 and on_gpu:
                next_step = recorded(step)
            next_step()
    return writing.completions(group_size)


class _Writing:
    """What has been written; it changes in place, so that a step can be recorded.

    R of N rows are still computed, and some of these are not written any more. With [T, N] draws
    tokens are sampled, without them they are the likeliest.
    """

    def __init__(self, audio_llm, size, choice_ids, temperature=1.0, draws=None):
        self.draws, self.temperature = draws, temperature
        self.audio = audio_llm.audio_token_id
        self.end = audio_llm.tokenizer.eos_token_id
        self.pad = audio_llm.tokenizer.pad_token_id
        device = audio_llm.device
        self.choice_ids = torch.tensor(list(choice_ids), dtype=torch.long, device=device)
        self.step = torch.zeros(1, dtype=torch.long, device=device)
        self.ids = torch.full(size, self.pad, device=device)
        self.mask = torch.zeros_like(self.ids, dtype=torch.bool)
        self.logps = torch.zeros(self.ids.shape, device=device)
        self.choices = torch.zeros((*self.ids.shape, len(choice_ids)), device=device)
        self.rows = torch.arange(len(self.ids), device=device)
        self.tokens = torch.full_like(self.rows, self.pad)
        self.open = torch.ones_like(self.rows, dtype=torch.bool)

    def add(self, logits: Tensor) -> None:
        """Write a token of each open row after [R, V] logits."""
        logps = log_softmax_without(logits, self.audio, self.temperature)
        if self.draws is None:
            self.tokens.copy_(logps.argmax(dim=-1))
        else:
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

    def completions(self, group_size: int) -> Completions:
        width = int(self.mask.sum(dim=-1).max())
        ids, mask, logps, choices = (
            t[:, :width] for t in (self.ids, self.mask, self.logps, self.choices)
        )
        finished = ((ids == self.end) & mask).any(dim=-1)
        choice_ids = tuple(self.choice_ids.tolist())
        return Completions(ids, mask, group_size, finished, logps, choice_ids, choices)


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
