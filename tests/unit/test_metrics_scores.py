"""Correlations, errors and their bootstrap intervals against scipy and the bare definitions."""

import json
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from speechqa_plugin.metrics import (
    Estimate,
    bootstrap_ci,
    bootstrap_values,
    grouped_means,
    kendall,
    mae,
    mean_pearson,
    pearson,
    percentile_interval,
    rmse,
    spearman,
)

ALL = [pearson, spearman, kendall, rmse, mae]
CORRELATIONS = ALL[:3]


def pairs(min_size=2):
    """Rows of pairs on a coarse grid, so that ties are common."""
    value = st.integers(-8, 8).map(lambda i: i / 2)
    return st.lists(st.tuples(value, value), min_size=min_size, max_size=12)


def split(rows):
    x, y = zip(*rows, strict=True)
    assume(len(set(x)) > 1 and len(set(y)) > 1)
    return np.array(x), np.array(y)


@given(rows=pairs())
def test_pearson_is_covariance_over_deviations(rows):
    x, y = split(rows)
    expected = np.mean((x - x.mean()) * (y - y.mean())) / (x.std() * y.std())
    assert pearson(x, y) == pytest.approx(expected, abs=1e-12)
    assert pearson(x, y) == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-12)


@given(rows=pairs())
def test_spearman_is_pearson_of_mean_ranks(rows):
    x, y = split(rows)

    def ranks(values):
        return [sum(v < w for v in values) + (sum(v == w for v in values) + 1) / 2 for w in values]

    assert spearman(x, y) == pytest.approx(pearson(ranks(x), ranks(y)), abs=1e-12)


@given(rows=pairs())
def test_kendall_counts_agreeing_pairs_and_allows_for_ties(rows):
    x, y = split(rows)
    signs = [(np.sign(x[i] - x[j]), np.sign(y[i] - y[j])) for i in range(len(x)) for j in range(i)]
    agreeing = sum(a * b for a, b in signs)
    untied = sum(a != 0 for a, _ in signs) * sum(b != 0 for _, b in signs)
    assert kendall(x, y) == pytest.approx(agreeing / math.sqrt(untied), abs=1e-12)


@given(rows=pairs(min_size=1))
def test_errors_by_definition(rows):
    differences = [a - b for a, b in rows]
    n = len(rows)
    x, y = zip(*rows, strict=True)
    assert mae(x, y) == pytest.approx(sum(map(abs, differences)) / n)
    assert rmse(x, y) == pytest.approx(math.sqrt(sum(d * d for d in differences) / n))
    assert rmse(x, y) >= mae(x, y) - 1e-12


@given(rows=pairs(), scale=st.floats(0.1, 10), shift=st.floats(-10, 10))
def test_correlations_ignore_a_rising_line_and_are_symmetric(rows, scale, shift):
    x, y = split(rows)
    for function in CORRELATIONS:
        value = function(x, y)
        assert -1 - 1e-12 <= value <= 1 + 1e-12
        assert function(y, x) == pytest.approx(value, abs=1e-9)
        assert function(x * scale + shift, y) == pytest.approx(value, abs=1e-9)
        assert function(-x, y) == pytest.approx(-value, abs=1e-9)


@pytest.mark.parametrize("function", CORRELATIONS)
@pytest.mark.parametrize("x", [[], [3.0], [3.0, 3.0, 3.0], [0.1, 0.1, 0.1]])
@pytest.mark.filterwarnings("error")
def test_correlation_is_nan_where_undefined(function, x):
    y = np.arange(len(x))
    assert math.isnan(function(x, y))
    assert math.isnan(function(y, x))


@pytest.mark.parametrize("function", [rmse, mae])
@pytest.mark.filterwarnings("error")
def test_error_of_nothing_is_nan(function):
    assert math.isnan(function([], []))


@pytest.mark.parametrize("function", ALL)
@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([1, 2], [1, 2, 3], "2 and 3 values; need pairs"),
        ([[1, 2]], [[1, 2]], r"first values have shape \(1, 2\)"),
        (1, [1], r"first values have shape \(\)"),
        ([1, 2], [[1], [2]], r"second values have shape \(2, 1\)"),
        ([1, math.nan, math.nan], [1, 2, 3], "first values: 2 of 3 are not finite.*index 1"),
        ([1, 2], [1, math.inf], "second values: 1 of 2 are not finite.*index 1"),
    ],
)
def test_rows_that_are_refused(function, x, y, message):
    with pytest.raises(ValueError, match=message):
        function(x, y)


