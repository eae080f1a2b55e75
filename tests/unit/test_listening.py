"""Where prompt, model and parser meet: what is asked, and what is made of the answer."""

from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import soxr
import torch
from hypothesis import given
from hypothesis import strategies as st
from random_models import CLOSE, clips, random_model
from strategies import assessments
from tiny import (
    CLEAN,
    NOISY,
    clip,
    learn_by_heart,
    tiny_answerer,
    trained_answerer,
    write_bad_files,
    write_clip,
)

from speechqa_plugin.activity import NO_SPEECH, TOO_SHORT
from speechqa_plugin.audio import AudioError, load_audio
from speechqa_plugin.explained import settled
from speechqa_plugin.heard import confidence, expected_score
from speechqa_plugin.listening import Answerer
from speechqa_plugin.models.compact import train_tokenizer, wrap_tokenizer
from speechqa_plugin.models.decoder import write
from speechqa_plugin.schema import Assessment, load_taxonomy, round_score
from speechqa_plugin.text.answers import (
    AnswerForm,
    ParseFailure,
    as_written,
    parse_answer,
    render_answer,
)
from speechqa_plugin.text.prompts import build_prompt

QUALISPEECH = load_taxonomy("qualispeech")
SCORES = np.arange(1, 6)


def rated(taxonomy):
    return [Assessment(taxonomy, dict.fromkeys(taxonomy.names, int(s))) for s in SCORES]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("taxonomy", ["nisqa", "qualispeech"])
def test_every_scores_answer_can_be_read_even_from_a_random_model(taxonomy, seed):
    taxonomy = load_taxonomy(taxonomy)
    answerer = Answerer(random_model(seed=seed), taxonomy)
    for answer in answerer.answer(clips(0.03, 0.5, 1.0), "scores"):
        assert answer.parsed.failure is None and answer.finished
        again = parse_answer(answer.parsed.text, taxonomy, AnswerForm.SCORES)
        assert again.assessment == answer.parsed.assessment
        for name in taxonomy.names:
            probs = answer.probs[name]
            assert sum(probs) == pytest.approx(1)
            assert answer.parsed.assessment.scores[name] == 1 + probs.index(max(probs))
            assert answer.assessment.scores[name] == expected_score(probs)
            assert answer.assessment.confidence[name] == confidence(probs)
        assert answer.assessment.mos == answer.assessment.scores[taxonomy.overall]


def test_an_unreadable_text_is_an_answer_without_an_assessment():
    (answer,) = Answerer(random_model(), QUALISPEECH, max_new_tokens=5).answer(clips(0.5))
    assert answer.parsed.failure is not None and answer.parsed.text
    assert (answer.assessment, answer.probs, answer.finished) == (None, {}, False)


def test_a_trained_model_writes_what_it_learned_of_the_clip_it_hears():
    answerer = trained_answerer()
    clean, noisy = answerer.answer([CLEAN, NOISY])
    assert clean.finished and noisy.finished
    assert (clean.assessment.description, clean.assessment.artifacts) == ("Clean.", ())
    assert noisy.assessment.intervals("noise")[0].end_s == 1.5
    assert (clean.parsed.assessment.mos, noisy.parsed.assessment.mos) == (5, 2)
    assert noisy.assessment.scores["noise"] == pytest.approx(1, abs=0.5)
    scores = answerer.answer([NOISY, CLEAN], AnswerForm.SCORES)
    assert [a.parsed.assessment.mos for a in scores] == [2, 5]


@cache
def explainer():
    """A model that learned by heart to explain `CLEAN` and `NOISY`."""
    answerer = Answerer(tiny_answerer().audio_llm, QUALISPEECH, 128, long_form="explained")
    return learn_by_heart(answerer, ["explained"] * 2)


