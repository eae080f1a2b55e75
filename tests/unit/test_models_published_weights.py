"""Releases as peft writes them, against peft's own forward; and everything that must be refused."""

import json
import shutil

import pytest
import torch
from peft import IA3Config, LoraConfig, get_peft_model
from random_models import CLOSE, clips, network_logits
from safetensors.torch import load_file, save_file
from tiny_bases import write_tiny_base
from transformers import AudioFlamingo3ForConditionalGeneration

from speechqa_plugin.export import export_assessor
from speechqa_plugin.inference import SpeechQualityAssessor
from speechqa_plugin.listening import Answerer
from speechqa_plugin.models.audio_flamingo3 import AudioFlamingo3
from speechqa_plugin.models.published_weights import PublishedWeights
from speechqa_plugin.schema import load_taxonomy

ON_THE_LANGUAGE_MODEL = r".*language_model.*\.(q|v)_proj"
ON_BOTH = ["q_proj", "v_proj"]  # peft takes the encoder's too
TOWER, PROJECTOR = "model.audio_tower.", "model.multi_modal_projector."
ADAPTER = "adapter_model.safetensors"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_tiny_base(tmp_path_factory.mktemp("base"))


def network(base):
    return AudioFlamingo3ForConditionalGeneration.from_pretrained(base, dtype=torch.float32).eval()


@torch.no_grad()
def changed(model, *marks):
    """Move what training would have moved."""
    generator = torch.Generator().manual_seed(3)
    for name, parameter in model.named_parameters():
        if any(mark in name for mark in marks) and "embed_positions" not in name:
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model


def adapted(base, **config):
    """A network that peft gave an adapter, with an encoder and projector of its own."""
    settings = {"r": 3, "lora_alpha": 5, "target_modules": ON_THE_LANGUAGE_MODEL} | config
    torch.manual_seed(0)  # of A
    model = get_peft_model(network(base), LoraConfig(**settings))
    return changed(model, "lora_").eval()


def load(base, weights, **options):
    options = {"dtype": "float32", "gradient_checkpointing": False} | options
    return AudioFlamingo3(base, weights=str(weights), **options).eval()


@torch.no_grad()
def assert_same(model, oracle):
    inputs = model.inputs(clips(2.2, 0.5), ["Rate this.", "a"], ["mos: 3", "noise: 4"])
    real = inputs.answer_mask.bool()
    expected = network_logits(oracle, inputs)[real]
    torch.testing.assert_close(model(inputs)[real], expected, **CLOSE)
    return inputs


def part(model, *starts, prefix=""):
    """Tensors of parts, named as the network names them."""
    state = {n: t.contiguous() for n, t in model.state_dict().items() if n.startswith(starts)}
    return {prefix + n: t for n, t in state.items()}


@pytest.fixture
def release(base, tmp_path):
    adapted(base).save_pretrained(tmp_path / "release")
    return tmp_path / "release"


def edit_config(release, **values):
    file = release / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def edit_adapter(release, change):
    tensors = load_file(release / ADAPTER)
    change(tensors)
    save_file(tensors, release / ADAPTER)


# What is read


@pytest.mark.parametrize("targets", [ON_THE_LANGUAGE_MODEL, ON_BOTH])
def test_an_adapter_sets_rank_scale_and_layers(base, tmp_path, targets):
    oracle = adapted(base, target_modules=targets)
    oracle.save_pretrained(tmp_path)
    model = load(base, tmp_path)
    inputs = assert_same(model, oracle)
    assert (model.init_args["lora_rank"], model.init_args["lora_alpha"]) == (3, 5)
    plain = load(base, tmp_path, lora_rank=3, lora_alpha=5)  # the same, asked for
    assert torch.equal(plain(inputs), model(inputs))


def test_what_is_asked_for_must_be_what_the_adapter_has(base, release):
    with pytest.raises(ValueError, match=r"adapter has \{'r': 3\}, asked for was \{'r': 8\}"):
        load(base, release, lora_rank=8)
    with pytest.raises(ValueError, match=r"has \{'lora_alpha': 5\}, asked for was .*16"):
        load(base, release, lora_alpha=16)
    with pytest.raises(ValueError, match=r"'target_modules': .*asked for was .*q_proj"):
        load(base, release, lora_targets=["q_proj"])


@pytest.mark.parametrize(
    "prefix", ["", "base_model.model.", "as transformers saves", "the encoder alone"]
)
def test_weights_of_the_encoder_are_read_under_their_usual_names(base, tmp_path, prefix):
    oracle = changed(network(base), TOWER)
    if prefix == "as transformers saves":  # which leaves ``model`` out
        oracle.save_pretrained(tmp_path / "whole")
        tensors = load_file(tmp_path / "whole/model.safetensors")
        tensors = {n: t for n, t in tensors.items() if n.startswith("audio_tower.")}
        assert tensors
    elif prefix == "the encoder alone":
        tensors = part(oracle.model.audio_tower, "")
        assert "conv1.weight" in tensors
    else:
        tensors = part(oracle, TOWER, prefix=prefix)
    save_file(tensors, tmp_path / "encoder.safetensors")
    model = load(base, tmp_path / "encoder.safetensors", lora_rank=2)
    assert_same(model, oracle)
    # Positions are fixed and need not be there.
    save_file(
        {n: t for n, t in tensors.items() if "embed_positions" not in n},
        tmp_path / "encoder.safetensors",
    )
    assert_same(load(base, tmp_path / "encoder.safetensors", lora_rank=2), oracle)


