"""Reading a grade, remembering it and counting what failed."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechqa_plugin.judges import Failed, Failure, Reply, TextJudge, base, read_grade

KEYS = {"judge/asked", *(f"judge/failures/{f}" for f in Failure)}


@pytest.mark.parametrize(
    ("text", "grade"),
    [
        ("7", 7),
        ("0", 0),
        ("10", 10),
        ("7.", 7),
        (" \n8\n", 8),
        ("**8**", 8),
        ("`8`", 8),
        ("# 8", 8),
        ("Score: 7/10", 7),
        ("**Grade:** 7 / 10", 7),
        ("10/10", 10),
        ("7 out of 10.", 7),
        ("I would give it a 6.", 6),
        ("- 6", 6),
        ("7\n\nThe reference has a score of 2 and the candidate one of 3.", 7),
        ("Rating: 4\nscore 2 is not 4", 4),
        ("6, since both say 6", 6),
        ("<think>The scores are 2 and 3.</think>\n\n5", 5),
        ("The scores are 2 and 3.</think>5", 5),  # the template opened the thought
        ("", None),
        ("I think", None),
        ("<think>The score is 7", None),
        ("<think>7</think>", None),
        ("<think>a</think> 7 <think>", None),
        ("11", None),
        ("100", None),
        ("-3", None),
        ("\u22123", None),
        ("7.5", None),
        ("7,5", None),
        ("7-8", None),
        ("7/100", None),
        ("7 or 8", None),
        ("The reference has 2, so 6", None),
        ("seven", None),
        ("07", None),
        ("9" * 10_000, None),
        ("\u0667", None),
        ("\u00b2", None),
        ("NaN", None),
    ],
)
def test_grades(text, grade):
    assert read_grade(text) == grade


@pytest.mark.parametrize(
    ("text", "grade"),
    [
        ("Okay, let me compare. The reference gives a score of 4", None),
        ("1", None),  # of 10
        ("Score: 8\nBecause the", 8),
        ("8/10\n3", 8),
    ],
)
def test_of_a_text_that_was_cut_only_a_whole_first_line_counts(text, grade):
    assert read_grade(text, finished=False) == grade


PIECES = ["7", "10", "/", "-", ".", "*", " ", "\n", "<think>", "</think>", "score:", "out of"]


@given(st.text() | st.lists(st.sampled_from(PIECES)).map("".join))
def test_no_text_raises(text):
    assert read_grade(text) in (None, *range(11))
    assert read_grade(text, finished=False) in (None, read_grade(text))


class Scripted(TextJudge):
    """Answers a prompt from a table."""

    def __init__(self, replies):
        super().__init__("judge of this test")
        self.replies = replies
        self.asked = []

    def ask(self, prompts):
        self.asked.append(list(prompts))
        replies = (self.replies[p] for p in prompts)
        return [Reply(r) if isinstance(r, str) else r for r in replies]


LATE = Failed(Failure.TIMEOUT, "too slow")


def test_a_prompt_is_asked_once_and_a_failed_one_again():
    judge = Scripted({"a": "7", "b": LATE, "c": "what?"})
    assert judge.judge(["a", "b", "a", "c"]) == [7, None, 7, None]
    assert judge.judge(["c", "b", "a"]) == [None, None, 7]
    judge.replies["b"] = "0"
    assert judge.judge(["b"]) == judge.judge(["b"]) == [0]
    assert judge.judge(["a", "a"]) == [7, 7]
    assert judge.judge([]) == []
    assert judge.asked == [["a", "b", "c"], ["c", "b"], ["b"]]


def test_no_more_grades_are_remembered_than_said(monkeypatch):
    monkeypatch.setattr(base, "CACHE_SIZE", 2)
    judge = Scripted({p: "7" for p in "abc"})
    assert judge.judge(["a", "b", "c"]) == [7, 7, 7]  # more at once than are kept
    judge.judge(["b", "c"])
    judge.judge(["a"])
    judge.judge(["c", "b"])
    assert judge.asked == [["a", "b", "c"], ["a"], ["b"]]


def test_counts_have_the_same_keys_always_and_start_anew():
    judge = Scripted({"a": "7", "b": LATE, "c": "what?", "d": "why?"})
    assert judge.take_counts() == dict.fromkeys(KEYS, 0)
    judge.judge(["a", "b", "c", "c"])
    judge.judge(["a", "d"])
    assert judge.take_counts() == dict.fromkeys(KEYS, 0) | {
        "judge/asked": 4,
        "judge/failures/timeout": 1,
        "judge/failures/garbage": 2,
    }
    assert judge.take_counts() == dict.fromkeys(KEYS, 0)


def test_a_warning_for_each_reason_and_call(caplog):
    secret = "a prompt " * 10
    judge = Scripted({"a": "7", secret: LATE, "c": "what? " * 100, "d": "why?", "e": LATE})
    with caplog.at_level(logging.WARNING):
        judge.judge(["a"])
        assert caplog.messages == []
        judge.judge(["a", secret, "c", "d", "e"])
    assert caplog.messages == [
        "judge of this test: no grade for 2 of 4 prompts, timeout: too slow",
        "judge of this test: no grade for 2 of 4 prompts, garbage: the first was "
        f"{('what? ' * 10)!r}",
    ]


def test_a_judge_that_answers_for_fewer_is_an_error():
    class Short(TextJudge):
        def ask(self, prompts):
            return [Reply("7")]

    with pytest.raises(ValueError, match="zip"):
        Short("short").judge(["a", "b"])


def test_a_judge_that_asks_nobody_is_an_error():
    with pytest.raises(NotImplementedError):
        TextJudge("nobody").judge(["a"])