def test_an_explained_answer_begins_with_the_scores_answer():
    answerer = explainer()
    scored, told = (answerer.answer([CLEAN, NOISY], form) for form in ("scores", "explained"))
    for scores, whole in zip(scored, told, strict=True):
        assert whole.parsed.text.startswith(scores.parsed.text) and whole.finished
        assert whole.probs == scores.probs
        assert whole.assessment.scores == scores.assessment.scores
        assert whole.assessment.confidence == scores.assessment.confidence
    assert [a.assessment.description for a in told] == ["Clean.", "Noise lies there."]
    assert [len(a.assessment.artifacts) for a in told] == [0, 1]
    # As the model would have written all of it freely: the digits are its own here.
    inputs = answerer.inputs([CLEAN, NOISY], ["explained"] * 2)
    free = write(answerer.audio_llm, inputs, 128)
    texts = answerer.audio_llm.tokenizer.batch_decode(free.rows())
    assert texts == [a.parsed.text for a in told]


def test_what_is_explained_are_the_scores_that_are_shown():
    """Torn between digits, the text says the one that is nearest to their mean."""
    answerer = Answerer(random_model(seed=3), QUALISPEECH, 64, long_form="explained")
    wavs = clips(0.5, 1.0)
    scored, told = (answerer.answer(wavs, form) for form in ("scores", "explained"))
    for scores, whole in zip(scored, told, strict=True):
        shown = scores.assessment.scores.items()
        wanted = "\n".join(f"{name}: {round_score(score):.0f}" for name, score in shown)
        assert whole.parsed.text.startswith(wanted)


class Writer:
    """A model whose free texts are given, one a call; all else is a real one's."""

    def __init__(self, llm, *texts):
        self.llm, self.texts, self.asked = llm, list(texts), []

    def __getattr__(self, name):
        return getattr(self.llm, name)

    def write(self, inputs, max_new_tokens, choice_ids=(), first_ids=()):
        self.asked.append(self.llm.tokenizer.decode(inputs.prompt_ids[0]).split("assistant\n")[-1])
        rows = [self.llm.tokenizer.encode(self.texts.pop(0), add_special_tokens=False)]
        return SimpleNamespace(rows=lambda: rows, finished=[True])


BABBLE = "artifact: noise (babble)"


@pytest.mark.parametrize(
    ("texts", "times", "description"),
    [
        ([f"\n{BABBLE} 0.0-1.0 s\ndescription: It babbles."], [(0, 1)], "It babbles."),
        (["\nartifact: none\ndescription: Fine."], [], "Fine."),
        (  # overlapping: merged, then described anew
            [f"\n{BABBLE} 0.0-1.0 s\n{BABBLE} 0.5-2.0 s\ndescription: Twice.", "description: One."],
            [(0, 2)],
            "One.",
        ),
        ([f"\n{BABBLE} 0.0-1.0 s\n{BABBLE} 6-2-3.9 s\nart", "description: So."], [(0, 1)], "So."),
        (  # what the list does not have is not said
            ["\nartifact: none\ndescription: Babble all the time. It goes on."],
            [],
            "It goes on.",
        ),
        (["\nThat is all.", "artifact: none\ndescription: x"], [], ""),  # without prose
        ([f"\n{BABBLE} 0.0-1.0 s\n{BABBLE} 2", f"{BABBLE} 3.0-4.0 s\ndescription: "], [(0, 1)], ""),
    ],
)
def test_a_list_is_settled_before_it_is_described(texts, times, description):
    answerer = Answerer(explainer().audio_llm, QUALISPEECH, 128, long_form="explained")
    scores = answerer.answer([NOISY], "scores")[0]
    writer = answerer.audio_llm = Writer(answerer.audio_llm, *texts)
    (answer,) = answerer.answer([NOISY], "explained")
    said = answer.assessment
    assert [(a.start_s, a.end_s) for a in said.artifacts] == times
    assert said.description == description and said.scores == scores.assessment.scores
    assert not writer.texts and answer.parsed.failure is None
    if len(texts) == 2:  # asked again behind the scores and the settled list
        listed = writer.asked[1].removeprefix(scores.parsed.text).strip("\n").split("\n")
        assert len(listed) == max(1, len(times)) and listed[0].startswith("artifact: ")


class _Cut(Writer):
    """Its last text was cut by the limit."""

    def write(self, inputs, max_new_tokens, choice_ids=(), first_ids=()):
        self.left = max_new_tokens
        rows = super().write(inputs, max_new_tokens).rows()
        return SimpleNamespace(rows=lambda: rows, finished=[bool(self.texts)])


