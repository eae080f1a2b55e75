"""Judged rewards: what is asked, when, and what becomes of the grades."""

import re

import pytest

from speechqa_plugin.rewards import (
    AnswerFormat,
    Composite,
    DescriptionJudge,
    ScoreAccuracy,
    Unified,
    judge_per_dimension,
)
from speechqa_plugin.schema import Artifact, Assessment, load_taxonomy
from speechqa_plugin.text.answers import parse_answer, render_answer
from speechqa_plugin.text.prompts import build_judge_prompt, build_prompt

TAXONOMY = load_taxonomy("qualispeech")
SCORES = dict.fromkeys(TAXONOMY.names, 3) | {"noise": 2, "mos": 4}
HUM = Artifact("noise", "mains hum", 0.4, 2.4)
TEXT = "There is a loud hum. The voice is clear."
REFERENCE = Assessment(TAXONOMY, SCORES, (HUM,), TEXT)
WRONG_BUT_SIMILAR = Assessment(TAXONOMY, SCORES | {"noise": 4}, (), "There is no hum.")
PROMPT = build_prompt(TAXONOMY)


class Reader:
    """A judge by rule: 10 if both sides are the same, and 2 off for each line that is not.

    It reads the prompts as they are, so what it finds is what they show.
    """

    def __init__(self, broken=()):
        self.calls = []
        self.broken = broken
        self.counts = {"judge/asked": 0}

    def judge(self, prompts):
        self.calls.append(list(prompts))
        self.counts["judge/asked"] += len(prompts)
        return [self.grade(prompt) for prompt in prompts]

    def grade(self, prompt):
        if any(word in prompt for word in self.broken):
            return None
        sides = [
            re.search(rf"<{tag}>\n(.*)\n</{tag}>", prompt, re.DOTALL)[1].splitlines()
            for tag in ("reference", "candidate")
        ]
        return 10 - 2 * sum(a != b for a, b in zip(*sides, strict=True))

    def take_counts(self):
        taken, self.counts = self.counts, dict.fromkeys(self.counts, 0)
        return taken


def read(text):
    return parse_answer(text, TAXONOMY)


def all_of(judge):
    return [*judge_per_dimension(TAXONOMY, judge), DescriptionJudge(judge)]


PERFECT = read(render_answer(REFERENCE))
SIMILAR = read(render_answer(WRONG_BUT_SIMILAR))
UNREAD = read("hello")
# Of score, artifacts (where a kind belongs to the dimension) and description, what differs.
WORTH = dict.fromkeys(TAXONOMY.names, 0.8) | {"noise": 0.4, "description": 0.8}


@pytest.mark.parametrize("name", WORTH)
class TestTable:
    def reward(self, name, **judge):
        return {r.name: r for r in all_of(Reader(**judge))}[f"judge/{name}"]

    def test_perfect(self, name):
        assert self.reward(name)([PERFECT], [REFERENCE]) == [1]

    @pytest.mark.parametrize(
        "text",
        ["", "\n \n", "hello", "noise: 2", "mos: 3\n" * 50, PROMPT, f"{PROMPT}\n{PROMPT}"],
        ids=["empty", "blank", "garbage", "half", "repeated", "prompt", "prompt twice"],
    )
    def test_what_is_no_answer_earns_nothing_and_is_not_shown(self, name, text):
        reward = self.reward(name)
        assert reward([read(text)], [REFERENCE]) == [0]
        judge = reward.judge if name == "description" else reward.panel.judge
        assert judge.calls == [[]]

    def test_wrong_but_similar(self, name):
        assert self.reward(name)([SIMILAR], [REFERENCE]) == [WORTH[name]]

    def test_a_failed_judge_is_none(self, name):
        reward = self.reward(name, broken=["no hum"])
        values = reward([PERFECT, SIMILAR, UNREAD], [REFERENCE] * 3)
        assert values == [1, None, 0]

    def test_lengths_must_match(self, name):
        with pytest.raises(ValueError, match="2 predictions and 1 references; need pairs"):
            self.reward(name)([UNREAD] * 2, [REFERENCE])


def test_description_has_a_target_only_where_the_reference_has_one():
    mute = Assessment(TAXONOMY, SCORES, (HUM,))
    judge = Reader()
    said = [PERFECT, read(render_answer(mute)), UNREAD]
    assert DescriptionJudge(judge)(said, [mute] * 3) == [None] * 3
    assert DescriptionJudge(judge)(said, [REFERENCE] * 3) == [1, 0, 0]
    assert [len(call) for call in judge.calls] == [0, 1]


def test_all_dimensions_are_asked_in_one_wave():
    judge = Reader()
    composite = Composite([judge_per_dimension(TAXONOMY, judge), AnswerFormat()], [1, 0])
    assert composite.names == (*(f"judge/{n}" for n in TAXONOMY.names), "format")
    rows = composite([PERFECT, UNREAD, SIMILAR], [REFERENCE] * 3)
    assert rows == [[1] * 8, [0] * 8, [*(WORTH[n] for n in TAXONOMY.names), 1]]
    assert [len(call) for call in judge.calls] == [2 * 7]
    composite([SIMILAR, UNREAD, PERFECT], [REFERENCE] * 3)
    assert [len(call) for call in judge.calls] == [2 * 7] * 2


def test_a_failed_wave_is_not_waited_for_again_by_the_next_dimension():
    judge = Reader(broken=["<reference>"])
    composite = Composite([judge_per_dimension(TAXONOMY, judge)], [1])
    assert composite([PERFECT], [REFERENCE]) == [[None] * 7]
    assert len(judge.calls) == 1


def test_the_same_batch_again_is_another_wave():
    judge = Reader(broken=["<reference>"])
    rewards = judge_per_dimension(TAXONOMY, judge)
    for reward in rewards:
        assert reward([PERFECT], [REFERENCE]) == [None]
    judge.broken = ()
    for reward in rewards:
        assert reward([PERFECT], [REFERENCE]) == [1]
    assert len(judge.calls) == 2


def test_another_batch_does_not_get_what_is_left_of_the_one_before():
    first, second, *_ = judge_per_dimension(TAXONOMY, Reader())
    assert first([PERFECT], [REFERENCE]) == [1]
    assert second([SIMILAR], [REFERENCE]) == [0.8]
    assert first([PERFECT], [WRONG_BUT_SIMILAR]) == [0.4]


def test_counts_come_through_the_composite_once():
    judge = Reader()
    for kind in (Composite, Unified):
        rewards = [judge_per_dimension(TAXONOMY, judge), DescriptionJudge(judge), AnswerFormat()]
        composite = kind(rewards, [1, 1, 0])
        composite([PERFECT], [REFERENCE])
        assert composite.take_counts() == {"judge/asked": 8}
        assert composite.take_counts() == {"judge/asked": 0}
    assert Composite([ScoreAccuracy("mos")], [1]).take_counts() == {}


def test_unknown_dimension_is_an_error_not_a_zero():
    with pytest.raises(KeyError, match="loud"):
        build_judge_prompt("loud", REFERENCE, REFERENCE)
