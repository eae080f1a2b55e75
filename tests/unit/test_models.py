"""The compact model against the unmodified network of transformers, and its own batch of one."""

import math
from dataclasses import replace

import pytest
import torch
from random_models import CLOSE, SIZES, clips, published_logits, random_model, without_answers
from safetensors.torch import load_file, save_file
from speechbrain.utils.checkpoints import Checkpointer
from tiny import NOISY, tiny_answerer
from tokenizers import Tokenizer
from transformers.models.whisper.modeling_whisper import sinusoids

from speechqa_plugin.models.audio_llm import AudioLLM
from speechqa_plugin.models.compact import (
    POSITION_SCALE,
    CompactAudioFlamingo3,
    compact_processor,
    compact_tokenizer,
    train_tokenizer,
    wrap_tokenizer,
)
from speechqa_plugin.models.compact_text import CHAT_FRAME
from speechqa_plugin.models.decoder import fill_template, write
from speechqa_plugin.models.inputs import render_chat
from speechqa_plugin.models.whisper_like import ENCODER_MARGIN_FRAMES
from speechqa_plugin.schema import Assessment, load_taxonomy
from speechqa_plugin.text.answers import render_answer

NISQA = load_taxonomy("nisqa")
LENGTHS_S = (1.0, 0.25, 0.57, 0.03)
PROMPTS = ("Rate this.", "Rate this clip of speech, please.", "a", "from 1 to 5?")
ANSWERS = ("mos: 3", "noise: 4\nmos: 5", "x", "description: It hums.\nmos: 1")


def scores_texts(taxonomy):
    rated = [Assessment(taxonomy, dict.fromkeys(taxonomy.names, s)) for s in range(1, 6)]
    return [render_answer(a, "scores") for a in rated]


@pytest.fixture(scope="module")
def model():
    return random_model()


@pytest.fixture(scope="module")
def template(model):
    return model.template(scores_texts(NISQA))


@pytest.fixture(scope="module")
def batch(model):
    return model.inputs(clips(*LENGTHS_S), PROMPTS, ANSWERS)


def score_probs(written):
    """Of each completion [T_i, 5], without its end token."""
    return [
        p[: len(ids)] for ids, p in zip(written.rows(), written.choice_logps.exp(), strict=True)
    ]


def with_answer_ids(inputs, ids):
    """Any token ids as the answers, of unequal lengths."""
    rows = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in ids], batch_first=True)
    mask = torch.zeros_like(rows)
    for row, own in zip(mask, ids, strict=True):
        row[: len(own)] = 1
    return replace(inputs, answer_ids=rows, answer_mask=mask)


@torch.no_grad()
@pytest.mark.parametrize("frame_ms", [10, 20])
@pytest.mark.parametrize("lengths_s", [(1.0, 0.25, 0.57, 0.06), (0.06, 0.08, 0.1, 0.2)])
def test_forward_is_the_published_one(lengths_s, frame_ms):
    model = random_model(frame_ms=frame_ms)
    inputs = model.inputs(clips(*lengths_s), PROMPTS, ANSWERS)
    real = inputs.answer_mask.bool()
    torch.testing.assert_close(model(inputs)[real], published_logits(model, inputs)[real], **CLOSE)
    # The comparison means something only if the audio is heard at all.
    others = replace(inputs, features=inputs.features.flip(0))
    assert (model(others) - model(inputs))[real].abs().max() > 0.01


@torch.no_grad()
@pytest.mark.parametrize("longest_s", [0.03, 0.035, 0.1, 0.3333, 0.99, 1.0])
def test_the_cropped_encoder_is_the_padded_one(model, longest_s):
    inputs = model.inputs(clips(0.03, longest_s), ["a", "b"])
    heard = []
    hook = model.encoder().conv1.register_forward_hook(lambda _, args, __: heard.append(args[0]))
    try:
        ours = model.audio_embeddings(inputs)
    finally:
        hook.remove()
    theirs = model.model.get_audio_features(
        inputs.features, inputs.features_mask, return_dict=True
    ).pooler_output
    torch.testing.assert_close(ours, theirs, **CLOSE)
    frames = int(inputs.features_mask.sum(-1).max())
    assert frames == math.ceil(longest_s * 100)
    assert heard[0].shape[-1] <= min(inputs.features.shape[-1], frames + ENCODER_MARGIN_FRAMES + 3)


