"""What is logged stands in the text file and, when asked for, in TensorBoard's events."""

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from speechqa_plugin.brains.loggers import RunLogger


def log_two_epochs(logger):
    for epoch in (1, 2):
        logger.log_stats(
            {"epoch": epoch}, train_stats={"loss": 1 / epoch}, valid_stats={"utt/pcc": 0.5}
        )


def test_text_alone(tmp_path):
    log_two_epochs(RunLogger(tmp_path / "log.txt"))
    assert (
        "epoch: 2 - train loss: 5.00e-01 - valid utt/pcc: 5.00e-01"
        in (tmp_path / "log.txt").read_text()
    )
    assert [f.name for f in tmp_path.iterdir()] == ["log.txt"]


def test_text_and_tensorboard(tmp_path):
    logger = RunLogger(tmp_path / "log.txt", str(tmp_path / "events"))
    log_two_epochs(logger)
    logger.tensorboard.writer.close()
    events = EventAccumulator(str(tmp_path / "events")).Reload()
    assert [e.value for e in events.Scalars("loss/train")] == [1.0, 0.5]
    assert len(events.Scalars("utt/pcc/valid")) == 2
    assert (tmp_path / "log.txt").read_text().count("epoch") == 2
