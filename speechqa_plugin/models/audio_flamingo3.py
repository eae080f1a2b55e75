"""Audio Flamingo 3 (arXiv 2507.08128) as a base: an encoder of Whisper's kind, a projector of two
layers and a Qwen2 language model.
"""

from __future__ import annotations

import os

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn
from transformers import AudioFlamingo3ForConditionalGeneration, AutoProcessor

from speechqa_plugin.models.audio_llm import ENCODER_MARGIN_FRAMES, AudioLLM


class AudioFlamingo3Network(AudioLLM):
    """What is the same in Audio Flamingo 3 of any size: its parts and how it hears."""

    lora_targets = r".*language_model.*\.(q|k|v|o|gate|up|down)_proj"
    min_audio_s = 0.03

    @property
    def max_audio_s(self) -> float:
        """Longest clip in seconds (ten minutes, twenty windows, in the published processor)."""
        return float(self.processor.max_audio_len)

    def encoder(self) -> nn.Module:
        """The audio tower."""
        return self.model.model.audio_tower

    def audio_embeddings(self, features: Tensor, features_mask: Tensor) -> Tensor:
        """See `AudioLLM.audio_embeddings`.

        The published forward always encodes a whole padded window. Here it runs on the frames
        that exist and a margin; attention is masked and convolutions are local, so the valid
        outputs are the same.
        """
        tower, projector = self.encoder(), self.model.model.multi_modal_projector
        longest = int(features_mask.sum(-1).max()) + ENCODER_MARGIN_FRAMES
        frames = min(features.shape[-1], -(-longest // 4) * 4)  # two steps that halve the rate
        positions = tower.embed_positions.weight[: (frames + 1) // 2]
        hidden = torch.func.functional_call(
            tower,
            {"embed_positions.weight": positions},
            (features[..., :frames].to(tower.conv1.weight.dtype),),
            {"input_features_mask": features_mask[:, :frames]},
        ).last_hidden_state
        _, lengths = tower._get_feat_extract_output_lengths(features_mask.sum(-1))
        valid = torch.arange(hidden.shape[1], device=hidden.device) < lengths[:, None]
        return projector(hidden[valid].to(projector.linear_1.weight.dtype))


class AudioFlamingo3(AudioFlamingo3Network):
    """Published (or your own) Audio Flamingo 3 weights, prepared for calibration.

    The language model gets a LoRA adapter and stays frozen otherwise; encoder and projector are
    trained in full unless ``freeze_encoder``. A checkpoint holds only what is trained.

    Arguments
    ---------
    source : str
        Hub id (``nvidia/audio-flamingo-3-hf``) or local folder.
    save_path : str, optional
        Where the hub's files are kept.
    freeze_encoder : bool
        Leave the audio encoder as it is. The paper's largest gain comes from training it.
    lora_rank : int
        Rank of the adapter (64 in arXiv 2603.10175); its alpha is twice that.
    dtype : str
        Name of the torch type of what is frozen. What is trained is kept in float32, with any
        ``precision`` of the Brain: a step of the paper's size is lost in bfloat16's rounding.
    gradient_checkpointing : bool
        Trade time for memory in training.

    Raises
    ------
    OSError
        If ``source`` is neither a folder with a model nor to be had from the hub.

    Example
    -------
    >>> AudioFlamingo3("nvidia/audio-flamingo-3-hf")  # doctest: +SKIP
    """

    def __init__(
        self,
        source: str,
        save_path: str | None = None,
        freeze_encoder: bool = False,
        lora_rank: int = 64,
        dtype: str = "bfloat16",
        gradient_checkpointing: bool = True,
    ):
        if os.path.isdir(source):
            source = os.path.abspath(source)  # so that an export finds it from any folder
        try:
            model = AudioFlamingo3ForConditionalGeneration.from_pretrained(
                source, cache_dir=save_path, dtype=getattr(torch, dtype), attn_implementation="sdpa"
            )
            processor = AutoProcessor.from_pretrained(source, cache_dir=save_path)
        except OSError as err:
            raise OSError(
                f"base model {source!r}: can't be loaded ({str(err).splitlines()[0]}); name its "
                "local folder, for an exported model by overrides={'base_model': ...}"
            ) from err
        model.requires_grad_(False)
        # Not `model.add_adapter`, which takes the newest release of peft only.
        inject_adapter_in_model(
            LoraConfig(r=lora_rank, lora_alpha=2 * lora_rank, target_modules=self.lora_targets),
            model,
        )
        model.model.multi_modal_projector.requires_grad_(True)
        if not freeze_encoder:
            for name, parameter in model.model.audio_tower.named_parameters():
                # The published encoder keeps its sinusoidal positions fixed.
                parameter.requires_grad_(not name.startswith("embed_positions"))
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
        if gradient_checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        trained = [n for n, p in model.named_parameters() if p.requires_grad]
        init_args = {
            "source": source,
            "freeze_encoder": freeze_encoder,
            "lora_rank": lora_rank,
            "dtype": dtype,
        }
        super().__init__(model, processor, trained, init_args)
