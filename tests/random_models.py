"""Models that have learned nothing, but whose every answer depends on what they hear."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from transformers import PreTrainedModel

from speechqa_plugin.models.audio_llm import AudioLLM
from speechqa_plugin.models.compact import CompactAudioFlamingo3
from speechqa_plugin.models.inputs import ModelInputs

RATE_HZ = 16_000
SIZES = {
    "encoder_dim": 16,
    "encoder_layers": 1,
    "encoder_heads": 2,
    "lm_dim": 16,
    "lm_layers": 1,
    "lm_heads": 2,
    "window_s": 1,
    "mel_bins": 16,
    "frame_ms": 10,
}
CLOSE = {"rtol": 1e-4, "atol": 2e-5}
"""What float32 leaves of the same sum in another order."""


def random_model(**sizes) -> CompactAudioFlamingo3:
    """A compact model in eval mode."""
    return CompactAudioFlamingo3(**{**SIZES, **sizes}).eval()


def clips(*lengths_s: float) -> list[torch.Tensor]:
    """White noise, each clip another one and louder than the one before."""
    rng = np.random.default_rng(0)
    return [
        torch.from_numpy(0.1 * (i + 1) * rng.standard_normal(round(s * RATE_HZ))).float()
        for i, s in enumerate(lengths_s)
    ]


def without_answers(inputs: ModelInputs) -> ModelInputs:
    """The same batch, for the model to write the answers."""
    return replace(inputs, answer_ids=None, answer_mask=None)


def published_logits(model: AudioLLM, inputs: ModelInputs) -> torch.Tensor:
    """What `network_logits` says of a model's own network."""
    return network_logits(model.model, inputs)


def network_logits(network: PreTrainedModel, inputs: ModelInputs) -> torch.Tensor:
    """The forward of transformers on the same tokens: no line of ours in it."""
    ids = torch.cat([inputs.prompt_ids, inputs.answer_ids[:, :-1]], dim=1)
    mask = torch.cat([inputs.prompt_mask, inputs.answer_mask[:, :-1]], dim=1)
    qwen = network.config.model_type.startswith("qwen2")
    mask_name = "feature_attention_mask" if qwen else "input_features_mask"
    logits = network(
        input_ids=ids,
        attention_mask=mask,
        input_features=inputs.features,
        **{mask_name: inputs.features_mask},
    ).logits
    return logits[:, -inputs.answer_ids.shape[1] :]
