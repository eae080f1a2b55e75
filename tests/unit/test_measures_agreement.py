"""Agreement with listeners: each row against scipy, and the table."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from speechqa_plugin.measures.agreement import agreement, agreement_table


def test_rows_are_scipys_correlations_with_an_interval_around_them():
    rng = np.random.default_rng(0)
    ratings = rng.uniform(1, 5, 128)
    good, useless = ratings + rng.normal(0, 0.5, 128), rng.normal(size=128)
    rows = agreement(ratings, {"good": good, "useless": useless})
    for row, values in zip(rows, (good, useless), strict=True):
        assert row.n == 128
        assert row.pearson.value == pytest.approx(stats.pearsonr(ratings, values)[0])
        assert row.spearman.value == pytest.approx(stats.spearmanr(ratings, values)[0])
        assert row.pearson.low < row.pearson.value < row.pearson.high
    assert rows[0].pearson.low > 0.8 and rows[1].pearson.low < 0 < rows[1].pearson.high


def test_files_without_a_value_are_not_counted():
    (row,) = agreement([1, 2, 3, 4, np.nan], {"pesq": [1.0, np.nan, 3.0, 4.0, 9.0]})
    assert row.n == 3 and row.pearson.value == pytest.approx(1.0)


def test_a_column_of_another_length_is_refused():
    with pytest.raises(ValueError, match="pesq: 1 values for 2 ratings"):
        agreement([1, 2], {"pesq": [1.0]})


def test_the_table_shows_what_is_undefined_as_a_dash():
    table = agreement_table(agreement([1, 2, 3], {"pesq": [2.0, 2.0, 2.0]}))
    assert table.splitlines()[-1].split("|")[1:4] == [" pesq      ", "   3 ", " –         "]
