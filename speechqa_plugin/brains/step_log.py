"""Numbers of single steps, brought together to one line of a log."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)


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
