"""What a policy hears before it is trained, for the policy to keep.

Why there is a teacher: `speechqa_plugin.grpo.expectation`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

from torch import Tensor

from speechqa_plugin.grpo.reference import Reference
from speechqa_plugin.listening import Listener
from speechqa_plugin.text.answers import AnswerForm


class Teacher:
    """The policy that training started from, asked for scores without words.

    Arguments
    ---------
    listener : Listener
        Asks the policy; it must have been calibrated in the scores form.
    reference : Reference
        Of the listener's model.
    starts_ms : sequence of float
        How much of a clip's beginning it does not hear, at most what leaves the shortest clip that
        the model can hear. With several it is asked once with each, about all at once.

    Raises
    ------
    ValueError
        If ``starts_ms`` is empty or has a negative number.
    """

    def __init__(self, listener: Listener, reference: Reference, starts_ms: Sequence[float] = (0,)):
        if not starts_ms or min(starts_ms) < 0:
            raise ValueError(
                f"teacher_starts_ms is {list(starts_ms)}; need at least one, of at least 0"
            )
        self.listener = listener
        self.reference = reference
        rate = listener.audio_llm.sample_rate_hz
        self.starts = [round(start_ms / 1000 * rate) for start_ms in starts_ms]
        self.shortest = math.ceil(listener.audio_llm.min_audio_s * rate)

    def expect(self, wavs: Sequence[Tensor]) -> list[dict[str, float]]:
        """Expected scores of B mono clips [T_i] by dimension; of several starts their mean."""
        clips = [
            wav[min(start, max(len(wav) - self.shortest, 0)) :]
            for start in self.starts
            for wav in wavs
        ]
        with self.reference.active():
            answers = self.listener.answer(clips, AnswerForm.SCORES)
        heard = [answer.parsed.expected for answer in answers]
        return [
            {name: fmean(scores[name] for scores in heard[row :: len(wavs)]) for name in heard[row]}
            for row in range(len(wavs))
        ]
