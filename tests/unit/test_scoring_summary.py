"""What stands in results, in a few lines."""

from scored_rows import good, silent

from speechqa_plugin.scoring.summary import Summary


def test_summary_of_nothing_and_of_failures_alone():
    assert str(Summary([], "o")) == "0 files, 0 unreadable, 0 h of audio"
    alone = {"path": "a", "error": "a: is empty"}
    assert str(Summary([alone], "o")) == "1 file, 1 unreadable, 0 h of audio\n  a: is empty"


def test_the_first_failures_are_named():
    rows = [{"path": n, "error": f"{n}: is empty"} for n in "abcde"]
    three = ["  a: is empty", "  b: is empty", "  c: is empty"]
    assert str(Summary(rows[:3], "o.csv")).splitlines()[1:] == three
    more = "  and 2 more: they are in o.csv"
    assert str(Summary(rows, "o.csv")).splitlines()[1:] == [*three, more]


def test_what_was_not_judged_counts_in_no_mean():
    text = str(Summary([good("a", 1), silent("b"), good("c", 2)], "o"))
    first, *_, mos, noise = text.splitlines()
    assert first.startswith("3 files, 0 unreadable, 1 not judged (no speech or too short), ")
    assert (mos.split(), noise.split()) == (["mos", "1.50", "1.50"], ["noise", "2.00", "2.00"])
    assert len(str(Summary([silent("b")], "o")).splitlines()) == 1


def test_summary_counts_what_is_there():
    text = str(Summary([good("a", 1), good("b", 2), good("d", 4.5)], "o"))
    assert text.startswith("3 files, 0 unreadable, 0.00125 h of audio\n")
    assert [line.split() for line in text.splitlines()[3:]] == [
        ["mos", "2.50", "2.00"],
        ["noise", "2.00", "2.00"],
    ]
