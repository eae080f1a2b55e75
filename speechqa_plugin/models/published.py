"""Published weights, prepared for calibration: what is the same for every base.

| base (class)         | longest clip | clips a prompt | licence of the weights         |
|----------------------|--------------|----------------|--------------------------------|
| `AudioFlamingo3`     | 10 min       | 1              | NVIDIA OneWay, non-commercial  |
| `AudioFlamingoNext`  | 20 or 30 min | 1              | NVIDIA OneWay, non-commercial  |
| `Qwen2Audio`         | 30 s         | several        | Apache 2.0                     |
| `Qwen25Omni`         | 5 min        | 1              | 7B: Apache 2.0;                |
|                      |              |                | 3B: Qwen Research, non-commer. |

The longest clip is what the loaded processor says. The shortest clip (0.03 s), the adapter's
targets and the encoder's place in the network are those of `WhisperLikeLLM` for all of them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn
from transformers import AutoProcessor, PreTrainedConfig, PreTrainedModel

from speechqa_plugin.models.published_weights import PublishedWeights
from speechqa_plugin.models.whisper_like import WhisperLikeLLM

LORA_RANK = 64
"""Of arXiv 2603.10175."""


class PublishedBase(WhisperLikeLLM):
    """Published (or your own) weights of an audio LLM, prepared for calibration.

    The language model gets a LoRA adapter and stays frozen otherwise; encoder and projector are
    trained in full unless told otherwise. A checkpoint holds only what is trained, or what
    ``weights`` replaced.

    Arguments
    ---------
    source : str
        Hub id or local folder.
    save_path : str, optional
        Where the hub's files are kept.
    freeze_encoder : bool
        Leave the audio encoder as it is. The paper's largest gain comes from training it.
    freeze_projector : bool
        Leave the projector, and a ``layer_mix`` with it, as it is. An adapter is trained wherever
        it stands.
    lora_rank : int, optional
        Rank of the adapter; `LORA_RANK` unless ``weights`` bring an adapter.
    lora_alpha : float, optional
        Its scale; twice the rank, or that of ``weights``.
    lora_targets : str or sequence of str, optional
        A regular expression of layers, or ends of their names; the language model's linear
        layers, or those of ``weights``.
    dtype : str
        Name of the torch type of what is frozen. What is trained is kept in float32, with any
        ``precision`` of the Brain: a step of the paper's size is lost in bfloat16's rounding.
    gradient_checkpointing : bool
        Trade time for memory in training.
    layer_mix : bool
        Hand the projector a learned mix of all encoder layers, one weight a layer, each layer's
        output brought to one scale by the encoder's last norm. It starts as the last layer alone,
        which is the base. An encoder that learned to recognise speech forgets how it sounds on
        the way up. Not part of the paper's recipe.
    weights : str, optional
        Hub id, folder or file of weights that were trained on this base and published, to start
        from; see `speechqa_plugin.models.published_weights`.

    Raises
    ------
    OSError
        If ``source`` or ``weights`` is neither on the disk nor to be had from the hub.
    ValueError
        If ``source`` holds a model of another class, or ``weights`` do not fit.
    """

    model_class: type[PreTrainedModel]
    processor_class = AutoProcessor
    whole_type: str | None = None
    """Type of a larger model that the weights of this class are published as a part of."""

    def __init__(
        self,
        source: str,
        save_path: str | None = None,
        freeze_encoder: bool = False,
        freeze_projector: bool = False,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        lora_targets: str | Sequence[str] | None = None,
        dtype: str = "bfloat16",
        gradient_checkpointing: bool = True,
        layer_mix: bool = False,
        weights: str | None = None,
    ):
        if os.path.isdir(source):
            source = os.path.abspath(source)  # so that an export finds it from any folder
        model, processor = self._load(source, save_path, dtype)
        published = None if weights is None else PublishedWeights.find(weights, save_path)
        lora = {"r": lora_rank, "lora_alpha": lora_alpha, "target_modules": lora_targets}
        if published is not None:
            lora = published.agree_with(lora)
        lora["r"] = lora["r"] or LORA_RANK
        lora["lora_alpha"] = lora["lora_alpha"] or 2 * lora["r"]
        lora["target_modules"] = lora["target_modules"] or self.lora_targets
        model.requires_grad_(False)
        # Not `model.add_adapter`, which takes the newest release of peft only.
        inject_adapter_in_model(LoraConfig(**lora), model)
        if layer_mix:
            last = torch.zeros(len(model.get_submodule(self.encoder_path).layers))
            last[-1] = 1.0
            model.get_submodule(self.projector_path).layer_mix = nn.Parameter(last)
        frozen = {"encoder": freeze_encoder, "projector": freeze_projector, None: True}
        untrained = tuple(f"{self.encoder_path}.{name}" for name in self.untrained)
        for name, parameter in model.named_parameters():
            fixed = frozen[self.part_of(name)] or name.startswith(untrained)
            parameter.requires_grad_(not fixed or ".lora_" in name)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
        if gradient_checkpointing:
            # The newer name came in transformers 5.24 and the older one goes in 6.
            enable = getattr(model, "activation_checkpointing_enable", None)
            (enable or model.gradient_checkpointing_enable)({"use_reentrant": False})
        replaced = published.load_into(model, self.part_of) if published is not None else set()
        kept = {n for n, p in model.named_parameters() if p.requires_grad} | replaced
        parts = {self.part_of(n) for n in replaced if ".lora_" not in n}
        init_args = {
            "source": source,
            # What a checkpoint holds is not left as it is in the base.
            "freeze_encoder": freeze_encoder and "encoder" not in parts,
            "freeze_projector": freeze_projector and "projector" not in parts,
            "lora_rank": lora["r"],
            "lora_alpha": lora["lora_alpha"],
            "lora_targets": lora["target_modules"],
            "dtype": dtype,
            "layer_mix": layer_mix,
        }
        super().__init__(
            model, processor, [n for n, _ in model.named_parameters() if n in kept], init_args
        )

    def _load(self, source: str, save_path: str | None, dtype: str):
        wanted = self.model_class.config_class.model_type
        try:
            config, _ = PreTrainedConfig.get_config_dict(source, cache_dir=save_path)
            found = config.get("model_type")
            if found not in (
                wanted,
                self.whole_type,
            ):  # transformers would fill the gaps with random weights
                raise ValueError(
                    f"base model {source!r} is of type {found!r}, {type(self).__name__} needs "
                    f"{wanted!r}: take the class that fits the weights"
                )
            model = self.model_class.from_pretrained(
                source, cache_dir=save_path, dtype=getattr(torch, dtype), attn_implementation="sdpa"
            )
            return model, self.processor_class.from_pretrained(source, cache_dir=save_path)
        except OSError as err:
            raise OSError(
                f"base model {source!r}: can't be loaded ({str(err).splitlines()[0]}); name its "
                "local folder, for an exported model by overrides={'base_model': ...} or, on the "
                "command line, --base-model"
            ) from err
