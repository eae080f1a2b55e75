import pytest
import torch
from counting import count_work
from grpo_cases import GROUP_SIZE, clips, compact_model, lora_model, two_prompts, wake_adapter
from transformers.cache_utils import DynamicSlidingWindowLayer

from speechqa_plugin.grpo.policy import packed_logps, plain_logps
from speechqa_plugin.models.attention import use_shared_prefix_attention
from speechqa_plugin.models.contexts import FixedContext, GrowingContext
from speechqa_plugin.models.decoder import draw_tokens, sample, write
from speechqa_plugin.models.groups import take_prompts
from speechqa_plugin.models.modes import full_float32

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
SEEDS = [(7, 0), (7, 1)]
LIMIT = 12
CHOICES = (5, 9)


def eager_to_end(model):
    """A model that writes its end token often, and would write the audio token more often."""
    head = model.model.get_output_embeddings()
    bias = torch.zeros(head.weight.shape[0])
    bias[model.tokenizer.eos_token_id] = 6.5
    bias[model.audio_token_id] = 9.0
    head.bias = torch.nn.Parameter(bias, requires_grad=False)
    return model


@pytest.fixture
def model():
    return eager_to_end(compact_model())


@pytest.mark.parametrize("attention, temperature", [("sdpa", 1), ("shared_prefix", 0.7)])
def test_log_probabilities_of_sampling_are_those_of_the_policy(model, attention, temperature):
    if attention == "shared_prefix":
        use_shared_prefix_attention(model)
    inputs = two_prompts(model)
    written = sample(model, inputs, SEEDS, GROUP_SIZE, LIMIT, CHOICES, temperature)
    assert len(set(written.lengths.tolist())) > 2
    for logps_of in (plain_logps, packed_logps):
        policy = logps_of(model, inputs, written, temperature)
        torch.testing.assert_close(policy.logps, written.sampled_logps, atol=2e-5, rtol=0)
        torch.testing.assert_close(policy.choice_logps, written.choice_logps, atol=2e-5, rtol=0)


def test_a_low_temperature_writes_what_is_likeliest(model):
    inputs = two_prompts(model)
    cold = sample(model, inputs, SEEDS, GROUP_SIZE, LIMIT, temperature=1e-3)
    assert (plain_logps(model, inputs, cold, 1e-3).logps > -1e-3).all()
    greedy = write(model, inputs, LIMIT, CHOICES)
    rows = [row for row in greedy.rows() for _ in range(GROUP_SIZE)]
    assert cold.rows() == rows and torch.equal(greedy.owners, torch.arange(2))
    warm = sample(model, inputs, SEEDS, GROUP_SIZE, LIMIT)
    assert (warm.sampled_logps < -0.1).any()


def test_with_an_adapter_and_gradient_checkpointing_in_training(tmp_path):
    model = lora_model(tmp_path)
    wake_adapter(model)
    model.model.gradient_checkpointing_enable({"use_reentrant": False})
    model.train()
    inputs = two_prompts(model)
    written = sample(model, inputs, SEEDS, 2, 6)
    assert model.training and not written.sampled_logps.requires_grad
    policy = packed_logps(model, inputs, written)
    torch.testing.assert_close(policy.logps, written.sampled_logps, atol=2e-5, rtol=0)


def test_completions_end_at_the_end_token_and_hold_no_audio(model):
    written = sample(model, two_prompts(model), SEEDS, 8, LIMIT)
    end, pad = model.tokenizer.eos_token_id, model.tokenizer.pad_token_id
    assert written.ids.shape[0] == 16
    assert 0 < written.finished.sum() < 16
    assert not (written.ids == model.audio_token_id).any()
    rows = zip(
        written.ids.tolist(),
        written.mask.tolist(),
        written.finished.tolist(),
        written.rows(),
        strict=True,
    )
    for ids, mask, finished, row in rows:
        length = ids.index(end) + 1 if finished else LIMIT
        assert mask == [True] * length + [False] * (len(ids) - length)
        assert end not in row and len(row) == length - finished
        assert ids == row + [end] * finished + [pad] * (len(ids) - length)
    assert (written.sampled_logps[written.mask] < 0).all()