@torch.no_grad()
def test_a_batch_of_unequal_lengths_is_its_rows_one_by_one(model, batch, template):
    logits = model(batch)
    probs = fill_template(model, without_answers(batch), template)
    written = write(model, without_answers(batch), 12, template.score_ids)
    rows, recorded = written.rows(), score_probs(written)
    assert len({tuple(ids) for ids in rows}) > 1
    for row, (clip, prompt, answer) in enumerate(
        zip(clips(*LENGTHS_S), PROMPTS, ANSWERS, strict=True)
    ):
        alone = model.inputs([clip], [prompt], [answer])
        length = alone.answer_ids.shape[1]
        torch.testing.assert_close(model(alone)[0], logits[row, :length], **CLOSE)
        alone = without_answers(alone)
        torch.testing.assert_close(fill_template(model, alone, template)[0], probs[row], **CLOSE)
        own = write(model, alone, 12, template.score_ids)
        assert own.rows() == [rows[row]]
        torch.testing.assert_close(score_probs(own)[0], recorded[row], **CLOSE)


def test_no_audio_token_from_one_clip_reaches_another_prompt(model):
    """A prompt that names the audio token asks for more audio than there is."""
    inputs = model.inputs(clips(0.2), ["Rate this."])
    sneaky = replace(inputs, prompt_ids=inputs.prompt_ids.clone())
    sneaky.prompt_ids[0, -1] = model.audio_token_id
    with pytest.raises(ValueError, match="6 audio tokens, the clips 5"):
        model.embed_prompt(sneaky)


def test_filled_scores_are_those_of_a_forward_over_the_models_own_digits(model, batch, template):
    prompts = without_answers(batch)
    probs = fill_template(model, prompts, template)
    assert probs.shape == (len(PROMPTS), len(NISQA.names), 5)
    torch.testing.assert_close(probs.sum(-1), torch.ones(probs.shape[:2]))
    rows, places = [], []
    for digits in probs.argmax(-1).tolist():
        ids, places = [], []
        for segment, digit in zip(template.segments, digits, strict=True):
            places.append(len(ids) + len(segment))
            ids += [*segment, template.score_ids[digit]]
        rows.append(ids)
    with torch.no_grad():
        logits = model(with_answer_ids(prompts, rows))
    forced = logits[:, places][..., list(template.score_ids)].softmax(-1)
    torch.testing.assert_close(probs, forced, **CLOSE)


def test_filled_scores_are_greedy_decoding_among_legal_tokens(model, batch, template):
    legal = []
    for segment in template.segments:
        legal += [[token] for token in segment] + [list(template.score_ids)]
    prompts = without_answers(batch)
    written = model.model.generate(
        inputs_embeds=model.embed_prompt(prompts),
        attention_mask=prompts.prompt_mask,
        max_new_tokens=len(legal),
        prefix_allowed_tokens_fn=lambda _, sent: legal[len(sent)],
    )
    places = [i for i, tokens in enumerate(legal) if len(tokens) > 1]
    digits = fill_template(model, prompts, template).argmax(-1)
    assert written[:, places].tolist() == torch.tensor(template.score_ids)[digits].tolist()
    assert len(digits.unique()) > 1


def test_recorded_probabilities_are_those_of_a_forward_over_the_own_text(model, batch, template):
    prompts = without_answers(batch)
    written = write(model, prompts, 12, template.score_ids)
    with torch.no_grad():
        logits = model(with_answer_ids(prompts, written.rows()))
    probs = logits[..., list(template.score_ids)].softmax(-1)
    rows = zip(written.rows(), score_probs(written), probs, strict=True)
    for ids, recorded, recomputed in rows:
        assert recorded.shape == (len(ids), 5)
        torch.testing.assert_close(recorded, recomputed[: len(ids)], **CLOSE)


