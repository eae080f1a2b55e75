"""What other programs take from an assessor, in the hands of those programs."""

import math

import numpy as np
import pytest
import soundfile
import soxr
import torch
from speechbrain.dataio.dataloader import make_dataloader
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.inference.interfaces import foreign_class
from speechbrain.utils.metric_stats import MetricStats
from tiny import CLEAN, NOISY, RATE_HZ, clip, trained_answerer, write_bad_files

from speechqa_plugin.audio import AudioError
from speechqa_plugin.dataio import quality_item
from speechqa_plugin.export import export_assessor
from speechqa_plugin.inference import SpeechQualityAssessor
from speechqa_plugin.report.pairs import Comparison

NEAR = 0.1
"""How well the tiny model knows its two clips."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return export_assessor(trained_answerer(), tmp_path_factory.mktemp("trained") / "model")


@pytest.fixture(scope="module")
def assessor(folder):
    return SpeechQualityAssessor.from_hparams(source=folder)


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / "clean.wav", tmp_path / "noisy.wav"]
    for path, wav in zip(paths, (CLEAN, NOISY), strict=True):
        soundfile.write(path, wav.numpy(), RATE_HZ, subtype="FLOAT")
    return paths


@pytest.fixture(scope="module")
def batch():
    """Both clips padded to [2, T], and their relative lengths."""
    wavs = torch.nn.utils.rnn.pad_sequence([CLEAN, NOISY], batch_first=True)
    return wavs, torch.tensor([len(CLEAN) / len(NOISY), 1.0])


# --- SpeechBrain's classes


@pytest.mark.parametrize("names", [{}, {"classname": "SpeechQualityAssessor"}])
def test_foreign_class_finds_the_interface_in_an_export(folder, names):
    loaded = foreign_class(source=str(folder), pymodule_file="custom.py", **names)
    assert isinstance(loaded, SpeechQualityAssessor)
    assert loaded.score_batch(CLEAN[None])[0].mos == pytest.approx(5, abs=NEAR)


def test_metric_stats(assessor, batch):
    stats = MetricStats(metric=assessor.metric("mos"))
    stats.append(["clean", "noisy"], *batch)
    stats.append(ids=["again"], wavs=NOISY[None], wav_lens=torch.ones(1))
    expected = [a.mos for a in assessor.score_batch(*batch)]
    summary = stats.summarize()
    assert summary["average"] == pytest.approx((expected[0] + 2 * expected[1]) / 3, abs=1e-4)
    assert (summary["max_id"], summary["max_score"]) == ("clean", pytest.approx(5, abs=NEAR))
    assert summary["min_id"] in ("noisy", "again")
    assert stats.summarize("min_score") == pytest.approx(2, abs=NEAR)


def test_metric_is_a_tensor_of_the_dimension_that_was_asked_for(assessor, batch):
    scores = assessor.score_batch(*batch)
    for name in assessor.answerer.taxonomy.names:
        found = assessor.metric(name)(*batch)
        assert found.shape == (2,) and found.dtype == torch.float32
        assert found.tolist() == pytest.approx([a.scores[name] for a in scores], abs=1e-5)
    assert torch.equal(assessor.metric()(*batch), assessor.metric("mos")(*batch))
    assert assessor.metric("noise").__name__ == "noise"


def test_no_gradient_comes_back_from_a_metric(assessor, batch):
    wavs = batch[0].clone().requires_grad_()
    assert not assessor.metric("mos")(wavs, batch[1]).requires_grad


def test_metric_of_another_rate(assessor, batch):
    wav = torch.from_numpy(soxr.resample(NOISY.numpy(), RATE_HZ, 48000))
    found = assessor.metric("mos", sample_rate_hz=48000)(wav[None])
    assert found.tolist() == pytest.approx([2], abs=NEAR)


@pytest.mark.parametrize("verb", ["metric", "reward"])
def test_dimension_that_is_not_there(assessor, verb):
    with pytest.raises(ValueError, match="no dimension 'hiss'.*noise.*; the overall one is 'mos'"):
        getattr(assessor, verb)("hiss")


def test_dynamic_item_of_samples_and_of_paths(assessor, files):
    data = {path.stem: {"wav": str(path)} for path in files}
    dataset = DynamicItemDataset(data)
    dataset.add_dynamic_item(
        lambda path: torch.from_numpy(soundfile.read(path, dtype="float32")[0]),
        takes="wav",
        provides="sig",
    )
    dataset.add_dynamic_item(quality_item(assessor))
    dataset.add_dynamic_item(quality_item(assessor, "wav", "noise", dimension="noise"))
    dataset.set_output_keys(["id", "quality", "noise"])
    clean, noisy = dataset[0], dataset[1]
    assert (clean["quality"], noisy["quality"]) == pytest.approx((5, 2), abs=NEAR)
    assert (clean["noise"], noisy["noise"]) == pytest.approx((4, 1), abs=NEAR)
    (loaded,) = make_dataloader(dataset, batch_size=2)
    assert loaded.quality.tolist() == pytest.approx([5, 2], abs=NEAR)
    with dataset.output_keys_as(["id", "quality"]):
        good = dataset.filtered_sorted(key_min_value={"quality": 3.5})
        assert [row["id"] for row in good] == ["clean"]


def test_dynamic_item_refuses_what_cannot_be_heard(assessor, tmp_path):
    item = quality_item(assessor, takes="wav")
    for message, path in write_bad_files(tmp_path).items():
        with pytest.raises(AudioError) as caught:
            item(str(path))
        assert message in str(caught.value)


# --- a reward in other people's hands


def call(reward, completions, **columns):
    """As TRL's GRPOTrainer does, with columns that are no lists among them."""
    n = len(completions)
    return reward(
        prompts=["Say it"] * n,
        completions=completions,
        completion_ids=[[1, 2]] * n,
        trainer_state=object(),
        log_metric=print,
        **columns,
    )


