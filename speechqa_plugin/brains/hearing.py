"""What teaches an audio encoder directly: a small head that says what sounds, and how good it is.

An answer gives the encoder a few digits and lines of a whole clip to learn from, through a
language model that has to learn to write at the same time. Where the labels say when each artifact
sounds and how strongly, as a simulator's do, a linear layer on the projected audio tokens can be
asked at every moment, and another one, on what pooling leaves of them, for the scores:
`HearingHead`. `HearingBrain` trains encoder and projector by it alone, which costs less than half
of an answer; `CalibrationBrain` adds its loss to the answers'. Of the head only what it says of
each moment is kept, by models that have a layer for it: `settle_types`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import speechbrain as sb
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from speechqa_plugin.brains.base import AssessorBrain
from speechqa_plugin.dataio import Batch
from speechqa_plugin.listening import Answerer
from speechqa_plugin.metrics.scores import pearson, rmse
from speechqa_plugin.models.inputs import ModelInputs
from speechqa_plugin.schema import SCORE_MAX, SCORE_MIN, Assessment, Taxonomy, Utterance
from speechqa_plugin.sounding import best_threshold, hears, smoothed

PRESENT = 0.05
"""About how often a type sounds at a moment; what the untrained layer says of each."""

NEVER = 1e4
"""Threshold that no logit reaches; in half precision, too, it is a number."""


class HearingHead(nn.Module):
    """Says of each audio token how strongly each type of artifact sounds in it, and of each clip
    its scores.

    Untrained it says the same of all.

    Arguments
    ---------
    width : int
        H, of the language model's embeddings.
    taxonomy : Taxonomy
        Its types of all kinds and its dimensions are asked for.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> head = HearingHead(8, load_taxonomy("qualispeech"))
    >>> types, scores = head(torch.zeros(5, 8), [3, 2])
    >>> types.shape, scores.shape
    (torch.Size([5, 21]), torch.Size([2, 7]))
    """

    def __init__(self, width: int, taxonomy: Taxonomy):
        super().__init__()
        self.types = nn.Linear(width, len(taxonomy.types))
        self.attention = nn.Linear(width, 1)
        self.scores = nn.Linear(2 * width, len(taxonomy.names))
        for layer in (self.types, self.attention, self.scores):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        nn.init.constant_(self.types.bias, math.log(PRESENT / (1 - PRESENT)))
        nn.init.constant_(self.scores.bias, (SCORE_MIN + SCORE_MAX) / 2)

    def forward(self, audio: Tensor, counts: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Listen to the audio tokens of B clips.

        Arguments
        ---------
        audio : Tensor
            [K, H], clip after clip.
        counts : sequence of int
            B numbers of tokens that add up to K.

        Returns
        -------
        types : Tensor
            [K, Y] logits of the Y types.
        scores : Tensor
            [B, D], not kept within 1 to 5.
        """
        audio = audio.to(self.types.weight.dtype)
        weights = self.attention(audio)
        pooled = [
            torch.cat([tokens.mean(dim=0), (weight.softmax(dim=0) * tokens).sum(dim=0)])
            for tokens, weight in zip(audio.split(counts), weights.split(counts), strict=True)
        ]
        return self.types(audio), self.scores(torch.stack(pooled))


def artifact_targets(
    reference: Assessment, types: Sequence[tuple[str, str]], n_tokens: int, token_s: float
) -> Tensor:
    """How strongly each type sounds in each audio token of a clip.

    Arguments
    ---------
    reference : Assessment
        Its artifacts; one without times sounds all the time, one without severity with 1, and a
        type that is not asked for is left out.
    types : sequence of (str, str)
        Y of them, from `Taxonomy.types`.
    n_tokens : int
        T, the clip's audio tokens.
    token_s : float
        Time that one covers, in seconds.

    Returns
    -------
    Tensor
        [T, Y] in [0, 1]: severity times the share of the token's time that is covered; of
        several artifacts of a type the strongest.
    """
    targets = torch.zeros(n_tokens, len(types))
    starts = token_s * torch.arange(n_tokens)
    for artifact in reference.artifacts:
        if (artifact.kind, artifact.type) not in types:
            continue
        column = targets[:, types.index((artifact.kind, artifact.type))]
        start_s, end_s = artifact.interval or (0.0, math.inf)
        covered = (starts + token_s).clamp(max=end_s) - starts.clamp(min=start_s)
        share = (covered / token_s).clamp(0, 1)
        severity = 1.0 if artifact.severity is None else artifact.severity
        torch.maximum(column, severity * share, out=column)
    return targets


