"""What the model is given: tokens, masks, features, labels, and the score template."""

import pytest
import torch
from random_models import clips, random_model
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from speechqa_plugin.models.compact import compact_tokenizer
from speechqa_plugin.models.inputs import IGNORE_INDEX, pad_right, render_chat
from speechqa_plugin.models.template import ScoreTemplate

PROMPTS = ("Rate this.", "Rate this clip of speech, please.", "a")
ANSWERS = ("mos: 3", "noise: 4\nmos: 5", "x")


@pytest.fixture(scope="module")
def model():
    return random_model()


@pytest.fixture(scope="module")
def batch(model):
    return model.inputs(clips(1.0, 0.25, 0.5), PROMPTS, ANSWERS)


def test_labels_are_the_answer_and_its_end_and_nothing_else(model, batch):
    for row, answer in zip(batch.labels.tolist(), ANSWERS, strict=True):
        kept = [token for token in row if token != IGNORE_INDEX]
        assert row == kept + [IGNORE_INDEX] * (len(row) - len(kept))
        assert model.tokenizer.decode(kept) == answer + model.tokenizer.eos_token
    # There is one label for each column of the logits, and the logits begin at the answer.
    assert model(batch).shape[:2] == batch.labels.shape


def test_prompts_hold_the_chat_without_any_answer_and_end_in_one_column(model, batch):
    for ids, mask, prompt in zip(batch.prompt_ids, batch.prompt_mask, PROMPTS, strict=True):
        assert mask.tolist() == sorted(mask.tolist())  # padding on the left
        assert (ids[mask == 0] == model.tokenizer.pad_token_id).all()
        audio = ids == model.audio_token_id
        text = model.tokenizer.decode(ids[mask.bool() & ~audio])
        assert text == render_chat(model.processor, prompt).replace("<sound>", "")
        assert text.endswith("assistant\n")


def test_a_second_of_audio_is_25_tokens_and_stands_before_the_text(model, batch):
    audio = batch.prompt_ids == model.audio_token_id
    assert audio.sum(-1).tolist() == [25, 6, 12]
    assert batch.features_mask.sum(-1).tolist() == [100, 25, 50]
    for row, ids in zip(audio, batch.prompt_ids, strict=True):
        first = int(row.nonzero()[0])
        assert model.tokenizer.decode(ids[:first]).endswith("<|im_start|>user\n")


@pytest.mark.parametrize("frame_ms", [10, 20])
def test_the_shortest_clip_is_the_first_with_an_audio_token(frame_ms):
    model = random_model(frame_ms=frame_ms)
    shortest_s = model.min_audio_s
    tokens = [
        int((model.inputs(clips(s), ["a"]).prompt_ids == model.audio_token_id).sum())
        for s in (shortest_s, shortest_s - 1.01 * frame_ms / 1000)
    ]
    assert tokens == [1, 0]


def test_features_do_not_depend_on_the_neighbours(model, batch):
    alone = model.inputs(clips(1.0, 0.25, 0.5)[1:2], PROMPTS[1:2])
    assert torch.equal(alone.features[0], batch.features[1])
    assert alone.answer_ids is None and alone.answer_mask is None


@pytest.mark.parametrize(("prompts", "answers"), [(2, None), (3, 2), (3, 4)])
def test_unequal_numbers_are_refused(model, prompts, answers):
    wavs = clips(0.1, 0.1, 0.1)
    with pytest.raises(ValueError, match=f"3 clips, {prompts} prompts, {answers} answers"):
        model.inputs(wavs, ["a"] * prompts, answers and ["b"] * answers)


def test_a_batch_moves_whole(batch):
    moved = batch.to("meta")
    assert {k: (v.device.type, v.shape) for k, v in vars(moved).items()} == {
        k: ("meta", v.shape) for k, v in vars(batch).items()
    }
    assert batch.prompt_ids.device.type == "cpu"


def test_pad_right_marks_what_is_real():
    ids, mask = pad_right([[5], [6, 7, 0]], 0)
    assert ids.tolist() == [[5, 0, 0], [6, 7, 0]]
    assert mask.tolist() == [[1, 0, 0], [1, 1, 1]]


def test_template_and_digits_make_the_answer_again():
    tokenizer = compact_tokenizer()
    template = ScoreTemplate.from_texts(
        tokenizer, [f"noise: {s}\nspeed: {s}\nmos: {s}" for s in range(1, 6)]
    )
    assert [tokenizer.decode([i]) for i in template.score_ids] == list("12345")
    ids = []
    for segment, digit in zip(template.segments, (2, 5, 1), strict=True):
        ids += [*segment, template.score_ids[digit - 1]]
    assert ids == tokenizer.encode("noise: 2\nspeed: 5\nmos: 1")


def byte_pairs(*merges):
    """A tokenizer of characters and the pairs of them that are named."""
    characters = sorted(set("noise: mos12345\n"))
    vocab = {c: i for i, c in enumerate([*characters, *("".join(m) for m in merges)])}
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE(vocab, list(merges))))


def words(*known):
    vocab = {w: i for i, w in enumerate(["?", *known])}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


@pytest.mark.parametrize(
    ("tokenizer", "text", "message"),
    [
        (byte_pairs((" ", "5")), "mos: {}", r"unequal numbers of tokens \(\[6, 6, 6, 6, 5\]\)"),
        # The digit melts with what is before it in one place, not in the other.
        (
            byte_pairs(*((":", d) for d in "12345")),
            "noise:{}mos: {}",
            "2 kinds of score columns",
        ),
        (words("mos:", "1", "2", "3"), "mos: {}", "several scores one token"),
        (byte_pairs(), "mos: {}\n", "1 tokens after the last"),
        (byte_pairs(), "mos: 3", "0 kinds of score columns"),
    ],
)
def test_a_tokenizer_without_a_token_for_each_score_is_refused(tokenizer, text, message):
    texts = [text.format(*[s] * text.count("{}")) for s in range(1, 6)]
    with pytest.raises(ValueError, match=message):
        ScoreTemplate.from_texts(tokenizer, texts)
    ScoreTemplate.from_texts(byte_pairs(), [f"noise: {s}mos: {s}" for s in range(1, 6)])
