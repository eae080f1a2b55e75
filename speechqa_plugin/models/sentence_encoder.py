"""Sentence embeddings for the description reward."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch


class SentenceEncoder:
    """Mean of a text encoder's last hidden states, as sentence-transformers pools all-MiniLM-L6-v2.

    Nothing is loaded before the first text. The model stays on the CPU and learns nothing.

    Arguments
    ---------
    source : str or path
        Local folder or hub id.
    max_tokens : int
        Longer texts are cut; all-MiniLM-L6-v2 was trained with up to 256.
    batch_size : int
        Texts in one forward pass.

    Example
    -------
    >>> encode = SentenceEncoder("sentence-transformers/all-MiniLM-L6-v2")
    >>> encode([]).shape
    (0, 0)
    """

    def __init__(
        self,
        source: str | os.PathLike = "sentence-transformers/all-MiniLM-L6-v2",
        max_tokens: int = 256,
        batch_size: int = 64,
    ):
        self.source = os.fspath(source)
        self.max_tokens = max_tokens
        self.batch_size = batch_size

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Embed texts; those in one call do not influence each other.

        Arguments
        ---------
        texts : sequence of str
            N texts.

        Returns
        -------
        numpy.ndarray of float32, shape [N, D]
            Not normalised; [0, 0] for no texts.

        Raises
        ------
        OSError
            If the source is neither a folder nor on the hub.
        """
        texts = list(texts)
        batches = [texts[i : i + self.batch_size] for i in range(0, len(texts), self.batch_size)]
        if not batches:
            return np.zeros((0, 0), np.float32)
        return np.concatenate([self._embed(batch) for batch in batches])

    @cached_property
    def _parts(self):
        from transformers import AutoModel, AutoTokenizer

        model = AutoModel.from_pretrained(self.source, dtype=torch.float32)
        return AutoTokenizer.from_pretrained(self.source), model.eval().requires_grad_(False)

    @torch.no_grad()
    def _embed(self, texts: list[str]) -> np.ndarray:
        tokenizer, model = self._parts
        batch = tokenizer(
            texts, padding=True, truncation=True, max_length=self.max_tokens, return_tensors="pt"
        )
        hidden = model(**batch).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        return ((hidden * mask).sum(1) / mask.sum(1)).numpy()
