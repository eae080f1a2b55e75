"""Published bases, made small: each hears as transformers does; what is trained, what is saved."""

import math
from dataclasses import replace

import pytest
import torch
from random_models import CLOSE, clips, network_logits, without_answers
from safetensors.torch import load_file
from tiny_bases import MAX_WINDOWS, WINDOW_S, write_tiny_base
from transformers import PreTrainedConfig

from speechqa_plugin.grpo.policy import packed_logps, plain_logps
from speechqa_plugin.models.attention import use_shared_prefix_attention
from speechqa_plugin.models.audio_flamingo3 import AudioFlamingo3
from speechqa_plugin.models.audio_flamingo_next import AudioFlamingoNext
from speechqa_plugin.models.decoder import fill_template, sample, write
from speechqa_plugin.models.qwen2_audio import Qwen2Audio
from speechqa_plugin.models.qwen25_omni import Qwen25Omni

BASES = {
    "audio_flamingo_3": AudioFlamingo3,
    "audio_flamingo_next": AudioFlamingoNext,
    "qwen2_audio": Qwen2Audio,
    "qwen25_omni": Qwen25Omni,
}
MANY = (4.0, 0.25, 2.64, 2.01)  # two windows (chunks) of 2 s, but for the second clip
ONE = (2.0, 0.25, 1.32, 0.4)
PROMPTS = ("Rate this.", "Rate this clip of speech, please.", "a", "from 1 to 5?")
ANSWERS = ("mos: 3", "noise: 4\nmos: 5", "x", "description: It hums.\nmos: 1")
SCORE_IDS = (10, 11, 12, 13, 14)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {kind: write_tiny_base(tmp_path_factory.mktemp(kind), kind) for kind in BASES}


@pytest.fixture(params=BASES)
def folder(request, folders):
    """As a hub's folder: weights, processor, and a config that samples."""
    return folders[request.param]


@pytest.fixture
def flamingo(folders):
    """The same for what is no different between bases."""
    return folders["audio_flamingo_3"]


def base_class(folder):
    types = {b.whole_type or b.model_class.config_class.model_type: b for b in BASES.values()}
    return types[PreTrainedConfig.get_config_dict(folder)[0]["model_type"]]


def mix_of(model):
    """Name of the weights of the encoder's layers."""
    return f"{model.projector_path}.layer_mix"


def load(folder, **options):
    options = {"lora_rank": 2, "dtype": "float32", "gradient_checkpointing": False} | options
    torch.manual_seed(0)  # of the adapter's A
    return base_class(folder)(folder, **options).eval()


def network(folder):
    """The published class as transformers loads it."""
    return base_class(folder).model_class.from_pretrained(folder, dtype=torch.float32).eval()


def lengths_s(model):
    return ONE if isinstance(model, Qwen2Audio) else MANY


def inputs_for(model):
    return model.inputs(clips(*lengths_s(model)), PROMPTS, ANSWERS)


def gradients(model):
    inputs = inputs_for(model)
    loss = torch.nn.functional.cross_entropy(model(inputs).flatten(0, 1), inputs.labels.flatten())
    loss.backward()
    return {n: p.grad for n, p in model.model.named_parameters() if p.grad is not None}


@torch.no_grad()
def test_clips_are_heard_as_published_and_alone(folder):
    model = load(folder)
    inputs = inputs_for(model)
    frames = inputs.features_mask.sum(-1).tolist()
    assert (
        frames
        == {
            AudioFlamingo3: [200, 200, 25, 200, 64, 200, 1],
            AudioFlamingoNext: [200, 200, 25, 200, 64, 200],  # none without a token
            Qwen2Audio: [200, 25, 132, 40],
            Qwen25Omni: [400, 25, 264, 201],
        }[type(model)]
    )
    logits = model(inputs)
    real = inputs.answer_mask.bool()
    torch.testing.assert_close(logits[real], network_logits(network(folder), inputs)[real], **CLOSE)
    for row, (clip, prompt, answer) in enumerate(
        zip(clips(*lengths_s(model)), PROMPTS, ANSWERS, strict=True)
    ):
        alone = model.inputs([clip], [prompt], [answer])
        length = alone.answer_ids.shape[1]
        torch.testing.assert_close(model(alone)[0], logits[row, :length], **CLOSE)


