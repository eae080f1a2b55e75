"""Versions of the same clips beside each other."""

import json
import math

import numpy as np
import pytest

from speechqa_plugin.metrics import bootstrap_ci
from speechqa_plugin.report.pairs import (
    Pair,
    compare_pairs,
    comparison_text,
    match,
    rank,
    ranking_text,
)


def made(n=40, gain=0.5, seed=0):
    """A is better by about the gain in mos; in noise the two are alike."""
    rng = np.random.default_rng(seed)
    pairs = []
    for i in range(n):
        hard, noise = rng.uniform(1, 4), rng.uniform(1, 5)
        a = {"noise": noise, "mos": hard + gain + 0.2 * rng.normal()}
        pairs.append(Pair(f"clip-{i}", a, {"noise": noise, "mos": hard}))
    return pairs


# --- which clips belong together


def test_names_pair_whatever_the_folder_and_the_ending():
    sides = [["a/x.wav", "a/y.wav"], ["b/deep/y.mp3", "b/x.flac"], ["c/x.ogg", "c/y.wav"]]
    assert match(sides) == {
        "x": ("a/x.wav", "b/x.flac", "c/x.ogg"),
        "y": ("a/y.wav", "b/deep/y.mp3", "c/y.wav"),
    }


def test_names_that_stand_twice_pair_by_their_place_below_the_common_folder():
    a = ["clean/p1/1.wav", "clean/p2/1.wav"]
    b = ["/data/coded/p2/1.mp3", "/data/coded/p1/1.mp3"]
    assert match([a, b]) == {
        "p1/1": ("clean/p1/1.wav", "/data/coded/p1/1.mp3"),
        "p2/1": ("clean/p2/1.wav", "/data/coded/p2/1.mp3"),
    }


def test_dots_inside_a_name_count():
    assert list(match([["a/s.1.wav", "a/s.2.wav"], ["b/s.2.wav"]])) == ["s.2"]


@pytest.mark.parametrize(
    ("sides", "message"),
    [
        ([["a/x.wav", "a/x.mp3"], ["b/x.wav"]], "a/x.wav and a/x.mp3 have one name, 'x'"),
        ([["a/x.wav"], ["b/y.wav"]], "no file name stands in all of them .*'x', 'y'"),
        ([["a/x.wav"], []], "no file name stands in all of them .*'x', ''"),
    ],
)
def test_what_cannot_be_paired(sides, message):
    with pytest.raises(ValueError, match=message):
        match(sides)


# --- two versions


def test_the_difference_is_drawn_in_pairs():
    pairs = made()
    found = compare_pairs(pairs).dimensions["mos"]
    a, b = (np.array([getattr(p, side)["mos"] for p in pairs]) for side in "ab")
    expected = [np.mean(a - b), *bootstrap_ci(lambda x, y: np.mean(x - y), a, b)]
    assert found.difference == pytest.approx(expected)
    assert found.a == pytest.approx([a.mean(), *bootstrap_ci(np.mean, a)])
    # What is hard in both does not widen the interval.
    assert found.difference.high - found.difference.low < (found.a.high - found.a.low) / 2
    assert 0.4 < found.difference.low < found.difference.high < 0.7


def test_wins_are_counted_and_ties_are_nobodys():
    pairs = [Pair(str(i), {"mos": a}, {"mos": 3}) for i, a in enumerate((4, 5, 3, 2))]
    found = compare_pairs(pairs).dimensions["mos"]
    assert (found.a_better, found.b_better) == (2, 1) and found.gain == found.difference
    same = compare_pairs(made()).dimensions["noise"]
    assert (same.a_better, same.b_better, same.difference) == (0, 0, (0, 0, 0))


def test_of_what_is_best_in_the_middle_the_nearer_is_better():
    pairs = [Pair(str(i), {"mos": 3, "speed": 4.5}, {"mos": 3, "speed": 3.5}) for i in range(3)]
    comparison = compare_pairs([*pairs, Pair("slow", pairs[0].b, {"mos": 3, "speed": 2.0})])
    assert comparison.dimensions["speed"].a_better == 4
    comparison = compare_pairs(pairs, middle=["speed"])
    found = comparison.dimensions["speed"]
    assert (found.a_better, found.b_better) == (0, 3)
    assert found.difference == (1, 1, 1) and found.gain == (-1, -1, -1)
    rows = [line.split("|")[1:-1] for line in comparison_text(comparison).splitlines()]
    (row,) = [r for r in rows if r and r[0].strip() == "speed (best: 3)"]
    assert [cell.strip() for cell in row[-2:]] == ["0", "3"]
    ranks = rank({"fast": [p.a for p in pairs], "near": [p.b for p in pairs]}, "speed", ["speed"])
    assert [(r.system, r.wins, r.behind.value) for r in ranks] == [("near", 3, 0), ("fast", 0, -1)]
    assert "| speed (best: 3) [95 %]" in ranking_text(ranks, "speed", ["speed"])


