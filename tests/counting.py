"""Counts what a model computes, to show what sharing saves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from speechqa_plugin.models.audio_llm import AudioLLM


@dataclass
class Work:
    """What went through a model.

    Arguments
    ---------
    encoder_windows : int
        Windows that the audio encoder was given.
    lm_tokens : int
        Columns, padding included, that the language model was given.
    """

    encoder_windows: int = 0
    lm_tokens: int = 0


@contextmanager
def count_work(audio_llm: AudioLLM) -> Iterator[Work]:
    """Count forward work inside a ``with``.

    Arguments
    ---------
    audio_llm : AudioLLM
        The model to watch.

    Yields
    ------
    Work
        Counts that grow as the model is called.
    """
    work = Work()

    def encoder_hook(module, args, kwargs):
        work.encoder_windows += args[0].shape[0]

    def lm_hook(module, args, kwargs):
        work.lm_tokens += kwargs["inputs_embeds"].shape[:2].numel()

    hooks = [
        audio_llm.encoder().conv1.register_forward_pre_hook(encoder_hook, with_kwargs=True),
        audio_llm.model.get_decoder().register_forward_pre_hook(lm_hook, with_kwargs=True),
    ]
    try:
        yield work
    finally:
        for hook in hooks:
            hook.remove()