@pytest.mark.parametrize("targets", [ON_THE_LANGUAGE_MODEL, ON_BOTH])
def test_an_adapter_and_all_else_that_was_trained_in_one_folder(base, tmp_path, targets):
    trained = changed(network(base), TOWER, PROJECTOR)
    others = part(trained, TOWER, PROJECTOR, prefix="base_model.model.")
    oracle = changed(
        get_peft_model(trained, LoraConfig(r=3, lora_alpha=5, target_modules=targets)), "lora_"
    ).eval()
    oracle.save_pretrained(tmp_path)
    (tmp_path / "encoder").mkdir()
    save_file(others, tmp_path / "encoder/non_lora.safetensors")
    (tmp_path / "training_args.bin").write_bytes(b"a trainer left it")
    assert_same(load(base, tmp_path), oracle)


def test_modules_that_peft_saves_whole_are_read_with_the_adapter(base, tmp_path):
    oracle = adapted(base, modules_to_save=["audio_tower"])
    changed(oracle, "modules_to_save")
    oracle.save_pretrained(tmp_path)
    assert any("audio_tower.conv1" in n for n in load_file(tmp_path / ADAPTER))
    assert_same(load(base, tmp_path), oracle)
    edit_adapter(tmp_path, lambda t: [t.pop(n) for n in list(t) if "audio_tower" in n])
    with pytest.raises(ValueError, match="audio_tower is missing"):
        load(base, tmp_path)


def test_an_adapter_of_older_transformers_fits(base, release):
    expected = load(base, release)

    def rename(tensors):
        for name in list(tensors):
            old = name.replace("model.model.language_model.", "model.language_model.model.")
            assert old != name
            tensors[old] = tensors.pop(name)

    edit_adapter(release, rename)
    inputs = expected.inputs(clips(0.5), ["a"], ["b"])
    assert torch.equal(load(base, release)(inputs), expected(inputs))


def test_shards_are_read_by_their_index(base, tmp_path):
    oracle = changed(network(base), TOWER, PROJECTOR)
    shards = {"a.safetensors": part(oracle, TOWER), "b.safetensors": part(oracle, PROJECTOR)}
    for name, tensors in shards.items():
        save_file(tensors, tmp_path / name)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {n: f for f, ts in shards.items() for n in ts}}))
    for path in (tmp_path, index):
        assert_same(load(base, path, lora_rank=2), oracle)
    short = dict(shards["b.safetensors"])
    lost = min(short)
    del short[lost]
    save_file(short, tmp_path / "b.safetensors")
    with pytest.raises(ValueError, match=f"b.safetensors: lacks {lost}, which model.safetensors.i"):
        load(base, tmp_path, lora_rank=2)
    (tmp_path / "b.safetensors").unlink()
    with pytest.raises(ValueError, match=r"names b.safetensors, which is not there"):
        load(base, index, lora_rank=2)


def test_weights_may_have_fewer_bits_and_no_mix_of_layers(base, tmp_path):
    oracle = changed(network(base), TOWER, PROJECTOR)
    tensors = {n: t.bfloat16() for n, t in part(oracle, TOWER, PROJECTOR).items()}
    save_file(tensors, tmp_path / "a.safetensors")
    rounded = {n: t.float() for n, t in tensors.items() if "embed_positions" not in n}
    oracle.load_state_dict(rounded, strict=False)  # the base's own positions are kept
    model = load(base, tmp_path, lora_rank=2, layer_mix=True)
    assert_same(model, oracle)
    assert model.projector().layer_mix.tolist() == [0.0, 1.0]


@pytest.mark.parametrize("frozen", [False, True])
def test_an_export_needs_the_release_no_more(base, release, tmp_path, frozen):
    oracle = adapted(base)
    trained = changed(network(base), TOWER, PROJECTOR)
    save_file(part(trained, TOWER, PROJECTOR), release / "others.safetensors")
    model = load(base, release, freeze_encoder=frozen, freeze_projector=frozen)
    for module in (model.encoder(), model.projector()):
        assert any(p.requires_grad for p in module.parameters()) != frozen
    export = export_assessor(Answerer(model, load_taxonomy("nisqa")), tmp_path / "export")
    shutil.rmtree(release)
    loaded = SpeechQualityAssessor.from_hparams(export).answerer.audio_llm
    for name in ("audio_tower", "multi_modal_projector"):
        theirs = oracle.base_model.model.model.get_submodule(name)
        theirs.load_state_dict(trained.model.get_submodule(name).state_dict())
    assert_same(loaded, oracle)


