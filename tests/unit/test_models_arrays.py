"""The network in numpy is the one of transformers: same weights, same clip, same numbers."""

import numpy as np
import pytest
import torch
from tiny import CLEAN, NOISY, SIZES, clip, tiny_answerer, trained_answerer

from speechqa_plugin.listening import Answerer
from speechqa_plugin.models.array_llm import ArrayLLM, Sizes, UnknownModelError, weight_shapes
from speechqa_plugin.models.arrays import ArrayNetwork, gelu, log_mel, mel_filters, n_frames
from speechqa_plugin.models.compact import CompactAudioFlamingo3
from speechqa_plugin.models.contexts import GrowingContext
from speechqa_plugin.models.modes import inference
from speechqa_plugin.text.answers import AnswerForm

STEMS = ["conv1d", "conv2d"]
WINDOW_S, HOP, BANDS = 2, 320, 80


def small(**changes):
    """More of each kind of layer than one."""
    sizes = {**SIZES, "encoder_layers": 2, "lm_layers": 3, "lm_heads": 4, **changes}
    return CompactAudioFlamingo3(**sizes)


def arrays_of(model, path, dtype=None):
    model.save(path, dtype)
    return ArrayLLM(path, Sizes(**model.init_args))


def test_mel_filters_are_those_of_the_feature_extractor():
    expected = small().processor.feature_extractor.mel_filters
    np.testing.assert_allclose(mel_filters(BANDS), expected, atol=1e-6)


def test_gelu_is_exact():
    x = torch.linspace(-9, 9, 10001)
    expected = torch.nn.functional.gelu(x.double())
    np.testing.assert_allclose(gelu(x.numpy()), expected, atol=4e-7)


@pytest.mark.parametrize("stem", STEMS)
@pytest.mark.parametrize("n_samples", [960, 15999, 16001, 32000])
def test_a_clip_is_heard_as_by_transformers(stem, n_samples):
    model = small(stem=stem)
    weights = {name: tensor.numpy() for name, tensor in model.model.state_dict().items()}
    network = ArrayNetwork(weights, 2, 2, 3, 4)
    wav = clip(n_samples / 16000, noise=0.05)
    wav[n_samples // 2 :] *= 0.01
    inputs = model.inputs([wav], ["Rate this."])
    features, frames = log_mel(wav.numpy(), WINDOW_S, BANDS, HOP), n_frames(n_samples, HOP)
    assert frames == int(inputs.features_mask.sum())
    expected = inputs.features[0, :, : features.shape[1]]
    np.testing.assert_allclose(features, expected, atol=1e-4)
    with inference(model):
        audio, embeds = model.audio_embeddings(inputs), model.embed_prompt(inputs)
        context = GrowingContext(model)
        logits = context.read(embeds, inputs.prompt_mask), context.follow(torch.tensor([7]))
    np.testing.assert_allclose(network.audio_embeddings(features, frames), audio, atol=1e-4)
    read = network.reader()
    np.testing.assert_allclose(read(embeds[0].numpy()), logits[0][0], atol=1e-4)
    np.testing.assert_allclose(read(network.embedding[[7]]), logits[1][0], atol=1e-4)


def test_types_are_heard_as_by_torch(tmp_path):
    model = small(stem="conv2d", types=["hum", "hiss", "babble"])
    torch.nn.init.normal_(model.model.types.weight, generator=torch.manual_seed(0))
    light, clips = arrays_of(model, tmp_path / "weights"), [CLEAN, NOISY]
    expected = model.hear_types(model.inputs(clips, ["Rate this."] * 2))
    found = light.hear_types(light.inputs(clips, ["Rate this."] * 2))
    assert [len(logits) for logits in expected] == [12, 19]
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert light.types == model.types and light.audio_token_s == model.audio_token_s


@pytest.mark.parametrize("types", [[], ["hum", "hiss"]])
@pytest.mark.parametrize("stem", STEMS)
def test_shapes_are_those_that_are_saved(stem, types):
    model = small(stem=stem, types=types)
    expected = {name: tuple(tensor.shape) for name, tensor in model.model.state_dict().items()}
    assert weight_shapes(Sizes(**model.init_args)) == expected


@pytest.mark.parametrize("form", [AnswerForm.SCORES, AnswerForm.REASONED])
def test_a_trained_model_answers_the_same(tmp_path, form):
    answerer = trained_answerer()
    light = Answerer(arrays_of(answerer.audio_llm, tmp_path / "weights"), answerer.taxonomy)
    clips = [CLEAN, NOISY]
    for ours, theirs in zip(light.answer(clips, form), answerer.answer(clips, form), strict=True):
        assert ours.parsed.text == theirs.parsed.text and ours.finished == theirs.finished
        assert ours.steps == theirs.steps
        for name, probs in theirs.probs.items():
            assert ours.probs[name] == pytest.approx(probs, abs=1e-4)


@pytest.mark.parametrize("changes", [{"stem": "conv2d"}, {"level_db": -26.0}])
def test_an_untrained_model_explains_the_same(tmp_path, changes):
    answerer = tiny_answerer(**changes)
    answerer.long_form = AnswerForm.EXPLAINED
    light = Answerer(arrays_of(answerer.audio_llm, tmp_path / "weights"), answerer.taxonomy)
    light.max_new_tokens = answerer.max_new_tokens
    clips = [clip(0.5, noise=0.1), clip(2.0)]
    expected = answerer.answer(clips, AnswerForm.EXPLAINED)
    for ours, theirs in zip(light.answer(clips, AnswerForm.EXPLAINED), expected, strict=True):
        assert ours.parsed.text == theirs.parsed.text
    expected = answerer.answer(clips, "scores")
    for ours, theirs in zip(light.answer(clips, "scores"), expected, strict=True):
        assert ours.assessment.scores == pytest.approx(theirs.assessment.scores, abs=1e-4)


def test_half_precision_is_read(tmp_path):
    model = small()
    half = arrays_of(model, tmp_path / "half", torch.float16)
    model.load(tmp_path / "half")
    head = model.model.get_output_embeddings().weight
    assert np.array_equal(half.network.head, head.detach())


def test_what_it_is_not(tmp_path):
    model = small()
    model.save(tmp_path / "weights")
    with pytest.raises(UnknownModelError, match="other weights than those of Sizes"):
        ArrayLLM(tmp_path / "weights", Sizes(**{**model.init_args, "lm_layers": 2}))
    model.save(tmp_path / "bfloat16", torch.bfloat16)
    for name in ("none", "text", "bfloat16"):
        (tmp_path / "text").write_text("no weights")
        with pytest.raises(UnknownModelError, match=name):
            ArrayLLM(tmp_path / name, Sizes(**model.init_args))
