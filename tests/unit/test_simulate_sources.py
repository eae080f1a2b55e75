"""Finding, splitting, reading and drawing of source files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from simulated_voice import make_voice

from speechqa_plugin.simulate.reading import BadSource, read_audio, read_noise, read_speech
from speechqa_plugin.simulate.signals import SimulationError, active_rms
from speechqa_plugin.simulate.sources import Sources
from speechqa_plugin.simulate.splits import (
    SPLITS,
    find_audio,
    find_noises,
    find_speech,
    split_sources,
)


@pytest.fixture
def voice_file(tmp_path):
    def write(name="voice.wav", seconds=4.0, seed=0, rate_hz=16000):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, make_voice(seconds, seed), rate_hz)
        return str(path)

    return write


def bad_files(folder):
    """Name → (content writer, what the message says)."""
    nan = np.full(16000, 0.1, np.float32)
    nan[5] = np.nan
    (folder / "text.wav").write_text("this is no audio")
    (folder / "nothing.wav").touch()
    soundfile.write(folder / "empty.wav", np.zeros(0), 16000)
    soundfile.write(folder / "silent.wav", np.zeros(16000), 16000)
    soundfile.write(folder / "nan.wav", nan, 16000, subtype="FLOAT")
    return {
        "text.wav": "cannot be read as audio",
        "nothing.wav": "cannot be read as audio",
        "empty.wav": "is empty or silent",
        "silent.wav": "is empty or silent",
        "nan.wav": "not finite",
        "missing.wav": "cannot be read as audio",
    }


def test_every_bad_file_is_refused_by_name(tmp_path):
    rng = np.random.default_rng(0)
    for name, message in bad_files(tmp_path).items():
        path = str(tmp_path / name)
        for read in (
            lambda p: read_audio(p),
            lambda p: read_speech(p, rng, 48000),
            lambda p: read_noise(p, rng, 16000),
        ):
            with pytest.raises(BadSource, match=f"{name}.*{message}"):
                read(path)


def test_speech_shorter_than_a_frame_is_refused(tmp_path):
    soundfile.write(tmp_path / "tick.wav", np.full(100, 0.1), 16000)
    with pytest.raises(BadSource, match="shorter than 10 ms"):
        read_speech(str(tmp_path / "tick.wav"), np.random.default_rng(0), 48000)


@pytest.mark.parametrize("rate_hz", [8000, 16000, 22050, 44100, 48000])
def test_any_rate_becomes_16_khz(tmp_path, rate_hz):
    time = np.arange(rate_hz) / rate_hz
    stereo = np.stack([np.sin(2 * np.pi * 440 * time), np.sin(2 * np.pi * 440 * time)], axis=1)
    soundfile.write(tmp_path / "tone.flac", 0.5 * stereo, rate_hz)
    audio = read_audio(str(tmp_path / "tone.flac"))
    assert len(audio) == 16000 and audio.dtype == np.float32
    assert np.argmax(np.abs(np.fft.rfft(audio))) == 440


def test_a_long_file_is_read_in_part(voice_file):
    path = voice_file(seconds=20.0)
    rng = np.random.default_rng(0)
    first, second = (read_speech(path, rng, 48000) for _ in range(2))
    assert 2.5 * 16000 < len(first) <= 48000
    assert not np.array_equal(first[:8000], second[:8000])
    assert active_rms(first) == pytest.approx(10 ** (-26 / 20), rel=0.02)


def test_short_utterances_of_one_speaker_are_joined(voice_file):
    speech = {
        who: [voice_file(f"{who}/{i}.wav", 1.2, seed=10 * k + i) for i in range(8)]
        for k, who in enumerate(("anna", "bob"))
    }
    sources = Sources(speech)
    for seed in range(5):
        audio, speaker, paths = sources.draw_speech(np.random.default_rng(seed))
        assert 3 * 16000 <= len(audio) <= 8 * 16000 and len(audio) % 160 == 0
        assert len(paths) > 1 and set(paths) <= set(speech[speaker])
        assert len(set(paths)) == len(paths)


def test_bad_files_are_left_out_and_remembered(tmp_path, voice_file):
    good = voice_file("good.wav")
    bad = [str(tmp_path / name) for name in bad_files(tmp_path)]
    sources = Sources({"anna": [*bad, good]}, {"music": [*bad, good]}, [*bad, good])
    for seed in range(10):
        rng = np.random.default_rng(seed)
        assert sources.draw_speech(rng)[2] == [good]
        assert len(sources.makers()["music"](rng, 8000)) == 8000
        assert np.argmax(np.abs(sources.draw_room(rng, 0.5))) == 0
    assert set(sources.bad) == set(bad)


def test_nothing_usable_is_an_error(tmp_path):
    bad = [str(tmp_path / name) for name in bad_files(tmp_path)]
    sources = Sources({"anna": bad}, {"music": bad})
    with pytest.raises(
        SimulationError, match="nothing usable of any of 1 speakers; 6 files are bad"
    ):
        sources.draw_speech(np.random.default_rng(0))
    with pytest.raises(SimulationError, match="music: none of 6 files is usable"):
        sources.makers()["music"](np.random.default_rng(0), 8000)


def test_babble_is_as_long_as_asked_and_made_of_several_voices(voice_file):
    sources = Sources({w: [voice_file(f"{w}.wav", 3.5, seed=s)] for s, w in enumerate("ab")})
    babble = sources.makers()["babble"](np.random.default_rng(0), 40000)
    assert babble.shape == (40000,)
    # One voice has gaps; many together have hardly any.
    assert np.mean(np.abs(babble) < 0.01 * np.abs(babble).max()) < 0.3


def files(speakers, per_speaker=10):
    return {f"s{i}": [f"s{i}/{j}.wav" for j in range(per_speaker)] for i in range(speakers)}


@given(
    speakers=st.integers(2, 30),
    noises=st.integers(0, 12),
    rooms=st.integers(0, 12),
    seed=st.integers(0, 99),
)
def test_test_shares_no_speaker_noise_or_room(speakers, noises, rooms, seed):
    noise = {"music": [f"m{i}.wav" for i in range(noises)]} if noises else {}
    of_rooms = [f"r{i}.wav" for i in range(rooms)]
    split, remarks = split_sources(files(speakers), noise, of_rooms, seed)
    train, valid, test = (split[s] for s in SPLITS)
    assert set(test.speech).isdisjoint([*train.speech, *valid.speech])
    used = [{f for paths in s.speech.values() for f in paths} for s in (train, valid, test)]
    assert sum(map(len, used)) == len(set.union(*used)) == 10 * speakers
    assert set(train.speech).isdisjoint(valid.speech) == (speakers >= 10)
    for kind in (lambda s: s.noises.get("music", []), lambda s: s.rooms):
        assert set(kind(test)).isdisjoint([*kind(train), *kind(valid)])
        assert kind(train) == kind(valid)
    assert bool(remarks) == (noises == 1)
    assert ("music" in test.noises) == (noises >= 2)


def test_channels_of_one_recording_stay_together():
    noises = [f"DEMAND/{room}/ch{i:02d}.wav" for room in "ABCDE" for i in range(1, 17)]
    speech = {s: [f"{s}{i}.wav" for i in range(10)] for s in "abc"}
    sources, _ = split_sources(speech, {"ambience": noises}, [], seed=3)
    train, test = (
        {Path(p).parent for p in sources[split].noises["ambience"]} for split in ("train", "test")
    )
    assert (len(train), len(test)) == (4, 1) and not train & test
    assert len(sources["test"].noises["ambience"]) == 16


def test_one_silent_stretch_is_not_a_silent_file(tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.1, 160000)
    noise[20000:100000] = 0
    soundfile.write(tmp_path / "a.wav", noise, 16000)
    for seed in range(20):
        assert read_noise(str(tmp_path / "a.wav"), np.random.default_rng(seed), 8000).any()


def test_a_clean_clip_ends_where_it_is_quiet(tmp_path):
    for i in range(6):
        voice = make_voice(5.5 + 0.1 * i)
        soundfile.write(tmp_path / f"{i}.wav", voice, 16000)
    files = [str(tmp_path / f"{i}.wav") for i in range(6)]
    for seed in range(10):
        audio, _, _ = Sources({"anna": files}).draw_speech(np.random.default_rng(seed))
        assert len(audio) <= 8 * 16000
        assert np.abs(audio[-32:]).max() < 0.2 * np.abs(audio).max()


def test_the_split_depends_on_the_seed_alone():
    one, again, other = (
        split_sources(files(8), {}, [], seed)[0]["test"].speech for seed in (1, 1, 2)
    )
    assert one == again and one != other


def test_one_speaker_is_said_to_be_shared():
    split, remarks = split_sources(files(1, 20), {}, [], 0)
    assert any("NOT disjoint" in remark for remark in remarks)
    used = [set(split[s].speech["s0"]) for s in SPLITS]
    assert sum(map(len, used)) == len(set.union(*used)) == 20


def test_too_little_speech_is_refused():
    with pytest.raises(SimulationError, match="2 files of 2 speakers are too few to split"):
        split_sources(files(2, 1), {}, [], 0)


def test_speaker_and_noise_type_come_from_folder_names(tmp_path):
    for name in ("speech/19/198/a.flac", "speech/19/227/b.wav", "speech/26/495/c.flac"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    for name in ("musan/music/a.wav", "musan/noise/b.wav", "musan/speech/c.wav", "musan/README"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert len(find_speech([tmp_path / "speech"])) == 3
    assert len(find_speech([tmp_path / "speech"], speaker_level=2)) == 2
    noises = find_noises([tmp_path / "musan"])
    assert {t: len(paths) for t, paths in noises.items()} == {"music": 1, "ambience": 1}


def test_a_folder_without_audio_is_refused(tmp_path):
    with pytest.raises(SimulationError, match="no audio files"):
        find_audio([tmp_path])
    with pytest.raises(SimulationError, match="no such folder"):
        find_audio([tmp_path / "away"])
