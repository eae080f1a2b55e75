import pytest
import torch
from grpo_cases import (
    GROUP_SIZE,
    clips,
    compact_model,
    completions,
    lora_model,
    two_prompts,
    wake_adapter,
)

from speechqa_plugin.grpo.scoring import Scorer, Scores, score_packed, score_plain
from speechqa_plugin.models.attention import use_shared_prefix_attention
from speechqa_plugin.models.counting import count_work
from speechqa_plugin.models.groups import take_prompts
from speechqa_plugin.models.inputs import ModelInputs
from speechqa_plugin.models.logprobs import log_softmax_without

IDS, MASK = completions()
PROMPTS = ["Rate it.", "mos, noise: say which is worse. And why?"]


@pytest.fixture(params=["compact", "lora"])
def model(request, tmp_path):
    if request.param == "compact":
        return compact_model().train()
    model = lora_model(tmp_path)
    wake_adapter(model)
    return model.train()


def gradients(model, score, *batch):
    """Scores, and the gradient of their sum weighted unevenly."""
    model.zero_grad()
    scores = score(model, *batch)
    weights = torch.linspace(-1, 2, scores.logps.numel()).view(scores.logps.shape)
    (weights * scores.logps).sum().backward()
    return scores, {n: p.grad.clone() for n, p in model.named_parameters() if p.requires_grad}


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
    plain = gradients(model, score_plain, inputs, IDS, MASK)
    assert all(g.any() for n, g in plain[1].items() if "k_proj.bias" not in n)
    if attention == "shared_prefix":
        use_shared_prefix_attention(model)
    if checkpointing:
        model.model.gradient_checkpointing_enable({"use_reentrant": False})
    assert_same(gradients(model, score_packed, inputs, IDS, MASK), plain)
    assert_same(gradients(model, score_plain, inputs, IDS, MASK), plain)


def test_plain_equals_the_models_own_forward(model):
    inputs = take_prompts(model, two_prompts(model), torch.tensor([0, 0, 0, 1, 1, 1]))
    tensors = (getattr(inputs, n) for n in ("prompt_ids", "prompt_mask", "features"))
    with_answers = ModelInputs(*tensors, inputs.features_mask, IDS, MASK.long())
    logps = log_softmax_without(model(with_answers), model.audio_token_id)
    oracle = logps.gather(-1, IDS[..., None])[..., 0]
    found = score_plain(model, two_prompts(model), IDS, MASK)
    torch.testing.assert_close(found.logps[MASK], oracle[MASK], atol=1e-5, rtol=0)
    assert (found.logps[~MASK] == 0).all() and (found.entropies[~MASK] == 0).all()


def test_scores_depend_on_the_audio_and_on_nothing_behind():
    model = compact_model()
    use_shared_prefix_attention(model)
    found = score_packed(model, two_prompts(model), IDS, MASK).logps
    silence = model.inputs([0 * wav for wav in clips(0.4, 2.3)], PROMPTS)
    assert (score_packed(model, silence, IDS, MASK).logps - found)[MASK].abs().min() > 1e-3
    changed = IDS.clone()
    changed[2, 3] = 77  # of its group, only what follows in its own completion may move
    moved = (score_packed(model, two_prompts(model), changed, MASK).logps - found).abs() > 1e-4
    assert moved.nonzero().tolist() == [[2, 3], [2, 4], [2, 5]]


def test_audio_is_encoded_once_and_prompts_are_forwarded_once():
    model = compact_model()
    use_shared_prefix_attention(model)
    inputs = two_prompts(model)
    width = inputs.prompt_ids.shape[1]
    with count_work(model) as plain:
        score_plain(model, inputs, IDS, MASK)
    with count_work(model) as packed:
        score_packed(model, inputs, IDS, MASK)
    assert (plain.encoder_windows, packed.encoder_windows) == (GROUP_SIZE * 4, 4)
    assert plain.lm_tokens == len(IDS) * (width + IDS.shape[1] - 1)
    fed = (MASK.sum(-1) - 1).view(2, -1).sum(-1)
    assert packed.lm_tokens == 2 * (width + int(fed.max()))


def test_permuting_a_group_permutes_its_scores_and_leaves_the_gradient():
    model = compact_model()
    use_shared_prefix_attention(model)
    order = torch.tensor([2, 0, 1, 4, 5, 3])
    inputs = two_prompts(model)
    weights = torch.arange(6.0)[:, None]

    def run(rows):
        model.zero_grad()
        scores = score_packed(model, inputs, IDS[rows], MASK[rows])
        (weights[rows] * scores.logps).sum().backward()
        return scores.logps, model.model.lm_head.weight.grad.clone()

    logps, grad = run(torch.arange(6))
    permuted, same = run(order)
    torch.testing.assert_close(permuted, logps[order], atol=1e-5, rtol=0)
    torch.testing.assert_close(same, grad, atol=1e-5 * float(grad.abs().max()), rtol=0)


