from dataclasses import replace

import pytest
import torch
from counting import count_work
from grpo_cases import (
    GROUP_SIZE,
    clips,
    compact_model,
    completions,
    lora_model,
    two_prompts,
    wake_adapter,
)

from speechqa_plugin.grpo.policy import Policy, TokenLogps, packed_logps, plain_logps
from speechqa_plugin.models.attention import use_shared_prefix_attention
from speechqa_plugin.models.groups import take_prompts
from speechqa_plugin.models.inputs import ModelInputs
from speechqa_plugin.models.logprobs import log_softmax_without

COMPLETIONS = completions()
IDS, MASK = COMPLETIONS.ids, COMPLETIONS.mask
PROMPTS = ["Rate it.", "mos, noise: say which is worse. And why?"]


@pytest.fixture(params=["compact", "lora"])
def model(request, tmp_path):
    if request.param == "compact":
        return compact_model().train()
    model = lora_model(tmp_path)
    wake_adapter(model)
    return model.train()


def gradients(model, logps_of, *batch):
    """Log-probabilities, and the gradient of their sum weighted unevenly."""
    model.zero_grad()
    policy = logps_of(model, *batch)
    weights = torch.linspace(-1, 2, policy.logps.numel()).view(policy.logps.shape)
    (weights * policy.logps).sum().backward()
    return policy, {n: p.grad.clone() for n, p in model.named_parameters() if p.requires_grad}


def assert_same(found, wanted):
    """Log-probabilities to 1e-5, gradients to 1e-5 of the largest in their tensor."""
    torch.testing.assert_close(found[0].logps, wanted[0].logps, atol=1e-5, rtol=0)
    torch.testing.assert_close(found[0].entropies, wanted[0].entropies, atol=1e-5, rtol=0)
    scale = max(float(g.abs().max()) for g in wanted[1].values())
    for name, grad in wanted[1].items():
        limit = 1e-5 * max(float(grad.abs().max()), 1e-2 * scale)
        torch.testing.assert_close(found[1][name], grad, atol=limit, rtol=0, msg=name)


