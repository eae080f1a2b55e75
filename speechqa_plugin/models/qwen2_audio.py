"""Qwen2-Audio (arXiv 2407.10759) as a base: the one with a permissive licence."""

from __future__ import annotations

from transformers import Qwen2AudioForConditionalGeneration

from speechqa_plugin.models.published import PublishedBase


class Qwen2Audio(PublishedBase):
    """Qwen2-Audio (``Qwen/Qwen2-Audio-7B-Instruct``); arguments as in `PublishedBase`.

    It hears one window of 30 s. The published forward wants windows of exactly that length; the
    encoder is run here on the frames that exist.

    Example
    -------
    >>> Qwen2Audio("Qwen/Qwen2-Audio-7B-Instruct")  # doctest: +SKIP
    """

    model_class = Qwen2AudioForConditionalGeneration
