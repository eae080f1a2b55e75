"""Advantages are those of TRL's `GRPOTrainer`, which samples canned completions here."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from speechqa_plugin.grpo.advantages import AGGREGATIONS, Advantages
from speechqa_plugin.grpo.statistics import stack_rewards

GROUP_SIZE = 4
FLOOR = 1e-4  # TRL's
WEIGHTS = [1.0, 0.5, 2.0]


def trl_step(folder, columns, aggregation, scale):
    """Advantages [N] and log of the step, from K columns of N rewards."""
    from datasets import Dataset
    from transformers import Qwen2Config, Qwen2ForCausalLM
    from trl import GRPOConfig, GRPOTrainer

    from speechqa_plugin.models.compact import compact_tokenizer

    config = Qwen2Config(
        vocab_size=2048, hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
        num_key_value_heads=1, intermediate_size=8,
    )  # fmt: skip
    size = len(columns[0])

    def reward(k):
        def column(completion_ids, **_):
            return [columns[k][ids[0] - 10] for ids in completion_ids]

        column.__name__ = f"r{k}"
        return column

    def canned(prompts, trainer):
        ids = [[10 + i, 5] for i in range(size)]
        return {
            "prompt_ids": [[7]] * size,
            "completion_ids": ids,
            "logprobs": [[-1.0, -1.0]] * size,
        }

    trainer = GRPOTrainer(
        Qwen2ForCausalLM(config),
        reward_funcs=[reward(k) for k in range(len(columns))],
        args=GRPOConfig(
            str(folder), use_cpu=True, bf16=False, report_to=[], beta=0.0,
            per_device_train_batch_size=size, num_generations=GROUP_SIZE,
            multi_objective_aggregation=aggregation, reward_weights=WEIGHTS,
            scale_rewards="group" if scale else "none",
        ),
        train_dataset=Dataset.from_dict({"prompt": ["a"] * size}),
        processing_class=compact_tokenizer(),
        rollout_func=canned,
    )  # fmt: skip
    trainer.model.train()
    output = trainer._generate_and_score_completions([{"prompt": "a"}] * size)
    return output["advantages"], {k: v[-1] for k, v in trainer._metrics["train"].items()}


@pytest.mark.parametrize(
    "aggregation, scale", [*((a, True) for a in AGGREGATIONS), (AGGREGATIONS[0], False)]
)
def test_advantages_and_log_are_trls(tmp_path, aggregation, scale):
    columns = np.random.default_rng(6).random((3, 12)).round(2)
    columns[:, :4] = 0.3  # a group of equal rewards
    columns[1, 4:8] = 0.1
    columns = columns.tolist()
    if aggregation == "normalize_then_sum":
        columns[2][9] = None  # neutral in TRL too; elsewhere it counts as 0 there
    theirs, log = trl_step(tmp_path, columns, aggregation, scale)
    advantages = Advantages(aggregation, FLOOR, scale)
    ours, statistics = advantages.compare(stack_rewards(columns, GROUP_SIZE), WEIGHTS)
    torch.testing.assert_close(ours.sum(dim=-1).flatten(), theirs, atol=2e-6, rtol=0)
    own = statistics.as_log(["r0", "r1", "r2"])
    same = {key for key in own if key in log and key.startswith("rewards/")}
    assert len(same) == 6
    if aggregation == "sum_then_normalize":
        same |= {"reward", "reward_std", "frac_reward_zero_std"}
    assert {key: own[key] for key in same} == pytest.approx({key: log[key] for key in same})
