"""Measures on pairs whose order is known, and the pass that a kill can't hurt."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from simulated_voice import make_voice

from speechqa_plugin.measures import instruments, measuring
from speechqa_plugin.measures.instruments import MeasureError, measure, require
from speechqa_plugin.measures.measuring import Pair, measure_all, measure_job

VOICE = make_voice()
ROOT = Path(__file__).parents[2]


def noisy(level):
    noise = np.random.default_rng(0).standard_normal(len(VOICE))
    return (VOICE + level * noise).astype(np.float32)


@pytest.fixture
def files(tmp_path):
    paths = {}
    for name, audio in {"clean": VOICE, "noisy": noisy(0.02), "worse": noisy(0.1)}.items():
        paths[name] = str(tmp_path / f"{name}.wav")
        soundfile.write(paths[name], audio, 16000, subtype="FLOAT")
    return paths


@pytest.mark.parametrize("name", ["pesq", "stoi", "dnsmos_bak", "dnsmos_ovr"])
def test_more_noise_measures_worse(name):
    values = [measure(VOICE, noisy(level), [name])[name] for level in (0.0, 0.02, 0.2)]
    assert values[0] > values[1] > values[2]


@pytest.mark.slow
def test_visqol_tells_the_clean_voice_from_noise():
    values = [measure(VOICE, noisy(level), ["visqol"])["visqol"] for level in (0.0, 0.2)]
    assert 1 <= values[1] < values[0] <= 5


@pytest.mark.slow
def test_distillmos_hears_a_difference_and_the_same_twice():
    """It knows no synthetic voice as speech, so which of them it likes better says nothing."""
    values = [measure(VOICE, noisy(s), ["distillmos"])["distillmos"] for s in (0.0, 0.2, 0.2)]
    assert values[0] != values[1] == values[2] and all(1 <= value <= 5 for value in values)


def test_level_does_not_matter():
    loud, soft = (measure(VOICE, g * noisy(0.02), ["dnsmos_bak", "pesq"]) for g in (1.0, 0.05))
    assert soft == pytest.approx(loud, abs=0.02)


def test_values_come_in_the_order_asked_and_a_network_runs_once(monkeypatch):
    runs = []
    network = instruments._dnsmos()

    class Counted:
        def run(self, *arguments):
            runs.append(arguments)
            return network.run(*arguments)

    monkeypatch.setattr(instruments, "_dnsmos", Counted)
    values = measure(None, VOICE, ["dnsmos_ovr", "dnsmos_sig", "dnsmos_bak"])
    assert list(values) == ["dnsmos_ovr", "dnsmos_sig", "dnsmos_bak"] and len(runs) == 1
    measure(None, np.tile(VOICE, 3), ["dnsmos_ovr"])  # 12 s: windows at 0, 1 and 2 s
    assert len(runs) == 4


def test_silence_has_no_pesq():
    assert np.isnan(measure(np.zeros(32000, np.float32), VOICE[:32000], ["pesq"])["pesq"])


def test_what_cannot_be_measured_is_told(monkeypatch):
    with pytest.raises(MeasureError, match="pesq: compares with a reference, and there is none"):
        measure(None, VOICE, ["pesq"])
    with pytest.raises(MeasureError, match="nisqa: no such measure; known are pesq"):
        require(["nisqa"])
    monkeypatch.setattr(instruments, "find_spec", lambda module: None)
    with pytest.raises(MeasureError, match="stoi: needs the module 'pystoi'"):
        require(["stoi"])


def test_the_same_pair_is_measured_once(files, monkeypatch):
    calls = []
    monkeypatch.setattr(
        measuring, "measure", lambda r, c, names: calls.append(names) or dict.fromkeys(names, 2.0)
    )
    pair = {"clip": files["noisy"], "reference": files["clean"]}
    pairs = {"overall": pair | {"names": ("pesq",)}, "noise": pair | {"names": ("stoi", "pesq")}}
    assert measure_job("a", pairs) == (
        "a",
        {"overall": {"pesq": 2.0}, "noise": {"stoi": 2.0, "pesq": 2.0}},
    )
    assert calls == [["pesq"], ["stoi"]]


def test_a_finished_file_is_not_measured_again_and_a_cut_line_is(tmp_path, files, monkeypatch):
    jobs = {
        name: {"overall": Pair(files[name], files["clean"], ("pesq", "stoi"))}
        for name in ("noisy", "worse")
    }
    path = tmp_path / "measures.jsonl"
    first = measure_all(path, jobs, num_workers=1)
    assert first["noisy"]["overall"]["pesq"] > first["worse"]["overall"]["pesq"]
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1][:20])
    assert measure_all(path, jobs, num_workers=1) == first
    assert len(path.read_text().splitlines()) == 2
    monkeypatch.setattr(measuring, "pool", None)  # nothing is left to do
    assert measure_all(path, jobs) == first


def test_a_file_of_other_measures_or_of_something_else_is_refused(tmp_path, files):
    jobs = {"a": {"overall": Pair(files["noisy"], files["clean"], ("pesq",))}}
    path = tmp_path / "measures.jsonl"
    path.write_text('{"id": "a", "measures": {"overall": {"stoi": 0.9}}}\n')
    with pytest.raises(MeasureError, match="line 1: 'a' has .*stoi.*delete the file"):
        measure_all(path, jobs)
    path.write_text('{"name": "a"}\n')
    with pytest.raises(MeasureError, match="line 1: is no line of measures"):
        measure_all(path, jobs)


def test_a_file_that_is_no_audio_is_told(tmp_path, files):
    (tmp_path / "bad.wav").write_text("no audio")
    pair = {"clip": str(tmp_path / "bad.wav"), "reference": files["clean"], "names": ("pesq",)}
    with pytest.raises(MeasureError, match="a: .*bad.wav cannot be read as audio"):
        measure_job("a", {"overall": pair})


def test_a_kill_loses_no_finished_clip(tmp_path, files):
    path, script = tmp_path / "measures.jsonl", tmp_path / "run.py"
    n = 200
    script.write_text(
        "from speechqa_plugin.measures.measuring import Pair, measure_all\n"
        f"pair = Pair({files['noisy']!r}, {files['clean']!r}, ('pesq',))\n"
        "if __name__ == '__main__':\n"
        f"    jobs = {{f'c{{i:03d}}': {{'overall': pair}} for i in range({n})}}\n"
        f"    measure_all({str(path)!r}, jobs, num_workers=1)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, script], env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not (path.is_file() and path.read_bytes().count(b"\n") >= 3):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = [
        json.loads(line)["id"] for line in path.read_bytes().splitlines(True) if line[-1:] == b"\n"
    ]
    assert 3 <= len(before) < n
    wanted = [*before, "c199"]
    jobs = {i: {"overall": Pair(files["noisy"], files["clean"], ("pesq",))} for i in wanted}
    assert list(measure_all(path, jobs, num_workers=1)) == wanted
    after = [json.loads(line)["id"] for line in path.read_bytes().splitlines()]
    assert after == wanted  # the finished ones as they were, each once
