"""Audio Flamingo 3 (arXiv 2507.08128) as a base."""

from __future__ import annotations

from transformers import AudioFlamingo3ForConditionalGeneration

from speechqa_plugin.models.published import PublishedBase


class AudioFlamingo3(PublishedBase):
    """Audio Flamingo 3 (``nvidia/audio-flamingo-3-hf``); arguments as in `PublishedBase`.

    Example
    -------
    >>> AudioFlamingo3("nvidia/audio-flamingo-3-hf")  # doctest: +SKIP
    """

    model_class = AudioFlamingo3ForConditionalGeneration
