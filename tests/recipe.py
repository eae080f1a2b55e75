"""Runs the recipe's scripts as a user does: its own YAML file, overridden on the command line."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from safetensors.torch import load_file
from tiny import SIZES, SPLITS

ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "recipes/SimulatedSQA"
HPARAMS = RECIPE / "hparams/calibration_compact.yaml"
GRPO_HPARAMS = RECIPE / "hparams/grpo_compact.yaml"

SETTINGS = {
    "skip_prep": True,
    "n_train": SPLITS["train"],
    "number_of_epochs": 2,
    "batch_size": 4,
    "warmup_steps": 2,
    "device": "cpu",
}


def command(
    script: str,
    corpus: Path,
    output: Path,
    dropout=0.0,
    stem="conv1d",
    types=(),
    hparams=HPARAMS,
    **settings,
) -> list[str]:
    """Arguments of a recipe script on a `write_corpus` corpus; settings as ``--key=value``."""
    sizes = SIZES | {"dropout": dropout, "stem": stem, "types": json.dumps(list(types))}
    settings = {
        "manifest_folder": corpus,
        "output_folder": output,
        "audio_llm": "{" + ", ".join(f"{k}: {v}" for k, v in sizes.items()) + "}",
        **SETTINGS,
        **settings,
    }
    return [str(RECIPE / script), str(hparams), *(f"--{k}={v}" for k, v in settings.items())]


def run(
    *arguments, processes: int = 0, nodes: int = 1, timeout_s: float = 240
) -> subprocess.CompletedProcess:
    """Run Python, or torchrun with that many processes on each of some nodes (all of them here).

    None of them outlives the time limit. What they print is put together, node after node; the
    return code is the first that is not 0.
    """
    launcher = ["-m", "torch.distributed.run", f"--nproc_per_node={processes}"]
    launcher += [f"--master_port={free_port()}"]
    if nodes > 1:
        launcher += [f"--nnodes={nodes}", "--master_addr=127.0.0.1"]
    started, deadline = [], time.monotonic() + timeout_s
    for rank in range(nodes):
        place = [*launcher, f"--node_rank={rank}"] if nodes > 1 else launcher
        full = [sys.executable, *(place if processes else []), *map(str, arguments)]
        # Files, because an agent that fills a pipe that nobody reads yet would stand still.
        files = [tempfile.TemporaryFile("w+") for _ in range(2)]
        process = subprocess.Popen(full, stdout=files[0], stderr=files[1], start_new_session=True)
        started.append((process, files))
    try:
        for process, _ in started:
            process.wait(timeout=max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        for process, _ in started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        raise
    said = ["", ""]
    for _, files in started:
        for i, file in enumerate(files):
            with file:
                file.seek(0)
                said[i] += file.read()
    codes = [process.returncode for process, _ in started]
    return subprocess.CompletedProcess(full, next(filter(None, codes), 0), *said)


def newest_step(output: Path) -> int:
    """Optimizer steps in the newest checkpoint; 0 if there is none."""
    found = [yaml.safe_load(f.read_text()) for f in (output / "save").glob("CKPT*/brain.ckpt")]
    return max((f["optimizer_step"] for f in found), default=0)


def kill_after(step: int, arguments: list[str], output: Path, log: Path) -> None:
    """Run until a checkpoint of at least this step is there, then SIGKILL."""
    with open(log, "w") as out:
        process = subprocess.Popen([sys.executable, *arguments], stdout=out, stderr=out)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if newest_step(output) >= step:
                break
        except FileNotFoundError:  # an old checkpoint was deleted while we looked
            continue
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, log.read_text()


def weights(file: Path) -> dict:
    """Tensors of a safetensors file, which SpeechBrain names ``.ckpt``."""
    return load_file(file)


def checkpoints(output: Path) -> list[Path]:
    """Checkpoint folders, the oldest first."""
    return sorted((output / "save").glob("CKPT*"))


def free_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]
