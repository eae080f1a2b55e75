"""`SpeechQualityAssessor` on a model that knows two clips by heart, and on one that knows none."""

import math
import os

import numpy as np
import pytest
import soundfile
import soxr
import torch
from tiny import CLEAN, NOISY, RATE_HZ, clip, tiny_answerer, trained_answerer, write_bad_files

from speechqa_plugin.activity import NO_SPEECH
from speechqa_plugin.audio import AudioError
from speechqa_plugin.export import export_assessor
from speechqa_plugin.inference import SpeechQualityAssessor
from speechqa_plugin.schema import Artifact


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return export_assessor(trained_answerer(), tmp_path_factory.mktemp("trained") / "model")


@pytest.fixture(scope="module")
def assessor(folder):
    return SpeechQualityAssessor.from_hparams(source=folder)


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    """What it writes cannot be read."""
    path = export_assessor(tiny_answerer(), tmp_path_factory.mktemp("untrained") / "model")
    return SpeechQualityAssessor.from_hparams(source=path)


@pytest.fixture
def files(tmp_path):
    """Paths of `CLEAN` and `NOISY`."""
    paths = [tmp_path / "clean.wav", tmp_path / "noisy.wav"]
    for path, wav in zip(paths, (CLEAN, NOISY), strict=True):
        soundfile.write(path, wav.numpy(), RATE_HZ, subtype="FLOAT")
    return paths


def batch(*clips):
    """Clips padded to [B, T], and their relative lengths."""
    wavs = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True)
    return wavs, torch.tensor([len(c) / wavs.shape[1] for c in clips])


def assert_alike(ours, theirs, tolerance=1e-5):
    assert (ours.artifacts, ours.description) == (theirs.artifacts, theirs.description)
    assert ours.scores == pytest.approx(theirs.scores, abs=tolerance)
    # The slope of a square root at 0 makes confidence a coarser thing than a score.
    assert ours.confidence == pytest.approx(theirs.confidence, abs=1e3 * tolerance)


# --- what it says


def test_file(assessor, files):
    clean, noisy = map(assessor.assess_file, files)
    assert (clean.description, clean.artifacts) == ("Clean.", ())
    assert clean.mos == pytest.approx(5, abs=0.1)
    assert noisy.description == "Noise lies there."
    assert noisy.artifacts == (Artifact("noise", "white noise", 0.0, 1.5),)
    assert noisy.scores["noise"] == pytest.approx(1, abs=0.1)
    assert all(0.5 < c <= 1 for c in noisy.confidence.values())


def test_file_of_another_rate_and_two_channels(assessor, files, tmp_path):
    path = tmp_path / "48k.flac"
    wav = soxr.resample(CLEAN.numpy(), RATE_HZ, 48000)
    soundfile.write(path, np.stack([wav, wav], axis=1), 48000, subtype="PCM_24")
    assert_alike(assessor.assess_file(path), assessor.assess_file(files[0]), tolerance=0.05)


def test_batch_equals_the_files_one_by_one(assessor, files):
    together = assessor.assess_batch(*batch(CLEAN, NOISY))
    for ours, path in zip(together, files, strict=True):
        assert_alike(ours, assessor.assess_file(path))


def test_what_lies_behind_a_clips_end_does_not_matter(assessor):
    wavs, wav_lens = batch(CLEAN, NOISY)
    louder = wavs.clone()
    louder[0, len(CLEAN) :] = 0.9
    for ours, theirs in zip(
        assessor.assess_batch(wavs, wav_lens), assessor.assess_batch(louder, wav_lens), strict=True
    ):
        assert_alike(ours, theirs)


def test_without_lengths_rows_are_whole(assessor):
    (ours,) = assessor.assess_batch(NOISY[None])
    (theirs,) = assessor.assess_batch(NOISY[None], torch.ones(1))
    assert ours == theirs


def test_forward_is_the_batch_verb(assessor):
    assert assessor(*batch(CLEAN, NOISY)) == assessor.assess_batch(*batch(CLEAN, NOISY))


def test_scores_of_a_batch_have_no_prose(assessor):
    clean, noisy = assessor.score_batch(*batch(CLEAN, NOISY))
    assert (clean.description, noisy.description) == ("", "")
    assert clean.mos == pytest.approx(5, abs=0.1)
    assert noisy.mos == pytest.approx(2, abs=0.1)
    assert set(clean.scores) == set(clean.confidence) == set(assessor.answerer.taxonomy.names)


@pytest.mark.parametrize("verb", ["score_files", "assess_files"])
@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_bad_files_among_good_ones_keep_their_places(assessor, files, tmp_path, verb, batch_size):
    bad = write_bad_files(tmp_path / "bad")
    clean, noisy = files
    first, *others = bad.values()
    paths = [first, clean, *others[:2], noisy, clean, *others[2:]]
    results = list(getattr(assessor, verb)(paths, batch_size=batch_size))
    assert [r.path for r in results] == [str(p) for p in paths]
    for result in results:
        if result.path in map(str, files):
            assert result.error == ""
            expected = 5 if result.path == str(clean) else 2
            assert result.assessment.mos == pytest.approx(expected, abs=0.1)
    errors = {r.path: r.error for r in results if r.assessment is None}
    assert len(errors) == len(bad)
    for message, path in bad.items():
        assert errors[str(path)].startswith(f"{path}: ") and message in errors[str(path)]


