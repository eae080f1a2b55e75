"""The policy that training started from, for the KL term."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from speechqa_plugin.models.audio_llm import AudioLLM
from speechqa_plugin.models.modes import inference


class Reference:
    """Remembers the trained parameters as they are now, and can put them back for a while.

    For a fresh LoRA adapter that is the model with its adapter off; for an adapter that was
    calibrated before, or an encoder that is trained as well, it is still the policy that training
    started from, which "adapter off" is not. It costs the memory of what is trained, and of no
    frozen part. Build it after the starting weights are loaded and before a checkpoint is.

    Arguments
    ---------
    audio_llm : AudioLLM
        The model.

    Example
    -------
    >>> from speechqa_plugin.models.compact import CompactAudioFlamingo3
    >>> model = CompactAudioFlamingo3(32, 1, 2, 32, 1, 2, window_s=1)
    >>> reference, head = Reference(model), model.model.get_output_embeddings().weight
    >>> _ = head.data.zero_()
    >>> with reference.active():
    ...     bool(head.any())
    True
    >>> bool(head.any())
    False
    """

    def __init__(self, audio_llm: AudioLLM):
        self.audio_llm = audio_llm
        trained = [p for p in audio_llm.parameters() if p.requires_grad]
        self.pairs = [(p, p.detach().clone()) for p in trained]

    @contextmanager
    def active(self) -> Iterator[None]:
        """Inside, the model is the reference: in evaluation, and no gradient is taken."""
        self._swap()
        try:
            with inference(self.audio_llm):
                yield
        finally:
            self._swap()

    def _swap(self) -> None:
        swapped = []
        for parameter, kept in self.pairs:
            kept = kept.to(parameter.device)
            swapped.append((parameter, parameter.data))
            parameter.data = kept
        self.pairs = swapped
        torch.clear_autocast_cache()  # it knows parameters by identity, not by what they hold
