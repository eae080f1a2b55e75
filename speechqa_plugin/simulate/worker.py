"""What runs in each process that makes clips."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import soundfile

from speechqa_plugin.files import replacing
from speechqa_plugin.processes import end_with_parent
from speechqa_plugin.schema import load_taxonomy
from speechqa_plugin.simulate.clip import simulate_clip
from speechqa_plugin.simulate.scoring import load_settings
from speechqa_plugin.simulate.signals import SAMPLE_RATE_HZ, NoSpeechError, SimulationError
from speechqa_plugin.simulate.sources import Sources
from speechqa_plugin.simulate.splits import SPLITS

_ATTEMPTS = 10


class ClipMaker:
    """Makes the clips of a corpus, each from its own (seed, split, index).

    Arguments
    ---------
    folder : path
        The corpus; clips go to ``clips/<split>/<id>.wav`` below it.
    sources : mapping from str to Sources
        What each split draws from.
    seed : int
    taxonomy : str
        See `schema.load_taxonomy`.
    ceiling : float
        Quality of the clean speech, in [1, 5].
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        sources: Mapping[str, Sources],
        seed: int,
        taxonomy: str,
        ceiling: float,
    ):
        self.folder, self.sources, self.seed = Path(folder), sources, seed
        self.taxonomy, self.ceiling = load_taxonomy(taxonomy), ceiling

    def make(self, split: str, index: int) -> dict:
        """Make one clip and write its audio, all of it or nothing.

        Returns
        -------
        dict
            All that is known of the clip, ready for JSON.

        Raises
        ------
        SimulationError
            If no usable speech or noise is left.
        """
        of_split = self.sources[split]
        sources = Sources(of_split.speech, of_split.noises, of_split.rooms)
        for attempt in range(_ATTEMPTS):
            rng = np.random.default_rng([self.seed, SPLITS.index(split), index, attempt])
            clean, speaker, paths = sources.draw_speech(rng)
            try:
                clip = self.simulate(clean, rng, sources)
                break
            except NoSpeechError as err:
                sources.bad[paths[0]] = f"{paths[0]}: {err}"
        else:
            raise SimulationError(f"{split}: no speech found in {_ATTEMPTS} clips; {sources.bad}")
        record = self.keep(split, clip_name(split, index), clip)
        return record | {
            "speaker": Path(speaker).name,
            "sources": [Path(path).name for path in paths],
            "plan": [asdict(step) for step in clip.plan],
            **self.measured(clip),
            "bad_sources": sources.bad,
        }

    def simulate(self, clean: np.ndarray, rng: np.random.Generator, sources: Sources):
        """Degrade a clean clip [n]."""
        return simulate_clip(
            clean, rng, self.taxonomy, sources.makers(), self.ceiling, sources.draw_room
        )

    def keep(self, split: str, name: str, clip) -> dict:
        """Write a clip's audio; returns what its row in a manifest says."""
        self.write(self.folder / "clips" / split / f"{name}.wav", clip.audio, "WAV")
        return {
            "id": name,
            "duration_s": len(clip.audio) / SAMPLE_RATE_HZ,
            "system": "+".join(sorted({a.kind for a in clip.assessment.artifacts})) or "clean",
            "reference": clip.assessment.to_dict(),
        }

    def measured(self, clip) -> dict:
        """What was measured of a clip."""
        return {"pesq_lqo": clip.lqo, "stoi": clip.intelligibility}

    @staticmethod
    def settings() -> dict:
        """What decides the clips beside sources and seed, by name."""
        return {"version": 2, "simulation.yaml": load_settings()}

    @staticmethod
    def write(path: Path, audio: np.ndarray, container: str) -> None:
        """Write 16-bit audio [n], all of it or nothing."""
        with replacing(path) as file:
            soundfile.write(file, audio, SAMPLE_RATE_HZ, subtype="PCM_16", format=container)


def clip_name(split: str, index: int) -> str:
    """Id of a clip, which sorts by its index.

    Example
    -------
    >>> clip_name("test", 7)
    'test-000007'
    """
    return f"{split}-{index:06d}"


_maker: ClipMaker | None = None


def start(
    maker: type[ClipMaker],
    folder: str,
    sources_file: str,
    seed: int,
    taxonomy: str,
    ceiling: float,
) -> None:
    """Begin a process: make its `ClipMaker`, and end when the parent does.

    Arguments
    ---------
    maker : type of ClipMaker
    folder : str
        The corpus.
    sources_file : str
        JSON file of the `Sources` of each split. In a file, because a process
        that dies before it has read a long message leaves its parent hanging.
    seed, taxonomy, ceiling
        See `ClipMaker`.
    """
    global _maker
    of_splits = json.loads(Path(sources_file).read_text(encoding="ascii"))
    sources = {split: Sources(**fields) for split, fields in of_splits.items()}
    _maker = maker(folder, sources, seed, taxonomy, ceiling)
    end_with_parent()


def make_clip(split: str, index: int) -> dict:
    """`ClipMaker.make` of this process's maker."""
    return _maker.make(split, index)