def test_results_as_they_are_written(assessor, files, tmp_path):
    good, bad = assessor.score_files([files[0], tmp_path / "no.wav"])
    assert good.to_dict() == {"path": str(files[0]), **good.assessment.to_dict()}
    assert set(bad.to_dict()) == {"path", "error"}


def test_no_files_no_results(assessor):
    assert list(assessor.score_files([])) == []


# --- a text that cannot be read


def test_unreadable_text_becomes_the_description_of_constrained_scores(untrained, files, caplog):
    (answer,) = untrained.answerer.answer([CLEAN], "reasoned")
    assert answer.assessment is None, "this test needs a model that cannot write"
    (scored,) = untrained.score_batch(CLEAN[None])
    (from_batch,) = untrained.assess_batch(CLEAN[None])
    (result,) = untrained.assess_files(files[:1])
    assert result.to_dict()["failure"] == result.failure == str(answer.parsed.failure)
    for assessment in (untrained.assess_file(files[0]), from_batch, result.assessment):
        assert assessment.description == answer.parsed.text
        assert assessment.artifacts == ()
        assert assessment.scores == pytest.approx(scored.scores, abs=1e-6)
        assert assessment.confidence == pytest.approx(scored.confidence, abs=1e-6)
    assert "the model's text could not be read" in caplog.text


def test_a_long_recording_is_assessed_in_windows(assessor, tmp_path):
    #  0        2        4       5    windows of 2 s at most that share .4 s: 3 of 1.93 s
    #  |  quiet |        | noisy |
    whole = torch.cat([clip(5 / 3 * 2, 0.0), clip(5 / 3, 0.3)])
    soundfile.write(tmp_path / "long.wav", whole.numpy(), RATE_HZ, subtype="FLOAT")
    joined = assessor.assess_file(tmp_path / "long.wav")
    places = [(round(s.start_s * RATE_HZ), round(s.end_s * RATE_HZ)) for s in joined.timeline]
    assert places == [(0, 30933), (24533, 55467), (49067, 80000)]
    parts = [assessor.assess_batch(whole[None, start:end])[0] for start, end in places]
    for name, score in joined.scores.items():
        assert score == pytest.approx(sum(p.scores[name] for p in parts) / 3, abs=1e-3)
    for stretch, part in zip(joined.timeline, parts, strict=True):
        assert stretch.scores == pytest.approx(part.scores, abs=1e-3)
    assert joined.description.startswith("[0.0-")
    (result,) = assessor.score_files([tmp_path / "long.wav"])
    assert result.assessment.description == "" and len(result.assessment.timeline) == 3


def test_the_progress_of_a_long_recording_is_told(assessor, files, tmp_path):
    soundfile.write(tmp_path / "long.wav", clip(5.0, 0.1).numpy(), RATE_HZ)
    seen = []
    paths = [files[0], tmp_path / "long.wav"]
    list(assessor.assess_files(paths, 2, lambda *said: seen.append(said)))
    assert [(path, total_s) for path, _, total_s in seen] == [(str(paths[1]), 5.0)] * 2
    assert seen[0][1] < seen[1][1] == 5.0


# --- what it refuses


def test_every_bad_file_is_refused_by_name(assessor, tmp_path):
    for message, path in write_bad_files(tmp_path).items():
        with pytest.raises(AudioError) as caught:
            assessor.assess_file(path)
        assert str(caught.value).startswith(f"{path}: ") and message in str(caught.value)


@pytest.mark.parametrize(
    ("wavs", "wav_lens", "message"),
    [
        (torch.zeros(16000), None, r"wavs has shape \[16000\]; need \[batch, samples\]"),
        (torch.zeros(1, 2, 16000), None, r"wavs has shape \[1, 2, 16000\]; need"),
        (torch.zeros(0, 16000), None, r"wavs has shape \[0, 16000\]; need"),
        (torch.zeros(2, 0), None, r"wavs\[0\]: has no samples"),
        (torch.zeros(2, 16000), [1.0], r"wav_lens has shape \[1\]; need \[2\], one for each clip"),
        (torch.zeros(1, 16000), [[1.0]], r"wav_lens has shape \[1, 1\]; need \[1\]"),
        (torch.zeros(2, 16000), [16000.0, 8000.0], r"wav_lens is \[16000.0, 8000.0\]; need shares"),
        (torch.zeros(2, 16000), [1.0, 0.0], "need shares of the longest"),
        (torch.zeros(2, 16000), [-0.5, 1.0], "need shares of the longest"),
        (torch.zeros(2, 16000), [math.nan, 1.0], "need shares of the longest"),
        (torch.zeros(2, 16000), [1.0, 0.01], r"wavs\[1\]: lasts 0.01 s; need at least"),
        (torch.full((1, 16000), math.inf), None, r"wavs\[0\]: 16000 of 16000 samples are NaN or"),
        (torch.zeros(1, 16000, dtype=torch.int16), None, r"wavs\[0\]: holds torch.int16"),
    ],
)
@pytest.mark.parametrize("verb", ["assess_batch", "score_batch"])
def test_batches_that_are_refused(assessor, verb, wavs, wav_lens, message):
    lens = None if wav_lens is None else torch.tensor(wav_lens)
    with pytest.raises(AudioError, match=message):
        getattr(assessor, verb)(wavs, lens)