def test_an_adapter_in_the_encoder_is_trained_and_exported_whatever_is_frozen(base, tmp_path):
    oracle = adapted(base, target_modules=["q_proj", "v_proj"])
    oracle.save_pretrained(tmp_path / "release")
    model = load(base, tmp_path / "release", freeze_encoder=True)
    trained = [n for n, p in model.encoder().named_parameters() if p.requires_grad]
    assert trained and all(".lora_" in name for name in trained)
    export = export_assessor(Answerer(model, load_taxonomy("nisqa")), tmp_path / "export")
    assert_same(SpeechQualityAssessor.from_hparams(export).answerer.audio_llm, oracle)


# What is refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop(max(t)), r"lora_B.default.weight is missing"),
        (lambda t: t.update(surplus=torch.ones(1)), "surplus is unknown"),
        (
            lambda t: t.update({"model.language_model.norm.weight": torch.ones(32)}),
            "language_model.norm.weight is unknown.*name it as source",
        ),
        (
            lambda t: t.update({max(t): torch.ones(5, 3)}),
            r"lora_B.default.weight: \(5, 3\), need \(32, 3\)|need \(16, 3\)",
        ),
        (
            lambda t: t.update({max(t).removeprefix("base_model.model."): torch.ones(16, 3)}),
            "lora_B.default.weight is there twice",
        ),
        (
            lambda t: t.update({f"{TOWER}conv1.bias": torch.ones(16)}),
            r"model.audio_tower.\S+ is missing.* and \d+ more",
        ),
        (
            lambda t: t.update({f"{PROJECTOR}linear_1.bias": torch.ones(32)}),
            "multi_modal_projector.linear_1.weight is missing",
        ),
    ],
)
def test_every_tensor_is_used_and_none_is_missing(base, release, change, message):
    edit_adapter(release, change)
    published = PublishedWeights.find(release)
    model = AudioFlamingo3(base, lora_rank=3, lora_targets=ON_THE_LANGUAGE_MODEL, dtype="float32")
    before = {n: t.clone() for n, t in model.model.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        published.load_into(model.model)
    assert all(torch.equal(before[n], t) for n, t in model.model.state_dict().items())
    with pytest.raises(ValueError, match=message):
        load(base, release)


def test_other_positions_are_those_of_another_base(base, tmp_path):
    tensors = part(network(base), TOWER)
    tensors[f"{TOWER}embed_positions.weight"] += 0.1
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"embed_positions.weight is not the base's"):
        load(base, tmp_path)


@pytest.mark.parametrize("name", ["adapter_model.bin", "encoder.pt", "deep/weights.pth"])
def test_pickles_are_never_opened(base, release, name):
    file = release / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    for path in (release, file):
        with pytest.raises(ValueError, match=f"{file.name}: pickled weights are not read"):
            load(base, path)


def test_an_adapter_without_its_config_or_its_tensors(base, release):
    config = (release / "adapter_config.json").read_bytes()
    (release / "adapter_config.json").unlink()
    with pytest.raises(ValueError, match=r"gate_proj.lora_A.default.weight is missing"):
        load(base, release, lora_rank=3)
    (release / ADAPTER).rename(release / "other.safetensors")
    (release / "adapter_config.json").write_bytes(config)
    with pytest.raises(ValueError, match="adapter_config.json: has no adapter_model.safetensors"):
        load(base, release)


@pytest.mark.parametrize(
    "special", [{"use_rslora": True}, {"alpha_pattern": {"q_proj": 9}}, {"target_modules": None}]
)
def test_an_adapter_that_computes_otherwise_is_refused(base, release, special):
    edit_config(release, **special)
    with pytest.raises(ValueError, match=f"has .*{next(iter(special))}.*need plain LoRA"):
        load(base, release)


def test_another_kind_of_adapter_is_refused(base, tmp_path):
    ia3 = IA3Config(target_modules=["k_proj", "v_proj", "down_proj"], feedforward_modules=[])
    get_peft_model(network(base), ia3).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="is a IA3 adapter; need plain LoRA"):
        load(base, tmp_path)


def test_two_adapters_in_a_folder(base, release):
    shutil.copytree(release, release / "second")
    with pytest.raises(ValueError, match=r"several adapters \(.*release, .*second\)"):
        load(base, release)


def test_no_weights_at_all(base, tmp_path):
    with pytest.raises(ValueError, match="holds no safetensors file"):
        load(base, tmp_path)
    with pytest.raises(OSError, match="weights 'someone/nothing': no such file or folder"):
        load(base, "someone/nothing")
    (tmp_path / "a.safetensors").write_bytes(b"cut off")
    with pytest.raises(ValueError, match="a.safetensors: is no whole safetensors file"):
        load(base, tmp_path)
