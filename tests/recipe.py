"""Runs the recipe's scripts as a user does: its own YAML file, overridden on the command line."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
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
    script: str, corpus: Path, output: Path, dropout=0.0, hparams=HPARAMS, **settings
) -> list[str]:
    """Arguments of a recipe script on a `write_corpus` corpus; settings as ``--key=value``."""
    sizes = SIZES | {"dropout": dropout}
    settings = {
        "manifest_folder": corpus,
        "output_folder": output,
        "audio_llm": "{" + ", ".join(f"{k}: {v}" for k, v in sizes.items()) + "}",
        **SETTINGS,
        **settings,
    }
    return [str(RECIPE / script), str(hparams), *(f"--{k}={v}" for k, v in settings.items())]


def run(*arguments, processes: int = 0, timeout_s: float = 240) -> subprocess.CompletedProcess:
    """Run Python, or torchrun with that many processes; none of them outlives the time limit."""
    launcher = ["-m", "torch.distributed.run", f"--nproc_per_node={processes}"]
    launcher += [f"--master_port={free_port()}"]
    full = [sys.executable, *(launcher if processes else []), *map(str, arguments)]
    process = subprocess.Popen(
        full, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return subprocess.CompletedProcess(full, process.returncode, out, err)


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