def test_a_sentence_that_the_limit_cuts_is_not_said():
    answerer = Answerer(explainer().audio_llm, QUALISPEECH, 128, long_form="explained")
    texts = ["nothing to read", "description: It is fair. The noi"]
    writer = answerer.audio_llm = _Cut(answerer.audio_llm, *texts)
    (answer,) = answerer.answer([NOISY], "explained")
    assert answer.assessment.description == "It is fair."
    assert writer.left == 128  # the settled list takes nothing off it


@pytest.mark.parametrize(
    ("noise", "speed", "left"), [(3, 5, 2), (4, 5, 1), (5, 1, 1), (5, 3, 1), (1, 1, 2)]
)
def test_what_a_score_calls_inaudible_is_not_listed(noise, speed, left):
    digits = dict.fromkeys(QUALISPEECH.names, 3) | {"noise": noise, "speed": speed}
    scores = render_answer(Assessment(QUALISPEECH, digits), "scores")
    text = f"{scores}\n{BABBLE} 0.0-1.0 s\nartifact: speed (too fast) 0.0-1.0 s\ndescription: x"
    assert len(settled(text, scores, QUALISPEECH)) == left


def test_the_long_form_tells_more_than_scores():
    with pytest.raises(ValueError, match="need 'reasoned' or 'explained'"):
        Answerer(random_model(), QUALISPEECH, long_form="scores")


def test_a_text_that_the_limit_cuts_is_not_finished():
    answerer = trained_answerer()
    short = Answerer(answerer.audio_llm, answerer.taxonomy, max_new_tokens=3)
    (answer,) = short.answer([CLEAN])
    assert not answer.finished
    assert answer.parsed.failure == ParseFailure.MISSING_DIMENSION


def test_a_written_score_has_the_probabilities_of_its_own_place_in_the_text():
    """Found again by another way: the tokens before the digit, counted, and a plain forward."""
    answerer = trained_answerer()
    model = answerer.audio_llm
    answers = answerer.answer([CLEAN, NOISY])
    for wav, answer in zip([CLEAN, NOISY], answers, strict=True):
        text = answer.parsed.text
        inputs = model.inputs([wav], [answerer.prompts[AnswerForm.REASONED]], [text])
        with torch.no_grad():
            probs = model(inputs)[0][:, list(answerer.template.score_ids)].softmax(-1)
        for line in text.split("\n"):
            name, _, value = line.partition(": ")
            if name in QUALISPEECH.names:
                digit = text.index(f"\n{line}") + len(f"\n{name}: ")
                column = len(model.tokenizer.encode(text[:digit]))
                assert inputs.answer_ids[0, column] == answerer.template.score_ids[int(value) - 1]
                torch.testing.assert_close(torch.tensor(answer.probs[name]), probs[column], **CLOSE)


def test_scores_are_found_behind_prose_that_looks_like_scores():
    """Digits in the prose are score tokens too, and letters may take several bytes."""
    model = random_model()
    answerer = Answerer(model, QUALISPEECH)
    prose = "description: Ein Geräusch 漢 mos: 4, noise 1 2 3."
    text = "\n".join([prose, *(f"{n}: {3 + i % 3}" for i, n in enumerate(QUALISPEECH.names))])
    text += "\nartifact: noise (mains hum) 1.2-3.4 s"
    ids = model.tokenizer.encode(text)
    parsed = parse_answer(text, QUALISPEECH)
    steps = answerer._score_steps(ids, parsed.score_spans, answerer.template.score_ids)
    assert [model.tokenizer.decode(ids[t]) for t in steps] == list("3453453")
    assert [model.tokenizer.decode(ids[:t]).split("\n")[-1] for t in steps] == [
        f"{n}: " for n in QUALISPEECH.names
    ]


@given(data=st.data())
def test_the_right_answers_are_the_rendered_references(data):
    references = data.draw(st.lists(assessments(QUALISPEECH), min_size=1, max_size=3))
    forms = [data.draw(st.sampled_from(AnswerForm)) for _ in references]
    answerer = trained_answerer()
    inputs = answerer.inputs([clip(0.1)] * len(forms), forms, references)
    decode, score_ids = answerer.audio_llm.tokenizer.decode, answerer.template.score_ids
    for row, mask, reference, form in zip(
        inputs.answer_ids, inputs.answer_mask, references, forms, strict=True
    ):
        text = decode(row[mask.bool()][:-1])
        assert text == render_answer(reference, form)
        parsed = parse_answer(text, QUALISPEECH, form)
        assert parsed.assessment == as_written(reference, form)
        steps = answerer._score_steps(row.tolist(), parsed.score_spans, score_ids)
        assert [decode(row[t]) for t in steps] == [text[span] for span in parsed.score_spans]


