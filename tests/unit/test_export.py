"""Model to folder and back."""

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from tiny import CLEAN, NOISY, tiny_answerer, trained_answerer

from speechqa_plugin.export import export_assessor, load_answerer, load_model
from speechqa_plugin.inference import SpeechQualityAssessor
from speechqa_plugin.listening import Answerer
from speechqa_plugin.models.audio_flamingo3 import AudioFlamingo3
from speechqa_plugin.schema import load_taxonomy


def contents(folder):
    return {f.name: f.read_bytes() for f in folder.iterdir()}


def test_loaded_model_is_the_exported_one(tmp_path):
    answerer = trained_answerer()
    loaded = SpeechQualityAssessor.from_hparams(export_assessor(answerer, tmp_path / "model"))
    assert loaded.answerer.taxonomy == answerer.taxonomy
    assert loaded.answerer.max_new_tokens == answerer.max_new_tokens
    state = loaded.answerer.audio_llm.state_dict()
    for name, tensor in answerer.audio_llm.state_dict().items():
        assert torch.equal(state[name], tensor), name
    assert not any(p.requires_grad for p in loaded.answerer.audio_llm.parameters())


def test_a_taxonomy_of_ones_own_travels_along(tmp_path):
    answerer = Answerer(tiny_answerer().audio_llm, load_taxonomy("nisqa"))
    loaded = SpeechQualityAssessor.from_hparams(export_assessor(answerer, tmp_path / "model"))
    assert loaded.answerer.taxonomy == load_taxonomy("nisqa")


def test_an_exported_model_is_there_to_be_trained_on(tmp_path):
    answerer = trained_answerer()
    folder = export_assessor(answerer, tmp_path / "model")
    loaded = load_answerer(folder)
    assert loaded.taxonomy == answerer.taxonomy
    model = load_model(folder)
    for name, tensor in answerer.audio_llm.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name
    assert any(p.requires_grad for p in model.parameters())
    with pytest.raises(FileNotFoundError, match="nowhere: no hyperparams.yaml in it; need the fol"):
        load_model(tmp_path / "nowhere")


def test_a_folder_that_is_no_export_stays_as_it_is(tmp_path):
    folder = tmp_path / "holiday"
    folder.mkdir()
    (folder / "photo.jpg").write_bytes(b"sea")
    with pytest.raises(FileExistsError, match="holiday is there and holds no exported model"):
        export_assessor(tiny_answerer(), folder)
    assert contents(folder) == {"photo.jpg": b"sea"}
    assert [f.name for f in tmp_path.iterdir()] == ["holiday"]


def test_a_training_checkpoint_stays_as_it_is(tmp_path):
    folder = tmp_path / "CKPT+1"
    folder.mkdir()
    for name in ("audio_llm.ckpt", "optimizer.ckpt", "hyperparams.yaml"):
        (folder / name).write_text("hours of work")
    before = contents(folder)
    with pytest.raises(FileExistsError, match="holds no exported model"):
        export_assessor(tiny_answerer(), folder)
    assert contents(folder) == before


def test_an_earlier_export_is_replaced_whole(tmp_path):
    folder = export_assessor(tiny_answerer(seed=1), tmp_path / "model")
    before = contents(folder)
    (folder / "left_over.txt").touch()
    export_assessor(tiny_answerer(seed=2), folder)
    after = contents(folder)
    assert after.keys() == before.keys()
    assert after["audio_llm.ckpt"] != before["audio_llm.ckpt"]
    assert after["hyperparams.yaml"].replace(b"seed: 2", b"seed: 1") == before["hyperparams.yaml"]
    assert [f.name for f in tmp_path.iterdir()] == ["model"]


