"""Tiny audio LLMs and batches with everything that makes GRPO's bookkeeping hard."""

from __future__ import annotations

import inspect

import torch

from speechqa_plugin.brains.expectation import Expectation
from speechqa_plugin.grpo.advantages import Advantages
from speechqa_plugin.grpo.loss import GRPOLoss
from speechqa_plugin.grpo.policy import Policy
from speechqa_plugin.grpo.rollout import Rollout
from speechqa_plugin.models.audio_flamingo3 import AudioFlamingo3
from speechqa_plugin.models.compact import CompactAudioFlamingo3
from speechqa_plugin.models.completions import Completions

GROUP_SIZE = 3


class Length:
    """A reward that differs between answers, readable or not."""

    name = "length"

    def __call__(self, predictions, references):
        return [len(p.text) % 13 / 13 for p in predictions]


def brain_parts(policy: Policy, answerer, composite, group_size, max_new_tokens, **options):
    """Arguments of a `GRPOBrain` from options without their parts, as a YAML file has them."""

    def made(part, *args, **kwargs):
        names = inspect.signature(part).parameters
        mine = {name: options.pop(name) for name in list(options) if name in names}
        return part(*args, **kwargs, **mine)

    return {
        "modules": {"policy": policy},
        "rollout": options.pop("rollout", None) or Rollout(policy, group_size, max_new_tokens),
        "composite": composite,
        "advantages": made(Advantages),
        "loss": made(GRPOLoss, max_new_tokens=max_new_tokens),
        "expectation": made(Expectation, composite, answerer),
        "answerer": answerer,
        **options,
    }


def compact_model() -> CompactAudioFlamingo3:
    """Trained in full; windows of one second, up to three of them."""
    model = CompactAudioFlamingo3(32, 1, 2, 32, 2, 2, window_s=1, mel_bins=16, frame_ms=10)
    model.processor.max_audio_len = 3
    return model


def lora_model(folder) -> AudioFlamingo3:
    """The published base's class, its weights read from a folder, with a LoRA adapter."""
    base = compact_model()
    base.model.save_pretrained(folder)
    base.processor.save_pretrained(folder)
    return AudioFlamingo3(str(folder), lora_rank=4, dtype="float32", gradient_checkpointing=False)


def wake_adapter(model: AudioFlamingo3) -> None:
    """Give the adapter weights that matter; a fresh one changes nothing."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) / 10)


def clips(*lengths_s: float) -> list[torch.Tensor]:
    """Noise, another one for each length."""
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(round(16_000 * s), generator=generator) / 5 for s in lengths_s]


def two_prompts(model):
    """A clip of one window and one of three, behind instructions of unequal lengths."""
    return model.inputs(clips(0.4, 2.3), ["Rate it.", "mos, noise: say which is worse. And why?"])


def completions(lengths=(4, 1, 6, 5, 3, 2), group_size=GROUP_SIZE) -> Completions:
    """Completions of these lengths; what stands on padding is not zero."""
    generator = torch.Generator().manual_seed(11)
    ids = torch.randint(4, 1800, (len(lengths), max(lengths)), generator=generator)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return Completions(ids, mask, group_size)
