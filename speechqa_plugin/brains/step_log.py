"""Numbers of single steps, brought together to one line of a log."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)

from speechqa_plugin.listening import Answer
from speechqa_plugin.models.completions import Completions
from speechqa_plugin.text.answers import ParseFailure


@register_checkpoint_hooks
class StepLog:
    """Means since the last line, over the steps in which a number was defined.

    It belongs in a checkpoint, so that the first line after a restart is not about fewer steps.

    Example
    -------
    >>> log = StepLog()
    >>> log.add({"reward": 1.0, "kl": 0.5})
    >>> log.add({"reward": 2.0, "kl": math.nan})
    >>> log.take()
    {'kl': 0.5, 'reward': 1.5}
    >>> log.take()
    {}
    """

    def __init__(self):
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}

    def add(self, numbers: Mapping[str, float]) -> None:
        """Note one step's numbers; nan and infinite ones are left out."""
        for name, value in numbers.items():
            known = math.isfinite(value)
            self.sums[name] = self.sums.get(name, 0.0) + (float(value) if known else 0.0)
            self.counts[name] = self.counts.get(name, 0) + known

    def take(self) -> dict[str, float]:
        """Means by name, nan where no step had the number; starts anew."""
        means = {
            name: self.sums[name] / self.counts[name] if self.counts[name] else math.nan
            for name in sorted(self.sums)
        }
        self.__init__()
        return means

    @mark_as_saver
    def save(self, path) -> None:
        """Write what was noted, as JSON."""
        Path(path).write_text(json.dumps([self.sums, self.counts]), encoding="utf-8")

    @mark_as_loader
    def load(self, path, end_of_epoch: bool = True) -> None:
        """Read what `save` wrote."""
        del end_of_epoch
        self.sums, self.counts = json.loads(Path(path).read_text(encoding="utf-8"))


def completion_counts(completions: Completions, answers: Sequence[Answer]) -> dict[str, float]:
    """Sums over a rank's completions, to be added up over ranks.

    Arguments
    ---------
    completions : Completions
        N of them, with ``loss_mask``.
    answers : sequence of Answer
        N, what they say.
    """
    failures = [answer.parsed.failure for answer in answers]
    return {
        "completions": len(completions),
        "tokens": completions.loss_mask.sum(),
        "length": completions.lengths.sum(),
        "truncated": (~completions.finished).sum(),
        "read": sum(answer.parsed.assessment is not None for answer in answers),
        **{failure: failures.count(failure) for failure in ParseFailure},
    }


def completion_log(counts: Mapping[str, float]) -> dict[str, float]:
    """From sums over all ranks to means under TRL's log keys; rewards' own counts as they are."""
    completions = counts["completions"]
    return {
        "completions/mean_length": counts["length"] / completions,
        "completions/clipped_ratio": counts["truncated"] / completions,
        "parse_rate": counts["read"] / completions,
        **{f"parse_failure/{failure}": counts[failure] / completions for failure in ParseFailure},
        **{key: count for key, count in counts.items() if "/" in key},
    }
