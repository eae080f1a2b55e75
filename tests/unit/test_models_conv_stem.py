"""The compact model with a 2-D convolutional stem: what holds for the published one holds here."""

from dataclasses import replace

import pytest
import torch
from grpo_cases import completions, two_prompts
from random_models import CLOSE, RATE_HZ, clips, random_model, without_answers
from speechbrain.utils.checkpoints import Checkpointer
from tiny import CLEAN, NOISY, tiny_answerer

from speechqa_plugin.export import export_assessor
from speechqa_plugin.grpo.policy import packed_logps, plain_logps
from speechqa_plugin.inference import SpeechQualityAssessor
from speechqa_plugin.models.attention import use_shared_prefix_attention
from speechqa_plugin.models.compact import CompactAudioFlamingo3
from speechqa_plugin.models.conv_stem import ConvStem
from speechqa_plugin.models.decoder import fill_template, write

LENGTHS_S = (1.0, 0.25, 0.57, 0.03)
PROMPTS = ("Rate this.", "Rate this clip of speech, please.", "a", "from 1 to 5?")
ANSWERS = ("mos: 3", "noise: 4\nmos: 5", "x", "description: It hums.\nmos: 1")


@pytest.fixture(params=["train", "eval"])
def model(request):
    return random_model(stem="conv2d").train(request.param == "train")


@torch.no_grad()
@pytest.mark.parametrize("frames", [1, 2, 3, 4, 7, 100])
def test_two_frames_make_one_vector_as_whispers_convolutions_do(frames):
    theirs, ours = random_model().encoder(), ConvStem(16, 8)
    x = torch.zeros(1, 16, frames)
    lengths, _ = theirs._get_feat_extract_output_lengths(torch.tensor([frames]))
    assert ours(x, torch.tensor([frames])).shape == (1, int(lengths), 8)
    assert theirs.conv2(theirs.conv1(x)).shape[-1] == int(lengths)


@torch.no_grad()
def test_a_frames_vector_hangs_on_its_neighbourhood_alone():
    """Statistics over time would carry a click at the end to every vector before it."""
    stem = ConvStem(16, 8).train()
    x = torch.randn(1, 16, 60)
    clicked = x.clone()
    clicked[..., 50] += 10
    lengths = torch.tensor([60])
    moved = (stem(clicked, lengths) - stem(x, lengths)).abs().amax(-1)[0] > 1e-6
    reach = moved.nonzero().flatten().tolist()
    assert 25 in reach and 20 <= min(reach) and max(reach) < 30


@torch.no_grad()
def test_a_batch_of_unequal_lengths_is_its_rows_one_by_one(model):
    batch = model.inputs(clips(*LENGTHS_S), PROMPTS, ANSWERS)
    template = model.template([f"noise: {s}\nmos: {s}" for s in range(1, 6)])
    logits, heard = model(batch), model.audio_embeddings(batch)
    probs = fill_template(model, without_answers(batch), template)
    rows = write(model, without_answers(batch), 12, template.score_ids).rows()
    first = 0
    for row, case in enumerate(zip(clips(*LENGTHS_S), PROMPTS, ANSWERS, strict=True)):
        alone = model.inputs(*[[item] for item in case])
        own = model.audio_embeddings(alone)
        torch.testing.assert_close(own, heard[first : first + len(own)], **CLOSE)
        first += len(own)
        length = alone.answer_ids.shape[1]
        torch.testing.assert_close(model(alone)[0], logits[row, :length], **CLOSE)
        alone = without_answers(alone)
        torch.testing.assert_close(fill_template(model, alone, template)[0], probs[row], **CLOSE)
        assert write(model, alone, 12, template.score_ids).rows() == [rows[row]]
    assert first == len(heard)
    # The comparison means something only if the audio is heard at all.
    others = replace(batch, features=batch.features.flip(0))
    assert (model(others) - logits)[batch.answer_mask.bool()].abs().max() > 0.01


@torch.no_grad()
def test_what_lies_behind_a_clips_end_is_not_heard(model):
    batch = model.inputs(clips(0.3, 0.61), PROMPTS[:2])
    behind = batch.features_mask[:, None] == 0
    noisy = replace(batch, features=torch.where(behind, 1e3, batch.features))
    wanted = model.audio_embeddings(batch)
    torch.testing.assert_close(model.audio_embeddings(noisy), wanted, rtol=0, atol=0)


