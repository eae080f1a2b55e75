"""What Qwen2.5-Omni has alone: its processor, its folders, older names of its weights."""

import math
import shutil

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from random_models import CLOSE, clips, network_logits
from safetensors.torch import load_file, save_file
from tiny_bases import MAX_WINDOWS, WINDOW_S, write_tiny_base
from transformers import ProcessorMixin, Qwen2_5OmniProcessor

from speechqa_plugin.models.qwen25_omni import Qwen25Omni

WEIGHTS, ADAPTER = "model.safetensors", "adapter_model.safetensors"


class Blind(Qwen2_5OmniProcessor):
    """The published processor with nothing but its constructor replaced: no torchvision."""

    def __init__(self, feature_extractor, tokenizer, chat_template=None):
        ProcessorMixin.__init__(self, feature_extractor, tokenizer, chat_template=chat_template)
        for name in ("image_token", "audio_token", "video_token"):
            setattr(self, name, getattr(tokenizer, name))
            setattr(self, f"{name}_id", getattr(tokenizer, f"{name}_id"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_base(tmp_path_factory.mktemp("base"), "qwen25_omni")


def load(folder, **options):
    options = {"lora_rank": 2, "dtype": "float32", "gradient_checkpointing": False} | options
    torch.manual_seed(0)
    return Qwen25Omni(folder, **options).eval()


def network(folder):
    return Qwen25Omni.model_class.from_pretrained(folder, dtype=torch.float32).eval()


def inputs_for(model):
    return model.inputs(clips(0.5, 2.5), ["Rate this clip.", "a"], ["mos: 3", "mos: 1"])


@pytest.mark.parametrize(
    "lengths_s", [(0.5,), (0.02, 4.0, 2.0103), (MAX_WINDOWS * WINDOW_S, 1.0), (19.99, 0.3)]
)
def test_the_processor_does_what_the_published_one_does(folder, lengths_s):
    processor = load(folder).processor
    published = Blind.from_pretrained(folder)
    assert published.chat_template == processor.chat_template
    clip = "<|audio_bos|><|AUDIO|><|audio_eos|>"
    call = {
        "text": [f"{'word ' * i}{clip}Rate this." for i, _ in enumerate(lengths_s)],
        "audio": [np.asarray(c + 0.1) for c in clips(*lengths_s)],  # ends abruptly
        "sampling_rate": 16_000,
        "return_tensors": "pt",
        "text_kwargs": {"padding": True, "padding_side": "left"},
    }
    found, expected = processor(**call), published(**call)
    assert found.keys() == expected.keys()
    for name in ("input_ids", "attention_mask"):
        assert torch.equal(found[name], expected[name])
    mask = expected["feature_attention_mask"].bool()
    width = found["input_features"].shape[-1]
    assert width == min(
        math.ceil((max(lengths_s) * 16_000 + 400) / 160), 100 * MAX_WINDOWS * WINDOW_S
    )
    assert torch.equal(found["feature_attention_mask"].bool(), mask[:, :width])
    assert not mask[:, width:].any()
    features = [batch["input_features"].transpose(1, 2) for batch in (found, expected)]
    torch.testing.assert_close(features[0][mask[:, :width]], features[1][mask], atol=1e-6, rtol=0)


@torch.no_grad()
def test_the_whole_of_it_and_the_thinker_alone_are_both_a_base(folder, tmp_path):
    """The whole has weights of what speaks, too; neither they nor what sees are kept."""
    whole, alone = tmp_path / "whole", tmp_path / "alone"
    model = load(folder)
    inputs = inputs_for(model)
    for path in (whole, alone):
        model.processor.save_pretrained(path)
    network(folder).save_pretrained(alone)
    for name in ("config.json", WEIGHTS):
        shutil.copy(f"{folder}/{name}", whole)
    speaks = {"talker.model.norm.weight": torch.ones(3), "token2wav.a.weight": torch.ones(3)}
    save_file({**load_file(whole / WEIGHTS), **speaks}, whole / WEIGHTS, {"format": "pt"})
    expected = network_logits(network(folder), inputs)
    for path in (whole, alone):
        found = load(str(path))
        torch.testing.assert_close(found(inputs), expected, **CLOSE)
        assert not [n for n in found.model.state_dict() if "visual" in n or "talker" in n]


@torch.no_grad()
@pytest.mark.parametrize("prefix", ["", "thinker."])
def test_an_adapter_and_an_encoder_under_their_older_names_fit(folder, tmp_path, prefix):
    """Before 5.21 transformers had encoder and language model beside each other, as the hub has."""
    oracle = changed(network(folder), "audio_tower")
    encoder = {n: p for n, p in oracle.state_dict().items() if "audio_tower" in n}
    targets = r".*language_model.*\.(q|v)_proj"
    torch.manual_seed(0)  # of A
    oracle = get_peft_model(oracle, LoraConfig(r=3, lora_alpha=5, target_modules=targets))
    changed(oracle, "lora_").eval().save_pretrained(tmp_path)
    adapter = load_file(tmp_path / ADAPTER)
    older = {
        n.replace("model.model.language_model.", f"model.{prefix}model."): p
        for n, p in adapter.items()
    }
    assert not older.keys() & adapter.keys()
    save_file(older, tmp_path / ADAPTER)
    older = {
        n.replace("model.audio_tower.", f"{prefix}audio_tower."): p for n, p in encoder.items()
    }
    save_file(older, tmp_path / "encoder.safetensors")
    model = load(folder, lora_rank=None, weights=str(tmp_path), freeze_projector=True)
    inputs = inputs_for(model)
    oracle = network_logits(oracle.base_model.model, inputs)
    torch.testing.assert_close(model(inputs), oracle, **CLOSE)
    assert not model.init_args["freeze_projector"]  # it came with the encoder


@torch.no_grad()
def test_the_projector_alone_is_a_part_and_the_encoder_without_it_another(folder, tmp_path):
    oracle = changed(network(folder), "audio_tower.")
    tensors = {n: p for n, p in oracle.state_dict().items() if "audio_tower." in n}
    own = {n: p for n, p in tensors.items() if n.startswith(Qwen25Omni.projector_path)}
    others = {n: p for n, p in tensors.items() if n not in own and "bos_eos" not in n}
    assert len(own) == 2
    for name, part in (("own", own), ("others", others)):
        path = tmp_path / f"{name}.safetensors"
        save_file(part, path)
        model = load(folder, weights=str(path), freeze_encoder=True, freeze_projector=True)
        assert model.init_args["freeze_encoder"] == (name == "own")
        assert model.init_args["freeze_projector"] == (name == "others")
    save_file({min(own): own[min(own)]}, tmp_path / "own.safetensors")
    with pytest.raises(ValueError, match=r"proj.weight is missing"):
        load(folder, weights=str(tmp_path / "own.safetensors"))


def changed(model, mark):
    """Move what training would have moved."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if mark in name:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model