def test_system_level_correlation_pairs_systems_by_key():
    systems = ["b", "a", "b", "c"]
    predicted = grouped_means(systems, [1, 5, 2, 4])
    reference = grouped_means(systems, [2, 4, 2, 3])
    assert list(predicted) == list(reference) == ["b", "a", "c"]
    assert predicted == {"b": 1.5, "a": 5.0, "c": 4.0}
    expected = stats.pearsonr([1.5, 5, 4], [2, 4, 3]).statistic
    assert pearson(list(predicted.values()), list(reference.values())) == pytest.approx(expected)


def test_grouped_means_refuses():
    with pytest.raises(ValueError, match="1 keys and 2 values"):
        grouped_means(["a"], [1, 2])
    with pytest.raises(ValueError, match="not finite"):
        grouped_means(["a"], [math.nan])
    assert grouped_means([], []) == {}


# --- bootstrap


@pytest.fixture
def rows():
    rng = np.random.default_rng(7)
    x = rng.normal(size=200)
    return x, 0.76 * x + math.sqrt(1 - 0.76**2) * rng.normal(size=200)


def test_bootstrap_equals_scipys_percentile_interval(rows):
    low, high = bootstrap_ci(pearson, *rows, n_resamples=4000)
    expected = stats.bootstrap(
        rows, pearson, paired=True, vectorized=False, method="percentile",
        n_resamples=4000, rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    assert low == pytest.approx(expected.low, abs=0.01)
    assert high == pytest.approx(expected.high, abs=0.01)


def test_bootstrap_of_a_mean_equals_the_normal_interval(rows):
    x = rows[0]
    low, high = bootstrap_ci(np.mean, x, level=0.9, n_resamples=4000)
    half = 1.645 * x.std() / math.sqrt(len(x))
    assert low == pytest.approx(x.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(x.mean() + half, abs=0.1 * half)


def test_bootstrap_draws_the_same_rows_of_all_arrays(rows):
    x = rows[0]
    assert bootstrap_ci(rmse, x, x) == (0.0, 0.0)
    assert bootstrap_ci(lambda a, b: float(np.abs(a - b[:, 0]).max()), x, x[:, None]) == (0.0, 0.0)


def test_bootstrap_repeats_with_its_seed(rows):
    assert bootstrap_ci(pearson, *rows, seed=3) == bootstrap_ci(pearson, *rows, seed=3)
    assert bootstrap_ci(pearson, *rows, seed=3) != bootstrap_ci(pearson, *rows, seed=4)


def test_bootstrap_leaves_undefined_resamples_out():
    x, y = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 1.0, 1.0, 2.0])
    # The last row is drawn with probability 1 - .75**4 = .68, else y is constant.
    low, high = bootstrap_ci(pearson, x, y)
    assert 0 < low < high <= 1


def test_bootstrap_is_nan_when_mostly_undefined():
    x = np.arange(3.0)
    assert all(map(math.isnan, bootstrap_ci(pearson, x, np.zeros(3))))
    assert all(map(math.isnan, bootstrap_ci(pearson, x[:1], x[:1])))
    assert all(map(math.isnan, bootstrap_ci(pearson, [], [])))


