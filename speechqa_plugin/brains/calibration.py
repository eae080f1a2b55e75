"""Calibration: teach an audio LLM the scales by the right answers (arXiv 2603.10175, section 2.1).

The paper's first stage minimises cross-entropy on explicit scores, audio encoder included. Here
the answers may be of either form or a mixture: scores alone is that stage, reasoned answers are
the supervised reasoning baseline. The loss is the mean over a clip's answer tokens, then over
clips, so that long answers do not outweigh short ones and a batch that is split over ranks gives
the gradient of the whole.
"""

from __future__ import annotations

import speechbrain as sb
from torch import Tensor
from torch.nn.functional import cross_entropy

from speechqa_plugin.brains.base import AssessorBrain
from speechqa_plugin.dataio import Batch
from speechqa_plugin.models.inputs import IGNORE_INDEX


class CalibrationBrain(AssessorBrain):
    """Supervised training on rendered answers; see `AssessorBrain` for its arguments."""

    def compute_forward(self, batch: Batch, stage: sb.Stage) -> Tensor:
        """[B, A, V] logits of the answer tokens."""
        return self.modules.audio_llm(batch.inputs.to(self.device))

    def compute_objectives(self, predictions: Tensor, batch: Batch, stage: sb.Stage) -> Tensor:
        """Mean over clips of the mean cross-entropy of a clip's answer tokens, in nats."""
        return answer_loss(predictions, batch.inputs.labels.to(predictions.device))


def answer_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy per clip, averaged over clips.

    Arguments
    ---------
    logits : Tensor
        [B, A, V] in any float type; the softmax is taken in float32.
    labels : Tensor
        [B, A] token ids, `IGNORE_INDEX` where there is none; at least one in each row.

    Returns
    -------
    Tensor
        A scalar in nats.

    Example
    -------
    >>> import torch
    >>> answer_loss(torch.zeros(2, 3, 8), torch.zeros(2, 3, dtype=torch.long)).exp().round()
    tensor(8.)
    """
    losses = cross_entropy(
        logits.float().transpose(1, 2), labels, ignore_index=IGNORE_INDEX, reduction="none"
    )
    counts = (labels != IGNORE_INDEX).sum(dim=1)
    return (losses.sum(dim=1) / counts).mean()
