"""What the policy's expected scores are drawn to: the labels, and what its start hears.

In a reasoned answer a score follows a description, and a model that was taught with right ones
believes its own, right or not. Asked for the scores alone, the same weights hear better. So the
policy that training started from, without words, is a teacher of the policy with words: the
expected score E is drawn to the label y and to the teacher's t at once. The teacher is the poorer
target where both are free of noise, but it has heard the same clip; a label also has what cannot
be heard in it, and its gradient on few clips is mostly that. What it hears depends a little on
where in the clip its audio tokens begin, which says nothing of quality: the mean over some
beginnings is a better teacher.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from torch import Tensor

from speechqa_plugin.dataio import Batch
from speechqa_plugin.grpo.expectation import aim, expectation_losses
from speechqa_plugin.grpo.policy import TokenLogps
from speechqa_plugin.grpo.reference import Reference
from speechqa_plugin.listening import SCORES, Answer, Answerer
from speechqa_plugin.models.completions import Completions
from speechqa_plugin.rewards import Composite
from speechqa_plugin.text.answers import AnswerForm


class Expectation:
    """Targets of expected scores and the losses of missing them.

    Arguments
    ---------
    composite : Composite
        Its rewards of positive weight that judge an expected score say which dimensions count.
    answerer : Answerer
        Asks the teacher; it must have been calibrated in the scores form.
    error_weight : float, optional
        e, weight of the squared distance from the label. None: the reward's weight, which makes
        it that reward's exact gradient where advantages are not divided (``scale_rewards``
        False).
    teacher_weight : float
        w, weight of the squared distance from what the teacher expects; 0 asks for none.
    teacher_starts_ms : sequence of float
        How much of a clip's beginning the teacher does not hear, at most what leaves the shortest
        clip that the model can hear. With several it is asked once with each, about all at once.

    Raises
    ------
    ValueError
        If a weight is too small, asks for a reward that is not there, or a start is negative.
    """

    def __init__(
        self,
        composite: Composite,
        answerer: Answerer,
        error_weight: float | None = None,
        teacher_weight: float = 0.0,
        teacher_starts_ms: Sequence[float] = (0.0,),
    ):
        self.error_weights = {
            dimension: weight if error_weight is None else error_weight
            for dimension, weight in composite.expected_dimensions.items()
        }
        if (error_weight is not None and error_weight <= 0) or teacher_weight < 0:
            raise ValueError(
                f"error_weight is {error_weight} and teacher_weight {teacher_weight}; need one "
                "above 0 and one of at least 0"
            )
        if not self.error_weights and (error_weight is not None or teacher_weight):
            raise ValueError(
                f"error_weight is {error_weight} and teacher_weight {teacher_weight}, but no "
                "reward of positive weight is an ExpectedScore: add one, or set them to null and 0"
            )
        if not teacher_starts_ms or min(teacher_starts_ms) < 0:
            raise ValueError(
                f"teacher_starts_ms is {list(teacher_starts_ms)}; need at least one, of at least 0"
            )
        self.answerer = answerer
        self.teacher_weight = teacher_weight
        rate = answerer.audio_llm.sample_rate_hz
        self.starts = [round(start_ms / 1000 * rate) for start_ms in teacher_starts_ms]
        self.shortest = math.ceil(answerer.audio_llm.min_audio_s * rate)

    def aim(
        self,
        completions: Completions,
        answers: Sequence[Answer],
        batch: Batch,
        reference: Reference | None,
    ) -> Completions:
        """Say what should be expected where each answer's digits stand.

        Arguments
        ---------
        completions : Completions
            N of them.
        answers : sequence of Answer
            N, what they say.
        batch : Batch
            B clips with labels.
        reference : Reference or None
            The policy that training started from; needed where the teacher has a weight.
        """
        labels = [utterance.reference.scores for utterance in batch.utterances]
        taught = self.teach(batch.wavs, reference) if self.teacher_weight else labels
        targets = [self.target(*pair) for pair in zip(labels, taught, strict=True)]
        rows = [
            {
                step: targets[owner][name]
                for name, step in answer.steps.items()
                if name in self.error_weights
            }
            for owner, answer in zip(completions.owners.tolist(), answers, strict=True)
        ]
        return aim(completions, rows)

    def target(
        self, labels: Mapping[str, float], taught: Mapping[str, float]
    ) -> dict[str, tuple[float, float]]:
        """Value and weight of each dimension that counts.

        e (E - y)² + w (E - t)² is (e + w) (E - z)² with z = (e y + w t) / (e + w), up to a
        constant, so the two are one target with one weight.
        """
        targets = {}
        for name, error_weight in self.error_weights.items():
            weight = error_weight + self.teacher_weight
            value = error_weight * labels[name] + self.teacher_weight * taught[name]
            targets[name] = (value / weight, weight)
        return targets

    def teach(self, wavs: Sequence[Tensor], reference: Reference) -> list[dict[str, float]]:
        """Expected scores of B mono clips [T_i] by dimension; of several starts their mean."""
        clips = [
            wav[min(start, max(len(wav) - self.shortest, 0)) :]
            for start in self.starts
            for wav in wavs
        ]
        with reference.active():
            answers = self.answerer.answer(clips, AnswerForm.SCORES)
        heard = [answer.parsed.expected for answer in answers]
        return [
            {name: fmean(scores[name] for scores in heard[row :: len(wavs)]) for name in heard[row]}
            for row in range(len(wavs))
        ]

    def losses(self, policy: TokenLogps, completions: Completions) -> Tensor:
        """[N, T] of each token, see `speechqa_plugin.grpo.expectation.expectation_losses`."""
        return expectation_losses(policy.choice_logps, SCORES, completions)
