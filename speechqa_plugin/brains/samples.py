"""What the model wrote in training, to be read by people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from speechqa_plugin.dataio import Batch
from speechqa_plugin.listening import Answer
from speechqa_plugin.models.completions import Completions


def write_samples(
    file: Path,
    batch: Batch,
    completions: Completions,
    answers: Sequence[Answer],
    rewards: Sequence[dict[str, float | None]],
    advantages: Tensor,
) -> None:
    """Write completions as JSON, one a line.

    Arguments
    ---------
    file : Path
        Its folder is made.
    batch : Batch
        B clips.
    completions : Completions
        N of them.
    answers : sequence of Answer
        N, what they say.
    rewards : sequence of dict from str to (float or None)
        N, what each reward gave.
    advantages : Tensor
        [N] of whole completions.
    """
    rows = zip(
        completions.owners.tolist(),
        answers,
        completions.finished.tolist(),
        advantages.tolist(),
        rewards,
        strict=True,
    )
    lines = [
        json.dumps(
            {
                "id": batch.utterances[owner].id,
                "form": batch.forms[owner],
                "text": answer.parsed.text,
                "failure": answer.parsed.failure,
                "finished": finished,
                "advantage": advantage,
                "rewards": row,
            },
            ensure_ascii=False,
        )
        for owner, answer, finished, advantage, row in rows
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
