"""The wide corpus's scripts: talkers, passes, and the agreement table."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from simulated_voice import make_voice

from speechqa_plugin.manifest import read_manifest
from speechqa_plugin.schema import load_taxonomy

RECIPE = Path(__file__).parents[2] / "recipes" / "SimulatedSQA"


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(RECIPE))
    import agreement
    import fetch_talkers
    import wide_prepare

    return {"agreement": agreement, "fetch_talkers": fetch_talkers, "wide_prepare": wide_prepare}


def write_voices(folder, speakers="abc", n=12):
    for s, speaker in enumerate(speakers):
        (folder / speaker).mkdir(parents=True)
        for i in range(n):
            voice = make_voice(2.0, seed=100 * s + i, pitch_hz=90 + 40 * s)
            soundfile.write(folder / speaker / f"{i}.wav", voice, 16000)


@pytest.mark.parametrize(
    ("package", "path", "talker"),
    [
        ("fillets-ng-data-cs", "/sound/kitchen/cs/kuch-m-stolky.ogg", "fillets-ng-cs-m"),
        ("fillets-ng-data-cs", "/sound/share/borejokes/cs/ob-v-nebavi.ogg", "fillets-ng-cs-v"),
        ("fillets-ng-data-nl", "/sound/rush/nl/m-myslis.ogg", "fillets-ng-nl-m"),
        ("fillets-ng-data-cs", "/sound/gods/cs/b2-znovu.ogg", None),
        ("hedgewars-data", "/Data/Sounds/voices/Default_pl/Bye.ogg", "hedgewars-Default_pl"),
        ("hedgewars-data", "/Data/Sounds/voices/Singer/Bye.ogg", None),
        ("hedgewars-data", "/Data/Sounds/explosion.ogg", None),
        ("klettres-data", "/usr/share/klettres/de/alpha/a-0.ogg", "klettres-de"),
        ("klettres-data", "/usr/share/klettres/pics/a.ogg", None),
        ("ktuberling-data", "/ktuberling/sounds/sr@latin/hat.wav", "ktuberling-sr"),
        ("ktuberling-data", "/ktuberling/sounds/hat.wav", None),
    ],
)
def test_a_files_path_tells_who_speaks(scripts, package, path, talker):
    assert scripts["fetch_talkers"].talker_of(package, path) == talker


def test_fetched_talkers_are_sorted_once_and_some_are_held_out(scripts, tmp_path, monkeypatch):
    fetch = scripts["fetch_talkers"]
    inside = {
        "fillets-ng-data-cs": "sound/a/cs/x-m-1.ogg",
        "fillets-ng-data-nl": "sound/a/nl/x-v-1.ogg",
        "hedgewars-data": "Sounds/voices/Mobster/Bye.ogg",
        "klettres-data": "klettres/de/alpha/a.ogg",
        "ktuberling-data": "ktuberling/sounds/fr/hat.ogg",
    }
    asked = []

    def fetch_package(data_folder, package):
        asked.append(package)
        path = data_folder / "packages" / package / inside[package]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        notice = data_folder / "packages" / package / "usr/share/doc" / package / "copyright"
        notice.parent.mkdir(parents=True)
        notice.write_text("GPL-2+")
        return data_folder / "packages" / package

    prompts = tmp_path / "speech"
    for name in ("en", "ru"):
        (prompts / name).mkdir(parents=True)
        (prompts / name / "a.flac").touch()
    monkeypatch.setattr(fetch, "fetch_package", fetch_package)
    monkeypatch.setattr(fetch, "fetch_speech", lambda folder: (prompts, 4.5))
    speech, held_out = fetch.fetch_talkers(tmp_path)
    names = sorted(Path(name).name for name in speech)
    assert names == sorted(
        ["en", "ru", "fillets-ng-cs-m", "fillets-ng-nl-v", "hedgewars-Mobster"]
        + ["klettres-de", "ktuberling-fr"]
    )
    held = sorted(Path(name).name for name in held_out)
    assert held == ["fillets-ng-nl-v", "hedgewars-Mobster", "ru"]
    assert len(list((tmp_path / "speech_wide").glob("*.copyright.txt"))) == 5
    fetch.fetch_talkers(tmp_path)
    assert len(asked) == 5


def test_a_package_without_speech_or_a_failing_apt_is_told(scripts, tmp_path, monkeypatch):
    fetch = scripts["fetch_talkers"]
    monkeypatch.setattr(fetch, "fetch_package", lambda folder, package: tmp_path / "none")
    with pytest.raises(fetch.SimulationError, match="fillets-ng-data-cs: holds no file of speech"):
        fetch.fetch_talkers(tmp_path)

    def fail(folder, package):
        raise subprocess.CalledProcessError(100, ["apt-get"], stderr="E: no such package\n")

    monkeypatch.setattr(fetch, "fetch_package", fail)
    with pytest.raises(fetch.SimulationError, match="no wide speech: E: no such package; apt-get"):
        fetch.fetch_talkers(tmp_path)
    assert not (tmp_path / "speech_wide").exists()


def test_no_language_of_the_same_makers_trains_and_tests(scripts):
    test = set(scripts["fetch_talkers"].TEST_TALKERS)
    # Languages that both packages have, so that one person may be in both.
    both = {"da", "de", "en", "es", "fr", "it", "lt", "nds", "nl", "nn", "ru", "uk"}
    for language in both:
        assert (f"klettres-{language}" in test) == (f"ktuberling-{language}" in test)


@pytest.mark.slow
def test_the_three_passes_make_a_corpus_with_measured_labels(tmp_path):
    write_voices(tmp_path / "voices")
    soundfile.write(
        tmp_path / "street.wav", 0.1 * np.random.default_rng(0).normal(size=64000), 16000
    )
    (tmp_path / "noise").mkdir()
    (tmp_path / "street.wav").rename(tmp_path / "noise" / "street.wav")
    command = [sys.executable, str(RECIPE / "wide_prepare.py"), "none", str(tmp_path / "wide")]
    options = ["--speech_folders", str(tmp_path / "voices"), "--noise_folders"]
    counts = ["--n_train=6", "--n_valid=1", "--n_test=2", "--num_workers=1"]
    run = [*command, *options, str(tmp_path / "noise"), *counts]
    subprocess.run(run, check=True, capture_output=True, timeout=900)
    taxonomy = load_taxonomy("wide")
    rows = read_manifest(tmp_path / "wide" / "train.jsonl", taxonomy)
    before = [u.reference.scores for u in rows]
    lines = (tmp_path / "wide/measures/train.jsonl").read_text().splitlines()
    assert len(rows) == len(lines) and all(Path(u.path).is_file() for u in rows)
    for line in map(json.loads, lines):
        assert set(line["measures"]["overall"]) == {"pesq", "visqol", "distillmos", "stoi"}
    subprocess.run(run, check=True, capture_output=True, timeout=300)  # nothing left to measure
    again = read_manifest(tmp_path / "wide" / "train.jsonl", taxonomy)
    assert [u.reference.scores for u in again] == before


def test_ratings_are_read_with_their_references(scripts, tmp_path):
    script = scripts["agreement"]
    (tmp_path / "a").mkdir()
    for name in ("x.wav", "ref.wav"):
        (tmp_path / "a" / name).touch()
    labels = tmp_path / "labels.csv"
    labels.write_text("path,mos\na/x.wav,3.5\n")
    jobs, ratings = script.read_ratings(labels, "mos", "ref.wav")
    assert ratings == [3.5] and jobs["a/x.wav"]["overall"].reference.endswith("a/ref.wav")
    with pytest.raises(script.MeasureError, match="line 2: needs a path and a number as 'mos_lin"):
        script.read_ratings(labels, "mos_linear", "ref.wav")
    with pytest.raises(script.MeasureError, match="clean.wav is not there"):
        script.read_ratings(labels, "mos", "clean.wav")
    with pytest.raises(script.MeasureError, match="none.csv: cannot be read"):
        script.read_ratings(tmp_path / "none.csv", "mos", "ref.wav")


def test_columns_are_measures_and_the_labels_made_of_them(scripts):
    values = {"pesq": 4.64, "visqol": 4.53, "distillmos": 4.7}
    columns = scripts["agreement"].columns_of({"a": {"overall": values}})
    assert columns["pesq"] == [4.64]
    assert columns["mean of pesq, visqol, distillmos"] == [5.0]
    assert columns["mean of pesq, visqol"] == [5.0]
    assert not any("stoi" in name for name in columns)