def test_reward_takes_what_audio_comes_as(assessor, files):
    wav = NOISY.numpy()
    sounds = [
        NOISY,
        wav,
        wav.tolist(),
        NOISY[None].clone().requires_grad_(),
        str(files[1]),
        files[1],
        {"array": soxr.resample(wav, RATE_HZ, 24000), "sampling_rate": 24000, "path": None},
        CLEAN,
    ]
    reward = assessor.reward("mos", batch_size=3)
    found = call(reward, sounds)
    assert found == pytest.approx([0.25] * 7 + [1], abs=NEAR / 4)
    assert all(type(value) is float for value in found)
    assert reward.__name__ == "quality/mos"  # TRL's name for its column in the log


def test_reward_of_a_column_and_of_another_rate(assessor):
    wavs = [soxr.resample(w.numpy(), RATE_HZ, 24000) for w in (CLEAN, NOISY)]
    reward = assessor.reward("noise", takes="audio", sample_rate_hz=24000)
    found = call(reward, ["a text", "another"], audio=wavs, length=[1, 2])
    assert found == pytest.approx([0.75, 0], abs=NEAR)


def test_nothing_is_never_rewarded(assessor):
    empty, short, silent = torch.zeros(0), clip(0.01), torch.zeros(RATE_HZ)
    offset, broken = torch.full((RATE_HZ,), 0.3), clip(1.0)
    broken[5] = math.nan
    sounds = [empty, short, silent, offset, broken]
    assert call(assessor.reward("mos"), [*sounds, CLEAN])[:5] == [0] * 5
    assert call(assessor.reward("mos"), sounds) == [0] * 5
    assert call(assessor.reward("mos"), []) == []


@pytest.mark.parametrize(
    ("takes", "completions", "message"),
    [
        ("completions", ["Hello there"], "Hello there: no such file"),
        ("completions", [[{"role": "assistant", "content": "Hi"}]], r"completions\[0\]: is a list"),
        ("completions", [None], r"completions\[0\]: is a NoneType that is no array of numbers"),
        ("completions", [[1, 2, 3]], r"completions\[0\]: has shape \[3\] of torch.int64; need a"),
        ("completions", [np.zeros((2, 16000))], r"completions\[0\]: has shape \[2, 16000\]"),
        ("completions", [CLEAN, 30000 * CLEAN], r"completions\[1\]: has samples up to"),
        ("audio", ["x"], r"no column 'audio' with audio in it; there are \['completions', "),
    ],
)
def test_what_the_reward_refuses_is_the_callers_mistake(assessor, takes, completions, message):
    with pytest.raises(ValueError, match=message):
        call(assessor.reward("mos", takes=takes), completions)


# --- compare_files


def test_compare_files(assessor, files):
    clean, noisy = files
    comparison = assessor.compare_files((p for p in [clean, noisy, clean]), [noisy, noisy, noisy])
    assert isinstance(comparison, Comparison)
    mos = comparison.dimensions["mos"]
    assert mos.difference.value == pytest.approx(2, abs=NEAR)
    assert (mos.a.value, mos.b.value) == pytest.approx((4, 2), abs=NEAR)
    assert (mos.a_better, mos.b_better) == (2, 0)
    assert list(comparison.dimensions) == list(assessor.answerer.taxonomy.names)
    assert comparison.pairs[0].name == f"{clean} / {noisy}"
    assert comparison.pairs[-1].name == f"{noisy} / {noisy}"


def test_compare_files_leaves_out_what_was_not_judged(assessor, files, tmp_path):
    clean, noisy = files
    soundfile.write(tmp_path / "silent.wav", np.zeros(32000), 16000)
    silent = str(tmp_path / "silent.wav")
    comparison = assessor.compare_files([clean, silent, clean], [noisy, noisy, silent])
    assert [pair.name for pair in comparison.pairs] == [f"{clean} / {noisy}"]
    assert comparison.not_judged == {f"{silent} / {noisy}": silent, f"{clean} / {silent}": silent}


def test_compare_two_files(assessor, files):
    comparison = assessor.compare_files(files[0], str(files[1]), by="noise")
    assert comparison.dimensions["noise"].difference.value == pytest.approx(3, abs=2 * NEAR)
    assert math.isnan(comparison.dimensions["noise"].difference.low)


def test_a_pair_that_cannot_be_heard_is_left_out_and_named(assessor, files, tmp_path):
    missing = tmp_path / "missing.wav"
    comparison = assessor.compare_files([files[0], files[0]], [files[1], missing])
    assert len(comparison.pairs) == 1
    assert "no such file" in comparison.errors[f"{files[0]} / {missing}"]
    with pytest.raises(ValueError, match="no pair of clips to compare: .*missing.wav: no such"):
        assessor.compare_files(files[0], missing)


def test_files_that_are_no_pairs(assessor, files):
    with pytest.raises(ValueError, match="2 and 1 files; need pairs"):
        assessor.compare_files(files, files[:1])
    with pytest.raises(ValueError, match="no dimension 'hiss'"):
        assessor.compare_files(*files, by="hiss")
