"""What all bases here have in common: how they hear.

A Whisper encoder (arXiv 2212.04356) that ends in pooling by two, a projector, a Qwen2 language
model. A mel frame lasts 10 ms and four of them make an audio token.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, gelu
from transformers.masking_utils import create_bidirectional_mask

from speechqa_plugin.models.audio_llm import AudioLLM
from speechqa_plugin.models.inputs import ModelInputs

ENCODER_MARGIN_FRAMES = 4
"""Mel frames kept after a clip's end: the encoder's two convolutions reach across it."""


class WhisperLikeLLM(AudioLLM):
    """An audio LLM with ``model.audio_tower``, ``model.multi_modal_projector`` and
    ``model.language_model``.
    """

    encoder_path = "model.audio_tower"
    """Where the encoder is in the network."""
    projector_path = "model.multi_modal_projector"
    """Where the projector is; it may lie in the encoder."""
    untrained = ("embed_positions",)
    """Starts of the names of the encoder's parameters that are no part of training: the published
    encoders keep their sinusoidal positions fixed."""
    lora_targets = r".*language_model.*\.(q|k|v|o|gate|up|down)_proj"
    min_audio_s = 0.03

    @property
    def max_audio_s(self) -> float:
        """Longest clip in seconds: what the processor does not cut, or else one window."""
        one_window = self.processor.feature_extractor.chunk_length
        return float(getattr(self.processor, "max_audio_len", one_window))

    @property
    def audio_token_s(self) -> float:
        """Four mel frames."""
        features = self.processor.feature_extractor
        return 4 * features.hop_length / features.sampling_rate

    def encoder(self) -> nn.Module:
        """The audio tower."""
        return self.model.get_submodule(self.encoder_path)

    def projector(self) -> nn.Module:
        """From the encoder's width to the language model's."""
        return self.model.get_submodule(self.projector_path)

    @classmethod
    def part_of(cls, name: str) -> str | None:
        """Which part a parameter of the network belongs to.

        Arguments
        ---------
        name : str
            Its name in the network.

        Returns
        -------
        str or None
            ``projector``, ``encoder``, or None for any other.

        Example
        -------
        >>> WhisperLikeLLM.part_of("model.audio_tower.conv1.bias")
        'encoder'
        """
        parts = {"projector": cls.projector_path, "encoder": cls.encoder_path}
        return next((p for p, path in parts.items() if name.startswith(f"{path}.")), None)

    def audio_embeddings(self, inputs: ModelInputs) -> Tensor:
        """See `AudioLLM.audio_embeddings`."""
        hidden = self.encode(inputs)
        _, lengths = self.encoder()._get_feat_extract_output_lengths(inputs.features_mask.sum(-1))
        there = torch.arange(hidden.shape[1], device=hidden.device) < lengths[:, None]
        projector = self.projector()
        return projector(hidden[there].to(next(projector.parameters()).dtype))

    def encode(self, inputs: ModelInputs) -> Tensor:
        """Encode windows.

        The published forward always encodes a whole padded window. Here it runs on the frames
        that exist and a margin; attention is masked and convolutions are local, so the valid
        outputs are the same.

        Arguments
        ---------
        inputs : ModelInputs
            W windows.

        Returns
        -------
        Tensor
            [W, T, D], one vector for each audio token, and after a window's last some that
            mean nothing.
        """
        tower = self.encoder()
        lengths = inputs.features_mask.sum(-1)
        longest = int(lengths.max()) + ENCODER_MARGIN_FRAMES
        frames = min(inputs.features.shape[-1], -(-longest // 4) * 4)  # two steps halve the rate
        hidden = self._begin(inputs.features[..., :frames], lengths)
        hidden = hidden + tower.embed_positions.weight[: hidden.shape[1]]
        hidden = dropout(hidden, tower.dropout, tower.training)
        lengths, _ = tower._get_feat_extract_output_lengths(lengths)
        mask = create_bidirectional_mask(
            config=tower.config,
            inputs_embeds=hidden,
            attention_mask=torch.arange(hidden.shape[1], device=hidden.device) < lengths[:, None],
        )
        return self._through_layers(hidden, lambda layer, hidden: layer(hidden, mask), self._pool)

    def _through_layers(
        self,
        hidden: Tensor,
        step: Callable[[nn.Module, Tensor], Tensor],
        end: Callable[[Tensor], Tensor],
    ) -> Tensor:
        """The encoder's end after its last layer or, with a ``layer_mix``, a mix of those after
        each.
        """
        outputs = []
        mix = getattr(self.projector(), "layer_mix", None)
        for layer in self.encoder().layers:
            hidden = step(layer, hidden)
            if mix is not None:
                outputs.append(end(hidden))
        if mix is None:
            return end(hidden)
        return sum(weight * output for weight, output in zip(mix, outputs, strict=True))

    def _begin(self, features: Tensor, lengths: Tensor) -> Tensor:
        """From [W, M, F] mel frames, ``lengths`` of them real, to [W, F / 2, D] of the layers."""
        del lengths
        tower = self.encoder()
        features = features.to(tower.conv1.weight.dtype)
        return gelu(tower.conv2(gelu(tower.conv1(features)))).permute(0, 2, 1)

    def _pool(self, hidden: Tensor) -> Tensor:
        """How the encoder ends."""
        tower = self.encoder()
        return tower.layer_norm(tower.avg_pooler(hidden.permute(0, 2, 1)).permute(0, 2, 1))
