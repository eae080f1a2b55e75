"""A corpus and a model so small that whole runs take seconds."""

from __future__ import annotations

import os
from copy import deepcopy
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
import torch

from speechqa_plugin.brains.calibration import answer_loss
from speechqa_plugin.listening import Answerer
from speechqa_plugin.manifest import write_manifest
from speechqa_plugin.models.compact import CompactAudioFlamingo3
from speechqa_plugin.schema import Artifact, Assessment, Utterance, load_taxonomy

RATE_HZ = 16000
SIZES = {
    "encoder_dim": 16,
    "encoder_layers": 1,
    "encoder_heads": 2,
    "lm_dim": 32,
    "lm_layers": 1,
    "lm_heads": 2,
    "window_s": 2,
}
"""Arguments of a `CompactAudioFlamingo3` of 150,000 parameters that hears 2 s."""

SPLITS = {"train": 12, "valid": 4, "test": 5}


def clip(seconds: float, noise: float = 0.0, seed: int = 0) -> torch.Tensor:
    """[T] a wavering tone and white noise of this standard deviation."""
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    tone = 0.3 * np.sin(2 * np.pi * 220 * time) * (1 + np.sin(2 * np.pi * 3 * time)) / 2
    samples = tone + noise * np.random.default_rng(seed).standard_normal(len(time))
    return torch.from_numpy(samples.astype(np.float32))


def write_clip(path: Path, seconds: float = 1.0, noise: float = 0.0, seed: int = 0) -> Path:
    """A FLOAT WAV file of `clip`: it comes back sample by sample."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(os.fsencode(path), clip(seconds, noise, seed).numpy(), RATE_HZ, subtype="FLOAT")
    return path


def write_bad_files(folder: Path) -> dict[str, Path]:
    """A file (or none) of each kind that is refused, under a piece of its message."""
    folder.mkdir(parents=True, exist_ok=True)
    bad = {
        "no such file": folder / "missing.wav",
        "is empty (0 bytes)": folder / "empty.wav",
        "is truncated": write_clip(folder / "truncated.wav"),
        "is no audio that can be read": folder / "text.wav",
        "are NaN or infinite": folder / "nan.wav",
        "lasts 0.02 s; need at least": write_clip(folder / "short.wav", 0.02),
    }
    bad["is empty (0 bytes)"].touch()
    truncate(bad["is truncated"])
    bad["is no audio that can be read"].write_text("not a sound")
    samples = np.zeros(RATE_HZ)
    samples[7] = np.nan
    soundfile.write(bad["are NaN or infinite"], samples, RATE_HZ, subtype="FLOAT")
    return bad


def truncate(path: Path) -> None:
    """Cut a file in half."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def write_corpus(folder: Path) -> Path:
    """Clips and ``{train,valid,test}.jsonl`` in which every dimension varies."""
    taxonomy = load_taxonomy("qualispeech")
    rng = np.random.default_rng(0)
    for split, n in SPLITS.items():
        rows = []
        for i in range(n):
            scores = {name: float(rng.integers(1, 6)) for name in taxonomy.names}
            scores["noise"] = 5.0 - i % 5
            seconds = 1 + rng.integers(0, 900) / 1000
            path = write_clip(folder / split / f"{split}-{i}.wav", seconds, 0.02 * (i % 5), i)
            hiss = (Artifact("noise", "white noise", 0.0, 0.8),) if i % 5 else ()
            reference = Assessment(taxonomy, scores, hiss, f"A tone, {i}.")
            rows.append(Utterance(path.stem, str(path), seconds, reference, f"system-{i % 2}"))
        write_manifest(folder / f"{split}.jsonl", rows)
    return folder


def tiny_answerer(max_new_tokens: int = 64, **changes) -> Answerer:
    """An untrained model; what it writes cannot be read."""
    model = CompactAudioFlamingo3(**{**SIZES, **changes})
    return Answerer(model, load_taxonomy("qualispeech"), max_new_tokens)


CLEAN, NOISY = clip(1.0), clip(1.5, noise=0.1)
"""The two clips that `trained_answerer` knows."""


@cache
def trained_answerer() -> Answerer:
    """A model that learned by heart what to say of `CLEAN` and of `NOISY`. Do not change it."""
    return learn_by_heart(tiny_answerer(), ["reasoned", "reasoned", "scores", "scores"])


def learn_by_heart(answerer: Answerer, forms) -> Answerer:
    """The answerer, taught in these forms what to say of `CLEAN`, of `NOISY`, and of both again."""
    good = dict.fromkeys(answerer.taxonomy.names, 4)
    hiss = Artifact("noise", "white noise", 0.0, 1.5)
    references = [
        Assessment(answerer.taxonomy, good | {"mos": 5}, description="Clean."),
        Assessment(answerer.taxonomy, good | {"noise": 1, "mos": 2}, (hiss,), "Noise lies there."),
    ]
    times = len(forms) // 2
    inputs = answerer.inputs([CLEAN, NOISY] * times, forms, references * times)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        optimizer = torch.optim.Adam(answerer.audio_llm.parameters(), lr=0.01)
        for _ in range(100):
            loss = answer_loss(answerer.audio_llm(inputs), inputs.labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    answerer.audio_llm.eval()
    return answerer


def unsure_answerer() -> Answerer:
    """A new one that knows what `trained_answerer` does, but doubts: half of what it writes at
    temperature 1 can be read, and no two answers are alike.
    """
    answerer = deepcopy(trained_answerer())
    with torch.no_grad():
        answerer.audio_llm.model.get_output_embeddings().weight.mul_(0.8)
    return answerer
