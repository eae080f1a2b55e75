"""Who is trained on and who is tested."""

import pytest

from speechqa_plugin.ratings.splits import split_of
from speechqa_plugin.ratings.table import Rated, RatingsError


def files(n, groups=None):
    return [
        Rated(f"{i}.wav", f"r.csv, line {i + 2}", {}, 1, group=groups(i) if groups else "")
        for i in range(n)
    ]


def of(splits, name):
    return {file for file, split in splits.items() if split == name}


def test_shares_seed_and_order_of_rows():
    rated = files(100)
    splits = split_of(rated)
    assert [len(of(splits, s)) for s in ("train", "valid", "test")] == [70, 15, 15]
    assert split_of(rated[::-1]) == splits != split_of(rated, seed=5)


@pytest.mark.parametrize("seed", range(8))
def test_no_group_is_in_two_splits(seed):
    sizes = [1, 1, 50]
    rated = files(52, lambda i: f"talker {min(i, 2)}")
    splits = split_of(rated, seed=seed)
    found = [{r.group for r in rated if splits[r.file] == s} for s in ("train", "valid", "test")]
    assert [len(groups) for groups in found] == [1, 1, 1] and len(sizes) == 3
    assert set.union(*found) == {"talker 0", "talker 1", "talker 2"}


def given(*rows):
    return [Rated(f"{i}.wav", f"r.csv, line {i + 2}", {}, 1, s, g) for i, (s, g) in enumerate(rows)]


def test_splits_of_the_table_count():
    splits = split_of(given(("Train", "a"), ("dev", "b"), ("test", "c"), ("train", "a")))
    assert list(splits.values()) == ["train", "valid", "test", "train"]


@pytest.mark.parametrize(
    ("rated", "options", "message"),
    [
        (given(("train", ""), ("eval", "")), {}, "line 3: the split is 'eval'; need one of train"),
        (given(("train", ""), ("test", "")), {}, "no file is in valid; the column for the split"),
        (
            given(("train", "a"), ("test", "a")),
            {},
            "line 3: group 'a' is in test and, in r.csv, line 2, in train",
        ),
        (files(2), {}, "found 2 files; need at least 3"),
        (files(9, lambda i: "t"), {}, "found 1 group; need at least 3"),
        (files(9), {"valid_share": 0}, "valid_share is 0 and test_share 0.15; need each above 0"),
        (files(9), {"test_share": 0.9}, "together below 1"),
    ],
)
def test_splits_that_cannot_be(rated, options, message):
    with pytest.raises(RatingsError, match=message):
        split_of(rated, **options)