def test_every_weight_learns_the_same_from_a_batch_and_from_its_clips(model):
    """The gradient of a sum over clips, whatever they are batched with."""

    def gradient(inputs):
        model.zero_grad()
        weights = torch.linspace(-1, 1, inputs.answer_ids.shape[1])[:, None]
        (model(inputs) * weights * inputs.answer_mask[..., None]).pow(2).sum().backward()
        return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}

    whole = gradient(model.inputs(clips(0.8, 0.3), PROMPTS[:2], ["mos: 3"] * 2))
    parts = [
        gradient(model.inputs([clip], [prompt], ["mos: 3"]))
        for clip, prompt in zip(clips(0.8, 0.3), PROMPTS, strict=False)
    ]
    assert whole.keys() == {n for n, p in model.named_parameters() if p.requires_grad}
    for name, grad in whole.items():
        if "k_proj.bias" not in name:  # it shifts all of a query's attention logits alike
            assert grad.any(), name
            limit = 1e-4 * float(grad.abs().max())
            torch.testing.assert_close(sum(p[name] for p in parts), grad, rtol=1e-3, atol=limit)


def test_packed_equals_plain():
    model = CompactAudioFlamingo3(16, 1, 2, 32, 1, 2, window_s=3, stem="conv2d").train()
    inputs = two_prompts(model)
    plain = plain_logps(model, inputs, completions())
    use_shared_prefix_attention(model)
    packed = packed_logps(model, inputs, completions())
    torch.testing.assert_close(packed.logps, plain.logps, atol=1e-5, rtol=0)


def test_the_seed_makes_the_weights_and_nothing_else():
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    one, same, other = (random_model(stem="conv2d", seed=s).state_dict() for s in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(one[n], same[n]) for n in one)
    name = next(n for n in one if "conv_stem" in n and "weight" in n)
    assert not torch.equal(one[name], other[name])
    assert not [n for n in one if "conv1" in n or "conv2" in n or "running" in n]


def test_all_but_the_stem_starts_as_without_it():
    with_, without = (random_model(stem=s).state_dict() for s in ("conv2d", "conv1d"))
    shared = with_.keys() & without.keys()
    assert len(without) - len(shared) == 4  # two convolutions and their biases
    assert all(torch.equal(with_[n], without[n]) for n in shared)


def test_an_unknown_stem_is_refused():
    with pytest.raises(ValueError, match="stem is 'conv3d'; need conv1d or conv2d"):
        random_model(stem="conv3d")


def test_checkpoints_hold_every_bit_and_fit_no_other_stem(tmp_path):
    one, other = (random_model(stem="conv2d", seed=s) for s in (1, 2))
    Checkpointer(tmp_path, {"audio_llm": one}).save_checkpoint()
    assert Checkpointer(tmp_path, {"audio_llm": other}).recover_if_possible()
    inputs = one.inputs(clips(*LENGTHS_S), PROMPTS, ANSWERS)
    with torch.no_grad():
        assert torch.equal(one(inputs), other(inputs))
    one.save(tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match="tensors do not fit this model.*conv"):
        random_model().load(tmp_path / "a.ckpt")


def test_an_export_says_what_the_model_said(tmp_path):
    answerer = tiny_answerer(stem="conv2d")
    answerer.audio_llm.eval()
    loaded = SpeechQualityAssessor.from_hparams(export_assessor(answerer, tmp_path / "model"))
    assert loaded.answerer.audio_llm.init_args["stem"] == "conv2d"
    clip = [CLEAN, NOISY[: int(0.7 * RATE_HZ)]]
    theirs, ours = (a.answer(clip, "scores") for a in (answerer, loaded.answerer))
    assert [a.probs for a in theirs] == [a.probs for a in ours]


def test_an_export_without_it_is_as_it_was(tmp_path):
    folder = export_assessor(tiny_answerer(), tmp_path / "model")
    assert "stem" not in (folder / "hyperparams.yaml").read_text()