def test_asked_for_an_answer_the_model_is_given_the_prompt_and_no_answer():
    answerer = trained_answerer()
    for form in AnswerForm:
        inputs = answerer.inputs([CLEAN], [form])
        assert inputs.answer_ids is None
        audio = inputs.prompt_ids == answerer.audio_llm.audio_token_id
        prompt = answerer.audio_llm.tokenizer.decode(inputs.prompt_ids[~audio])
        assert build_prompt(QUALISPEECH, form) in prompt
        # The format is shown on a middling example; no other digit is there.
        assert set(c for c in prompt if c.isdigit()) <= set("1350")


def test_asking_is_without_dropout_and_leaves_the_mode_as_it_was():
    answerer = tiny_answerer(dropout=0.5)
    answerer.audio_llm.train()
    one, same = (answerer.answer([NOISY], "scores")[0].probs for _ in range(2))
    assert one == same
    assert all(m.training for m in answerer.audio_llm.modules())
    answerer.audio_llm.eval()
    answerer.answer([NOISY], "scores")
    assert not any(m.training for m in answerer.audio_llm.modules())


def test_files_come_at_the_models_rate_and_within_its_length(tmp_path):
    answerer = trained_answerer()
    soundfile.write(tmp_path / "a.wav", np.zeros((44100, 2)), 44100)
    assert answerer.load(tmp_path / "a.wav").shape == (16000,)
    longest = answerer.load(write_clip(tmp_path / "b.wav", 2.0))
    assert len(longest) == 32000 and answerer.answer([longest], "scores")
    with pytest.raises(AudioError, match="lasts 2.01 s; need at most 2 s"):
        answerer.load(write_clip(tmp_path / "c.wav", 2.01))
    beginning = Answerer(answerer.audio_llm, answerer.taxonomy, cut_long=True)
    cut, whole = (beginning.load(tmp_path / name) for name in ("c.wav", "b.wav"))
    assert cut.shape == (32000,) and torch.equal(whole, longest)


def assert_same(one, other):
    assert replace(one.parsed, expected={}) == replace(other.parsed, expected={})
    assert (one.finished, one.steps) == (other.finished, other.steps)
    assert one.parsed.expected == pytest.approx(other.parsed.expected, abs=1e-4)
    assert one.probs.keys() == other.probs.keys()
    for name, probs in one.probs.items():
        assert probs == pytest.approx(other.probs[name], abs=1e-5)


@pytest.mark.parametrize("form", AnswerForm)
def test_files_are_answered_one_by_one_and_bad_ones_named(tmp_path, form):
    answerer = Answerer(trained_answerer().audio_llm, QUALISPEECH, max_new_tokens=64)
    good = [write_clip(tmp_path / f"{i}.wav", 0.7 + 0.3 * i, 0.1 * i, i) for i in range(4)]
    bad = write_bad_files(tmp_path / "bad")
    paths = [*bad.values(), *good]
    paths = [paths[i] for i in np.random.default_rng(0).permutation(len(paths))]
    runs = [dict(enumerate(answerer.answer_files(paths, form, size))) for size in (1, 3, 100)]
    for answers in runs:
        assert sorted(answers) == list(range(len(paths)))
        for message, path in bad.items():
            error = answers[paths.index(path)]
            assert isinstance(error, AudioError)
            assert message in str(error) and str(path) in str(error)
        for path in good:
            index = paths.index(path)
            ((_, _, answer),) = answers[index].parts
            assert_same(answer, answerer.answer([answerer.load(path)], form)[0])


