"""Columns, weights, gate, and the one reward for the whole answer."""

import pytest

from speechqa_plugin.rewards import (
    AnswerFormat,
    Composite,
    DescriptionRouge,
    ExpectedScore,
    KindF1,
    ScoreAccuracy,
    TRLReward,
    Unified,
    per_dimension,
)
from speechqa_plugin.schema import Artifact, Assessment, load_taxonomy
from speechqa_plugin.text.answers import AnswerForm, ParsedAnswer

TAXONOMY = load_taxonomy("qualispeech")
SCORES = dict.fromkeys(TAXONOMY.names, 3)
THERE = Assessment(TAXONOMY, SCORES, (Artifact("noise", "babble"),))
RIGHT = ParsedAnswer("right", THERE)
SILENT = ParsedAnswer("silent", Assessment(TAXONOMY, SCORES | {"mos": 5}))
UNREAD = ParsedAnswer("unread")


def length(completions, **kwargs):
    return [len(text) / 10 for text in completions]


def penalty(completions, **kwargs):
    return [-len(text) / 10 for text in completions]


def test_matrix_has_a_row_for_each_completion_and_a_column_for_each_reward():
    composite = Composite(
        [ScoreAccuracy("mos"), KindF1(), DescriptionRouge(), AnswerFormat()], [1, 2, 0.5, 0]
    )
    assert composite.names == ("accuracy/mos", "kind_f1", "rouge_l", "format")
    assert composite.weights == (1, 2, 0.5, 0)
    assert composite([RIGHT, SILENT, UNREAD], [THERE] * 3) == [
        [1, 1, None, 1],
        [0, 0, None, 1],
        [0, 0, None, 0],
    ]
    assert composite([], []) == []


def test_a_list_of_rewards_shares_its_weight():
    composite = Composite([per_dimension(TAXONOMY, ScoreAccuracy), KindF1()], [1, 0.5])
    assert composite.names == (*(f"accuracy/{n}" for n in TAXONOMY.names), "kind_f1")
    assert composite.weights == (1,) * 7 + (0.5,)


def test_scores_alone_are_judged_by_what_they_hold():
    """And no reward is asked about the rest, which might cost a judge's time."""
    seen = []

    class Counting(KindF1):
        def __call__(self, predictions, references):
            seen.append(len(predictions))
            return super().__call__(predictions, references)

    rewards = [ScoreAccuracy("mos"), Counting(), TRLReward(length), AnswerFormat()]
    composite = Composite(rewards, [1, 1, 1, 1], unreadable="neutral")
    forms = [AnswerForm.SCORES, AnswerForm.REASONED, AnswerForm.SCORES]
    assert composite([RIGHT, RIGHT, UNREAD], [THERE] * 3, forms) == [
        [1, None, 0.5, 1],
        [1, 1, 0.5, 1],
        [None, None, 0.6, 0],
    ]
    assert seen == [1]
    unified = Unified([ScoreAccuracy("mos"), KindF1()], [1, 3])
    assert unified([RIGHT], [THERE], [AnswerForm.SCORES]) == [[1, 1, None]]


def test_unreadable_answers_may_cost_what_their_format_does_and_no_more():
    """Content is then compared among readable answers; what judges the text itself still does."""
    rewards = [ScoreAccuracy("mos"), TRLReward(length), AnswerFormat()]
    columns = Composite(rewards, [1, 1, 2], unreadable="neutral")([RIGHT, UNREAD], [THERE] * 2)
    assert columns == [[1, 0.5, 1], [None, 0.6, 0]]
    unified = Unified([ScoreAccuracy("mos"), AnswerFormat()], [1, 2], unreadable="neutral")
    assert unified([RIGHT, UNREAD], [THERE] * 2) == [[1, 1, 1], [0, None, 0]]


def test_being_unreadable_is_never_free():
    with pytest.raises(ValueError, match="so it is free: give AnswerFormat a weight"):
        Composite([ScoreAccuracy("mos"), AnswerFormat()], [1, 0], unreadable="neutral")
    with pytest.raises(ValueError, match="'maybe'; need zero or neutral"):
        Composite([ScoreAccuracy("mos")], [1], unreadable="maybe")


def test_gate_leaves_penalties_and_missing_targets():
    rewards = [TRLReward(length), TRLReward(penalty), DescriptionRouge()]
    opened = Composite(rewards, [1, 1, 1])([RIGHT, UNREAD], [THERE] * 2)
    assert opened == [[0.5, -0.5, None], [0.6, -0.6, None]]
    gated = Composite(rewards, [1, 1, 1], gate=AnswerFormat())([RIGHT, UNREAD], [THERE] * 2)
    assert gated == [[0.5, -0.5, None], [0, -0.6, None]]


def test_columns_reach_trl_functions_alone():
    def seen(prompts, completion_ids, **kwargs):
        return [len(p) + len(ids) for p, ids in zip(prompts, completion_ids, strict=True)]

    composite = Composite([KindF1(), TRLReward(seen)], [1, 1])
    assert composite([RIGHT], [THERE], prompts=["abc"], completion_ids=[[1, 2]]) == [[1, 5]]


@pytest.mark.parametrize(
    ("rewards", "weights", "message"),
    [
        ([KindF1()], [1, 2], "1 rewards and 2 weights"),
        ([KindF1()], [-1], "'kind_f1': -1.0.*at least 0"),
        ([KindF1()], [float("nan")], "finite"),
        ([KindF1()], [0], "one above 0"),
        ([], [], "one above 0"),
        ([KindF1(), KindF1()], [1, 1], r"\['kind_f1'\] are named twice"),
    ],
)
@pytest.mark.parametrize("kind", [Composite, Unified])
def test_bad_rewards_are_refused(kind, rewards, weights, message):
    with pytest.raises(ValueError, match=message):
        kind(rewards, weights)


def test_lengths_must_match():
    with pytest.raises(ValueError, match="need pairs"):
        Composite([KindF1()], [1])([RIGHT], [])


class TestUnified:
    def test_a_reward_with_a_gradient_of_its_own_is_refused(self):
        with pytest.raises(ValueError, match="cannot hold ExpectedScore"):
            Unified([ExpectedScore("mos")], [1])

    def test_is_the_weighted_mean_of_the_parts_and_shows_them(self):
        unified = Unified([ScoreAccuracy("mos"), KindF1(), AnswerFormat()], [3, 1, 0])
        assert unified.names == ("unified", "accuracy/mos", "kind_f1", "format")
        assert unified.weights == (1, 0, 0, 0)
        rows = unified([RIGHT, SILENT, UNREAD], [THERE] * 3)
        assert rows == [[1, 1, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]]
        half = ParsedAnswer("", Assessment(TAXONOMY, SCORES))
        assert unified([half], [THERE]) == [[0.75, 1, 0, 1]]

    def test_a_part_without_a_target_is_left_out(self):
        unified = Unified([DescriptionRouge(), KindF1()], [9, 1])
        assert unified([RIGHT], [THERE]) == [[1, None, 1]]
        assert Unified([DescriptionRouge()], [1])([RIGHT], [THERE]) == [[None, None]]

    def test_gate_comes_before_the_mean(self):
        unified = Unified([TRLReward(length), AnswerFormat()], [1, 1], gate=AnswerFormat())
        assert unified([RIGHT, UNREAD], [THERE] * 2) == [[0.75, 0.5, 1], [0, 0, 0]]