def test_one_micro_batch_of_eight_prompts_equals_eight_of_one():
    model = compact_model()
    use_shared_prefix_attention(model)
    lengths_s = (0.4, 1.3, 0.2, 0.9, 2.1, 0.5, 1.0, 0.3)
    inputs = model.inputs(clips(*lengths_s), [f"Rate{' it' * i}." for i in range(8)])
    ids, mask = completions((3, 5, 1, 2, 6, 6, 4, 2, 2, 5, 1, 1, 3, 4, 2, 6))
    _, together = gradients(model, score_packed, inputs, ids, mask)
    weights = torch.linspace(-1, 2, ids.numel()).view(ids.shape)
    model.zero_grad()
    for i in range(8):
        rows = slice(2 * i, 2 * i + 2)
        one = take_prompts(model, inputs, torch.tensor([i]))
        scores = score_packed(model, one, ids[rows], mask[rows])
        (weights[rows] * scores.logps).sum().backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            limit = 1e-5 * max(1.0, float(together[name].abs().max()))
            torch.testing.assert_close(parameter.grad, together[name], atol=limit, rtol=1e-4)


def test_completions_of_a_token_or_none_need_no_columns():
    model = compact_model()
    use_shared_prefix_attention(model)
    ids, mask = completions((1, 1, 0, 1, 1, 1))
    plain = score_plain(model, two_prompts(model), ids, mask)
    packed = score_packed(model, two_prompts(model), ids, mask)
    torch.testing.assert_close(packed.logps, plain.logps, atol=1e-5, rtol=0)
    assert packed.logps[2] == 0


def test_numbers_of_completions_that_do_not_fit_are_refused():
    model = compact_model()
    for score in (score_plain, score_packed):
        with pytest.raises(ValueError, match="5 completions for 2 prompts"):
            score(model, two_prompts(model), IDS[:5], MASK[:5])


def test_attention_that_misreads_masks_is_refused():
    model = compact_model()
    model.model.get_decoder().config._attn_implementation = "eager"
    with pytest.raises(ValueError, match="'eager'.*sdpa"):
        score_packed(model, two_prompts(model), IDS, MASK)
    with pytest.raises(ValueError, match="'eager'.*sdpa"):
        use_shared_prefix_attention(model)


def test_the_scorer_keeps_a_fast_way_that_is_right():
    model = compact_model().train()
    scorer, inputs = Scorer(model), two_prompts(model)
    plain = score_plain(model, inputs, IDS, MASK)
    with count_work(model) as first:
        found = scorer(inputs, IDS, MASK)
    with count_work(model) as second:
        scorer(inputs, IDS, MASK)
    torch.testing.assert_close(found.logps, plain.logps, atol=1e-5, rtol=0)
    assert found.logps.requires_grad and model.training and scorer.shared_prefix
    assert (first.encoder_windows, second.encoder_windows) == (12 + 4 + 4, 4)


def test_the_scorer_checks_without_a_gpus_shortcuts_and_leaves_them_as_they_were(monkeypatch):
    """Convolutions in TF32 put the two ways 6e-4 nats apart on an H100, without them 1e-6."""
    allowed = []

    def noted(*batch):
        allowed.append((torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()))
        return score_packed(*batch)

    monkeypatch.setattr("speechqa_plugin.grpo.scoring.score_packed", noted)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    torch.set_float32_matmul_precision("high")
    try:
        model = compact_model()
        Scorer(model)(two_prompts(model), IDS, MASK)
        assert allowed == [(False, "highest"), (True, "high")]
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("error", [1.0, float("nan")])
def test_the_scorer_leaves_a_fast_way_that_is_wrong_and_says_so(monkeypatch, caplog, error):
    def wrong(*batch):
        right = score_packed(*batch)
        return Scores(right.logps + error, right.entropies, right.choice_logps)

    model = compact_model()
    scorer, inputs = Scorer(model), two_prompts(model)
    monkeypatch.setattr("speechqa_plugin.grpo.scoring.score_packed", wrong)
    found = scorer(inputs, IDS, MASK)
    assert torch.equal(found.logps, score_plain(model, inputs, IDS, MASK).logps)
    assert not scorer.shared_prefix
    assert "nats off the plain way" in caplog.text


def test_the_scorer_allows_for_the_precision_it_computes_in(monkeypatch, caplog):
    def rounded(*batch):
        right = score_packed(*batch)
        return Scores(right.logps + 0.01, right.entropies, right.choice_logps)

    model = compact_model()
    scorer, inputs = Scorer(model), two_prompts(model)
    monkeypatch.setattr("speechqa_plugin.grpo.scoring.score_packed", rounded)
    with torch.autocast("cpu", torch.bfloat16):
        scorer(inputs, IDS, MASK)
    assert scorer.shared_prefix and not caplog.text


def test_a_temperature_that_is_none_is_refused():
    with pytest.raises(ValueError, match="temperature is 0; need one above 0"):
        Scorer(compact_model(), temperature=0)


def test_the_scorer_can_be_told_to_score_plainly():
    model = compact_model()
    scorer = Scorer(model, shared_prefix=False)
    with count_work(model) as work:
        scorer(two_prompts(model), IDS, MASK)
    assert work.encoder_windows == GROUP_SIZE * 4
    assert model.model.get_decoder().config._attn_implementation == "sdpa"