def test_long_clips_are_heard_in_windows_and_unreadable_ones_for_their_scores():
    #  0     1     2     3     4 4.5    at most 2 s that share .4 s: three windows of 1.77 s
    #  |---------|
    #         |---------|
    #                |----------|
    answerer = tiny_answerer(max_new_tokens=8)
    long, short = clip(4.5, 0.1), clip(0.8)
    whole, other = answerer.hear([long, short])
    places = [(0, 28267), (21867, 50133), (43733, 72000)]
    assert [(s, e) for s, e, _ in whole.parts] == [(s / 16000, e / 16000) for s, e in places]
    assert [(s, e) for s, e, _ in other.parts] == [(0, 0.8)]
    windows = [long[start:end] for start, end in places]
    for heard, wavs in ((whole, windows), (other, [short])):
        for (_, _, answer), wav in zip(heard.parts, wavs, strict=True):
            assert_same(answer, answerer.answer([wav])[0])
            assert_same(answer.rescue, answerer.answer([wav], "scores")[0])
            assert answer.assessment.scores == answer.rescue.assessment.scores
            assert answer.assessment.description == answer.parsed.text
        assert heard.failure == str(heard.parts[-1][2].parsed.failure) != ""
        said = [a.assessment.mos for _, _, a in heard.parts]
        assert heard.assessment.mos == pytest.approx(sum(said) / len(said))
    assert [t.scores["mos"] for t in whole.assessment.timeline] == [
        a.assessment.mos for _, _, a in whole.parts
    ]
    assert other.assessment.timeline == ()
    readable = answerer.hear([long], AnswerForm.SCORES)[0]
    assert readable.failure == "" and all(a.rescue is None for _, _, a in readable.parts)
    assert readable.assessment.description == ""
    assert answerer.hear([]) == []


@pytest.mark.parametrize("form", AnswerForm)
@pytest.mark.parametrize(
    ("lacking", "warning"),
    [
        (torch.zeros(16000), NO_SPEECH),
        (torch.full((16000,), 0.3), NO_SPEECH),
        (torch.cat([torch.zeros(8000), clip(0.1), torch.zeros(8000)]), TOO_SHORT),
        (clip(0.1), TOO_SHORT),
    ],
)
def test_what_lacks_speech_is_not_judged_in_either_form(form, lacking, warning):
    answerer = trained_answerer()
    alone = answerer.hear([NOISY], form)[0]
    heard, between, again = answerer.hear([lacking, NOISY, lacking], form)
    assert_same(between.parts[0][2], alone.parts[0][2])
    assert heard == again
    found = heard.assessment
    assert set(found.confidence.values()) == {0.0} and not found.judged
    assert set(found.scores.values()) == {3.0}
    assert (found.warnings, found.artifacts) == ((warning,), ())
    assert heard.failure == "" and between.assessment.warnings == ()
    text = heard.parts[0][2].parsed.text
    assert parse_answer(text, QUALISPEECH, form).assessment.mos == 3


def test_windows_without_speech_do_not_count():
    #  0     1     2     3     4     5     6     7
    #  | noisy           |  silence        | noisy    seven windows of 1.34 s at most
    answerer = trained_answerer()
    silent = torch.zeros(3 * 16000)
    (heard,) = answerer.hear([torch.cat([clip(2.0, 0.1), silent, clip(2.0, 0.1, 1)])], "scores")
    found = heard.assessment
    judged = [(s, e, a) for s, e, a in heard.parts if not a.warning]
    assert 0 < len(judged) < len(heard.parts)
    assert found.mos == pytest.approx(np.mean([a.assessment.mos for *_, a in judged]), abs=1e-3)
    assert [(t.start_s, t.end_s) for t in found.timeline] == [(s, e) for s, e, _ in judged]
    (warning,) = [w for w in found.warnings if w.startswith(NO_SPEECH)]
    assert "(at " in warning and found.judged
    (silence,) = answerer.hear([torch.zeros(5 * 16000)])
    assert silence.assessment.warnings == (NO_SPEECH,)
    assert (silence.assessment.timeline, silence.assessment.description) == ((), "")
    assert not silence.assessment.judged