def test_what_is_written_depends_on_the_seed_and_not_on_the_batch(model):
    inputs = two_prompts(model)
    together = sample(model, inputs, SEEDS, GROUP_SIZE, LIMIT)
    assert len({tuple(row) for row in together.rows()}) == 6
    for i, seed in enumerate(SEEDS):
        prompts = torch.tensor([i])
        one = take_prompts(model, inputs, prompts)
        torch.rand(3)  # the global generator has no say
        alone = sample(model, one, [seed], GROUP_SIZE, LIMIT)
        part = together.take(prompts)
        assert alone.rows() == part.rows()
        torch.testing.assert_close(alone.sampled_logps, part.sampled_logps)
        assert torch.equal(alone.finished, part.finished)
    assert sample(model, inputs, [8, 9], GROUP_SIZE, LIMIT).rows() != together.rows()


def test_audio_is_encoded_once_and_finished_rows_are_left_behind(model):
    inputs = two_prompts(model)
    with count_work(model) as work:
        written = sample(model, inputs, SEEDS, 8, LIMIT)
    assert work.encoder_windows == 4
    alive = written.lengths[:, None] > torch.arange(1, LIMIT)
    fewest = inputs.prompt_ids.numel() + int(alive.sum())
    everyone = inputs.prompt_ids.numel() + 16 * (LIMIT - 1)
    assert fewest <= work.lm_tokens < (fewest + everyone) / 2


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_gpu)])
@pytest.mark.parametrize("lowered, error", [(False, 2e-5), (True, 2e-2)])
def test_a_context_of_a_fixed_size_writes_the_same(model, device, lowered, error):
    """On a GPU from a recorded graph. Twice, as what is recorded must not outlive its rollout."""
    model.to(device)
    inputs = two_prompts(model).to(device)
    for seeds in (SEEDS, [8, 9]):
        with full_float32(), torch.autocast(device, torch.bfloat16, enabled=lowered):
            grown, fixed = (
                sample(model, inputs, seeds, GROUP_SIZE, LIMIT, CHOICES, 0.7, fixed_context=fixed)
                for fixed in (False, True)
            )
        assert len(set(grown.lengths.tolist())) > 2
        for name in ("ids", "mask", "finished", "sampled_logps", "choice_logps"):
            got, wanted = getattr(fixed, name), getattr(grown, name)
            torch.testing.assert_close(got, wanted, atol=error, rtol=0)
        assert (fixed.group_size, fixed.choice_ids) == (grown.group_size, grown.choice_ids)


def test_layers_that_forget_do_not_fit_a_context_of_a_fixed_size(model):
    context = GrowingContext(model)
    inputs = two_prompts(model)
    context.read(model.embed_prompt(inputs), inputs.prompt_mask)
    assert FixedContext.fits(context)
    context.cache.layers[0] = DynamicSlidingWindowLayer(8)
    assert not FixedContext.fits(context)


def test_draws_that_are_even_give_tokens_by_their_probabilities():
    probabilities = torch.tensor([0.0, 0.125, 0.5, 0.0, 0.375, 0.0])
    draws = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    tokens = draw_tokens(probabilities.log().expand(1000, 6), draws)
    assert torch.bincount(tokens, minlength=6).tolist() == [0, 125, 500, 0, 375, 0]
    edges = torch.tensor([0.0, 1 - 2**-53], dtype=torch.float64)
    assert draw_tokens(probabilities.log().expand(2, 6), edges).tolist() == [1, 4]


@pytest.mark.parametrize("seeds, group, limit", [([1], 2, 4), ([1, 2], 0, 4), ([1, 2], 2, 0)])
def test_numbers_that_do_not_fit_are_refused(model, seeds, group, limit):
    with pytest.raises(ValueError, match="need a seed for each prompt"):
        sample(model, two_prompts(model), seeds, group, limit)


def test_a_broken_model_is_named(model):
    with torch.no_grad():
        model.model.model.multi_modal_projector.linear_1.weight[0, 0] = torch.nan
    inputs = model.inputs(clips(0.4), ["a"])
    with pytest.raises(FloatingPointError, match="not finite"):
        sample(model, inputs, [1], 2, 3)
