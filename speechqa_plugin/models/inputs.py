"""From waveforms and texts to the tensors of an audio LLM.

A batch is laid out as ``[left padding | audio and prompt | answer | right padding]``: every
prompt ends in the same column, so that answers start together in training and in generation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from speechqa_plugin.samples import as_array

IGNORE_INDEX = -100
"""Label of a position that no loss is taken on (torch's own default)."""

FEATURES_MASK_NAMES = ("input_features_mask", "feature_attention_mask")
"""What processors call the mask of the frames: Audio Flamingo's, the Qwens'."""


@dataclass(frozen=True)
class ModelInputs:
    """Tensors of one batch. B clips, W audio windows (at least one a clip), P prompt columns
    (audio tokens included), A answer columns, M mel bins, F mel frames of a window.

    Arguments
    ---------
    prompt_ids, prompt_mask : Tensor
        [B, P], left padded; the mask is 1 on tokens.
    features : Tensor
        [W, M, F] log-mel windows, clip after clip.
    features_mask : Tensor
        [W, F], 1 on frames that exist.
    answer_ids, answer_mask : Tensor or None
        [B, A], right padded, end token included; None when the model is to write the answer.
    """

    prompt_ids: Tensor
    prompt_mask: Tensor
    features: Tensor
    features_mask: Tensor
    answer_ids: Tensor | None = None
    answer_mask: Tensor | None = None

    def to(self, device) -> ModelInputs:
        """The same batch on another device."""
        return ModelInputs(*(None if v is None else v.to(device) for v in vars(self).values()))

    def followed_by(self, ids: Sequence[Sequence[int]]) -> ModelInputs:
        """The same prompts, each with as many more tokens [B, N] at its end."""
        ids = torch.as_tensor(ids).to(self.prompt_ids)
        return replace(
            self,
            prompt_ids=torch.cat([self.prompt_ids, ids], dim=1),
            prompt_mask=torch.cat([self.prompt_mask, self.prompt_mask.new_ones(ids.shape)], dim=1),
        )

    @property
    def labels(self) -> Tensor:
        """[B, A] answer tokens, `IGNORE_INDEX` on padding. The prompt has no labels."""
        return self.answer_ids.masked_fill(self.answer_mask == 0, IGNORE_INDEX)


def token_positions(mask: Tensor) -> Tensor:
    """Position of each token in its own row; 0 on left padding.

    Arguments
    ---------
    mask : Tensor
        [B, L], true on tokens.

    Returns
    -------
    Tensor
        [B, L].

    Example
    -------
    >>> token_positions(torch.tensor([[0, 0, 1, 1]])).tolist()
    [[0, 0, 0, 1]]
    """
    return (mask.cumsum(dim=-1) - 1).clamp(min=0)


def build_inputs(
    processor,
    wavs: Sequence[Tensor | np.ndarray],
    prompts: Sequence[str],
    answers: Sequence[str] | None = None,
) -> ModelInputs:
    """Tokenize prompts and answers and compute the features of the clips.

    Arguments
    ---------
    processor : transformers.ProcessorMixin
        An audio-LLM processor with a chat template.
    wavs : sequence of Tensor or array
        B mono clips [T_i] at the processor's rate, of any lengths.
    prompts : sequence of str
        B instructions.
    answers : sequence of str, optional
        B answers; the end token is added here.

    Returns
    -------
    ModelInputs

    Raises
    ------
    ValueError
        If there are not as many prompts (and answers) as clips.
    """
    if len(prompts) != len(wavs) or (answers is not None and len(answers) != len(wavs)):
        found = None if answers is None else len(answers)
        raise ValueError(
            f"{len(wavs)} clips, {len(prompts)} prompts, {found} answers: need one each"
        )
    texts = [render_chat(processor, p) for p in prompts]
    # Spectra stay float32 where the model computes in less: numpy, on the way, knows no bfloat16.
    with torch.autocast("cpu", enabled=False):
        batch = processor(
            text=texts,
            audio=[as_array(w) for w in wavs],
            sampling_rate=processor.feature_extractor.sampling_rate,
            return_tensors="pt",
            text_kwargs={"padding": True, "padding_side": "left"},
        )
    mask_name = next(name for name in FEATURES_MASK_NAMES if name in batch)
    answer_ids = answer_mask = None
    if answers is not None:
        tokenizer = processor.tokenizer
        rows = [tokenizer.encode(a, add_special_tokens=False) for a in answers]
        answer_ids, answer_mask = pad_right(
            [[*row, tokenizer.eos_token_id] for row in rows], tokenizer.pad_token_id
        )
    return ModelInputs(
        batch["input_ids"],
        batch["attention_mask"],
        batch["input_features"],
        batch[mask_name],
        answer_ids,
        answer_mask,
    )


def render_chat(processor, prompt: str) -> str:
    """One user turn with a clip and an instruction, in the base's chat format."""
    content = [{"type": "audio"}, {"type": "text", "text": prompt}]
    return processor.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )


def pad_right(rows: Sequence[Sequence[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    """Stack token rows of unequal lengths.

    Arguments
    ---------
    rows : sequence of sequences of int
        B rows of at least one token.
    pad_id : int
        Fills the rest.

    Returns
    -------
    tuple of Tensor
        Ids and mask, both [B, longest].

    Example
    -------
    >>> pad_right([[5, 6], [7]], 0)[0].tolist()
    [[5, 6], [7, 0]]
    """
    width = max(len(row) for row in rows)
    ids = torch.full((len(rows), width), pad_id)
    mask = torch.zeros_like(ids)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = 1
    return ids, mask
