"""The shares of many processes, and one file in the end."""

import pytest
from scored_rows import bad, good, run_of, write

from speechqa_plugin.scoring.results import ResultsError, Run, read_rows
from speechqa_plugin.scoring.shares import find_shard, merge, part_name, parts_of


def test_the_share_that_is_given_or_that_torchrun_gives():
    torchrun = {"RANK": "1", "WORLD_SIZE": "3"}
    assert find_shard(None, {}) is None
    assert find_shard(None, torchrun) == (2, 3)
    assert find_shard("1/4", torchrun) == (1, 4)
    assert find_shard(None, {"RANK": "0", "WORLD_SIZE": "1"}) is None


@pytest.mark.parametrize("given", ["0/4", "5/4", "1", "a/b", "-1/2", "1/0", "1/2/3"])
def test_shares_that_are_none(given):
    with pytest.raises(ResultsError, match="need i/n with i from 1 to n, like 1/4"):
        find_shard(given, {})


@pytest.fixture
def parts(tmp_path):
    """Five files in two parts."""
    out = tmp_path / "o.jsonl"
    one, two = (part_name(out, (i, 2)) for i in (1, 2))
    write(one, map(good, "ace"), shard=[1, 2])
    write(two, [good("b"), bad("d")], shard=[2, 2])
    return out, one, two


def test_merged_parts_are_one_file_of_results(parts):
    out, one, two = parts
    assert parts_of(out) == [one, two]
    merge(out, [two, one])
    assert list(read_rows(out, "jsonl")) == [*map(good, "ace"), good("b"), bad("d")]
    assert Run.read(out) == run_of()
    assert {p.name for p in out.parent.iterdir()} == {
        f"{name}{end}" for name in (out.name, one.name, two.name) for end in ("", ".run.json")
    }


def test_parts_of_another_file_are_not_found(parts):
    out, one, two = parts
    write(out.with_name("other.1-of-2.jsonl"), [good("a")], shard=[1, 2])
    assert parts_of(out) == [one, two]


def test_more_processes_than_files(tmp_path):
    out = tmp_path / "o.jsonl"
    part = write(part_name(out, (1, 3)), [good("a")], shard=[1, 3], n_sources=1)
    merge(out, [part])
    assert list(read_rows(out, "jsonl")) == [good("a")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "n"}, "was made with model n, not m"),
        ({"sources": "t"}, "was made with sources t, not s"),
        ({"shard": None}, "is share None, but"),
        ({"shard": [2, 3]}, r"is share \[2, 3\], but"),
        ({"shard": [1, 2]}, "is the same share as"),
    ],
)
def test_parts_that_do_not_fit(parts, change, message):
    out, one, two = parts
    run_of(**{"shard": [2, 2]} | change).write(two)
    with pytest.raises(ResultsError, match=message):
        merge(out, [one, two])
    assert not out.exists()


def test_parts_that_are_not_all(parts):
    out, one, two = parts
    with pytest.raises(ResultsError, match=r"share 2 of 2 is missing \(o.2-of-2.jsonl\)"):
        merge(out, [one])
    two.write_bytes(two.read_bytes()[:-1])
    with pytest.raises(ResultsError, match="o.2-of-2.jsonl: holds 1 of 2 files; finish it with"):
        merge(out, [one, two])
    with pytest.raises(ResultsError, match="no parts of it found"):
        merge(out, [])
    assert not out.exists()


def test_merge_does_not_overwrite(parts):
    out, one, two = parts
    out.write_text("dear")
    with pytest.raises(ResultsError, match="is there; give another name"):
        merge(out, [one, two])
    assert out.read_text() == "dear"


def test_a_whole_file_is_no_part(parts, tmp_path):
    whole = write(tmp_path / "w.jsonl", [good("a")])
    with pytest.raises(ResultsError, match="is no part of anything"):
        merge(parts[0], [whole])
