"""The five recordings to try an assessor on: what was done to each can be heard in its samples."""

import importlib.util
import sys

import numpy as np
import pytest
import soundfile
from recipe import ROOT
from tiny import write_clip

FOLDER = ROOT / "recipes/SimulatedSQA"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    spec = importlib.util.spec_from_file_location("five", FOLDER / "five_recordings.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("fetch_audio", None)


def test_one_clean_recording_and_what_was_done_to_it(script, tmp_path, monkeypatch):
    for talker in ("en", script.TEST_SPEAKER):
        write_clip(tmp_path / "speech" / talker / "a.wav", 2.0)
        write_clip(tmp_path / "speech" / talker / "b.wav", 4.0)
    monkeypatch.setattr(script, "fetch_speech", lambda folder: (folder / "speech", 5.0))
    paths = script.make_recordings(tmp_path, tmp_path / "out")
    assert [p.stem for p in paths] == ["clean", "noisy", "clipped", "gapped", "coded"]
    audio = {p.stem: soundfile.read(p)[0] for p in paths}
    assert {len(samples) for samples in audio.values()} == {64000}
    clean = audio.pop("clean")
    for samples in audio.values():
        assert np.abs(samples - clean).max() > 0.001
    again = script.make_recordings(tmp_path, tmp_path / "again")
    assert [p.read_bytes() for p in paths] == [p.read_bytes() for p in again]
