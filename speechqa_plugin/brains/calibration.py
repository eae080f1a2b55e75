"""Calibration: teach an audio LLM the scales by the right answers (arXiv 2603.10175, section 2.1).

The paper's first stage minimises cross-entropy on explicit scores, audio encoder included. Here
the answers may be of either form or a mixture: scores alone is that stage, reasoned answers are
the supervised reasoning baseline. The loss is the mean over a clip's answer tokens, then over
clips, so that long answers do not outweigh short ones and a batch that is split over ranks gives
the gradient of the whole.

An answer rounds its scores to digits. With a ``score_weight`` the tokens that write them are
taught the exact scores instead: the two neighbouring digits, weighted so that their mean is the
score. The model's expected score is what is used, and it can only be as exact as its target. With
a ``hearing_weight`` encoder and projector are also taught directly, by a `HearingHead`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import speechbrain as sb
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from speechqa_plugin.brains.base import AssessorBrain
from speechqa_plugin.brains.hearing import HearingHead, hearing_loss, settle_types
from speechqa_plugin.dataio import Batch
from speechqa_plugin.listening import SCORES, Answerer
from speechqa_plugin.models.inputs import IGNORE_INDEX
from speechqa_plugin.schema import SCORE_MAX, SCORE_MIN, Assessment
from speechqa_plugin.sounding import hears
from speechqa_plugin.text.answers import AnswerForm


class CalibrationBrain(AssessorBrain):
    """Supervised training on rendered answers.

    Arguments
    ---------
    modules, *speechbrain, checkpointer, answerer, **assessor
        See `AssessorBrain`.
    score_weight : float, optional
        Weight of the mean over an answer's score tokens, beside 1 of the mean over its others;
        the scores are then taught exactly, see `soft_answer_loss`. None: all tokens alike, scores
        as digits.
    hearing_weight : float
        Weight of the loss of a `HearingHead` on the audio tokens; 0 makes none.

    Raises
    ------
    ValueError
        If a weight is too small, or the model hears types and would not be taught them.
    """

    def __init__(
        self,
        modules=None,
        *speechbrain,
        answerer: Answerer,
        score_weight: float | None = None,
        hearing_weight: float = 0.0,
        **assessor,
    ):
        if score_weight is not None and score_weight <= 0:
            raise ValueError(
                f"score_weight is {score_weight}; need one above 0, or null for scores as digits"
            )
        if hearing_weight < 0:
            raise ValueError(f"hearing_weight is {hearing_weight}; need at least 0")
        if hears(answerer) and not hearing_weight:
            raise ValueError(
                "hearing_weight is 0, but the model lists what it hears by a layer that would not "
                "follow the training of the others; give --hearing_weight=0.3, or a model without "
                "types"
            )
        head = None
        if hearing_weight:
            width = answerer.audio_llm.model.get_input_embeddings().embedding_dim
            head = HearingHead(width, answerer.taxonomy)
            modules = {**modules, "hearing_head": head}
        super().__init__(modules, *speechbrain, answerer=answerer, **assessor)
        self.score_weight, self.hearing_weight = score_weight, hearing_weight
        self.head = head  # of several processes each wraps its modules
        if hearing_weight and self.checkpointer is not None:
            self.checkpointer.add_recoverable("hearing_head", self.head)

    def validate(self) -> dict[str, float]:
        """Ask the model about the validation clips, behind what the head has learned so far."""
        if self.hearing_weight and hears(self.answerer):
            settle_types(self.answerer, self.head, self.valid_utterances, self.valid_batch_size)
        return super().validate()

    def compute_forward(
        self, batch: Batch, stage: sb.Stage
    ) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
        """[B, A, V] logits of the answer tokens; what the head heard in training, or None."""
        inputs = self.training_inputs(batch.inputs, stage)
        if not self.hearing_weight or stage != sb.Stage.TRAIN:
            return self.modules.audio_llm(inputs), None
        logits, audio = self.modules.audio_llm(inputs, with_audio=True)
        return logits, self.modules.hearing_head(
            audio, self.answerer.audio_llm.token_counts(inputs)
        )

    def compute_objectives(
        self,
        predictions: tuple[Tensor, tuple[Tensor, Tensor] | None],
        batch: Batch,
        stage: sb.Stage,
    ) -> Tensor:
        """Mean over clips of the mean cross-entropy of a clip's answer tokens, in nats; and the
        weighted loss of what was heard.
        """
        logits, heard = predictions
        labels = batch.inputs.labels.to(logits.device)
        if self.score_weight is None:
            loss = answer_loss(logits, labels)
        else:
            references = [utterance.reference for utterance in batch.utterances]
            targets = score_targets(self.answerer, references, batch.forms, labels.shape[1])
            ids = self.answerer.template.score_ids
            loss = soft_answer_loss(
                logits, labels, targets.to(labels.device), ids, self.score_weight
            )
        if heard is None:
            return loss
        counts = self.answerer.audio_llm.token_counts(batch.inputs)
        taught = hearing_loss(heard, counts, batch.utterances, self.answerer)
        return loss + self.hearing_weight * taught


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


def soft_answer_loss(
    logits: Tensor,
    labels: Tensor,
    targets: Tensor,
    score_ids: Sequence[int],
    score_weight: float,
) -> Tensor:
    """Cross-entropy per clip of its score tokens and, apart from them, of its others.

    Arguments
    ---------
    logits, labels : Tensor
        As of `answer_loss`; each row has a token of either sort.
    targets : Tensor
        [B, A, 5] from `score_targets`.
    score_ids : sequence of int
        The tokens of scores 1 to 5.
    score_weight : float
        Weight of the mean over score tokens; that over the others has 1.

    Returns
    -------
    Tensor
        A scalar in nats. Its least value is not 0: a target between two digits has an entropy.
    """
    logps = logits.float().log_softmax(dim=-1)
    exact = -(targets * logps[..., list(score_ids)]).sum(dim=-1)
    is_score = targets.sum(dim=-1) > 0
    is_other = (labels != IGNORE_INDEX) & ~is_score
    digits = -logps.gather(-1, labels.clamp(min=0)[..., None])[..., 0]
    scores = exact.sum(dim=1) / is_score.sum(dim=1)
    others = (digits * is_other).sum(dim=1) / is_other.sum(dim=1)
    return (others + score_weight * scores).mean()


def score_targets(
    answerer: Answerer, references: Sequence[Assessment], forms: Sequence[AnswerForm], width: int
) -> Tensor:
    """What the score tokens of right answers are taught.

    Arguments
    ---------
    answerer : Answerer
        Says which token of an answer writes which score.
    references : sequence of Assessment
        B of them, with exact scores.
    forms : sequence of AnswerForm
        B forms that they are rendered in.
    width : int
        A, the longest answer's tokens.

    Returns
    -------
    Tensor
        [B, A, 5] probabilities of scores 1 to 5 whose mean is the exact score, on the two digits
        beside it; 0 on tokens that write no score.
    """
    targets = torch.zeros(len(references), width, len(SCORES))
    steps = answerer.right_score_steps(references, forms)
    for row, reference, columns in zip(targets, references, steps, strict=True):
        for column, score in zip(columns, reference.scores.values(), strict=True):
            below = min(math.floor(score), SCORE_MAX - 1) - SCORE_MIN
            share = score - SCORE_MIN - below
            row[column, below], row[column, below + 1] = 1 - share, share
    return targets
