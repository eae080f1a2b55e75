"""The sentence that says what a comparison comes to."""

import re

import pytest
from report_cases import TAXONOMY
from versions_cases import scored, three, two

from speechqa_plugin.report.verdict import verdict
from speechqa_plugin.report.versions import compare_versions


def alike(n, *folders, by="mos", **changes):
    sides = [scored(folder, n, seed=i) for i, folder in enumerate(folders)]
    return verdict(compare_versions(folders, sides, by, taxonomy=TAXONOMY, **changes))


def swapped(by="mos", **scores):
    """A has these scores on thirty clips, B 3 everywhere."""
    b = dict.fromkeys(TAXONOMY.names, 3.0)
    sides = [{f"{i}.wav": row for i in range(30)} for row in (b | scores, b)]
    return verdict(compare_versions(["a", "b"], sides, by, taxonomy=TAXONOMY))


def test_the_better_one_by_how_much_and_how_sure():
    points = r"by 0\.\d\d points \(95 % interval 0\.\d\d to 0\.\d\d\)"
    assert re.fullmatch(rf"A is better than B in overall quality, {points}\.", verdict(two()))
    assert verdict(two(9)).endswith("; 9 clips are few, and the interval is too narrow.")
    better = rf"B is best in overall quality, better than A {points}\."
    assert re.fullmatch(better, verdict(three()))
    assert swapped(mos=2.0) == (
        "B is better than A in overall quality, by 1.00 points (95 % interval 1.00 to 1.00)."
    )


def test_what_cannot_be_told():
    said = (
        "No difference in overall quality can be told: [AB] is better by 0.\\d\\d points .*-0.* to "
    )
    assert re.match(said, alike(30, "a", "b"))
    said = "[ABC] is first in overall quality, but can't be told apart from [ABC], [ABC]."
    assert re.fullmatch(said, alike(30, "a", "b", "c"))
    assert swapped() == "A and B are alike in overall quality."


@pytest.mark.parametrize("beyond", [0.0, 0.001, -0.001])
def test_neither_is_better_by_nothing(beyond):
    b = dict.fromkeys(TAXONOMY.names, 3.0)
    a = [b | {"mos": 3.0 + side + beyond} for side in (1, -1) * 15]
    sides = [{f"{i}.wav": row for i, row in enumerate(rows)} for rows in (a, [b] * 30)]
    said = verdict(compare_versions(["a", "b"], sides, taxonomy=TAXONOMY))
    interval = r"95 % interval -0\.\d\d to 0\.\d\d"
    assert re.fullmatch(rf"No difference in overall quality can be told \({interval}\)\.", said)


def test_one_clip():
    found = alike(1, "a", "b", one_clip=True)
    assert found.endswith("points; of one clip, which has no interval, so that it may be luck.")
    same = compare_versions(["a", "b", "c"], [scored("a", 1)] * 3, taxonomy=TAXONOMY)
    assert verdict(same) == "A is first in overall quality, but can't be told apart from B, C."
    assert "may be luck" in alike(1, "a", "b", "c") and "nan" not in alike(1, "a", "b", "c")


@pytest.mark.parametrize(("speed", "better"), [(4.0, "B"), (2.0, "B"), (3.0, "alike")])
def test_a_dimension_that_is_best_in_the_middle(speed, better):
    said = swapped("speed", speed=speed)
    assert said.startswith(f"{better} is better" if better == "B" else "A and B are alike")
