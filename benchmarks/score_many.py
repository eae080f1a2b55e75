#!/usr/bin/env python3
"""Throughput and memory of `speechqa score` on many short files, and of `assess` on an hour.

> python benchmarks/score_many.py
> python benchmarks/score_many.py --files 1000 --seconds 600

Each command runs in processes of its own, with one thread each. *in memory* is the batch benchmark:
the same clips, already decoded and in order of length, given to the same model in the same
batches. *two shares* are two commands at once, each with a half of the files, the second of which
merges. Files are noise with pauses, of 1 to 3 s, which takes as long to score as speech does. It
takes some ten minutes in all.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
from tabulate import tabulate

from speechqa_plugin import EMBEDDED

SPEECHQA = [sys.executable, "-m", "speechqa_plugin.cli"]
IN_MEMORY = """
import sys, time
from pathlib import Path
from speechqa_plugin.audio import load_audio
from speechqa_plugin.light import load_light
from speechqa_plugin.text.answers import AnswerForm
answerer = load_light(sys.argv[1]).answerer
wavs = [load_audio(p, 16000) for p in sorted(Path(sys.argv[2]).glob("*.flac"))]
wavs.sort(key=len)
started = time.perf_counter()
for first in range(0, len(wavs), 16):
    answerer.answer(wavs[first : first + 16], AnswerForm.SCORES)
print(time.perf_counter() - started)
"""


def noise(rng: np.random.Generator, seconds: float, rate_hz: int, channels: int = 1) -> np.ndarray:
    """Bursts of noise [T, channels] with pauses between them."""
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    loud = 0.5 + 0.5 * np.sign(np.sin(2 * np.pi * rng.uniform(1, 2) * time_s))
    return 0.1 * loud[:, None] * rng.standard_normal((len(time_s), channels))


def run(*commands: list[str]) -> tuple[float, float, str]:
    """Wall seconds of commands at once, megabytes of the largest, what the last printed."""
    started, megabytes = time.perf_counter(), 0.0
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    processes = [subprocess.Popen(command, **pipes) for command in commands]
    for process in processes:
        said = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        if status:
            code = os.waitstatus_to_exitcode(status)
            sys.exit(f"{process.args} ended with {code}: {said}")
        megabytes = max(megabytes, used.ru_maxrss / 1024)
    return time.perf_counter() - started, megabytes, said


def score_many(folder: Path, n: int, model: str) -> list[list]:
    """Rows of the table: what ran, files a second, their ratio, megabytes."""
    rng, files = np.random.default_rng(0), folder / "files"
    files.mkdir()
    total_s = 0.0
    for i in range(n):
        samples = noise(rng, rng.uniform(1, 3), 16000)
        total_s += len(samples) / 16000
        soundfile.write(files / f"{i:06}.flac", samples, 16000)
    few = folder / "few"
    few.mkdir()
    for path in sorted(files.iterdir())[: n // 10]:
        shutil.copy(path, few)
    _, _, said = run([sys.executable, "-c", IN_MEMORY, model, str(few)])
    batch = len(list(few.iterdir())) / float(said.split()[-1])
    rows = [["in memory, a tenth of the files", batch, 1.0, None]]
    score = [*SPEECHQA, "score", "--model", model]
    took_s, memory, _ = run([*score, str(few), "--out", f"{folder}/few.jsonl"])
    rows.append(["speechqa score, a tenth of the files", n // 10 / took_s, None, memory])
    took_s, memory, _ = run([*score, str(files), "--out", f"{folder}/one.jsonl"])
    rows.append(["speechqa score", n / took_s, n / took_s / batch, memory])
    shares = [
        [*score, str(files), "--out", f"{folder}/two.jsonl", "--shard", f"{i}/2"] for i in (1, 2)
    ]
    both_s, memory, _ = run(*shares)
    rows.append(["two shares", n / both_s, n / both_s / batch, memory])
    print(f"{n} files, {total_s:.0f} s of audio; two shares / one: {took_s / both_s:.2f}\n")
    return rows


def assess_long(folder: Path, seconds: float, model: str) -> list[list]:
    """Rows of the table: what was assessed, wall seconds, megabytes."""
    rows, rng = [], np.random.default_rng(1)
    for rate_hz, channels, name in ((16000, 1, "16 kHz mono"), (48000, 2, "48 kHz stereo")):
        for length_s in (seconds / 10, seconds):
            path = folder / f"{rate_hz}-{length_s}.wav"
            with soundfile.SoundFile(path, "w", rate_hz, channels) as file:
                for _ in range(10):
                    file.write(noise(rng, length_s / 10, rate_hz, channels))
            took_s, memory, _ = run([*SPEECHQA, "assess", str(path), "--model", model])
            path.unlink()
            rows.append([f"{name}, {length_s:.0f} s", took_s, memory])
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=str(EMBEDDED), help="exported compact model")
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=3600, help="of the long recording")
    options = parser.parse_args()
    if options.files < 10:
        parser.error("--files: need at least 10")
    for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[threads] = "1"
    with tempfile.TemporaryDirectory() as folder:
        rows = score_many(Path(folder), options.files, options.model)
        headers = ["", "files/s", "of the batch benchmark", "memory, MB"]
        print(tabulate(rows, headers, "github", floatfmt=("", ".1f", ".2f", ".0f")) + "\n")
        rows = assess_long(Path(folder), options.seconds, options.model)
        headers = ["speechqa assess", "wall, s", "memory, MB"]
        print(tabulate(rows, headers, "github", floatfmt=("", ".1f", ".0f")))


if __name__ == "__main__":
    main()