def types_loss(logits: Tensor, targets: Sequence[Tensor]) -> Tensor:
    """Cross-entropy of each type by itself: summed over types, mean over a clip's audio tokens,
    then over clips.

    Arguments
    ---------
    logits : Tensor
        [K, Y], clip after clip.
    targets : sequence of Tensor
        [T_i, Y] of each clip; the T_i add up to K.

    Returns
    -------
    Tensor
        A scalar in nats.

    Example
    -------
    >>> types_loss(torch.zeros(3, 2), [torch.ones(1, 2), torch.zeros(2, 2)]) / math.log(2)
    tensor(2.)
    """
    whole = torch.cat(list(targets)).to(logits.device)
    losses = binary_cross_entropy_with_logits(logits.float(), whole, reduction="none").sum(dim=1)
    clips = losses.split([len(clip) for clip in targets])
    return torch.stack([clip.mean() for clip in clips]).mean()


def hearing_loss(
    heard: tuple[Tensor, Tensor],
    counts: Sequence[int],
    utterances: Sequence[Utterance],
    answerer: Answerer,
) -> Tensor:
    """What is wrong with what a `HearingHead` said of B clips with references.

    Arguments
    ---------
    heard : tuple of Tensor
        What the head gave.
    counts : sequence of int
        B numbers of audio tokens.
    utterances : sequence of Utterance
        B of them.
    answerer : Answerer
        Knows the taxonomy and how long an audio token is.

    Returns
    -------
    Tensor
        A scalar: `types_loss` and the mean squared error of the scores.
    """
    types, scores = heard
    references = [utterance.reference for utterance in utterances]
    names = answerer.taxonomy.types
    token_s = answerer.audio_llm.audio_token_s
    targets = [
        artifact_targets(reference, names, count, token_s)
        for reference, count in zip(references, counts, strict=True)
    ]
    right = torch.tensor([list(reference.scores.values()) for reference in references])
    return types_loss(types, targets) + mse_loss(scores.float(), right.to(scores.device))


@torch.no_grad()
def settle_types(
    answerer: Answerer, head: HearingHead, utterances: Sequence[Utterance], batch_size: int
) -> None:
    """Give a model that hears types (`AudioLLM.types`) what a head has learned.

    What is learned is how likely a type sounds; what is said, whether. Of each type the threshold
    is taken that has the highest F1 over the moments of some clips, and becomes the layer's 0. A
    type that sounds in none of them is never said.

    Arguments
    ---------
    answerer : Answerer
        Its model's layer is written.
    head : HearingHead
        Of the model's taxonomy.
    utterances : sequence of Utterance
        Clips that were not trained on, with references.
    batch_size : int
        Clips at once.
    """
    llm, types = answerer.audio_llm, answerer.taxonomy.types
    layer = llm.model.types.to(head.types.weight.device)
    layer.weight.copy_(head.types.weight)
    layer.bias.copy_(head.types.bias)
    logits, there = [], []
    for start in range(0, len(utterances), batch_size):
        rows = utterances[start : start + batch_size]
        wavs = [answerer.load(u.path) for u in rows]
        heard = llm.hear_types(answerer.inputs(wavs, [answerer.long_form] * len(rows)))
        for utterance, of_clip in zip(rows, heard, strict=True):
            logits.append(smoothed(of_clip.numpy()))
            targets = artifact_targets(utterance.reference, types, len(of_clip), llm.audio_token_s)
            there.append(targets.numpy() > 0)
    columns = zip(np.concatenate(logits).T, np.concatenate(there).T, strict=True)
    thresholds = torch.tensor([min(best_threshold(*c), NEVER) for c in columns])
    layer.bias.sub_(thresholds.to(layer.bias))


