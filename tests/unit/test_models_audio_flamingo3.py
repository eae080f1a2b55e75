"""A published base, made small: what is trained, what is saved, and several windows in a clip."""

from copy import deepcopy

import pytest
import torch
from random_models import CLOSE, clips, published_logits, random_model, without_answers
from safetensors.torch import load_file

from speechqa_plugin.models.audio_flamingo3 import AudioFlamingo3

LENGTHS_S = (2.0, 0.25, 1.32, 1.01)  # two windows of 1 s, but for the second clip
PROMPTS = ("Rate this.", "Rate this clip of speech, please.", "a", "from 1 to 5?")
ANSWERS = ("mos: 3", "noise: 4\nmos: 5", "x", "description: It hums.\nmos: 1")
SCORE_IDS = (10, 11, 12, 13, 14)


@pytest.fixture(scope="module")
def compact():
    model = random_model(lm_layers=2)
    model.processor = deepcopy(model.processor)
    model.processor.max_audio_len = 2
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory, compact):
    """As a hub's folder: weights, processor, and a config that samples."""
    path = tmp_path_factory.mktemp("base")
    network = deepcopy(compact.model)
    config = network.generation_config
    config.do_sample, config.temperature, config.repetition_penalty = True, 0.7, 5.0
    config.suppress_tokens = None
    network.save_pretrained(path)
    compact.processor.save_pretrained(path)
    return str(path)


def load(folder, **options):
    options = {"lora_rank": 2, "dtype": "float32", "gradient_checkpointing": False} | options
    torch.manual_seed(0)  # of the adapter's A
    return AudioFlamingo3(folder, **options).eval()


def inputs_for(model):
    return model.inputs(clips(*LENGTHS_S), PROMPTS, ANSWERS)


def gradients(model):
    inputs = inputs_for(model)
    loss = torch.nn.functional.cross_entropy(model(inputs).flatten(0, 1), inputs.labels.flatten())
    loss.backward()
    return {n: p.grad for n, p in model.model.named_parameters() if p.grad is not None}


@torch.no_grad()
def test_clips_of_several_windows_are_heard_as_published_and_alone(folder, compact):
    model = load(folder)
    inputs = inputs_for(model)
    assert inputs.features_mask.sum(-1).tolist() == [100, 100, 25, 100, 32, 100, 1]
    logits = model(inputs)
    real = inputs.answer_mask.bool()
    # The network without adapter, by transformers' own forward.
    torch.testing.assert_close(logits[real], published_logits(compact, inputs)[real], **CLOSE)
    for row, (clip, prompt, answer) in enumerate(
        zip(clips(*LENGTHS_S), PROMPTS, ANSWERS, strict=True)
    ):
        alone = model.inputs([clip], [prompt], [answer])
        length = alone.answer_ids.shape[1]
        torch.testing.assert_close(model(alone)[0], logits[row, :length], **CLOSE)
    assert model.max_audio_s == 2.0


def test_writing_is_greedy_whatever_the_bases_config_says(folder, compact):
    model = load(folder)
    prompts = without_answers(inputs_for(model))
    written = model.generate(prompts, SCORE_IDS, max_new_tokens=16)
    assert written.ids == compact.generate(prompts, SCORE_IDS, max_new_tokens=16).ids
    # A penalty would have kept these from coming twice.
    assert any(len(set(ids)) < len(ids) for ids in written.ids)


def test_adapters_are_on_the_language_model_alone_and_the_rest_of_it_is_frozen(folder):
    model = load(folder)
    tower, projector, adapter = "model.audio_tower.", "model.multi_modal_projector.", ".lora_"
    parameters = dict(model.model.named_parameters())
    adapted = {n.rsplit(".lora_", 1)[0] for n in parameters if adapter in n}
    assert adapted == {
        f"model.language_model.layers.{layer}.{part}_proj"
        for layer in (0, 1)
        for part in [f"self_attn.{x}" for x in "qkvo"]
        + [f"mlp.{x}" for x in ("gate", "up", "down")]
    }
    fixed = f"{tower}embed_positions.weight"
    trained = {n for n in parameters if n.startswith((tower, projector)) or adapter in n} - {fixed}
    assert {n for n, p in parameters.items() if p.requires_grad} == trained
    assert set(model.state_names) == trained


def test_a_frozen_encoder_is_neither_trained_nor_saved(folder, tmp_path):
    model = load(folder, freeze_encoder=True)
    assert not any(p.requires_grad for p in model.encoder().parameters())
    model.save(tmp_path / "a.ckpt")
    saved = load_file(tmp_path / "a.ckpt")
    assert all("lora" in n or "multi_modal_projector" in n for n in saved)
    assert set(gradients(model)) == set(saved)


def test_a_checkpoint_holds_what_was_trained_and_brings_it_back(folder, tmp_path):
    model = load(folder)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    model.save(tmp_path / "a.ckpt")
    assert set(load_file(tmp_path / "a.ckpt")) == set(model.state_names)
    other = load(folder)
    inputs = inputs_for(model)
    with torch.no_grad():
        expected = model(inputs)
        assert not torch.allclose(other(inputs), expected, atol=0.1)
        other.load(tmp_path / "a.ckpt")
        assert torch.equal(other(inputs), expected)


def test_a_checkpoint_of_another_rank_is_refused(folder, tmp_path):
    load(folder).save(tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match=r"lora_A.default.weight: \(2, 16\), need \(3, 16\)"):
        load(folder, lora_rank=3).load(tmp_path / "a.ckpt")


def test_recomputing_activations_changes_no_gradient(folder):
    found, runs = {}, {}
    for recompute in (False, True):
        model = load(folder, gradient_checkpointing=recompute).train()
        layers = (model.encoder().layers[0], model.model.model.language_model.layers[0])
        for layer in layers:
            layer.self_attn.register_forward_pre_hook(
                lambda *_, key=recompute: runs.update({key: runs.get(key, 0) + 1})
            )
        with torch.no_grad():  # at its start B is 0, and so is A's gradient
            for name, parameter in model.named_parameters():
                if "lora_B" in name:
                    parameter.fill_(0.01)
        found[recompute] = gradients(model)
    assert runs == {False: 2, True: 4}
    assert found[False].keys() == found[True].keys() == set(model.state_names)
    for name, gradient in found[False].items():
        torch.testing.assert_close(found[True][name], gradient, **CLOSE)
        assert gradient.any() or name.endswith("k_proj.bias")


@pytest.mark.parametrize("freeze_encoder", [False, True])
def test_a_step_of_the_papers_size_is_not_lost_on_a_bfloat16_base(folder, freeze_encoder):
    model = load(folder, dtype="bfloat16", freeze_encoder=freeze_encoder).train()
    before = {n: p.detach().clone() for n, p in model.model.named_parameters()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1.5e-5, weight_decay=0.0)
    touched = {n for n, gradient in gradients(model).items() if gradient.any()}
    optimizer.step()
    for name, parameter in model.model.named_parameters():
        moved = (parameter != before[name]).float().mean()
        if name in touched:
            assert moved > 0.9, name
        elif name not in model.state_names:
            assert moved == 0, name
            assert parameter.dtype == torch.bfloat16
    assert any("audio_tower" in name for name in touched) != freeze_encoder
    with torch.no_grad():
        exact = load(folder)(inputs_for(model))
        rounding = model(inputs_for(model)).float() - exact
    assert rounding.std() < 0.05 * exact.std()


def test_a_base_that_is_not_there_is_named(tmp_path):
    with pytest.raises(OSError, match=r"base model .*nowhere.*local folder"):
        AudioFlamingo3(str(tmp_path / "nowhere"))
