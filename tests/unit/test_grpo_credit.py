import numpy as np
import pytest
import torch

from speechqa_plugin.grpo.credit import token_advantages
from speechqa_plugin.listening import Answerer
from speechqa_plugin.models.compact import CompactAudioFlamingo3
from speechqa_plugin.models.completions import Completions
from speechqa_plugin.rewards import (
    AnswerFormat,
    Composite,
    DescriptionRouge,
    ExpectedScore,
    PolarityAware,
    ScoreAccuracy,
    SoftScore,
    TemporalIoU,
    Unified,
    judge_per_dimension,
)
from speechqa_plugin.schema import Artifact, Assessment, load_taxonomy
from speechqa_plugin.text.answers import render_answer

TAXONOMY = load_taxonomy("qualispeech")
REWARDS = [
    DescriptionRouge(),
    PolarityAware(TAXONOMY, DescriptionRouge()),
    ScoreAccuracy("noise"),
    SoftScore("mos"),
    TemporalIoU("noise"),
    judge_per_dimension(TAXONOMY, judge=None)[0],
    AnswerFormat(),
]


def test_rewards_are_decided_where_what_they_judge_ends():
    model = CompactAudioFlamingo3(32, 1, 2, 32, 1, 2, window_s=1)
    answerer = Answerer(model, TAXONOMY)
    scores = dict.fromkeys(TAXONOMY.names, 3)
    said = Assessment(TAXONOMY, scores, (Artifact("noise", "hum", 0.0, 1.0),), "A hum of level 3.")
    ids = model.tokenizer(render_answer(said), add_special_tokens=False)["input_ids"]
    tokens = torch.tensor([[*ids, model.tokenizer.eos_token_id]])
    written = Completions(
        tokens,
        torch.ones_like(tokens).bool(),
        group_size=1,
        finished=torch.tensor([True]),
        choice_ids=answerer.template.score_ids,
        choice_logps=torch.full((*tokens.shape, 5), 0.2).log(),
    )
    (answer,) = answerer.read(written, ["reasoned"])
    width = len(ids) + 1

    weights = [1] * len(REWARDS)
    unified = Unified(REWARDS, weights, unreadable="neutral")
    first, *steps = unified.last_steps([answer.steps], width - 1)[0]
    composite = Composite([*REWARDS, ExpectedScore("noise")], [*weights, 1], unreadable="neutral")
    *same, expected = composite.last_steps([answer.steps], width - 1)[0]
    assert steps == same

    ends = [model.tokenizer.decode(ids[: step + 1]) for step in (*steps, expected)]
    assert ends[0] == ends[1] == ends[-1] == "description: A hum of level 3.\nnoise: "
    assert ends[2] == "description: A hum of level 3.\nnoise: 3"
    assert ends[3].endswith("\nmos: 3")
    assert [first, *steps[4:]] == [width - 1] * 4


def test_an_unreadable_answer_is_credited_as_a_whole():
    composite = Composite(REWARDS, [1] * len(REWARDS), unreadable="neutral")
    assert composite.last_steps([{}], 6) == [[6] * len(REWARDS)]


@pytest.mark.parametrize(
    "options", [{"unreadable": "zero"}, {"gate": AnswerFormat()}], ids=["zero", "gate"]
)
def test_where_a_late_mistake_costs_all_rewards_all_are_decided_late(options):
    composite = Composite(REWARDS, [1] * len(REWARDS), **{"unreadable": "neutral", **options})
    steps = {name: 10 + i for i, name in enumerate(TAXONOMY.names)}
    assert composite.last_steps([steps], 60) == [[60] * len(REWARDS)]


def test_a_token_has_the_advantages_of_what_it_can_decide():
    rng = np.random.default_rng(0)
    advantages, steps = rng.normal(size=(5, 3)), rng.integers(0, 6, size=(5, 3))
    found = token_advantages(torch.from_numpy(advantages), torch.from_numpy(steps), 6)
    for n, t in np.ndindex(5, 6):
        wanted = sum(advantages[n, k] for k in range(3) if t <= steps[n, k])
        assert found[n, t].item() == pytest.approx(wanted)
