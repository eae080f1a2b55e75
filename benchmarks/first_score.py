#!/usr/bin/env python3
"""Time and memory from a command to the first score of one file, beside a bare import of torch.

> python benchmarks/first_score.py
> python benchmarks/first_score.py --model results/demo/exported --repeats 5

Every command runs in a process of its own, one after the other and round after round, so that
what else the machine does falls on all of them. Without a model, one of the default size and of
random weights is exported: it writes as long an answer as it may, so ``assess`` takes as long as it
can take. CPU is user and system time; memory the largest resident set.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
from tabulate import tabulate

EXPORT = """
import sys
from speechqa_plugin.export import export_assessor
from speechqa_plugin.listening import Answerer
from speechqa_plugin.models.compact import CompactAudioFlamingo3
from speechqa_plugin.schema import load_taxonomy
export_assessor(Answerer(CompactAudioFlamingo3(), load_taxonomy("qualispeech")), sys.argv[1])
"""
IN_PYTHON = """
import sys
from speechqa_plugin import SpeechQualityAssessor
assessor = SpeechQualityAssessor.from_hparams(source=sys.argv[1])
print(next(iter(assessor.score_files([sys.argv[2]]))))
"""


def measure(command: list[str]) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and megabytes of a command."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - started
    if status:
        sys.exit(f"{command} ended with {os.waitstatus_to_exitcode(status)}")
    return wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="exported folder")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    python, speechqa = [sys.executable, "-c"], [sys.executable, "-m", "speechqa_plugin.cli"]
    with tempfile.TemporaryDirectory() as folder:
        model = options.model or f"{folder}/exported"
        if not options.model:
            subprocess.run([*python, EXPORT, model], check=True)
        wav, out = f"{folder}/clip.wav", Path(folder, "scores.jsonl")
        tone = 0.3 * np.sin(2 * np.pi * 220 * np.arange(64000) / 16000)
        soundfile.write(wav, tone + 0.01 * np.random.default_rng(0).standard_normal(64000), 16000)
        commands = {
            "python -c 'import torch'": [*python, "import torch"],
            "speechqa --help": [*speechqa, "--help"],
            "speechqa score": [*speechqa, "score", wav, "--out", str(out), "--model", model],
            "speechqa assess": [*speechqa, "assess", wav, "--model", model],
            "from_hparams, score_files": [*python, IN_PYTHON, model, wav],
        }
        found = {name: [] for name in commands}
        for round_ in range(options.repeats + 1):
            for name, command in commands.items():
                out.unlink(missing_ok=True)
                measured = measure(command)
                if round_:  # the first one fills the caches
                    found[name].append(measured)
    rows = [[name, *map(statistics.median, zip(*m, strict=True))] for name, m in found.items()]
    headers = ["command", "wall, s", "CPU, s", "memory, MB"]
    print(tabulate(rows, headers, "github", floatfmt=("", ".2f", ".2f", ".0f")))


if __name__ == "__main__":
    main()
