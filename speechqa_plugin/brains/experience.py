"""What the model wrote in an iteration and how it was judged, to learn from and to be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from speechqa_plugin.dataio import Batch
from speechqa_plugin.files import write_json_lines
from speechqa_plugin.grpo.loss import UpdateSize
from speechqa_plugin.listening import Answer
from speechqa_plugin.models.completions import Completions
from speechqa_plugin.models.inputs import ModelInputs


@dataclass(frozen=True)
class Experience:
    """A rank's share of an iteration: N = B·G completions of B prompts, and K rewards of each.

    Arguments
    ---------
    inputs : ModelInputs
        B prompts.
    completions : Completions
        N, with all that the loss needs but the reference.
    answers : list of Answer
        N, what they say.
    rewards : list of list of (float or None)
        [N][K].
    advantages : Tensor
        [N, K], what each reward gives to them.
    size : UpdateSize
        Of the whole update, all ranks together.
    log : dict from str to float
        Numbers over all ranks.
    """

    inputs: ModelInputs
    completions: Completions
    answers: list[Answer]
    rewards: list[list[float | None]]
    advantages: Tensor
    size: UpdateSize
    log: dict[str, float]

    def write(self, file: Path, batch: Batch, names: Sequence[str]) -> None:
        """Write the completions as JSON, one a line.

        Arguments
        ---------
        file : Path
            Its folder is made.
        batch : Batch
            The B clips.
        names : sequence of str
            Of the K rewards.
        """
        rows = zip(
            self.completions.owners.tolist(),
            self.answers,
            self.completions.finished.tolist(),
            self.advantages.sum(dim=-1).tolist(),
            self.rewards,
            strict=True,
        )
        lines = (
            {
                "id": batch.utterances[owner].id,
                "form": batch.forms[owner],
                "text": answer.parsed.text,
                "failure": answer.parsed.failure,
                "finished": finished,
                "advantage": advantage,
                "rewards": dict(zip(names, rewards, strict=True)),
            }
            for owner, answer, finished, advantage, rewards in rows
        )
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json_lines(file, lines, for_people=True)
