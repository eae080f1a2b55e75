"""What stands in results, in a few lines."""

from scored_rows import bad, good

from speechqa_plugin.scoring.summary import Summary


def test_summary_of_nothing_and_of_failures_alone():
    assert str(Summary([])) == "0 files, 0 of them unreadable, 0 hours of audio"
    assert str(Summary([bad("a")])) == "1 files, 1 of them unreadable, 0 hours of audio"


def test_summary_counts_what_is_there():
    text = str(Summary([good("a", 1), good("b", 2), bad("c"), good("d", 4.5)]))
    assert text.startswith("4 files, 1 of them unreadable, 0.00125 hours of audio")
    assert [line.split() for line in text.splitlines()[3:]] == [
        ["mos", "2.50", "2.00"],
        ["noise", "2.00", "2.00"],
    ]