@torch.no_grad()
@pytest.mark.parametrize("longest_s", [0.03, 0.1, 0.3333, 1.99, 2.0])
def test_the_encoder_runs_on_the_frames_that_exist(folder, longest_s):
    model, whole = load(folder), network(folder)
    heard = []
    model.encoder().conv1.register_forward_hook(lambda _, args, __: heard.append(args[0].shape))
    inputs = model.inputs(clips(0.03, longest_s), ["a", "b"], ["c", "d"])
    torch.testing.assert_close(model(inputs), network_logits(whole, inputs), **CLOSE)
    expected = min(200, -(-(round(longest_s * 100) + 4) // 4) * 4)
    if isinstance(model, Qwen25Omni):  # whose convolutions see zeros behind the last frame
        expected = math.ceil(longest_s * 100)
    assert [shape[-1] for shape in heard] == [expected]


def test_what_a_processor_hears_is_what_the_base_says(folder):
    model = load(folder)
    longest_s = WINDOW_S if isinstance(model, Qwen2Audio) else MAX_WINDOWS * WINDOW_S
    assert model.max_audio_s == longest_s
    shortest_s = model.min_audio_s
    counts = [
        int((model.inputs(clips(s), ["a"]).prompt_ids == model.audio_token_id).sum())
        for s in (longest_s, shortest_s, shortest_s - 0.01)
    ]
    assert counts == [longest_s * 25, 1, 0]


@torch.no_grad()
def test_a_window_without_tokens_is_not_taken_for_the_next_clip(folders):
    model = load(folders["audio_flamingo_next"])
    short, other = clips(2.01, 1.0)
    together = model(model.inputs([short, other], ["a", "b"], ["c", "d"]))
    torch.testing.assert_close(together[1:], model(model.inputs([other], ["b"], ["d"])), **CLOSE)
    last = model(model.inputs([other, short], ["b", "a"], ["d", "c"]))
    torch.testing.assert_close(last.flip(0), together, **CLOSE)


@torch.no_grad()
def test_audio_flamingo_next_tells_windows_apart(folders):
    """The same two seconds twice: other vectors the second time, as Audio Flamingo 3's are not."""
    again = clips(2.0)[0].repeat(2)
    for kind, same in (("audio_flamingo_3", True), ("audio_flamingo_next", False)):
        model = load(folders[kind])
        first, second = model.audio_embeddings(model.inputs([again], ["a"])).chunk(2)
        assert torch.allclose(first, second, **CLOSE) == same


def test_writing_is_greedy_whatever_the_bases_config_says(folder):
    config = network(folder).generation_config
    assert config.do_sample and config.repetition_penalty > 1
    model = load(folder)
    prompts = without_answers(inputs_for(model))
    written = write(model, prompts, 16, SCORE_IDS)
    for row, ids in enumerate(written.rows()):
        own = model.inputs(clips(*lengths_s(model))[row : row + 1], [PROMPTS[row]])
        assert write(model, without_answers(own), 16, SCORE_IDS).rows() == [ids]
    with torch.no_grad():
        forced = model(answered(prompts, written.rows())).clone()
    forced[..., model.audio_token_id] = -torch.inf
    for ids, logits in zip(written.rows(), forced, strict=True):
        assert logits.argmax(-1)[: len(ids)].tolist() == ids
    # A penalty would have kept these from coming twice.
    assert any(len(set(ids)) < len(ids) for ids in written.rows())


def answered(inputs, rows):
    ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
    lengths = torch.tensor([[len(row)] for row in rows])
    mask = (torch.arange(ids.shape[1]) < lengths).long()
    return replace(inputs, answer_ids=ids, answer_mask=mask)


def test_filled_scores_are_those_of_a_forward_over_the_models_own_digits(folder):
    model = load(folder)
    prompts = without_answers(inputs_for(model))
    template = model.template([f"noise: {s}\nmos: {s}" for s in range(1, 6)])
    probs = fill_template(model, prompts, template)
    rows = [
        [t for part, d in zip(template.segments, digits, strict=True) for t in (*part, d)]
        for digits in torch.tensor(template.score_ids)[probs.argmax(-1)].tolist()
    ]
    first = len(template.segments[0])
    places = [first, first + 1 + len(template.segments[1])]
    with torch.no_grad():
        forced = model(answered(prompts, rows))[:, places][..., list(template.score_ids)]
    torch.testing.assert_close(probs, forced.softmax(-1), **CLOSE)


def test_a_cache_of_a_fixed_size_writes_the_same(folder):
    model = load(folder)
    prompts = without_answers(inputs_for(model))
    grown, fixed = (
        sample(model, prompts, [1, 2, 3, 4], 3, 6, SCORE_IDS, fixed_context=fixed)
        for fixed in (False, True)
    )
    assert fixed.rows() == grown.rows()
    torch.testing.assert_close(fixed.sampled_logps, grown.sampled_logps, atol=2e-5, rtol=0)


@pytest.mark.parametrize("layer_mix", [False, True])
def test_the_policy_is_what_was_sampled_from_packed_or_not(folder, layer_mix):
    model = load(folder, layer_mix=layer_mix, gradient_checkpointing=True).train()
    wake(model)
    inputs = without_answers(inputs_for(model))
    written = sample(model, inputs, [1, 2, 3, 4], 3, 6)
    batch = (model, inputs, written)
    found = {}
    for logps_of in (plain_logps, packed_logps):
        if logps_of is packed_logps:
            use_shared_prefix_attention(model)
        logps = logps_of(*batch).logps
        torch.testing.assert_close(logps, written.sampled_logps, atol=2e-5, rtol=0)
        model.zero_grad()
        logps.sum().backward()
        found[logps_of] = {
            n: p.grad.clone() for n, p in model.named_parameters() if p.requires_grad
        }
    for name, gradient in found[plain_logps].items():
        scale = max(1.0, float(gradient.abs().max()))
        torch.testing.assert_close(
            found[packed_logps][name], gradient, atol=2e-4 * scale, rtol=0, msg=name
        )


@torch.no_grad()
def wake(model):
    """Give the adapter weights that matter, and every layer a part in the mix."""
    generator = torch.Generator().manual_seed(5)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 10)
        elif name.endswith("layer_mix"):
            parameter.copy_(torch.tensor([0.7, 0.4]))


@torch.no_grad()
def test_a_mix_of_layers_starts_as_the_base_to_the_last_bit(folder):
    plain, mixed = load(folder), load(folder, layer_mix=True)
    inputs = inputs_for(plain)
    assert torch.equal(mixed(inputs), plain(inputs))
    assert dict(mixed.model.named_parameters())[mix_of(mixed)].tolist() == [0.0, 1.0]
    assert not [n for n, _ in plain.named_parameters() if "layer_mix" in n]


@torch.no_grad()
def test_a_mix_weighs_what_the_encoder_gives_after_each_layer(folder):
    """The oracle of the first layer is the published network without the others."""
    model, shallow = load(folder, layer_mix=True), network(folder)
    inputs = inputs_for(model)
    real = inputs.answer_mask.bool()
    mix = dict(model.model.named_parameters())[mix_of(model)]
    mix.copy_(torch.tensor([1.0, 0.0]))
    shallow.model.audio_tower.layers = shallow.model.audio_tower.layers[:1]
    expected = network_logits(shallow, inputs)[real]
    torch.testing.assert_close(model(inputs)[real], expected, **CLOSE)
    ends = [model.encode(inputs)]
    mix.copy_(torch.tensor([0.0, 1.0]))
    ends.append(model.encode(inputs))
    assert (ends[0] - ends[1]).abs().max() > 0.1
    mix.copy_(torch.tensor([-0.5, 2.0]))
    torch.testing.assert_close(model.encode(inputs), -0.5 * ends[0] + 2 * ends[1], **CLOSE)


def test_adapters_are_on_the_language_model_alone_and_the_rest_of_it_is_frozen(folder):
    model = load(folder)
    tower, projector, adapter = "model.audio_tower.", f"{model.projector_path}.", ".lora_"
    parameters = dict(model.model.named_parameters())
    adapted = {n.rsplit(".lora_", 1)[0] for n in parameters if adapter in n}
    assert adapted == {
        f"model.language_model.layers.{layer}.{part}_proj"
        for layer in (0, 1)
        for part in [f"self_attn.{x}" for x in "qkvo"]
        + [f"mlp.{x}" for x in ("gate", "up", "down")]
    }
    unused = isinstance(model, Qwen25Omni)
    fixed = f"{tower}{'audio_bos_eos_token' if unused else 'embed_positions'}.weight"
    assert fixed in parameters
    trained = {n for n in parameters if n.startswith((tower, projector)) or adapter in n} - {fixed}
    assert {n for n, p in parameters.items() if p.requires_grad} == trained
    assert set(model.state_names) == trained


def test_a_frozen_encoder_is_neither_trained_nor_saved(folder, tmp_path):
    model = load(folder, freeze_encoder=True)
    projector = {id(p) for p in model.projector().parameters()}  # the encoder's last layer, or not
    encoder = [p for p in model.encoder().parameters() if id(p) not in projector]
    assert encoder and not any(p.requires_grad for p in encoder)
    model.save(tmp_path / "a.ckpt")
    saved = load_file(tmp_path / "a.ckpt")
    assert all("lora" in n or n.startswith(f"{model.projector_path}.") for n in saved)
    assert set(gradients(model)) == set(saved)


def test_with_encoder_and_projector_frozen_the_adapter_is_all(folder):
    model = load(folder, freeze_encoder=True, freeze_projector=True, layer_mix=True)
    trained = {n for n, p in model.model.named_parameters() if p.requires_grad}
    assert set(model.state_names) == trained
    assert trained == {n for n, _ in model.model.named_parameters() if ".lora_" in n}
    assert model.init_args["freeze_projector"]


@pytest.mark.parametrize("layer_mix", [False, True])
def test_a_checkpoint_holds_what_was_trained_and_brings_it_back(folder, tmp_path, layer_mix):
    model = load(folder, layer_mix=layer_mix)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    model.save(tmp_path / "a.ckpt")
    assert set(load_file(tmp_path / "a.ckpt")) == set(model.state_names)
    assert (mix_of(model) in model.state_names) == layer_mix
    other = load(folder, layer_mix=layer_mix)
    inputs = inputs_for(model)
    with torch.no_grad():
        expected = model(inputs)
        assert not torch.allclose(other(inputs), expected, atol=0.1)
        other.load(tmp_path / "a.ckpt")
        assert torch.equal(other(inputs), expected)


def test_a_checkpoint_of_another_rank_or_without_the_mix_is_refused(flamingo, tmp_path):
    load(flamingo).save(tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match=r"lora_A.default.weight: \(2, 32\), need \(3, 32\)"):
        load(flamingo, lora_rank=3).load(tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match=r"layer_mix: None, need \(2,\)"):
        load(flamingo, layer_mix=True).load(tmp_path / "a.ckpt")


@pytest.mark.parametrize("layer_mix", [False, True])
def test_recomputing_activations_changes_no_gradient(folder, layer_mix):
    found, runs = {}, {}
    for recompute in (False, True):
        model = load(folder, gradient_checkpointing=recompute, layer_mix=layer_mix).train()
        layers = (model.encoder().layers[0], model.model.model.language_model.layers[0])
        for layer in layers:
            layer.self_attn.register_forward_pre_hook(
                lambda *_, key=recompute: runs.update({key: runs.get(key, 0) + 1})
            )
        wake(model)  # at its start B is 0, and so is A's gradient
        found[recompute] = gradients(model)
    assert runs == {False: 2, True: 4}
    assert found[False].keys() == found[True].keys() == set(model.state_names)
    for name, gradient in found[False].items():
        torch.testing.assert_close(found[True][name], gradient, **CLOSE)
        whole = name == mix_of(model)
        assert gradient.all() if whole else gradient.any() or name.endswith("k_proj.bias")


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
    assert any(model.part_of(name) == "encoder" for name in touched) != freeze_encoder
    with torch.no_grad():
        exact = load(folder)(inputs_for(model))
        rounding = model(inputs_for(model)).float() - exact
    assert rounding.std() < 0.05 * exact.std()


def test_a_base_that_is_not_there_is_named(tmp_path):
    with pytest.raises(OSError, match=r"base model .*nowhere.*local folder"):
        AudioFlamingo3(str(tmp_path / "nowhere"))


def test_a_base_of_another_class_is_refused(folders):
    with pytest.raises(ValueError, match=r"of type 'audioflamingo3', AudioFlamingoNext needs"):
        AudioFlamingoNext(folders["audio_flamingo_3"])


def test_no_such_kind_of_tiny_base(tmp_path):
    with pytest.raises(ValueError, match="'whisper'; need one of audio_flamingo_3, audio_fl"):
        write_tiny_base(tmp_path, "whisper")


def test_the_seed_of_a_tiny_base_makes_its_weights_and_nothing_else(tmp_path):
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    one, same, other = (
        load_file(f"{write_tiny_base(tmp_path / str(i), seed=seed)}/model.safetensors")
        for i, seed in enumerate((1, 1, 2))
    )
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(one[n], same[n]) for n in one)
    head = next(n for n in one if n.endswith("lm_head.weight"))
    assert not torch.equal(one[head], other[head])
