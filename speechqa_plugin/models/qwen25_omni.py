"""The thinker of Qwen2.5-Omni (arXiv 2503.20215) as a base: the part that hears and writes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import gelu
from torch.nn.utils.rnn import pad_sequence
from transformers import (
    BatchFeature,
    ProcessorMixin,
    Qwen2_5OmniThinkerForConditionalGeneration,
)

from speechqa_plugin.models.inputs import ModelInputs
from speechqa_plugin.models.published import PublishedBase


class HearingProcessor(ProcessorMixin):
    """What transformers' `Qwen2_5OmniProcessor` does with text and audio.

    That one also wants processors of images and videos, and torchvision for them. And it computes
    features for 300 s, however short the clips are; here for the longest of a batch.

    Arguments
    ---------
    feature_extractor : transformers.WhisperFeatureExtractor
        Its ``chunk_length`` is the longest clip.
    tokenizer : transformers.PreTrainedTokenizerBase
        One that knows its ``audio_token``.
    chat_template : str, optional
        Jinja template of a chat.
    """

    def __init__(self, feature_extractor, tokenizer, chat_template=None):
        super().__init__(feature_extractor, tokenizer, chat_template=chat_template)
        self.audio_token = tokenizer.audio_token
        self.audio_token_id = tokenizer.audio_token_id

    def __call__(
        self,
        text: Sequence[str],
        audio: Sequence[np.ndarray],
        sampling_rate: int,
        return_tensors: str,
        text_kwargs: dict,
    ) -> BatchFeature:
        """Tokens of texts with a clip each, and the clips' features.

        Arguments
        ---------
        text : sequence of str
            B texts, each with the audio token once.
        audio : sequence of ndarray
            B mono clips [T_i].
        sampling_rate : int
            Their rate.
        return_tensors : str
            ``pt``.
        text_kwargs : dict
            For the tokenizer.

        Returns
        -------
        BatchFeature
            ``input_ids``, ``attention_mask``, ``input_features``, ``feature_attention_mask``.
        """
        extractor = self.feature_extractor
        # Beyond this margin no frame of a clip reaches: the same features as in 300 s of zeros.
        longest = max(len(clip) for clip in audio) + extractor.n_fft
        longest = -(-longest // extractor.hop_length) * extractor.hop_length
        features = extractor(
            audio,
            sampling_rate=sampling_rate,
            padding="max_length",
            max_length=min(longest, extractor.n_samples),
            return_attention_mask=True,
            return_tensors=return_tensors,
        )
        mask = features.pop("attention_mask")
        repeats = _token_counts(mask.sum(-1)).tolist()
        text = [
            t.replace(self.audio_token, self.audio_token * n)
            for t, n in zip(text, repeats, strict=True)
        ]
        tokens = self.tokenizer(text, return_tensors=return_tensors, **text_kwargs)
        return BatchFeature({**tokens, **features, "feature_attention_mask": mask})


class Qwen25Omni(PublishedBase):
    """Qwen2.5-Omni's thinker (``Qwen/Qwen2.5-Omni-7B``); arguments as in `PublishedBase`.

    The encoder hears a clip in chunks of two seconds that know nothing of each other, and its last
    linear layer is the projector. ``source`` may hold the whole of Qwen2.5-Omni or the thinker
    alone; what sees and what speaks is left out.

    Example
    -------
    >>> Qwen25Omni("Qwen/Qwen2.5-Omni-7B")  # doctest: +SKIP
    """

    model_class = Qwen2_5OmniThinkerForConditionalGeneration
    processor_class = HearingProcessor
    whole_type = "qwen2_5_omni"
    projector_path = "model.audio_tower.proj"
    untrained = ("audio_bos_eos_token",)  # which the forward does not use

    def _load(self, source: str, save_path: str | None, dtype: str):
        model, processor = super()._load(source, save_path, dtype)
        model.model.visual = None  # a tenth of the 7B model's memory
        return model, processor

    def encode(self, inputs: ModelInputs) -> Tensor:
        """See `WhisperLikeLLM.encode`; nothing is encoded but the frames that exist."""
        tower = self.encoder()
        lengths = inputs.features_mask.sum(-1)
        chunk = 2 * tower.n_window
        sizes = [min(chunk, n - start) for n in lengths.tolist() for start in range(0, n, chunk)]
        frames = inputs.features.transpose(1, 2)[inputs.features_mask.bool()]
        chunks = pad_sequence(frames.split(sizes), batch_first=True).transpose(1, 2)
        there = torch.arange(chunks.shape[-1], device=chunks.device)
        there = there < torch.tensor(sizes, device=chunks.device)[:, None]
        hidden = gelu(tower.conv1(chunks.to(tower.conv1.weight.dtype))) * there[:, None]
        hidden = gelu(tower.conv2(hidden)).transpose(1, 2)
        positions = tower.positional_embedding(hidden.shape[1])
        there = there[:, ::2]  # as conv2 steps
        hidden = (hidden + positions.to(hidden.dtype))[there]
        bounds = torch.cat([there.new_zeros(1), there.sum(-1)]).cumsum(0).int()
        clips = tower._get_feat_extract_output_lengths(lengths)[0].tolist()

        def end(hidden: Tensor) -> Tensor:
            by_clip = pad_sequence(hidden.split(clips), batch_first=True)
            return tower.ln_post(tower.avg_pooler(by_clip.transpose(1, 2)).transpose(1, 2))

        return self._through_layers(
            hidden, lambda layer, hidden: layer(hidden, cu_seqlens=bounds)[0], end
        )


def _token_counts(frames: Tensor) -> Tensor:
    """Audio tokens of clips: two frames make a step of the encoder, and two steps a token."""
    return ((frames - 1) // 2 + 1 - 2) // 2 + 1
