"""Audio Flamingo Next as a base: Audio Flamingo 3's parts, and audio that knows its time.

In transformers its class is that of Music Flamingo.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor
from transformers import MusicFlamingoForConditionalGeneration
from transformers.models.musicflamingo.modeling_musicflamingo import apply_rotary_time_emb

from speechqa_plugin.models.inputs import ModelInputs
from speechqa_plugin.models.published import PublishedBase


class AudioFlamingoNext(PublishedBase):
    """Audio Flamingo Next (``nvidia/audio-flamingo-next-hf``); arguments as in `PublishedBase`.

    Every audio vector is rotated by angles that tell its window in the clip and its second.

    Example
    -------
    >>> AudioFlamingoNext("nvidia/audio-flamingo-next-hf")  # doctest: +SKIP
    """

    model_class = MusicFlamingoForConditionalGeneration

    def inputs(
        self,
        wavs: Sequence[Tensor],
        prompts: Sequence[str],
        answers: Sequence[str] | None = None,
    ) -> ModelInputs:
        """See `AudioLLM.inputs`. A last window without an audio token (under 30 ms) is left out:
        the published forward would take it for the next clip's first.
        """
        inputs = super().inputs(wavs, prompts, answers)
        heard = self._token_counts(inputs) > 0
        return replace(
            inputs, features=inputs.features[heard], features_mask=inputs.features_mask[heard]
        )

    def encode(self, inputs: ModelInputs) -> Tensor:
        """See `WhisperLikeLLM.encode`."""
        hidden = super().encode(inputs)
        network = self.model.model
        # Times are counted in whole windows, however much of one is encoded.
        whole = inputs.features.shape[-1] // 4
        times = network._build_audio_timestamps(
            inputs.prompt_ids, self._token_counts(inputs), whole
        )
        cos, sin = network.pos_emb(times.to(hidden.device), seq_len=whole)
        tokens = hidden.shape[1]
        return apply_rotary_time_emb(hidden, cos[:, :tokens], sin[:, :tokens])

    def _token_counts(self, inputs: ModelInputs) -> Tensor:
        frames = inputs.features_mask.sum(-1)
        return self.encoder()._get_feat_extract_output_lengths(frames)[1]
