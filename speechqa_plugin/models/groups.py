"""The one order in which prompts and completions stand.

A batch of B prompts with G completions each is N = B·G rows, prompt after prompt: row n belongs
to prompt n // G. Windows of audio are grouped by prompt too, and there may be several of one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from speechqa_plugin.models.audio_llm import AudioLLM
from speechqa_plugin.models.inputs import ModelInputs


def expand_groups(values: Tensor, group_size: int) -> Tensor:
    """Repeat each prompt's entry for its completions.

    Every tensor that goes from prompts to completions goes through here.

    Arguments
    ---------
    values : Tensor
        [B, ...].
    group_size : int
        G.

    Returns
    -------
    Tensor
        [N, ...], prompt after prompt.

    Example
    -------
    >>> expand_groups(torch.tensor([7, 8]), 3).tolist()
    [7, 7, 7, 8, 8, 8]
    """
    return values.repeat_interleave(group_size, dim=0)


def group_rows(prompts: Tensor, group_size: int) -> Tensor:
    """Rows of the completions of some prompts.

    Arguments
    ---------
    prompts : Tensor
        [M] indices of prompts.
    group_size : int
        G.

    Returns
    -------
    Tensor
        [M·G] indices of completions.

    Example
    -------
    >>> group_rows(torch.tensor([2, 0]), 2).tolist()
    [4, 5, 0, 1]
    """
    members = torch.arange(group_size, device=prompts.device)
    return (prompts[:, None] * group_size + members).flatten()


def take_prompts(audio_llm: AudioLLM, inputs: ModelInputs, prompts: Tensor) -> ModelInputs:
    """Inputs of some prompts, each with all windows of its clip.

    Arguments
    ---------
    audio_llm : AudioLLM
        The model that the inputs are for.
    inputs : ModelInputs
        B prompts without answers.
    prompts : Tensor
        [M] indices of prompts, in any order and any number of times.

    Returns
    -------
    ModelInputs
        M prompts; columns that are padding in all of them are left out.
    """
    owners = window_owners(audio_llm, inputs).cpu()
    windows = torch.cat([(owners == prompt).nonzero().flatten() for prompt in prompts.tolist()])
    mask = inputs.prompt_mask[prompts]
    first = int(mask.any(dim=0).int().argmax())
    return ModelInputs(
        inputs.prompt_ids[prompts, first:],
        mask[:, first:],
        inputs.features[windows],
        inputs.features_mask[windows],
    )


def window_owners(audio_llm: AudioLLM, inputs: ModelInputs) -> Tensor:
    """Which prompt each window of audio belongs to.

    Arguments
    ---------
    audio_llm : AudioLLM
        The model that the inputs are for.
    inputs : ModelInputs
        B prompts and W windows.

    Returns
    -------
    Tensor
        [W] indices of prompts, ascending.

    Raises
    ------
    ValueError
        If a window's audio tokens would be spread over two prompts.
    """
    size = inputs.prompt_ids.shape[0]
    if inputs.features.shape[0] == size:  # at least one window a clip
        return torch.arange(size, device=inputs.prompt_ids.device)
    frames = inputs.features_mask.sum(dim=-1)
    _, tokens = audio_llm.encoder()._get_feat_extract_output_lengths(frames)
    window_ends = tokens.clamp(min=0).cumsum(dim=0)
    prompt_ends = (inputs.prompt_ids == audio_llm.audio_token_id).sum(dim=-1).cumsum(dim=0)
    if not torch.isin(prompt_ends, window_ends).all():
        raise ValueError(
            f"prompts have {prompt_ends.diff(prepend=prompt_ends[:1] * 0).tolist()} audio tokens, "
            f"windows {tokens.tolist()}: a window would belong to two prompts; build the inputs "
            "with AudioLLM.inputs"
        )
    starts = window_ends - tokens.clamp(min=0)
    return torch.searchsorted(prompt_ends, starts, right=True).clamp(max=size - 1)