def test_bootstrap_limit_is_half_of_the_resamples():
    calls = iter([math.nan, math.nan, 1.0, 1.0])
    assert bootstrap_ci(lambda _: next(calls), [0], n_resamples=4) == (1.0, 1.0)
    calls = iter([math.nan, math.nan, math.nan, 1.0])
    assert math.isnan(bootstrap_ci(lambda _: next(calls), [0], n_resamples=4)[0])


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        (([1, 2], [1]), {}, r"arrays of lengths \[2, 1\]"),
        ((), {}, r"arrays of lengths \[\]"),
        (([1],), {"level": 1.0}, "level=1.0"),
        (([1],), {"level": 0.0}, "level=0.0"),
        (([1],), {"n_resamples": 0}, "n_resamples=0"),
    ],
)
def test_bootstrap_refuses(arrays, options, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_ci(lambda *a: 0.0, *arrays, **options)


def test_an_estimate_is_told_with_its_interval():
    estimate = Estimate(0.126, -0.5, 1.0)
    assert (str(estimate), f"{estimate:+.3f}") == ("0.13 [-0.50, 1.00]", "+0.126 [-0.500, +1.000]")
    assert str(Estimate(*[math.nan] * 3)) == f"{Estimate(*[math.nan] * 3):.3f}" == "–"
    assert json.dumps({"a": estimate}) == '{"a": [0.126, -0.5, 1.0]}'


def test_bootstrap_over_runs_draws_clips_and_runs():
    """Against the variance that both draws have in theory."""
    rng = np.random.default_rng(3)
    clips, runs = rng.normal(size=400), 0.1 * rng.normal(size=5)
    values = bootstrap_values(np.mean, [[clips + run] for run in runs], n_resamples=4000)
    expected = math.sqrt(clips.var() / 400 + runs.var() / 5)
    assert values.std() == pytest.approx(expected, rel=0.05)
    assert values.std() > 1.1 * math.sqrt(clips.var() / 400)
    assert values.mean() == pytest.approx(clips.mean() + runs.mean(), abs=0.1 * expected)


def test_bootstrap_over_runs_draws_the_same_clips_in_all_runs():
    """Runs that are alike vary as one; on clips of their own they would vary less."""
    clips = np.arange(50.0)
    values = bootstrap_values(np.mean, [[clips]] * 4, n_resamples=4000)
    assert values.std() == pytest.approx(clips.std() / math.sqrt(50), rel=0.05)


def test_bootstrap_of_one_run_is_the_plain_one(rows):
    values = bootstrap_values(pearson, [rows], seed=2)
    assert percentile_interval(values) == bootstrap_ci(pearson, *rows, seed=2)


def test_bootstrap_of_a_difference_is_paired(rows):
    x, y = rows
    noisy = x + 0.1 * np.random.default_rng(1).normal(size=len(x))
    ours, theirs = (bootstrap_values(pearson, [[side, y]]) for side in (x, noisy))
    low, high = percentile_interval(ours - theirs)
    expected = stats.bootstrap(
        (x, noisy, y), lambda a, b, t: pearson(a, t) - pearson(b, t), paired=True,
        vectorized=False, method="percentile", n_resamples=2000, rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.003)
    alone = percentile_interval(ours)
    assert high - low < (alone[1] - alone[0]) / 2


def test_bootstrap_over_runs_pairs_them_by_position():
    """Two systems that are alike run by run, though their runs are far apart."""
    clips = np.arange(20.0)
    ours = bootstrap_values(np.mean, [[clips + 1], [clips + 101]])
    theirs = bootstrap_values(np.mean, [[clips], [clips + 100]])
    assert ours - theirs == pytest.approx(np.ones(1000))
    assert ours.std() > 20


# --- means over columns


@given(rows=st.lists(st.tuples(*[st.integers(-4, 4)] * 4), min_size=2, max_size=8))
def test_mean_pearson_is_the_mean_of_the_columns(rows):
    x, y = np.array(rows, float)[:, :2], np.array(rows, float)[:, 2:]
    expected = np.mean([pearson(x[:, i], y[:, i]) for i in range(2)])
    assert mean_pearson(x, y) == pytest.approx(expected, abs=1e-12, nan_ok=True)


@pytest.mark.filterwarnings("error")
def test_mean_pearson_is_nan_if_a_column_is_constant():
    both = np.array([[1.0, 0], [2, 0], [4, 0]])
    assert math.isnan(mean_pearson(both, both))
    assert math.isnan(mean_pearson(both + [[0, 1], [0, 2], [0, 0]], both))
    assert math.isnan(mean_pearson(both[:1], both[:1]))
    assert math.isnan(mean_pearson(both[:, :0], both[:, :0]))


@pytest.mark.parametrize(
    ("x", "y"),
    [([[1], [2]], [[1, 2], [3, 4]]), ([1, 2], [1, 2]), ([[1], [math.nan]], [[1], [2]])],
)
def test_mean_pearson_refuses(x, y):
    with pytest.raises(ValueError, match=r"need finite pairs of shape \[N, D\]"):
        mean_pearson(x, y)
    with pytest.raises(ValueError, match=r"need finite pairs of shape \[N, D\]"):
        mean_pearson(y, x)
