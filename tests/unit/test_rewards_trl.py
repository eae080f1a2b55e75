"""Reward functions of TRL, the real ones."""

import pytest

from speechqa_plugin.rewards import TRLReward
from speechqa_plugin.schema import Assessment, load_taxonomy
from speechqa_plugin.text.answers import ParsedAnswer

TAXONOMY = load_taxonomy("nisqa")
THERE = Assessment(TAXONOMY, dict.fromkeys(TAXONOMY.names, 3))
IDS = [[1, 2, 3, 4], [5] * 5, list(range(9))]
YAML = """
composite: !new:speechqa_plugin.rewards.Composite
  rewards:
    - !new:speechqa_plugin.rewards.TRLReward
      function: !apply:trl.rewards.get_repetition_penalty_reward
        ngram_size: 2
    - !new:speechqa_plugin.rewards.TRLReward
      name: overlong
      function: !apply:trl.rewards.get_soft_overlong_punishment
        max_completion_len: 8
        soft_punish_cache: 4
    - !apply:speechqa_plugin.rewards.per_dimension
      - !apply:speechqa_plugin.schema.load_taxonomy [nisqa]
      - !name:speechqa_plugin.rewards.SoftScore
  weights: [0.5, 0.5, 1]
  gate: !new:speechqa_plugin.rewards.AnswerFormat
"""


def test_penalties_of_trl_plug_in_from_yaml():
    pytest.importorskip("trl.rewards", exc_type=ImportError)
    hyperpyyaml = pytest.importorskip("hyperpyyaml")
    composite = hyperpyyaml.load_hyperpyyaml(YAML)["composite"]
    assert composite.names[:3] == ("repetition_penalty_reward", "overlong", "soft_score/noi")
    assert composite.weights == (0.5, 0.5, 1, 1, 1, 1, 1)
    predictions = [ParsedAnswer("", THERE), ParsedAnswer("", THERE), ParsedAnswer("")]
    rows = composite(predictions, [THERE] * 3, prompts=["Rate it"] * 3, completion_ids=IDS)
    # By the formulas of the two papers: 1 of 4 bigrams is new; 1 token into the last 4 of 8.
    assert [row[:2] for row in rows] == [[0, 0], [-0.75, -0.25], [0, -1]]
    assert [row[2:] for row in rows] == [[1] * 5, [1] * 5, [0] * 5]


def test_everything_that_trl_hands_over_is_there():
    seen = {}

    def function(prompts, completions, completion_ids, **columns):
        seen.update(columns, prompts=prompts, completions=completions, ids=completion_ids)
        return [0.5, None]

    reward = TRLReward(function)
    predictions = [ParsedAnswer("one"), ParsedAnswer("two", THERE)]
    values = reward(
        predictions, [THERE] * 2, prompts=["a", "b"], completion_ids=[[1], [2]], system=["x", "y"]
    )
    assert values == [0.5, None]
    assert reward.name == "function"
    assert seen == {
        "prompts": ["a", "b"],
        "completions": ["one", "two"],
        "ids": [[1], [2]],
        "references": [THERE, THERE],
        "system": ["x", "y"],
    }


@pytest.mark.parametrize(
    ("columns", "result", "message"),
    [
        ({"prompts": ["a", "b"]}, [0.0], "prompts has 2 values for 1 completions"),
        ({}, [0.0, 0.0], "result has 2 values for 1 completions"),
    ],
)
def test_lengths_must_match(columns, result, message):
    reward = TRLReward(lambda **_: result, name="mine")
    with pytest.raises(ValueError, match=f"reward 'mine': {message}"):
        reward([ParsedAnswer("")], [THERE], **columns)


def test_pairs_must_match():
    with pytest.raises(ValueError, match="0 predictions and 1 references"):
        TRLReward(lambda **_: [], name="mine")([], [THERE])


def test_errors_of_the_function_come_through():
    def function(**columns):
        raise RuntimeError("judge is away")

    with pytest.raises(RuntimeError, match="judge is away"):
        TRLReward(function)([ParsedAnswer("")], [THERE])