def test_one_path_in_place_of_a_list_is_refused(assessor):
    with pytest.raises(TypeError, match="paths is one path, 'a.wav'; give a list"):
        next(assessor.score_files("a.wav"))


@pytest.mark.parametrize("verb", ["score_files", "assess_files"])
@pytest.mark.parametrize("batch_size", [0, -1, 1.5, None, True])
def test_batch_sizes_that_are_refused_at_once(assessor, verb, batch_size):
    with pytest.raises(ValueError, match=f"batch_size is {batch_size}; need a whole number, at"):
        getattr(assessor, verb)([], batch_size=batch_size)


def test_a_generator_of_paths_is_read_batch_by_batch(assessor, files):
    taken = []

    def paths():
        for path in [*files, *files, *files]:
            taken.append(path)
            yield path

    results = assessor.score_files(paths(), batch_size=2)
    assert next(results).path == str(files[0])
    assert len(taken) <= 4  # of six: a batch that is heard, and one that is read meanwhile
    assert [r.path for r in results] == [str(p) for p in (files[1], *files, *files)]


@pytest.mark.parametrize("verb", ["assess_batch", "score_batch"])
def test_arrays_and_lists_are_as_good_as_tensors(assessor, verb):
    wavs, wav_lens = batch(CLEAN, NOISY)
    expected = getattr(assessor, verb)(wavs, wav_lens)
    for alike in (
        wavs.numpy(),
        wavs.double().numpy(),
        wavs.tolist(),
        wavs.numpy()[:, ::-1][:, ::-1],
    ):
        assert getattr(assessor, verb)(alike, wav_lens.double().tolist()) == expected
    assert getattr(assessor, verb)(wavs.clone().requires_grad_(), wav_lens.numpy()) == expected


@pytest.mark.parametrize(
    ("wavs", "wav_lens", "message"),
    [
        (None, None, "wavs: is a NoneType that is no array of numbers; need a tensor or an array"),
        ("call.wav", None, "wavs: is a str that is no array of numbers"),
        ([[0.0], [0.0, 0.0]], None, "wavs: is a list that is no array of numbers"),
        ([[0.0] * 999], "1", "wav_lens: is a str that is no array of numbers"),
        ([[0.0] * 999], 1.0, r"wav_lens has shape \[\]; need \[1\]"),
        ([[0] * 999], None, r"wavs\[0\]: holds torch.int64; need float samples"),
    ],
)
def test_what_is_no_batch_is_refused(assessor, wavs, wav_lens, message):
    with pytest.raises(AudioError, match=message):
        assessor.score_batch(wavs, wav_lens)


def test_modules_that_are_missing(assessor):
    with pytest.raises(ValueError, match=r"no modules \['audio_llm'\]; was this folder exported"):
        SpeechQualityAssessor(modules={}, hparams={"answerer": assessor.answerer})


@pytest.mark.parametrize("source", ["empty", "results/demo/exported", "model/hyperparams.yaml"])
def test_source_that_holds_no_model(folder, tmp_path, monkeypatch, source):
    (tmp_path / "empty").mkdir()
    (tmp_path / "model").symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(FileNotFoundError, match=f"^{source}: no hyperparams.yaml in it; source"):
        SpeechQualityAssessor.from_hparams(source=source)
    assert sorted(os.listdir(tmp_path)) == before


def test_loading_writes_nothing_and_needs_no_network(folder, tmp_path, monkeypatch):
    def no_network(*args, **kwargs):
        raise AssertionError("tried to reach the network")

    monkeypatch.setattr("socket.socket.connect", no_network)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.chdir(tmp_path)
    SpeechQualityAssessor.from_hparams(source=str(folder))
    assert os.listdir(tmp_path) == []


def test_of_silence_nothing_is_claimed_by_any_verb(assessor, tmp_path):
    path = tmp_path / "silence.wav"
    soundfile.write(path, np.zeros(RATE_HZ), RATE_HZ)
    silent = torch.zeros(1, RATE_HZ)
    found = [assessor.assess_file(path), *assessor.assess_batch(silent)]
    found += assessor.score_batch(silent)
    found += [r.assessment for r in assessor.score_files([path])]
    for assessment in found:
        assert assessment == found[0]
        assert set(assessment.confidence.values()) == {0.0}
        assert assessment.to_dict()["warnings"] == [NO_SPEECH]


def test_silence_and_clipping_are_assessed(assessor):
    silent, clipped = torch.zeros(RATE_HZ), clip(1.0, noise=5.0).clamp(-1, 1)
    for assessment in assessor.score_batch(torch.stack([silent, clipped])):
        assert all(1 <= s <= 5 for s in assessment.scores.values())
