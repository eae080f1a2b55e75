"""Times against a grid of 1 ms steps and a search through every pairing."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import intervals

from speechqa_plugin.metrics import Counts, interval_f1, merge, temporal_iou
from speechqa_plugin.schema import Interval

GRID_MS = 400


def spans(*pairs):
    return [Interval(*pair) for pair in pairs]


def on_grid(max_size=4):
    """Intervals that begin and end on a whole millisecond, often at the same one."""
    step = st.integers(0, GRID_MS // 20).map(lambda i: 20 * i) | st.integers(0, GRID_MS)
    pair = st.tuples(step, step).filter(lambda p: p[0] != p[1]).map(sorted)
    return st.lists(pair.map(lambda p: Interval(p[0] / 1000, p[1] / 1000)), max_size=max_size)


def painted(some):
    """The milliseconds that the intervals cover."""
    grid = np.zeros(GRID_MS, bool)
    for interval in some:
        grid[round(interval.start_s * 1000) : round(interval.end_s * 1000)] = True
    return grid


def grid_iou(predicted, reference):
    p, r = painted(predicted), painted(reference)
    return (p & r).sum() / (p | r).sum() if (p | r).any() else 1.0


# Timelines: one character is 1 s.


@pytest.mark.parametrize(
    ("predicted", "reference", "iou"),
    [
        # predicted  |####....|
        # reference  |..####..|
        (spans((0, 4)), spans((2, 6)), 2 / 6),
        # predicted  |####....|
        # reference  |....####|  touching shares nothing
        (spans((0, 4)), spans((4, 8)), 0.0),
        # predicted  |##.##...|
        # reference  |.###....|
        (spans((0, 2), (3, 5)), spans((1, 4)), 2 / 5),
        # predicted  |####....|  and |..####..|, merged to |######..|
        # reference  |######..|
        (spans((0, 4), (2, 6)), spans((0, 6)), 1.0),
        # predicted  |########|
        # reference  |..#..#..|
        (spans((0, 8)), spans((2, 3), (5, 6)), 2 / 8),
        ([], [], 1.0),
        (spans((0, 4)), [], 0.0),
        ([], spans((0, 4)), 0.0),
    ],
)
def test_iou_of_timelines(predicted, reference, iou):
    assert temporal_iou(predicted, reference) == pytest.approx(iou)


@pytest.mark.parametrize(
    ("predicted", "reference", "counts"),
    [
        # predicted  |####....|  IoU 2/4 = .5 is a hit
        # reference  |##......|
        (spans((0, 4)), spans((0, 2)), Counts(1, 1, 1)),
        # predicted  |#####...|  IoU 2/5
        # reference  |##......|
        (spans((0, 5)), spans((0, 2)), Counts(0, 1, 1)),
        # predicted  |##......|  and again: one reference, one hit
        # reference  |##......|
        (spans((0, 2), (0, 2)), spans((0, 2)), Counts(1, 2, 1)),
        # predicted  |##.##...|  one reference over both reaches neither (2/5)
        # reference  |#####...|
        (spans((0, 2), (3, 5)), spans((0, 5)), Counts(0, 2, 1)),
        # predicted  |.###....|  A fits both references, B only the first:
        #            |####....|  taking the first that fits for A would lose a hit
        # reference  |.###....|
        #            |.##.....|
        (spans((1, 4), (0, 4)), spans((1, 4), (1, 3)), Counts(2, 2, 2)),
        ([], [], Counts(0, 0, 0)),
        (spans((0, 1)), [], Counts(0, 1, 0)),
        ([], spans((0, 1)), Counts(0, 0, 1)),
    ],
)
def test_hits_of_timelines(predicted, reference, counts):
    assert interval_f1(predicted, reference) == counts


@given(some=on_grid())
def test_merged_intervals_cover_the_same_time_and_are_apart(some):
    merged = merge(some)
    assert (painted(merged) == painted(some)).all()
    assert all(a.end_s < b.start_s for a, b in itertools.pairwise(merged))
    assert merge(merged) == merged == merge(reversed(some))


@given(predicted=on_grid(), reference=on_grid())
def test_iou_equals_the_grids(predicted, reference):
    assert temporal_iou(predicted, reference) == pytest.approx(grid_iou(predicted, reference))


@given(predicted=st.lists(intervals(), max_size=4), reference=st.lists(intervals(), max_size=4))
def test_iou_is_a_symmetric_share(predicted, reference):
    iou = temporal_iou(predicted, reference)
    assert 0 <= iou <= 1
    assert temporal_iou(reference, predicted) == pytest.approx(iou)
    assert temporal_iou(predicted, predicted) == 1
    assert temporal_iou(predicted, [*reference, *reference]) == iou


@given(
    predicted=on_grid(3),
    reference=on_grid(3),
    threshold=st.sampled_from([0.01, 0.3, 0.5, 2 / 3, 1.0]),
)
def test_hits_are_the_most_of_any_pairing(predicted, reference, threshold):
    def hits(pairing):
        ious = [grid_iou([p], [r]) for p, r in pairing]
        return sum(iou >= threshold - 1e-12 for iou in ious)

    short, long = sorted([predicted, reference], key=len)
    most = max(hits(zip(short, order, strict=False)) for order in itertools.permutations(long))
    expected = Counts(most, len(predicted), len(reference))
    assert interval_f1(predicted, reference, threshold) == expected


def test_threshold_is_reached_in_spite_of_rounding():
    assert (0.3 - 0.2) / 0.2 < 0.5  # what makes this a test
    assert interval_f1(spans((0.2, 0.3)), spans((0.2, 0.4))).hits == 1
    assert interval_f1(spans((0.2, 0.299)), spans((0.2, 0.4))).hits == 0


def test_iou_stays_a_share_in_spite_of_rounding():
    gap = spans((0.1, 0.2), (math.nextafter(0.2, 1), 1.4))
    assert sum(i.length_s for i in gap) > 1.4 - 0.1  # what makes this a test
    assert temporal_iou(gap, spans((0.1, 1.4))) == 1.0


@pytest.mark.parametrize("threshold", [0.0, -0.5, 1.01, math.nan])
def test_threshold_out_of_range(threshold):
    with pytest.raises(ValueError, match=r"threshold .* not in \(0, 1\]"):
        interval_f1([], [], threshold)


def test_totals_are_ratios_of_sums():
    clips = [
        interval_f1(spans((0, 1)), spans((0, 1))),
        interval_f1(spans((0, 1), (2, 3), (4, 5)), []),
        interval_f1([], []),
    ]
    total = sum(clips, Counts())
    assert total == Counts(1, 4, 1)
    assert (total.precision, total.recall, total.f1) == (1 / 4, 1.0, 2 / 5)


def test_ratios_of_nothing_are_nan():
    assert all(map(math.isnan, (Counts().precision, Counts().recall, Counts().f1)))
    only_predicted, only_reference = Counts(0, 2, 0), Counts(0, 0, 2)
    assert math.isnan(only_predicted.recall) and math.isnan(only_reference.precision)
    assert only_predicted.f1 == only_reference.f1 == 0


@pytest.mark.parametrize("counts", [(-1, 0, 0), (2, 1, 2), (2, 2, 1)])
def test_counts_that_cannot_be(counts):
    with pytest.raises(ValueError, match="need 0 <= hits"):
        Counts(*counts)


def test_counts_add_only_to_counts():
    with pytest.raises(TypeError):
        Counts() + 1
