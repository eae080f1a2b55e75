"""The policy: how likely the model finds completions of prompts, with gradient.

`plain_logps` is how other trainers do it: every completion in a row of its own, behind its own
copy of the prompt, the audio encoded for each. `packed_logps` does the same with the audio
encoded once and the prompt forwarded once for a group. `Policy` picks, and checks its pick.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from speechbrain.utils.logger import get_logger
from torch import Tensor, nn

from speechqa_plugin.models.attention import SHARED_PREFIX, use_shared_prefix_attention
from speechqa_plugin.models.audio_llm import AudioLLM
from speechqa_plugin.models.completions import Completions
from speechqa_plugin.models.groups import take_prompts
from speechqa_plugin.models.inputs import ModelInputs, token_positions
from speechqa_plugin.models.logprobs import token_logps
from speechqa_plugin.models.modes import full_float32, inference
from speechqa_plugin.models.packing import PackedRows

logger = get_logger(__name__)

TOLERANCES = {torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}
"""Mean difference of log-probabilities, in nats, up to which the two ways agree."""


@dataclass(frozen=True)
class TokenLogps:
    """What a policy says of the tokens of N completions.

    Arguments
    ---------
    logps : Tensor
        [N, T] float32, log-probabilities in nats, 0 where there is no token.
    entropies : Tensor, optional
        [N, T] float32 in nats, of the distributions that the tokens are drawn from; without
        gradient.
    choice_logps : Tensor, optional
        [N, T, C] float32 in nats, of the completions' ``choice_ids`` among themselves at each
        token, at temperature 1.
    """

    logps: Tensor
    entropies: Tensor | None = None
    choice_logps: Tensor | None = None


def plain_logps(
    audio_llm: AudioLLM, inputs: ModelInputs, completions: Completions, temperature: float = 1.0
) -> TokenLogps:
    """Log-probabilities, completion by completion.

    Arguments
    ---------
    audio_llm : AudioLLM
        The model.
    inputs : ModelInputs
        B prompts without answers, on the model's device.
    completions : Completions
        N = B·G of them.
    temperature : float
        Of the distribution that the completions were drawn from.

    Returns
    -------
    TokenLogps

    Raises
    ------
    ValueError
        If there are not G completions for each prompt.
    """
    _check_groups(inputs, completions)
    inputs = take_prompts(audio_llm, inputs, completions.owners)
    prompts = audio_llm.embed_prompt(inputs)
    fed = audio_llm.model.get_input_embeddings()(completions.ids[:, :-1])
    mask = torch.cat([inputs.prompt_mask, completions.mask[:, :-1].long()], dim=1)
    hidden = audio_llm.model.get_decoder()(
        inputs_embeds=torch.cat([prompts, fed.to(prompts.dtype)], dim=1),
        attention_mask=mask,
        position_ids=token_positions(mask),
        use_cache=False,
    ).last_hidden_state
    rows, steps = completions.mask.nonzero(as_tuple=True)
    predictors = hidden[rows, inputs.prompt_ids.shape[1] - 1 + steps]
    return _token_logps(audio_llm, predictors, completions, temperature)


def packed_logps(
    audio_llm: AudioLLM, inputs: ModelInputs, completions: Completions, temperature: float = 1.0
) -> TokenLogps:
    """Log-probabilities, a group at a time; same arguments and result as `plain_logps`.

    The rows are laid out as `PackedRows` says. A model prepared by `use_shared_prefix_attention`
    computes what is needed and no more; any other is given a dense mask.

    Raises
    ------
    ValueError
        As `plain_logps`, or if the language model's attention is neither ``sdpa`` nor prepared.
    """
    _check_groups(inputs, completions)
    decoder = audio_llm.model.get_decoder()
    rows = PackedRows.of(inputs.prompt_mask, completions.mask)
    attention = decoder.config._attn_implementation
    if attention == SHARED_PREFIX:
        sharing = {"packed_rows": rows}
    elif attention == "sdpa":
        sharing = {"attention_mask": rows.dense_mask}
    else:
        raise ValueError(
            f"attention implementation is {attention!r}; packed rows need a model that was loaded "
            "with attn_implementation='sdpa'"
        )
    prompts = audio_llm.embed_prompt(inputs)
    packed_ids = rows.pack(completions.ids, audio_llm.tokenizer.pad_token_id)
    fed = audio_llm.model.get_input_embeddings()(packed_ids)
    hidden = decoder(
        inputs_embeds=torch.cat([prompts, fed.to(prompts.dtype)], dim=1),
        position_ids=rows.positions,
        use_cache=False,
        **sharing,
    ).last_hidden_state
    predictors = hidden[rows.predictors(completions.mask)]
    return _token_logps(audio_llm, predictors, completions, temperature)


class Policy(nn.Module):
    """An audio LLM that is drawn from at a temperature; says how likely completions are.

    It does so the fast way, once that has shown that it is right: the first call goes both ways,
    without gradient, in evaluation mode and without the shortcuts that a GPU takes with float32.
    Where they differ, a warning says by how much, and the plain way is used from then on.

    Arguments
    ---------
    audio_llm : AudioLLM
        The model; its language model's attention becomes `shared_prefix_attention`.
    shared_prefix : bool
        False goes the plain way from the start.
    temperature : float
        Completions are drawn at it, and their tokens' log-probabilities are those at it.

    Raises
    ------
    ValueError
        If the temperature is not above 0.

    Example
    -------
    >>> from speechqa_plugin.models.compact import CompactAudioFlamingo3
    >>> model = CompactAudioFlamingo3(32, 1, 2, 32, 1, 2, window_s=1)
    >>> inputs, ids = model.inputs([torch.zeros(8000)], ["Rate this."]), torch.tensor([[5, 6, 7]])
    >>> policy = Policy(model)
    >>> policy(inputs, Completions(ids, ids > 0, group_size=1)).logps.shape, policy.shared_prefix
    (torch.Size([1, 3]), True)
    """

    def __init__(self, audio_llm: AudioLLM, shared_prefix: bool = True, temperature: float = 1.0):
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"temperature is {temperature}; need one above 0, such as 1")
        self.temperature = temperature
        self.audio_llm = audio_llm
        self.shared_prefix = shared_prefix
        self.checked = not shared_prefix
        if shared_prefix:
            use_shared_prefix_attention(audio_llm)

    def forward(self, inputs: ModelInputs, completions: Completions) -> TokenLogps:
        """See `plain_logps`."""
        if not self.checked:
            self.checked = True
            self._check(inputs, completions)
        token_logps = packed_logps if self.shared_prefix else plain_logps
        return token_logps(self.audio_llm, inputs, completions, self.temperature)

    def _check(self, inputs: ModelInputs, completions: Completions) -> None:
        batch = (self.audio_llm, inputs, completions)
        with inference(self.audio_llm), full_float32():
            difference = packed_logps(*batch).logps - plain_logps(*batch).logps
        mean = float(difference.abs().sum() / completions.mask.sum().clamp(min=1))
        tolerance = TOLERANCES[_computing_dtype(self.audio_llm)]
        if not mean <= tolerance:
            logger.warning(
                f"log-probabilities with a shared prefix are {mean:.2g} nats off the plain way's, "
                f"more than {tolerance:.2g}: the plain way is used, which is slower"
            )
            self.shared_prefix = False


def _computing_dtype(audio_llm: AudioLLM) -> torch.dtype:
    device = audio_llm.device.type
    if torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return audio_llm.dtype


def _check_groups(inputs: ModelInputs, completions: Completions) -> None:
    if len(inputs.prompt_ids) * completions.group_size != len(completions):
        raise ValueError(
            f"{len(completions)} completions in groups of {completions.group_size} for "
            f"{len(inputs.prompt_ids)} prompts: need a group for each"
        )


def _token_logps(
    audio_llm: AudioLLM, predictors: Tensor, completions: Completions, temperature: float
) -> TokenLogps:
    head, ids, mask = audio_llm.model.get_output_embeddings(), completions.ids, completions.mask
    choice_ids = completions.choice_ids
    logps, entropies, choices = token_logps(
        predictors, head, ids[mask], audio_llm.audio_token_id, choice_ids, temperature
    )
    blank = torch.zeros(ids.shape, device=ids.device)
    blank_choices = torch.zeros((*ids.shape, len(choice_ids)), device=ids.device)
    return TokenLogps(
        blank.masked_scatter(mask, logps),
        blank.masked_scatter(mask, entropies),
        blank_choices.masked_scatter(mask.unsqueeze(-1), choices),
    )