@torch.no_grad()
def test_generation_takes_the_likeliest_token_each_time(model, batch, template):
    prompts = without_answers(batch)
    written = write(model, prompts, 8, template.score_ids)
    for row, expected in enumerate(written.rows()):
        ids = []
        for _ in range(8):
            logits = model(with_answer_ids(prompts, [[*ids, 0]] * len(PROMPTS)))[row, -1]
            logits[model.audio_token_id] = -torch.inf
            ids.append(int(logits.argmax()))
            if ids[-1] == model.tokenizer.eos_token_id:
                ids.pop()
                break
        assert ids == expected


@pytest.fixture
def favour(model):
    """Makes the language model prefer a token to all others."""
    hooks = []

    def prefer(token):
        def add(_, __, logits):
            logits[..., token] += 1e4

        hooks.append(model.model.lm_head.register_forward_hook(add))

    yield prefer
    for hook in hooks:
        hook.remove()


def test_the_audio_token_is_never_written(model, batch, template, favour):
    favour(model.audio_token_id)
    with torch.no_grad():
        assert (model(batch).argmax(-1) == model.audio_token_id).all()
    written = write(model, without_answers(batch), 8, template.score_ids)
    assert all(len(ids) == 8 and model.audio_token_id not in ids for ids in written.rows())
    assert not written.finished.any()


def test_the_end_token_ends_a_text_and_is_no_part_of_it(model, batch, template, favour):
    favour(model.tokenizer.eos_token_id)
    written = write(model, without_answers(batch), 8, template.score_ids)
    n = len(PROMPTS)
    assert written.rows() == [[]] * n and written.finished.all() and written.width == 1
    assert [p.shape for p in score_probs(written)] == [(0, 5)] * n


def test_gradients_reach_every_weight_but_the_fixed_positions():
    model = random_model()
    positions = model.encoder().embed_positions.weight
    torch.testing.assert_close(positions, POSITION_SCALE * sinusoids(*positions.shape))
    before = positions.clone()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
    inputs = model.inputs(clips(1.0, 0.3), PROMPTS[:2], ANSWERS[:2])
    loss = torch.nn.functional.cross_entropy(model(inputs).flatten(0, 1), inputs.labels.flatten())
    loss.backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    # The keys' bias shifts all of a query's attention logits alike.
    fixed = ["model.model.audio_tower.embed_positions.weight"]
    assert [n for n in without if not n.endswith("k_proj.bias")] == fixed
    optimizer.step()
    assert torch.equal(positions, before)


def test_the_seed_makes_the_weights_and_nothing_else():
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    one, same, other = (CompactAudioFlamingo3(**SIZES, seed=s).state_dict() for s in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(one[n], same[n]) for n in one)
    assert not torch.equal(one["model.lm_head.weight"], other["model.lm_head.weight"])


def test_eager_attention_is_refused(model):
    other = random_model()
    other.model.set_attn_implementation("eager")
    with pytest.raises(ValueError, match="'eager'.*load the model with .*'sdpa'"):
        AudioLLM(other.model, other.processor, [], {})


def test_checkpoints_hold_every_bit(tmp_path):
    one, other = random_model(seed=1), random_model(seed=2)
    before = {n: t.clone() for n, t in one.model.state_dict().items()}
    one.save(tmp_path / "a.ckpt")
    assert set(load_file(tmp_path / "a.ckpt")) == set(before)  # safetensors, nothing left out
    other.load(tmp_path / "a.ckpt")
    after = other.model.state_dict()
    assert all(torch.equal(before[n], after[n]) for n in before)
    inputs = one.inputs(clips(*LENGTHS_S), PROMPTS, ANSWERS)
    with torch.no_grad():
        assert torch.equal(one(inputs), other(inputs))


def test_speechbrains_checkpointer_saves_and_recovers(tmp_path):
    one, other = random_model(seed=1), random_model(seed=2)
    Checkpointer(tmp_path, {"audio_llm": one}).save_checkpoint()
    assert Checkpointer(tmp_path, {"audio_llm": other}).recover_if_possible()
    assert torch.equal(one.model.lm_head.weight, other.model.lm_head.weight)
    assert len(list(tmp_path.glob("*/audio_llm.ckpt"))) == 1