def test_the_pairs_that_differ_most_come_first():
    pairs = [Pair(n, {"mos": 3, "x": x}, {"mos": b, "x": 1}) for n, b, x in ZIPPED]
    assert [p.name for p in compare_pairs(pairs).pairs] == ["down", "up", "same"]
    assert [p.name for p in compare_pairs(pairs, by="x").pairs] == ["same", "up", "down"]


ZIPPED = [("same", 3, 5), ("up", 2, 2), ("down", 5, 1)]


def test_a_single_pair_has_no_interval():
    comparison = compare_pairs([Pair("a.wav", {"mos": 4.5}, {"mos": 3})])
    difference = comparison.dimensions["mos"].difference
    assert difference.value == 1.5 and math.isnan(difference.low)
    text = comparison_text(comparison)
    assert "| 4.50 | 3.00 | +1.50   |" in " ".join(text.splitlines()) and "nan" not in text
    assert "differ most" not in text
    assert json.loads(json.dumps(comparison.to_dict(), allow_nan=False))["dimensions"] == {
        "mos": {
            "a": [4.5, None, None],
            "b": [3.0, None, None],
            "difference": [1.5, None, None],
            "gain": [1.5, None, None],
            "a_better": 1,
            "b_better": 0,
        }
    }


def test_the_text_shows_the_dimensions_and_as_many_pairs_as_asked_for():
    comparison = compare_pairs(made(), errors={"bad": "is empty"})
    text = comparison_text(comparison, n_most=3)
    assert "| mean [95 %]" in text and "A − B" in text and "differ most in mos" in text
    first = comparison.pairs[0]
    assert f"{first.name}" in text and f"{first.difference('mos'):+.2f}" in text
    assert text.count("clip-") == 3
    assert "differ most" not in comparison_text(comparison, n_most=0)
    assert comparison.to_dict()["errors"] == {"bad": "is empty"}


@pytest.mark.parametrize(
    ("pairs", "by", "message"),
    [
        ([], "mos", "no pair of clips to compare: there are none"),
        ([Pair("x", {"mos": 1}, {"noise": 1})], "mos", r"dimensions \['mos'\] and \['noise'\]"),
        ([Pair("x", {"mos": 1}, {"mos": 1})], "noise", r"no dimension 'noise'; there are \['mos'"),
    ],
)
def test_what_cannot_be_compared(pairs, by, message):
    with pytest.raises(ValueError, match=message):
        compare_pairs(pairs, by)


def test_why_there_is_nothing_to_compare_is_said():
    with pytest.raises(ValueError, match="no pair of clips to compare: a.wav: is empty"):
        compare_pairs([], errors={"a": "a.wav: is empty"})


# --- more than two


def test_systems_are_ranked_with_their_distance_from_the_first():
    pairs = made()
    systems = {
        "plain": [p.b for p in pairs],
        "better": [p.a for p in pairs],
        "worst": [{"noise": 1.0, "mos": p.b["mos"] - 1} for p in pairs],
    }
    ranks = rank(systems)
    assert [r.system for r in ranks] == ["better", "plain", "worst"]
    assert ranks[0].behind == (0, 0, 0)
    difference = compare_pairs(pairs).dimensions["mos"].difference
    assert ranks[1].behind == pytest.approx([-difference[i] for i in (0, 2, 1)])
    assert sum(r.wins for r in ranks) == len(pairs) and ranks[2].wins == 0
    assert ranks[0].means["noise"] == compare_pairs(pairs).dimensions["noise"].a
    text = ranking_text(ranks).splitlines()
    assert [line.split("|")[2].strip() for line in text[2:]] == ["better", "plain", "worst"]
    json.dumps([r.to_dict() for r in ranks], allow_nan=False)


def test_a_tie_is_nobodys_win():
    assert [r.wins for r in rank({"a": [{"mos": 3}], "b": [{"mos": 3}]})] == [0, 0]


@pytest.mark.parametrize(
    ("systems", "message"),
    [
        ({"a": [{"mos": 1}], "b": []}, "'a': 1, 'b': 0.* need the same ones"),
        ({"a": [], "b": []}, "need the same ones, at least one"),
        ({"a": [{"x": 1}], "b": [{"x": 1}]}, "no dimension 'mos'"),
    ],
)
def test_systems_that_cannot_be_ranked(systems, message):
    with pytest.raises(ValueError, match=message):
        rank(systems)