def test_a_failed_export_leaves_the_earlier_one(tmp_path):
    folder = export_assessor(tiny_answerer(), tmp_path / "model")
    before = contents(folder)
    broken = tiny_answerer()
    broken.audio_llm.state_names += ("no such tensor",)
    with pytest.raises(KeyError):
        export_assessor(broken, folder)
    assert contents(folder) == before
    assert [f.name for f in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("change", ["missing", "renamed", "reshaped", "added"])
def test_weights_that_do_not_fit_are_refused(tmp_path, change):
    folder = export_assessor(tiny_answerer(), tmp_path / "model")
    state = load_file(folder / "audio_llm.ckpt")
    name = "lm_head.weight"
    tensor = state.pop(name)
    if change == "renamed":
        state["lm_head.wait"] = tensor
    elif change == "reshaped":
        state[name] = tensor[:-1].contiguous()
    elif change == "added":
        state |= {name: tensor, "extra": torch.zeros(1)}
    save_file(state, folder / "audio_llm.ckpt")
    with pytest.raises(ValueError, match=r"audio_llm.ckpt: \d+ of \d+ tensors do not fit"):
        SpeechQualityAssessor.from_hparams(folder)


# --- a model on a published base: the folder holds what was trained, the base lies elsewhere


@pytest.fixture
def base(tmp_path):
    """A base with the classes and files of the published one."""
    return save_base(tmp_path / "base")


def save_base(folder, **changes):
    model = tiny_answerer(**changes).audio_llm
    model.model.save_pretrained(folder)
    model.processor.save_pretrained(folder)
    return folder


@pytest.fixture
def tuned(base):
    """An answerer on that base whose adapter, encoder and projector have moved."""
    model = AudioFlamingo3(str(base), lora_rank=2, dtype="float32")
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.05 * torch.randn_like(parameter)
    model.eval()
    return Answerer(model, load_taxonomy("qualispeech"), max_new_tokens=32)


def test_adapter_and_encoder_are_exported_and_the_base_is_named(tuned, base, tmp_path):
    folder = export_assessor(tuned, tmp_path / "model")
    names = load_file(folder / "audio_llm.ckpt").keys()
    for part in ("lora_A", "lora_B", "audio_tower.conv1", "multi_modal_projector"):
        assert any(part in n for n in names), part
    assert not any("lm_head" in n or n.endswith("base_layer.weight") for n in names)
    scalars = (folder / "hyperparams.yaml").read_text().splitlines()
    assert f"base_model: {base}" in scalars


def test_model_on_a_base_is_loaded_as_it_was(tuned, tmp_path):
    loaded = SpeechQualityAssessor.from_hparams(export_assessor(tuned, tmp_path / "model"))
    for form in ("scores", "reasoned"):
        assert loaded.answerer.answer([CLEAN, NOISY], form) == tuned.answer([CLEAN, NOISY], form)


def test_base_that_was_moved_is_found_by_an_override(tuned, base, tmp_path):
    folder = export_assessor(tuned, tmp_path / "model")
    moved = base.rename(tmp_path / "moved")
    with pytest.raises(OSError, match="base model .*overrides={'base_model'"):
        SpeechQualityAssessor.from_hparams(folder)
    loaded = SpeechQualityAssessor.from_hparams(folder, overrides={"base_model": str(moved)})
    assert loaded.answerer.answer([NOISY], "scores") == tuned.answer([NOISY], "scores")


def test_base_of_another_size_is_refused(tuned, tmp_path):
    folder = export_assessor(tuned, tmp_path / "model")
    other = save_base(tmp_path / "other", encoder_dim=32)
    with pytest.raises(ValueError, match="tensors do not fit this model"):
        SpeechQualityAssessor.from_hparams(folder, overrides={"base_model": str(other)})


def test_base_given_relative_to_here_is_found_from_elsewhere(base, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = AudioFlamingo3("base", lora_rank=2, dtype="float32")
    folder = export_assessor(Answerer(model, load_taxonomy("nisqa")), tmp_path / "model")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    SpeechQualityAssessor.from_hparams(folder)


def test_hyperparameters_are_what_a_person_can_read(tmp_path):
    folder = export_assessor(tiny_answerer(), tmp_path / "model")
    text = (folder / "hyperparams.yaml").read_text(encoding="utf-8")
    plain = yaml.load(text.replace("!", "#!"), Loader=yaml.SafeLoader)
    assert set(plain) == {"audio_llm", "taxonomy", "answerer", "modules", "pretrainer"}
    assert str(tmp_path) not in text
