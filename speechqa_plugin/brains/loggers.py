"""The train log as a text file and, when asked for, in TensorBoard."""

from __future__ import annotations

from speechbrain.utils.train_logger import FileTrainLogger, TensorboardLogger


class RunLogger(FileTrainLogger):
    """SpeechBrain's text log and TensorBoard log behind one ``log_stats``.

    Arguments
    ---------
    save_file : str
        The text log.
    tensorboard_dir : str or None
        Folder of TensorBoard's event files; None for none.

    Raises
    ------
    ImportError
        If TensorBoard is asked for and not installed.

    Example
    -------
    >>> logger = RunLogger(getfixture("tmp_path") / "train_log.txt")
    >>> logger.log_stats({"epoch": 1}, train_stats={"loss": 0.5})
    """

    def __init__(self, save_file, tensorboard_dir: str | None = None):
        super().__init__(save_file)
        self.tensorboard = TensorboardLogger(tensorboard_dir) if tensorboard_dir else None

    def log_stats(self, *args, **kwargs):
        """See `FileTrainLogger.log_stats`; every process has to call it."""
        super().log_stats(*args, **kwargs)
        if self.tensorboard is not None:
            self.tensorboard.log_stats(*args, **kwargs)
            if self.tensorboard.writer is not None:  # on the first process
                self.tensorboard.writer.flush()