@pytest.mark.parametrize("damage", ["missing", "extra", "shape"])
def test_a_checkpoint_that_does_not_fit_is_refused_and_changes_nothing(tmp_path, damage):
    path = tmp_path / "a.ckpt"
    model = random_model(seed=1)
    model.save(path)
    tensors = load_file(path)
    if damage == "missing":
        del tensors["lm_head.weight"]
        message = r"1 of \d+ tensors.*lm_head.weight: None, need \(2048, 16\)"
    elif damage == "extra":
        tensors["lm_head.scale"] = torch.ones(1)
        message = r"lm_head.scale: \(1,\), need None"
    else:
        tensors["lm_head.weight"] = torch.ones(3, 16)
        message = r"lm_head.weight: \(3, 16\), need \(2048, 16\).*transformers None"
    save_file(tensors, path)
    other = random_model(seed=2)
    before = {n: t.clone() for n, t in other.model.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        other.load(path)
    assert all(torch.equal(before[n], t) for n, t in other.model.state_dict().items())


@pytest.mark.parametrize("kept", [0, 7, 100, 50_000])
def test_a_truncated_checkpoint_is_refused_by_name(tmp_path, kept):
    path = tmp_path / "a.ckpt"
    random_model().save(path)
    assert kept < path.stat().st_size
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"a.ckpt: is no whole safetensors file"):
        random_model().load(path)


def test_the_tokenizer_travels_with_the_weights(tmp_path):
    own = train_tokenizer([CHAT_FRAME.format("Rate."), *scores_texts(NISQA)] * 20, 300)
    model = random_model()
    model.processor.tokenizer = wrap_tokenizer(own)
    model.save(tmp_path / "a.ckpt")
    other = random_model(seed=2)
    text = scores_texts(NISQA)[2]
    assert other.tokenizer.encode(text) != own.encode(text).ids
    other.load(tmp_path / "a.ckpt")
    assert other.tokenizer.encode(text) == own.encode(text).ids
    assert other.tokenizer.padding_side == "left"
    assert (
        random_model().tokenizer.encode(text) != own.encode(text).ids
    )  # the shared one is as it was


def test_the_tokenizer_can_write_anything_and_a_digit_is_a_token():
    tokenizer = compact_tokenizer()
    text = "noise: 3\nartifact: pause (cut-out) 0.4-12.6 s\n\tØ 漢字 \U0001f3a7 ３"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    digits = [tokenizer.encode(d) for d in "0123456789"]
    assert all(len(d) == 1 for d in digits)
    holding = {
        i for t, i in tokenizer.get_vocab().items() if any(c.isascii() and c.isdigit() for c in t)
    }
    assert holding == {d[0] for d in digits}


def test_the_chat_frame_is_what_the_template_puts_around_an_instruction():
    """The tokenizer is trained on the frame's text."""
    processor = compact_processor(compact_tokenizer(), 1, 16)
    chat = render_chat(processor, "Rate this.")
    for special in ("<|im_start|>", "<|im_end|>", "<sound>"):
        chat = chat.replace(special, "")
    assert chat == CHAT_FRAME.format("Rate this.")


def test_a_trained_tokenizer_loads_from_its_file(tmp_path):
    path = str(tmp_path / "tokenizer.json")
    trained = train_tokenizer(scores_texts(NISQA) * 5, 280)
    trained.save(path)
    assert trained.get_vocab_size() <= 280
    assert Tokenizer.from_file(path).encode("mos: 3").ids == trained.encode("mos: 3").ids


def test_the_level_of_a_clip_tells_nothing_where_a_level_is_set():
    plain, levelled = (tiny_answerer(**options) for options in ({}, {"level_db": -26.0}))
    copies = [NOISY, 0.05 * NOISY, -3 * NOISY, torch.zeros(8000)]

    def features(answerer):
        return answerer.inputs(copies, ["scores"] * 4).features

    loud, soft, high, silent = features(levelled)
    torch.testing.assert_close(soft, loud, atol=1e-4, rtol=0)
    torch.testing.assert_close(high, loud, atol=1e-4, rtol=0)
    assert torch.equal(silent, features(plain)[3])  # silence has no level that it could be given
    assert (features(plain)[1] - features(plain)[0]).abs().max() > 0.1
    assert levelled.audio_llm.init_args["level_db"] == -26.0
    assert "level_db" not in plain.audio_llm.init_args
