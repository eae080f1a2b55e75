"""What a clip adds to the numbers, row by row."""

import math

import numpy as np
import pytest
from made_records import QUALISPEECH, assessment, hum, record, timed

from speechqa_plugin.evaluation.tallies import (
    f1_of_rows,
    iou_of_rows,
    kinds_present,
    kinds_timed,
    mean_of,
    presence_rows,
    score_rows,
    time_rows,
)

CLIPS = [
    timed([hum(2, 6)], [hum(0, 4)]),
    timed([], [hum(0, 2)]),
    timed([hum(0, 4)], None),
    timed([], []),
    timed([hum()], [hum(0, 4)]),  # when, is not known
    timed([hum(0, 8)], [hum()]),
]


def test_presence_of_each_clip():
    assert presence_rows(CLIPS, "noise").tolist() == [
        [1, 1, 1],
        [0, 1, 0],
        [0, 0, 1],
        [0, 0, 0],
        [1, 1, 1],
        [1, 1, 1],
    ]
    assert f1_of_rows(presence_rows(CLIPS, "noise")) == pytest.approx(2 * 3 / (4 + 4))


def test_times_of_each_clip():
    assert time_rows(CLIPS, "noise") == pytest.approx(
        np.array(
            [
                [2 / 6, 4 / 8, 1, 1],
                [0, 0, 1, 0],
                [0, 0, 1, 0],
                [0, 0, 0, 0],
                [0, 0, 0, 0],
                [0, 1, 1, 0],
            ]
        )
    )
    assert iou_of_rows(time_rows(CLIPS, "noise")) == pytest.approx(2 / 6 / 4)


def test_kinds_that_occur():
    assert kinds_present(CLIPS, QUALISPEECH) == kinds_timed(CLIPS, QUALISPEECH) == ["noise"]
    assert kinds_present(CLIPS[4:5], QUALISPEECH) == ["noise"]
    assert kinds_timed(CLIPS[4:5], QUALISPEECH) == []
    assert kinds_present(CLIPS[1:2], QUALISPEECH) == []


def test_scores_of_each_clip():
    records = [
        record(assessment(2, mos=4), assessment(3, mos=1.5)),
        record(assessment(5), None, failure="empty"),
    ]
    expected, reference = score_rows(records, ["mos", "noise"])
    assert expected.tolist() == [[1.5, 3], [3, 3]]
    assert reference.tolist() == [[4, 2], [5, 5]]


def test_means_are_undefined_if_a_part_is():
    rising, flat = np.array([1.0, 2, 3]), np.zeros(3)
    assert mean_of(np.mean)(rising, flat) == 1
    assert math.isnan(mean_of(np.mean)(rising, np.array([math.nan])))
    assert math.isnan(mean_of(np.mean)())
