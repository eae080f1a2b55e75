"""The recipe's preparation as a user meets it: files, resume, kill, and every refusal."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from simulated_voice import make_voice

from speechqa_plugin.manifest import read_manifest
from speechqa_plugin.schema import load_taxonomy
from speechqa_plugin.simulate.corpus import SETTINGS_FILE, build_corpus
from speechqa_plugin.simulate.signals import SimulationError
from speechqa_plugin.simulate.sources import Sources
from speechqa_plugin.simulate.splits import find_noises, find_speech, split_sources

RECIPE = Path(__file__).parents[2] / "recipes" / "SimulatedSQA"
TAXONOMY = load_taxonomy("qualispeech")
COUNTS = {"train": 8, "valid": 2, "test": 4}


@pytest.fixture(scope="module")
def audio_folders(tmp_path_factory):
    """Three speakers of twelve short utterances, some music and some street noise."""
    folder, rng = tmp_path_factory.mktemp("audio"), np.random.default_rng(0)
    for k, speaker in enumerate(("anna", "bob", "carl")):
        (folder / "speech" / speaker).mkdir(parents=True)
        for i in range(12):
            voice = make_voice(1.5 + 0.2 * i, seed=100 * k + i, pitch_hz=100 + 40 * k)
            soundfile.write(folder / "speech" / speaker / f"{i}.flac", voice, 16000)
    for type_ in ("music", "street"):
        (folder / "noise" / type_).mkdir(parents=True)
        for i in range(4):
            soundfile.write(folder / "noise" / type_ / f"{i}.wav", rng.normal(0, 0.1, 22050), 22050)
    return folder


def sources_of(folder, seed=3):
    speech, noises = find_speech([folder / "speech"]), find_noises([folder / "noise"])
    return split_sources(speech, noises, [], seed)[0]


@pytest.fixture(scope="module")
def corpus(audio_folders, tmp_path_factory):
    """A finished corpus of two processes."""
    folder = tmp_path_factory.mktemp("corpus")
    assert build_corpus(folder, sources_of(audio_folders), COUNTS, seed=3, num_workers=2)
    return folder


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def command(audio_folders, save_folder, *more):
    return [
        sys.executable, str(RECIPE / "simulated_prepare.py"), "unused", str(save_folder),
        "--speech_folders", str(audio_folders / "speech"),
        "--noise_folders", str(audio_folders / "noise"),
        *(f"--n_{split}={n}" for split, n in COUNTS.items()), "--seed=3", *more,
    ]  # fmt: skip


def test_manifests_and_clips_agree(corpus):
    for split, count in COUNTS.items():
        utterances = read_manifest(corpus / f"{split}.jsonl", TAXONOMY)
        assert [u.id for u in utterances] == [f"{split}-{i:06d}" for i in range(count)]
        recipes = [
            json.loads(line)
            for line in (corpus / f"{split}_simulation.jsonl").read_text().splitlines()
        ]
        for utterance, recipe in zip(utterances, recipes, strict=True):
            info = soundfile.info(utterance.path)
            assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16")
            assert info.frames == round(utterance.duration_s * 16000)
            assert recipe["id"] == utterance.id and recipe["bad_sources"] == {}
            planned = {step["type"] for step in recipe["plan"]}
            assert planned == {a.type for a in utterance.reference.artifacts}
            kinds = sorted({a.kind for a in utterance.reference.artifacts})
            assert utterance.system == ("+".join(kinds) or "clean")
            assert utterance.reference.description


def test_test_speakers_are_not_in_training(corpus):
    used = {
        split: {
            json.loads(line)["speaker"]
            for line in (corpus / f"{split}_simulation.jsonl").read_text().splitlines()
        }
        for split in COUNTS
    }
    assert used["test"] and used["test"].isdisjoint(used["train"] | used["valid"])


def test_nothing_half_written_is_left(corpus):
    names = {path.name for path in corpus.iterdir()}
    per_split = {f"{s}{end}" for s in COUNTS for end in (".jsonl", "_simulation.jsonl")}
    assert names == per_split | {"clips", SETTINGS_FILE}
    assert all(path.suffix == ".wav" for path in (corpus / "clips").glob("*/*"))


def test_one_process_gives_the_same_bytes_as_two(corpus, audio_folders, tmp_path):
    build_corpus(tmp_path, sources_of(audio_folders), COUNTS, seed=3, num_workers=1)
    assert contents(tmp_path) == contents(corpus)


def test_a_second_run_does_nothing(corpus, audio_folders):
    before = {path: path.stat().st_mtime_ns for path in corpus.rglob("*")}
    assert not build_corpus(corpus, sources_of(audio_folders), COUNTS, seed=3)
    assert {path: path.stat().st_mtime_ns for path in corpus.rglob("*")} == before


def test_other_settings_are_refused(corpus, audio_folders):
    sources = sources_of(audio_folders)
    with pytest.raises(SimulationError, match=r"other settings \(seed: 3 there, 4 asked\)"):
        build_corpus(corpus, sources, COUNTS, seed=4)
    with pytest.raises(SimulationError, match="counts: .*'test': 4.* there, .*'test': 5"):
        build_corpus(corpus, sources, COUNTS | {"test": 5}, seed=3)
    with pytest.raises(SimulationError, match=r"other settings \(sources\)"):
        build_corpus(corpus, sources_of(audio_folders, seed=5), COUNTS, seed=3)


def test_manifests_of_somebody_else_are_refused(audio_folders, tmp_path):
    (tmp_path / "train.jsonl").write_text("mine\n")
    with pytest.raises(SimulationError, match="holds manifests .'train'. but no simulation_sett"):
        build_corpus(tmp_path, sources_of(audio_folders), COUNTS, seed=3)
    assert (tmp_path / "train.jsonl").read_text() == "mine\n"


def test_no_clips_asked_is_refused(audio_folders, tmp_path):
    with pytest.raises(SimulationError, match="valid: 0 clips asked"):
        build_corpus(tmp_path / "new", sources_of(audio_folders), COUNTS | {"valid": 0}, seed=3)
    assert not (tmp_path / "new").exists()


def test_killed_and_started_again_gives_the_same_bytes(corpus, audio_folders, tmp_path):
    arguments = command(audio_folders, tmp_path, "--num_workers=1")
    running = subprocess.Popen(arguments, stderr=subprocess.DEVNULL, start_new_session=True)
    journal, deadline = tmp_path / ".train.journal", time.monotonic() + 60
    while not (journal.is_file() and journal.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    # The processes that made the clips end by themselves.
    while _group_lives(running.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _group_lives(running.pid)
    assert not (tmp_path / "test.jsonl").exists() and journal.is_file()
    with open(journal, "a") as out:
        out.write('{"id": "train-000007", "dur')  # a line the kill cut short
    (tmp_path / "clips/train/x.wav.1.tmp").write_bytes(b"RIFF")
    done = {path: path.stat().st_mtime_ns for path in tmp_path.glob("clips/train/*.wav")}
    finished = {json.loads(line)["id"] for line in journal.read_text().splitlines()[:-1]}
    assert finished
    subprocess.run(arguments, check=True, capture_output=True)
    assert contents(tmp_path) == contents(corpus)
    for path, modified in done.items():
        if path.stem in finished:
            assert path.stat().st_mtime_ns == modified


def _group_lives(group):
    try:
        os.killpg(group, 0)
        return True
    except ProcessLookupError:
        return False


def test_bad_source_files_are_named_and_left_out(audio_folders, tmp_path, caplog):
    sources = sources_of(audio_folders)
    bad = tmp_path / "broken.wav"
    bad.write_text("this is no audio")
    for of_split in sources.values():
        # One good file a speaker, so that every draw meets the bad one sooner or later.
        of_split.speech = {name: [str(bad), paths[-1]] for name, paths in of_split.speech.items()}
    counts = {"train": 6, "valid": 1, "test": 1}
    assert build_corpus(tmp_path / "save", sources, counts, seed=3, num_workers=2)
    assert re.search(r"train: left out 1 source files: .*broken.wav: cannot be read", caplog.text)
    assert len(read_manifest(tmp_path / "save/train.jsonl", TAXONOMY)) == 6


def test_nothing_usable_ends_with_its_reason(tmp_path):
    bad = tmp_path / "broken.wav"
    bad.write_text("this is no audio")
    sources = {split: Sources({"anna": [str(bad)]}) for split in COUNTS}
    with pytest.raises(SimulationError, match="nothing usable of any of 1 speakers; 1 files"):
        build_corpus(tmp_path / "save", sources, COUNTS, seed=3, num_workers=1)
    assert not list((tmp_path / "save").glob("*.jsonl"))


def test_a_script_without_main_guard_is_told_so(audio_folders, tmp_path):
    script = tmp_path / "unguarded.py"
    script.write_text(
        "from speechqa_plugin.simulate.corpus import build_corpus\n"
        "from speechqa_plugin.simulate.splits import find_speech, split_sources\n"
        f"speech = find_speech([{str(audio_folders / 'speech')!r}])\n"
        "sources = split_sources(speech, {}, [], 0)[0]\n"
        f"build_corpus({str(tmp_path / 'save')!r}, sources, {COUNTS}, 0, num_workers=1)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert "the calling script lacks `if __name__" in done.stderr


def test_the_command_prepares_and_then_says_there_is_nothing_to_do(audio_folders, tmp_path):
    arguments = command(audio_folders, tmp_path / "save")
    first = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert "simulate train" in first.stderr and "8/8" in first.stderr
    second = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert "nothing to do" in second.stderr and "simulate" not in second.stderr.split("\n")[-1]
    other = subprocess.run([*arguments, "--seed=9"], capture_output=True, text=True)
    assert other.returncode == 1 and "Traceback" not in other.stderr
    assert "other settings" in other.stderr


def test_other_talkers_are_of_their_own_with_noises_of_a_split(audio_folders, tmp_path):
    """Speech and noise lie where a finished download lies."""
    data, save = tmp_path / "data", tmp_path / "save"
    for kind in ("speech", "noise"):
        shutil.copytree(audio_folders / kind, data / kind)
    shutil.copytree(audio_folders / "speech" / "anna", data / "speech_other" / "es")
    shutil.copytree(audio_folders / "speech" / "bob", data / "speech_tts" / "hibari")
    script = [sys.executable, RECIPE / "other_talkers.py", data, save, "--n=3"]
    subprocess.run(script, check=True, capture_output=True)
    for name, speaker in (("spanish", "es"), ("synthetic", "hibari")):
        lines = (save / name / "test_simulation.jsonl").read_text().splitlines()
        assert {json.loads(line)["speaker"] for line in lines} == {speaker}
        utterances = read_manifest(save / name / "test.jsonl", TAXONOMY)
        assert len(utterances) == 3 and all(Path(u.path).is_file() for u in utterances)
    settings = {n: json.loads((save / n / SETTINGS_FILE).read_text()) for n in os.listdir(save)}
    noises = {n: settings[n]["sources"]["test"]["noises"] for n in settings}
    assert noises["spanish"] != noises["synthetic"]  # those of training, those of test
    again = subprocess.run(script, check=True, capture_output=True, text=True)
    assert again.stderr.count("nothing to do") == 2


def test_help_names_every_option():
    script = [sys.executable, RECIPE / "simulated_prepare.py", "--help"]
    text = subprocess.run(script, capture_output=True, text=True, check=True).stdout
    for option in ("data_folder", "--speech_folders", "--rir_folder", "--n_test", "--num_workers"):
        assert option in text


def test_without_apt_and_pip_the_error_says_what_to_do(tmp_path):
    script = [sys.executable, RECIPE / "simulated_prepare.py", tmp_path / "data", tmp_path / "save"]
    alone = os.environ | {"PATH": str(tmp_path), "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
    done = subprocess.run(script, capture_output=True, text=True, env=alone)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "no speech: apt-get fails" in done.stderr and "give speech_folders" in done.stderr
    assert not [p for p in (tmp_path / "data").rglob("*") if p.is_file()]


@pytest.fixture
def fetch_audio(monkeypatch):
    monkeypatch.syspath_prepend(str(RECIPE))
    import fetch_audio

    return fetch_audio


def test_without_other_talkers_the_error_says_why(fetch_audio, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SimulationError, match="no speech of other talkers: .*apt-get"):
        fetch_audio.fetch_other_talkers(tmp_path)
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_the_synthetic_voice_speaks_from_where_it_was_unpacked(fetch_audio, monkeypatch, tmp_path):
    """A stand-in of the package, laid where a finished download lies."""
    package = tmp_path / "packages" / "hibari-tts"
    package.mkdir(parents=True)
    (package / "hibari.py").write_text(
        "import numpy\nclass Hibari:\n    def __call__(self, sentence, seed):\n"
        "        return numpy.full(len(sentence), seed / 1000)\n"
    )
    monkeypatch.setenv("PATH", str(tmp_path))  # no apt-get
    folder, ceiling = fetch_audio.fetch_speech(tmp_path)
    assert (folder, ceiling) == (tmp_path / "speech_tts", fetch_audio.TTS_CEILING)
    files = sorted((folder / "hibari").iterdir())
    assert [f.name for f in files] == [f"{i:03d}.flac" for i in range(108)]
    for i, file in enumerate(files):
        audio, rate_hz = soundfile.read(file)
        assert rate_hz == 24000 and np.allclose(audio, i / 1000, atol=1e-4)
    first = (
        "The old captain carried a bag of apples across the quiet harbour before the rain began."
    )
    assert soundfile.info(files[0]).frames == len(first)


def test_g722_is_decoded_at_16_khz(fetch_audio, tmp_path):
    time_s = np.arange(32000) / 16000
    tone = (8000 * np.sin(2 * np.pi * 440 * time_s)).astype(np.int16)
    with av.open(str(tmp_path / "tone.g722"), "w", format="g722") as container:
        stream = container.add_stream("g722", rate=16000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(tone[None], format="s16", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    audio = fetch_audio.decode_g722(tmp_path / "tone.g722")
    assert len(audio) == 32000 and np.argmax(np.abs(np.fft.rfft(audio))) == 880


def test_fetched_packages_become_speakers_and_noise_types(fetch_audio, tmp_path):
    """Trees as the packages unpack them, laid where a finished download lies."""
    packages = tmp_path / "packages"
    for package, language in fetch_audio.SPEECH_PACKAGES.items():
        sounds = packages / package / "usr/share/asterisk/sounds" / language
        for name in ("hello.g722", "silence/1.g722", "beep.g722", "digits/hello.g722"):
            (sounds / name).parent.mkdir(parents=True, exist_ok=True)
            (sounds / name).write_bytes(bytes(range(250)) * 40)  # 10,000 bytes are 1.25 s
        (sounds / "short.g722").write_bytes(bytes(100))
        (packages / package / "usr/share/doc" / package).mkdir(parents=True)
        (packages / package / "usr/share/doc" / package / "copyright").write_text("CC BY-SA")
    folder, ceiling = fetch_audio.fetch_speech(tmp_path)
    assert ceiling == fetch_audio.G722_CEILING
    found = sorted(str(p.relative_to(folder)) for p in folder.rglob("*.flac"))
    assert found == sorted(
        f"{name}/{f}"
        for name in ("en", "fr", "it", "ru")
        for f in (f"{name}-hello.flac", "digits-hello.flac")
    )
    assert len(list(folder.glob("*.copyright.txt"))) == 4

    for package, names in zip(
        fetch_audio.NOISE_PACKAGES,
        (["song.wav"], ["ambi_sauna.flac", "ambi_piano.flac", "loop_amen.flac", "bd_boom.flac"]),
        strict=True,
    ):
        (packages / package).mkdir()
        for name in names:
            soundfile.write(packages / package / name, np.full(32000, 0.1), 16000)
    (noise,) = fetch_audio.fetch_noises(tmp_path)
    assert sorted(str(p.relative_to(noise)) for p in noise.rglob("*.*")) == [
        "ambience/ambi_sauna.flac", "music/ambi_piano.flac", "music/loop_amen.flac",
        "music/song.wav",
    ]  # fmt: skip
