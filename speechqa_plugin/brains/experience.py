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
    """A rank's share of an iteration: N = B·G completions of B prompts, and K rewards of each."""

    inputs: ModelInputs
    completions: Completions  # with all that the loss needs but the reference
    answers: list[Answer]  # N, what they say
    rewards: list[list[float | None]]  # [N][K]
    advantages: Tensor  # [N, K], what each reward gives to them
    size: UpdateSize
    log: dict[str, float]  # over all ranks

    def write(self, file: Path, batch: Batch, names: Sequence[str]) -> None:
        """Write the completions of a batch as JSON, one a line; ``names`` are the rewards'."""
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