@pytest.mark.parametrize("attention", ["sdpa", "shared_prefix"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_packed_equals_plain(model, attention, checkpointing):
    inputs = two_prompts(model)
    plain = gradients(model, plain_logps, inputs, COMPLETIONS)
    assert all(g.any() for n, g in plain[1].items() if "k_proj.bias" not in n)
    if attention == "shared_prefix":
        use_shared_prefix_attention(model)
    if checkpointing:
        model.model.gradient_checkpointing_enable({"use_reentrant": False})
    assert_same(gradients(model, packed_logps, inputs, COMPLETIONS), plain)
    assert_same(gradients(model, plain_logps, inputs, COMPLETIONS), plain)


def test_plain_equals_the_models_own_forward(model):
    inputs = take_prompts(model, two_prompts(model), torch.tensor([0, 0, 0, 1, 1, 1]))
    tensors = (getattr(inputs, n) for n in ("prompt_ids", "prompt_mask", "features"))
    with_answers = ModelInputs(*tensors, inputs.features_mask, IDS, MASK.long())
    logps = log_softmax_without(model(with_answers), model.audio_token_id)
    oracle = logps.gather(-1, IDS[..., None])[..., 0]
    found = plain_logps(model, two_prompts(model), COMPLETIONS)
    torch.testing.assert_close(found.logps[MASK], oracle[MASK], atol=1e-5, rtol=0)
    assert (found.logps[~MASK] == 0).all() and (found.entropies[~MASK] == 0).all()


def test_they_depend_on_the_audio_and_on_nothing_behind():
    model = compact_model()
    use_shared_prefix_attention(model)
    found = packed_logps(model, two_prompts(model), COMPLETIONS).logps
    silence = model.inputs([0 * wav for wav in clips(0.4, 2.3)], PROMPTS)
    assert (packed_logps(model, silence, COMPLETIONS).logps - found)[MASK].abs().min() > 1e-3
    changed = replace(COMPLETIONS, ids=IDS.clone())
    changed.ids[2, 3] = 77  # of its group, only what follows in its own completion may move
    moved = (packed_logps(model, two_prompts(model), changed).logps - found).abs() > 1e-4
    assert moved.nonzero().tolist() == [[2, 3], [2, 4], [2, 5]]


def test_audio_is_encoded_once_and_prompts_are_forwarded_once():
    model = compact_model()
    use_shared_prefix_attention(model)
    inputs = two_prompts(model)
    width = inputs.prompt_ids.shape[1]
    with count_work(model) as plain:
        plain_logps(model, inputs, COMPLETIONS)
    with count_work(model) as packed:
        packed_logps(model, inputs, COMPLETIONS)
    assert (plain.encoder_windows, packed.encoder_windows) == (GROUP_SIZE * 4, 4)
    assert plain.lm_tokens == len(IDS) * (width + IDS.shape[1] - 1)
    fed = (MASK.sum(-1) - 1).view(2, -1).sum(-1)
    assert packed.lm_tokens == 2 * (width + int(fed.max()))


def test_permuting_a_group_permutes_its_log_probabilities_and_leaves_the_gradient():
    model = compact_model()
    use_shared_prefix_attention(model)
    order = torch.tensor([2, 0, 1, 4, 5, 3])
    inputs = two_prompts(model)
    weights = torch.arange(6.0)[:, None]

    def run(rows):
        model.zero_grad()
        policy = packed_logps(model, inputs, replace(COMPLETIONS, ids=IDS[rows], mask=MASK[rows]))
        (weights[rows] * policy.logps).sum().backward()
        return policy.logps, model.model.lm_head.weight.grad.clone()

    logps, grad = run(torch.arange(6))
    permuted, same = run(order)
    torch.testing.assert_close(permuted, logps[order], atol=1e-5, rtol=0)
    torch.testing.assert_close(same, grad, atol=1e-5 * float(grad.abs().max()), rtol=0)


def test_one_micro_batch_of_eight_prompts_equals_eight_of_one():
    model = compact_model()
    use_shared_prefix_attention(model)
    lengths_s = (0.4, 1.3, 0.2, 0.9, 2.1, 0.5, 1.0, 0.3)
    inputs = model.inputs(clips(*lengths_s), [f"Rate{' it' * i}." for i in range(8)])
    written = completions((3, 5, 1, 2, 6, 6, 4, 2, 2, 5, 1, 1, 3, 4, 2, 6), group_size=2)
    _, together = gradients(model, packed_logps, inputs, written)
    weights = torch.linspace(-1, 2, written.ids.numel()).view(written.ids.shape)
    model.zero_grad()
    for i in range(8):
        prompt = torch.tensor([i])
        some = written.take(prompt)
        policy = packed_logps(model, take_prompts(model, inputs, prompt), some)
        (weights[2 * i : 2 * i + 2, : some.width] * policy.logps).sum().backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            limit = 1e-5 * max(1.0, float(together[name].abs().max()))
            torch.testing.assert_close(parameter.grad, together[name], atol=limit, rtol=1e-4)


def test_completions_of_a_token_or_none_need_no_columns():
    model = compact_model()
    use_shared_prefix_attention(model)
    short = completions((1, 1, 0, 1, 1, 1))
    plain = plain_logps(model, two_prompts(model), short)
    packed = packed_logps(model, two_prompts(model), short)
    torch.testing.assert_close(packed.logps, plain.logps, atol=1e-5, rtol=0)
    assert packed.logps[2] == 0


def test_numbers_of_completions_that_do_not_fit_are_refused():
    model = compact_model()
    some = replace(COMPLETIONS, ids=IDS[:5], mask=MASK[:5])
    for logps_of in (plain_logps, packed_logps):
        with pytest.raises(ValueError, match="5 completions in groups of 3 for 2 prompts"):
            logps_of(model, two_prompts(model), some)


def test_attention_that_misreads_masks_is_refused():
    model = compact_model()
    model.model.get_decoder().config._attn_implementation = "eager"
    with pytest.raises(ValueError, match="'eager'.*sdpa"):
        packed_logps(model, two_prompts(model), COMPLETIONS)
    with pytest.raises(ValueError, match="'eager'.*sdpa"):
        use_shared_prefix_attention(model)


def test_the_policy_keeps_a_fast_way_that_is_right():
    model = compact_model().train()
    policy, inputs = Policy(model), two_prompts(model)
    plain = plain_logps(model, inputs, COMPLETIONS)
    with count_work(model) as first:
        found = policy(inputs, COMPLETIONS)
    with count_work(model) as second:
        policy(inputs, COMPLETIONS)
    torch.testing.assert_close(found.logps, plain.logps, atol=1e-5, rtol=0)
    assert found.logps.requires_grad and model.training and policy.shared_prefix
    assert (first.encoder_windows, second.encoder_windows) == (12 + 4 + 4, 4)


def test_the_policy_checks_without_a_gpus_shortcuts_and_leaves_them_as_they_were(monkeypatch):
    """Convolutions in TF32 put the two ways 6e-4 nats apart on an H100, without them 1e-6."""
    allowed = []

    def noted(*batch):
        allowed.append((torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()))
        return packed_logps(*batch)

    monkeypatch.setattr("speechqa_plugin.grpo.policy.packed_logps", noted)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    torch.set_float32_matmul_precision("high")
    try:
        model = compact_model()
        Policy(model)(two_prompts(model), COMPLETIONS)
        assert allowed == [(False, "highest"), (True, "high")]
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("error", [1.0, float("nan")])
def test_the_policy_leaves_a_fast_way_that_is_wrong_and_says_so(monkeypatch, caplog, error):
    def wrong(*batch):
        right = packed_logps(*batch)
        return TokenLogps(right.logps + error, right.entropies, right.choice_logps)

    model = compact_model()
    policy, inputs = Policy(model), two_prompts(model)
    monkeypatch.setattr("speechqa_plugin.grpo.policy.packed_logps", wrong)
    found = policy(inputs, COMPLETIONS)
    assert torch.equal(found.logps, plain_logps(model, inputs, COMPLETIONS).logps)
    assert not policy.shared_prefix
    assert "nats off the plain way" in caplog.text


def test_the_policy_allows_for_the_precision_it_computes_in(monkeypatch, caplog):
    def rounded(*batch):
        right = packed_logps(*batch)
        return TokenLogps(right.logps + 0.01, right.entropies, right.choice_logps)

    model = compact_model()
    policy, inputs = Policy(model), two_prompts(model)
    monkeypatch.setattr("speechqa_plugin.grpo.policy.packed_logps", rounded)
    with torch.autocast("cpu", torch.bfloat16):
        policy(inputs, COMPLETIONS)
    assert policy.shared_prefix and not caplog.text


def test_a_temperature_that_is_none_is_refused():
    with pytest.raises(ValueError, match="temperature is 0; need one above 0"):
        Policy(compact_model(), temperature=0)


def test_the_policy_can_be_told_to_plain_logpsly():
    model = compact_model()
    policy = Policy(model, shared_prefix=False)
    with count_work(model) as work:
        policy(two_prompts(model), COMPLETIONS)
    assert work.encoder_windows == GROUP_SIZE * 4
    assert model.model.get_decoder().config._attn_implementation == "sdpa"
