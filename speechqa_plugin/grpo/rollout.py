"""Let the policy write G completions of each prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from speechqa_plugin.grpo.policy import Policy
from speechqa_plugin.models.completions import Completions
from speechqa_plugin.models.decoder import sample
from speechqa_plugin.models.inputs import ModelInputs


@dataclass(frozen=True)
class RolloutRequest:
    """B prompts to be answered: in tensors for the model here, as they were said for a server."""

    inputs: ModelInputs  # without answers, on the model's device
    wavs: Sequence[Tensor]  # mono clips [T_i] that they were made from
    prompts: Sequence[str]  # instructions, likewise
    seeds: Sequence[int | Sequence[int]]  # see `speechqa_plugin.models.decoder.sample`
    choice_ids: Sequence[int] = ()  # whose probabilities are recorded, see `Completions`


class Rollout:
    """The policy's own model writes, at its temperature.

    Arguments
    ---------
    policy : Policy
        Whose model writes.
    group_size : int
        G, completions of each prompt; at least 2.
    max_new_tokens : int
        Limit of a completion, end token included.

    Raises
    ------
    ValueError
        If a number is too small.

    Example
    -------
    >>> import torch
    >>> from speechqa_plugin.models.compact import CompactAudioFlamingo3
    >>> model, wavs = CompactAudioFlamingo3(32, 1, 2, 32, 1, 2, window_s=1), [torch.zeros(8000)]
    >>> request = RolloutRequest(model.inputs(wavs, ["Rate it."]), wavs, ["Rate it."], seeds=[1])
    >>> Rollout(Policy(model), group_size=3, max_new_tokens=4)(request).ids.shape
    torch.Size([3, 4])
    """

    def __init__(self, policy: Policy, group_size: int, max_new_tokens: int):
        if group_size < 2 or max_new_tokens < 1:
            raise ValueError(
                f"group_size is {group_size} and max_new_tokens {max_new_tokens}: need at least 2, "
                "as one answer alone is neither better nor worse, and at least 1"
            )
        self.policy = policy
        self.group_size = group_size
        self.max_new_tokens = max_new_tokens

    def __call__(self, request: RolloutRequest) -> Completions:
        """Sample completions; see `speechqa_plugin.models.decoder.sample` for what it raises."""
        return sample(
            self.policy.audio_llm,
            request.inputs,
            request.seeds,
            self.group_size,
            self.max_new_tokens,
            request.choice_ids,
            self.policy.temperature,
        )
