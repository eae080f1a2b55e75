import pytest
import torch
from grpo_cases import compact_model, completions, lora_model, two_prompts, wake_adapter
from peft.tuners.tuners_utils import BaseTunerLayer

from speechqa_plugin.grpo.policy import plain_logps
from speechqa_plugin.grpo.reference import Reference
from speechqa_plugin.models.modes import inference

COMPLETIONS = completions()


def train_a_step(model):
    """Move every trained parameter, the encoder's too."""
    plain_logps(model, two_prompts(model), COMPLETIONS).logps.sum().backward()
    torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.01).step()
    model.zero_grad()


def switch_adapter(model, on):
    for layer in model.modules():
        if isinstance(layer, BaseTunerLayer):
            layer.enable_adapters(on)


def test_a_fresh_adapters_reference_is_the_adapter_off(tmp_path):
    model = lora_model(tmp_path)
    model.encoder().requires_grad_(False)
    model.model.model.multi_modal_projector.requires_grad_(False)
    reference = Reference(model)
    assert sum(kept.numel() for _, kept in reference.pairs) < 10_000  # the adapter alone
    wake_adapter(model)
    inputs = two_prompts(model)
    with reference.active():
        found = plain_logps(model, inputs, COMPLETIONS).logps
    switch_adapter(model, False)
    with inference(model):
        off = plain_logps(model, inputs, COMPLETIONS).logps
    switch_adapter(model, True)
    assert torch.equal(found, off)
    assert not torch.allclose(plain_logps(model, inputs, COMPLETIONS).logps, off)


@pytest.mark.parametrize("kind", ["compact", "calibrated adapter and encoder"])
def test_the_reference_is_the_policy_that_training_started_from(kind, tmp_path):
    model = compact_model() if kind == "compact" else lora_model(tmp_path)
    wake_adapter(model)
    model.train()
    inputs = two_prompts(model)
    start = plain_logps(model, inputs, COMPLETIONS).logps.detach()
    reference = Reference(model)
    train_a_step(model)
    trained = {n: p.detach().clone() for n, p in model.named_parameters()}
    for _ in range(2):
        with reference.active():
            assert not model.training
            found = plain_logps(model, inputs, COMPLETIONS).logps
        assert not found.requires_grad
        assert torch.equal(found, start)
    assert model.training
    assert all(torch.equal(p, trained[n]) for n, p in model.named_parameters())
    assert not torch.allclose(plain_logps(model, inputs, COMPLETIONS).logps, start)


def test_rounded_weights_do_not_outlive_a_swap():
    """Autocast keeps its copies of parameters as long as it lasts."""
    model = compact_model()
    inputs = two_prompts(model)

    def logps():
        with inference(model):
            return plain_logps(model, inputs, COMPLETIONS).logps

    reference = Reference(model)
    with torch.autocast("cpu", torch.bfloat16):
        start = logps()
    train_a_step(model)
    with torch.autocast("cpu", torch.bfloat16):
        policy = logps()
        with reference.active():
            assert torch.equal(logps(), start)
        assert torch.equal(logps(), policy)
    assert not torch.allclose(policy, start)


def test_an_error_inside_brings_the_policy_back():
    model = compact_model()
    reference = Reference(model)
    train_a_step(model)
    before = model.model.lm_head.weight.clone()
    with pytest.raises(RuntimeError, match="in the middle"), reference.active():
        raise RuntimeError("in the middle")
    assert torch.equal(model.model.lm_head.weight, before)