class Hearing(nn.Module):
    """Encoder, projector and head: what `HearingBrain` trains.

    Arguments
    ---------
    audio_llm : AudioLLM
        The first two are its own.
    taxonomy : Taxonomy
        See `HearingHead`.
    """

    def __init__(self, audio_llm, taxonomy: Taxonomy):
        super().__init__()
        self.encoder, self.projector = audio_llm.encoder(), audio_llm.projector()
        self.head = HearingHead(audio_llm.model.get_input_embeddings().embedding_dim, taxonomy)
        self._embed = audio_llm.audio_embeddings  # a method: the language model is no part of this

    def forward(self, inputs: ModelInputs, counts: Sequence[int]) -> tuple[Tensor, Tensor]:
        """What the head says of B clips."""
        return self.head(self._embed(inputs), counts)


class HearingBrain(AssessorBrain):
    """Trains an audio encoder and its projector to hear, before a language model learns to say it.

    Validation asks the head, and its numbers are what the later stages have to reach.

    Arguments
    ---------
    modules, *speechbrain, answerer, **assessor
        See `AssessorBrain`; of ``modules`` only the answerer's model is used.
    """

    def __init__(self, modules=None, *speechbrain, answerer: Answerer, **assessor):
        del modules
        hearing = Hearing(answerer.audio_llm, answerer.taxonomy)
        super().__init__({"hearing": hearing}, *speechbrain, answerer=answerer, **assessor)
        self.head = hearing.head  # of several processes each wraps its modules
        if self.checkpointer is not None:
            self.checkpointer.add_recoverable("head", hearing.head)

    def compute_forward(self, batch: Batch, stage: sb.Stage) -> tuple[Tensor, Tensor]:
        """[K, Y] logits of the types and [B, D] scores."""
        inputs = self.training_inputs(batch.inputs, stage)
        return self.modules.hearing(inputs, self.answerer.audio_llm.token_counts(inputs))

    def compute_objectives(
        self, heard: tuple[Tensor, Tensor], batch: Batch, stage: sb.Stage
    ) -> Tensor:
        """See `hearing_loss`."""
        counts = self.answerer.audio_llm.token_counts(batch.inputs)
        return hearing_loss(heard, counts, batch.utterances, self.answerer)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Correlations and errors of the head's scores with the references of all clips."""
        self.modules.eval()
        if hears(self.answerer):
            settle_types(self.answerer, self.head, self.valid_utterances, self.valid_batch_size)
        said = []
        for start in range(0, len(self.valid_utterances), self.valid_batch_size):
            rows = self.valid_utterances[start : start + self.valid_batch_size]
            wavs = [self.answerer.load(u.path) for u in rows]
            inputs = self.answerer.inputs(wavs, [self.valid_form] * len(rows)).to(self.device)
            _, scores = self.modules.hearing(inputs, self.answerer.audio_llm.token_counts(inputs))
            said.append(scores.float().clamp(SCORE_MIN, SCORE_MAX).cpu().numpy())
        names = self.answerer.taxonomy.names
        right = [[u.reference.scores[n] for n in names] for u in self.valid_utterances]
        pairs = list(zip(names, np.concatenate(said).T, np.array(right).T, strict=True))
        metrics = {f"{n}/utt/pcc": pearson(ours, theirs) for n, ours, theirs in pairs}
        return {
            "utt/pcc": float(np.mean(list(metrics.values()))),
            "rmse": float(np.mean([rmse(ours, theirs) for _, ours, theirs in pairs])),
            **metrics,
        }