@pytest.mark.parametrize("form", AnswerForm)
@pytest.mark.parametrize("rate_hz", [16000, 48000])
def test_a_long_file_is_heard_window_by_window_as_if_it_were_held(tmp_path, form, rate_hz):
    answerer = trained_answerer()
    wav = soxr.resample(clip(9.0, 0.1).numpy(), 16000, rate_hz)
    stereo = np.stack([wav, 0.5 * wav], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, rate_hz, subtype="FLOAT")
    seen = []
    path = tmp_path / "a.wav"
    (streamed,) = answerer.answer_files([path], form, 3, lambda *said: seen.append(said))
    (held,) = answerer.hear([load_audio(path)], form)
    assert [p[:2] for p in streamed.parts] == [p[:2] for p in held.parts]
    for (*_, one), (*_, other) in zip(streamed.parts, held.parts, strict=True):
        assert_same(one, other)
    assert {(p, total) for p, _, total in seen} == {(str(path), 9.0)}
    assert [s for _, s, _ in seen] == [streamed.parts[2][1], streamed.parts[5][1]]
    assert seen[-1][1] == pytest.approx(9.0)


def test_channels_that_cancel_are_told_of_short_and_long_files(tmp_path):
    answerer = trained_answerer()
    paths = []
    for seconds in (1.5, 5.0):
        wav = clip(seconds, 0.1).numpy()
        paths.append(tmp_path / f"{seconds}.wav")
        soundfile.write(paths[-1], np.stack([wav, -wav], axis=1), 16000, subtype="FLOAT")
    for heard, path in zip(answerer.answer_files(paths, "scores"), paths, strict=True):
        (warning,) = heard.assessment.warnings
        assert warning.startswith("the 2 channels cancel each other")
        mono, _ = soundfile.read(path, dtype="float32")
        expected = answerer.hear([torch.from_numpy(mono[:, 0].copy())], "scores")[0].assessment
        assert heard.assessment.scores == pytest.approx(expected.scores, abs=1e-4)


def test_long_files_that_are_refused_keep_their_places(tmp_path):
    answerer = trained_answerer()
    samples = clip(5.0, 0.1).numpy()
    paths = {name: tmp_path / name for name in ("good.wav", "nan.wav", "cut.flac", "loud.wav")}
    soundfile.write(paths["good.wav"], samples, 16000)
    soundfile.write(paths["loud.wav"], samples * 32768, 16000, subtype="FLOAT")
    soundfile.write(paths["cut.flac"], samples, 16000)
    paths["cut.flac"].write_bytes(paths["cut.flac"].read_bytes()[:-30000])
    samples[-5:] = np.nan
    soundfile.write(paths["nan.wav"], samples, 16000, subtype="FLOAT")
    good, nan, cut, loud = answerer.answer_files(list(paths.values()), "scores")
    assert good.assessment.timeline
    assert "nan.wav: 5 of 80000 samples are NaN or infinite" in str(nan)
    assert "cut.flac: is truncated or damaged" in str(cut)
    assert "loud.wav: has samples up to" in str(loud)


def test_a_long_file_that_is_gone_when_it_is_heard_is_an_error(tmp_path):
    answerer = trained_answerer()
    paths = [write_clip(tmp_path / "a.wav", 5.0), write_clip(tmp_path / "b.wav", 5.0)]
    answers = answerer.answer_files(paths, "scores")
    next(answers)
    paths[1].unlink()
    (error,) = answers
    assert isinstance(error, AudioError) and "b.wav: no such file" in str(error)


def test_bytes_are_one_path_and_none_is_an_error():
    with pytest.raises(TypeError, match="paths is one path"):
        next(trained_answerer().answer_files(b"a.wav"))
    (error,) = trained_answerer().answer_files([None])
    assert str(error) == "None: is None; need the path of an audio file, a str or Path"


def test_weights_with_another_tokenizer_are_asked_in_its_tokens(tmp_path):
    model = random_model()
    other = train_tokenizer([render_answer(a, "scores") for a in rated(QUALISPEECH)], 300)
    model.processor.tokenizer = wrap_tokenizer(other)
    expected = Answerer(model, QUALISPEECH).answer(clips(0.5), "scores")
    model.save(tmp_path / "a.ckpt")
    answerer = Answerer(random_model(seed=2), QUALISPEECH)
    assert answerer.answer(clips(0.5), "scores") != expected
    answerer.audio_llm.load(tmp_path / "a.ckpt")
    assert answerer.answer(clips(0.5), "scores") == expected


def test_no_files_no_answers():
    assert list(trained_answerer().answer_files([])) == []
