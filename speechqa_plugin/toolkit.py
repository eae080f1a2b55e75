"""What other programs take from an assessor: numbers for the clips that they made.

A clip's samples reach the model through numpy and leave it as text and probabilities: no gradient
comes back. These are metrics and rewards, never losses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from speechqa_plugin.audio import to_waveform
from speechqa_plugin.listening import Answerer
from speechqa_plugin.schema import SCORE_MAX, SCORE_MIN
from speechqa_plugin.text.answers import AnswerForm
from speechqa_plugin.waveforms import check_waveform, resample, split_batch

SILENT = 1e-4
"""Standard deviation of samples (-80 dB of full scale) below which a clip holds nothing."""


def score_of(answerer: Answerer, clips: Sequence[Tensor], dimension: str) -> list[float]:
    """One score for each of B clips [T_i] at the model's rate."""
    return [heard.assessment.scores[dimension] for heard in answerer.hear(clips, AnswerForm.SCORES)]


def find_dimension(answerer: Answerer, dimension: str | None) -> str:
    """The dimension of that name; the overall one for None.

    Raises
    ------
    ValueError
        If the model's taxonomy has none of that name; the message lists them.
    """
    names = answerer.taxonomy.names
    if dimension is None:
        return answerer.taxonomy.overall
    if dimension not in names:
        raise ValueError(
            f"no dimension {dimension!r} in {answerer.taxonomy.name!r}; there are {list(names)}; "
            f"the overall one is {answerer.taxonomy.overall!r}"
        )
    return dimension


def quality_metric(
    answerer: Answerer, dimension: str | None = None, sample_rate_hz: int | None = None
) -> Callable[..., Tensor]:
    """See `speechqa_plugin.inference.SpeechQualityAssessor.metric`."""
    name = find_dimension(answerer, dimension)
    llm = answerer.audio_llm
    rate_hz = sample_rate_hz or llm.sample_rate_hz

    def metric(wavs, wav_lens=None) -> Tensor:
        clips = split_batch(wavs, wav_lens, rate_hz, llm.min_audio_s)
        clips = [resample(clip, rate_hz, llm.sample_rate_hz) for clip in clips]
        return torch.tensor(score_of(answerer, clips, name), device=getattr(wavs, "device", None))

    metric.__name__ = name
    return metric


def quality_reward(
    answerer: Answerer,
    dimension: str | None = None,
    takes: str = "completions",
    sample_rate_hz: int | None = None,
    batch_size: int = 16,
) -> Callable[..., list[float]]:
    """See `speechqa_plugin.inference.SpeechQualityAssessor.reward`."""
    name = find_dimension(answerer, dimension)
    llm = answerer.audio_llm
    target_hz = llm.sample_rate_hz

    def reward(prompts=None, completions=None, completion_ids=None, **columns) -> list[float]:
        columns["completions"] = completions
        sounds = columns.get(takes)
        if sounds is None:
            there = sorted(k for k, v in columns.items() if v is not None)
            raise ValueError(f"no column {takes!r} with audio in it; there are {there}")
        wavs = [
            to_waveform(sound, target_hz, sample_rate_hz, f"{takes}[{i}]")
            for i, sound in enumerate(sounds)
        ]
        heard = [i for i, wav in enumerate(wavs) if _holds_sound(wav, llm.min_audio_s * target_hz)]
        rewards = [0.0] * len(wavs)
        for first in range(0, len(heard), batch_size):
            rows = heard[first : first + batch_size]
            clips = [
                check_waveform(wavs[i], target_hz, llm.min_audio_s, name=f"{takes}[{i}]")
                for i in rows
            ]
            for i, score in zip(rows, score_of(answerer, clips, name), strict=True):
                rewards[i] = (score - SCORE_MIN) / (SCORE_MAX - SCORE_MIN)
        return rewards

    reward.__name__ = f"quality/{name}"
    return reward


def _holds_sound(wav: Tensor, shortest: float) -> bool:
    """False for what a policy gets by making nothing: the model may call that excellent."""
    long_enough = len(wav) >= max(shortest, 2)
    return long_enough and bool(torch.isfinite(wav).all()) and float(wav.float().std()) > SILENT
