"""Log-probabilities of completions given their prompts, with gradient.

`score_plain` is how other trainers do it: every completion in a row of its own, behind its own
copy of the prompt, the audio encoded for each. `score_packed` does the same with the audio
encoded once and the prompt forwarded once for a group. `Scorer` picks, and checks its pick.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from speechbrain.utils.logger import get_logger
from torch import Tensor, nn

from speechqa_plugin.models.attention import SHARED_PREFIX, use_shared_prefix_attention
from speechqa_plugin.models.audio_llm import AudioLLM
from speechqa_plugin.models.groups import expand_groups, take_prompts
from speechqa_plugin.models.inputs import ModelInputs
from speechqa_plugin.models.logprobs import token_logps
from speechqa_plugin.models.modes import full_float32, inference
from speechqa_plugin.models.packing import PackedRows

logger = get_logger(__name__)

TOLERANCES = {torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}
"""Mean difference of log-probabilities, in nats, up to which two ways of scoring agree."""


@dataclass(frozen=True)
class Scores:
    """Log-probabilities and entropies of N completions.

    Arguments
    ---------
    logps : Tensor
        [N, T] float32 in nats, 0 where there is no token.
    entropies : Tensor
        [N, T] float32 in nats, of the distributions that the tokens were scored under; without
        gradient.
    choice_logps : Tensor
        [N, T, C] float32 in nats, of the choices among themselves at each token, at temperature 1.
    """

    logps: Tensor
    entropies: Tensor
    choice_logps: Tensor


def score_plain(
    audio_llm: AudioLLM,
    inputs: ModelInputs,
    completion_ids: Tensor,
    completion_mask: Tensor,
    choice_ids: Sequence[int] = (),
    temperature: float = 1.0,
) -> Scores:
    """Score completions one by one.

    Arguments
    ---------
    audio_llm : AudioLLM
        The model.
    inputs : ModelInputs
        B prompts without answers, on the model's device.
    completion_ids, completion_mask : Tensor
        [N, T] tokens, prompt after prompt, right padded; the mask is true on tokens.
    choice_ids : sequence of int
        C tokens whose probabilities among themselves are wanted too.
    temperature : float
        Of the distribution that the completions were drawn from.

    Returns
    -------
    Scores

    Raises
    ------
    ValueError
        If N is not a multiple of B.
    """
    group_size = _group_size(inputs, completion_ids)
    everyone = torch.arange(len(inputs.prompt_ids), device=inputs.prompt_ids.device)
    inputs = take_prompts(audio_llm, inputs, expand_groups(everyone, group_size))
    prompts = audio_llm.embed_prompt(inputs)
    fed = audio_llm.model.get_input_embeddings()(completion_ids[:, :-1])
    mask = torch.cat([inputs.prompt_mask, completion_mask[:, :-1].long()], dim=1)
    hidden = audio_llm.model.get_decoder()(
        inputs_embeds=torch.cat([prompts, fed.to(prompts.dtype)], dim=1),
        attention_mask=mask,
        position_ids=(mask.cumsum(dim=-1) - 1).clamp(min=0),
        use_cache=False,
    ).last_hidden_state
    rows, steps = completion_mask.nonzero(as_tuple=True)
    predictors = hidden[rows, inputs.prompt_ids.shape[1] - 1 + steps]
    return _scores(audio_llm, predictors, completion_ids, completion_mask, choice_ids, temperature)


def score_packed(
    audio_llm: AudioLLM,
    inputs: ModelInputs,
    completion_ids: Tensor,
    completion_mask: Tensor,
    choice_ids: Sequence[int] = (),
    temperature: float = 1.0,
) -> Scores:
    """Score completions a group at a time; same arguments and result as `score_plain`.

    The rows are laid out as `PackedRows` says. A model prepared by `use_shared_prefix_attention`
    computes what is needed and no more; any other is given a dense mask.

    Raises
    ------
    ValueError
        If N is not a multiple of B, or the language model's attention is neither ``sdpa`` nor
        prepared.
    """
    _group_size(inputs, completion_ids)
    decoder = audio_llm.model.get_decoder()
    rows = PackedRows.of(inputs.prompt_mask, completion_mask)
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
    packed_ids = rows.pack(completion_ids, audio_llm.tokenizer.pad_token_id)
    fed = audio_llm.model.get_input_embeddings()(packed_ids)
    hidden = decoder(
        inputs_embeds=torch.cat([prompts, fed.to(prompts.dtype)], dim=1),
        position_ids=rows.positions,
        use_cache=False,
        **sharing,
    ).last_hidden_state
    predictors = hidden[rows.predictors(completion_mask)]
    return _scores(audio_llm, predictors, completion_ids, completion_mask, choice_ids, temperature)


class Scorer(nn.Module):
    """Scores completions the fast way, once that way has shown that it is right.

    The first call scores both ways without gradient, in evaluation mode and without the shortcuts
    that a GPU takes with float32. Where they differ, a warning says by how much, and the plain way
    is used from then on.

    Arguments
    ---------
    audio_llm : AudioLLM
        The model; its language model's attention becomes `shared_prefix_attention`.
    shared_prefix : bool
        False scores plainly from the start.
    temperature : float
        Of the policy: completions have to be drawn at it, and are scored at it.

    Raises
    ------
    ValueError
        If the temperature is not above 0.

    Example
    -------
    >>> from speechqa_plugin.models.compact import CompactAudioFlamingo3
    >>> model = CompactAudioFlamingo3(32, 1, 2, 32, 1, 2, window_s=1)
    >>> inputs = model.inputs([torch.zeros(8000)], ["Rate this."])
    >>> completion_ids = torch.tensor([[5, 6, 7], [5, 8, 0]])
    >>> scorer = Scorer(model)
    >>> scorer(inputs, completion_ids, completion_ids > 0).logps.shape, scorer.shared_prefix
    (torch.Size([2, 3]), True)
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

    def forward(
        self,
        inputs: ModelInputs,
        completion_ids: Tensor,
        completion_mask: Tensor,
        choice_ids: Sequence[int] = (),
    ) -> Scores:
        """See `score_plain`."""
        batch = (self.audio_llm, inputs, completion_ids, completion_mask)
        if not self.checked:
            self.checked = True
            self._check(*batch)
        score = score_packed if self.shared_prefix else score_plain
        return score(*batch, choice_ids, self.temperature)

    def _check(self, *batch) -> None:
        with inference(self.audio_llm), full_float32():
            difference = score_packed(*batch).logps - score_plain(*batch).logps
        mean = float(difference.abs().sum() / batch[-1].sum().clamp(min=1))
        tolerance = TOLERANCES[_computing_dtype(self.audio_llm)]
        if not mean <= tolerance:
            logger.warning(
                f"scoring with a shared prefix is {mean:.2g} nats off the plain way, more than "
                f"{tolerance:.2g}: the plain way is used, which is slower"
            )
            self.shared_prefix = False


def _computing_dtype(audio_llm: AudioLLM) -> torch.dtype:
    device = audio_llm.device.type
    if torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return audio_llm.dtype


def _group_size(inputs: ModelInputs, completion_ids: Tensor) -> int:
    prompts, completions = len(inputs.prompt_ids), len(completion_ids)
    if completions % prompts:
        raise ValueError(f"{completions} completions for {prompts} prompts: need as many for each")
    return completions // prompts


def _scores(
    audio_llm: AudioLLM,
    predictors: Tensor,
    ids: Tensor,
    mask: Tensor,
    choice_ids: Sequence[int],
    temperature: float,
) -> Scores:
    head, mask = audio_llm.model.get_output_embeddings(), mask.bool()
    logps, entropies, choices = token_logps(
        predictors, head, ids[mask], audio_llm.audio_token_id, choice_ids, temperature
    )
    blank = torch.zeros(ids.shape, device=ids.device)
    blank_choices = torch.zeros((*ids.shape, len(choice_ids)), device=ids.device)
    return Scores(
        blank.masked_scatter(mask, logps),
        blank.masked_scatter(mask, entropies),
        blank_choices.masked_scatter(mask.unsqueeze(-1), choices),
    )
