"""Loss and gradient are those of TRL's `GRPOTrainer._compute_loss` on the same tensors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from speechqa_plugin.grpo.loss import LOSS_TYPES, GRPOLoss, UpdateSize
from speechqa_plugin.grpo.policy import TokenLogps
from speechqa_plugin.models.completions import Completions
from speechqa_plugin.models.logprobs import token_logps

EPSILONS = {"epsilon_low": 0.2, "epsilon_high": 0.28}
LIMIT = 9


@pytest.fixture(scope="module")
def trainer(tmp_path_factory):
    from datasets import Dataset
    from transformers import Qwen2Config, Qwen2ForCausalLM
    from trl import GRPOConfig, GRPOTrainer

    from speechqa_plugin.models.compact import compact_tokenizer

    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=2048, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, intermediate_size=16, initializer_range=0.5,
    )  # fmt: skip
    return GRPOTrainer(
        Qwen2ForCausalLM(config),
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=GRPOConfig(
            str(tmp_path_factory.mktemp("trl")), use_cpu=True, bf16=False, report_to=[],
            beta=0.0, per_device_train_batch_size=4, num_generations=4, steps_per_generation=1,
            max_completion_length=LIMIT, epsilon=0.2, epsilon_high=0.28, disable_dropout=True,
        ),
        train_dataset=Dataset.from_dict({"prompt": ["a", "b"]}),
        processing_class=compact_tokenizer(),
    )  # fmt: skip


def batch(off_policy: bool) -> dict[str, Tensor]:
    """Four completions of unequal lengths behind prompts of unequal lengths."""
    generator = torch.Generator().manual_seed(2)
    ids = torch.randint(5, 2000, (4, 4 + 7), generator=generator)
    tensors = {
        "prompt_ids": ids[:, :4],
        "prompt_mask": (torch.arange(4) >= torch.tensor([0, 2, 0, 1])[:, None]).long(),
        "completion_ids": ids[:, 4:],
        "completion_mask": (torch.arange(7) < torch.tensor([7, 3, 5, 1])[:, None]).long(),
        "advantages": torch.tensor([1.2, -0.7, 0.4, -0.9]),
        "num_items_in_batch": torch.tensor(16),
    }
    if off_policy:
        tensors["old"] = torch.randn(4, 7, generator=generator) / 3
    tensors["ref"] = torch.randn(4, 7, generator=generator) / 2
    return tensors


def own_logps(model, tensors: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Log-probabilities by the project's code; no token of the batch is the suppressed one."""
    ids = torch.cat([tensors["prompt_ids"], tensors["completion_ids"]], dim=1)
    mask = torch.cat([tensors["prompt_mask"], tensors["completion_mask"]], dim=1)
    hidden = model.model(ids, mask).last_hidden_state[:, 3:-1]
    head = torch.nn.functional.linear
    logps, entropies, _ = token_logps(
        hidden.flatten(0, 1),
        lambda h: head(h, model.lm_head.weight),
        tensors["completion_ids"].flatten(),
        suppressed_id=-1,
    )
    return logps.view(4, 7), entropies.view(4, 7)


def gradients(model, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("off_policy", [False, True], ids=["on policy", "off policy"])
@pytest.mark.parametrize("beta, correction", [(0.0, False), (0.1, False), (0.1, True)])
@pytest.mark.parametrize("loss_type", LOSS_TYPES)
def test_loss_gradient_and_log_are_trls(trainer, loss_type, beta, correction, off_policy):
    model = trainer.model
    trainer.loss_type, trainer.beta = loss_type, beta
    trainer.args.use_bias_correction_kl = correction
    trainer.current_gradient_accumulation_steps = 1
    trainer._metrics["train"].clear()
    tensors = batch(off_policy)
    with torch.no_grad():
        start, _ = own_logps(model, tensors)
    ref_logps = start + tensors.pop("ref")
    old_logps = start + tensors.pop("old") if off_policy else None
    given = {**tensors, "ref_per_token_logps": ref_logps}
    if off_policy:
        given["old_per_token_logps"] = old_logps
    theirs = trainer._compute_loss(model, given)
    their_grads = gradients(model, theirs)
    log = {key: values[-1] for key, values in trainer._metrics["train"].items()}

    logps, entropies = own_logps(model, tensors)
    completions = Completions(
        tensors["completion_ids"],
        tensors["completion_mask"].bool(),
        group_size=4,
        advantages=tensors["advantages"][:, None],
        old_logps=old_logps,
        ref_logps=ref_logps if beta else None,
    )
    loss = GRPOLoss(
        loss_type=loss_type,
        beta=beta,
        use_bias_correction_kl=correction,
        max_new_tokens=LIMIT,
        **EPSILONS,
    )
    ours, statistics = loss(TokenLogps(logps, entropies), completions, update=UpdateSize(4, 16))
    our_grads = gradients(model, ours)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)
    assert sum(g.abs().sum() for g in their_grads.values()) > 0
    torch.testing.assert_close(our_grads, their_grads, atol=1e-6, rtol=1e-5)
    assert statistics.as_log() == pytest.approx(log, abs=1e-5)
    if off_policy:
        assert 0 < log["clip_ratio/low_mean"] and 0 < log["clip_ratio/high_mean"]
