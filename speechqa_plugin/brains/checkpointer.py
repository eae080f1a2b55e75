"""Checkpoints that survive a kill at any moment."""

from __future__ import annotations

import logging
import shutil

from speechbrain.utils.checkpoints import Checkpoint, Checkpointer
from speechbrain.utils.distributed import ddp_barrier
from speechbrain.utils.logger import get_logger

logger = get_logger(__name__)

PARTIAL = "partial-"
"""Before the name of a checkpoint that is being written."""


class WholeCheckpointer(Checkpointer):
    """A `Checkpointer` whose checkpoints appear whole or not at all.

    SpeechBrain's own writes a checkpoint's list of contents first. Killed after that, it finds a
    checkpoint without weights on the next start, and fails. This one writes under another name
    and renames; what a kill left half-written is removed before the next checkpoint.

    Example
    -------
    >>> import torch
    >>> folder = getfixture("tmp_path")
    >>> checkpointer = WholeCheckpointer(folder, {"layer": torch.nn.Linear(1, 1)})
    >>> checkpoint = checkpointer.save_checkpoint(name="first")
    >>> [path.name for path in folder.iterdir()]
    ['CKPT+first']
    """

    def save_checkpoint(self, meta=None, end_of_epoch=True, name=None, verbosity=logging.INFO):
        """See `Checkpointer.save_checkpoint`."""
        partial = super().save_checkpoint(meta or {}, end_of_epoch, name, logging.DEBUG)
        ddp_barrier()  # a process may still be writing into it
        whole = partial and self._complete(partial, verbosity)  # None but on the main process
        # All have to see it under its name: they delete old ones by what each of them finds, and
        # a process that finds one fewer waits for the others for ever.
        ddp_barrier()
        return whole

    def _complete(self, partial: Checkpoint, verbosity: int) -> Checkpoint:
        path = partial.path.with_name(partial.path.name.removeprefix(PARTIAL))
        partial.path.rename(path)
        logger.log(verbosity, f"Saved a checkpoint in {path}")
        files = {name: path / file.name for name, file in partial.paramfiles.items()}
        return Checkpoint(path, partial.meta, files)

    def _new_checkpoint_dirpath(self):
        return self._partial(super()._new_checkpoint_dirpath())

    def _custom_checkpoint_dirpath(self, name):
        return self._partial(super()._custom_checkpoint_dirpath(name))

    def _partial(self, path):
        for left in self.checkpoints_dir.glob(f"{PARTIAL}*"):
            shutil.rmtree(left)
        return path.with_name(PARTIAL + path.name)
