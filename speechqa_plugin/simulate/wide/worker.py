"""What makes the clips of a wide corpus: the clip, its reference and its stems as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from speechqa_plugin.schema import Assessment
from speechqa_plugin.simulate.describe import describe
from speechqa_plugin.simulate.scoring import load_settings as load_points
from speechqa_plugin.simulate.scoring import score_dimensions
from speechqa_plugin.simulate.signals import SAMPLE_RATE_HZ
from speechqa_plugin.simulate.sources import Sources
from speechqa_plugin.simulate.splits import SPLITS
from speechqa_plugin.simulate.wide.clip import (
    WideClip,
    load_settings,
    simulate_wide,
    without_speech,
)
from speechqa_plugin.simulate.wide.coders import ladder
from speechqa_plugin.simulate.worker import ClipMaker, clip_name


class WideClipMaker(ClipMaker):
    """Makes wide clips; see `ClipMaker`.

    Beside each clip it writes ``stems/<split>/<id>.reference.flac`` and, where the clip has other
    artifacts too, ``<id>.noise.flac`` and ``<id>.distortion.flac``. The scores are those of
    ``simulation.yaml``'s points alone: `labels` gives the measured ones.
    """

    def make(self, split: str, index: int) -> dict:
        """Make one clip, by chance one in which nobody speaks; see `ClipMaker.make`."""
        # The fourth number is beyond every attempt's, so the generator is this decision's own.
        rng = np.random.default_rng([self.seed, SPLITS.index(split), index, 1000])
        if rng.random() >= load_settings()["draw"]["no_speech"]:
            return super().make(split, index)
        of_split = self.sources[split]
        sources = Sources({}, of_split.noises)
        clip = without_speech(rng, self.taxonomy, sources.makers())
        record = self.keep(split, clip_name(split, index), clip)
        return record | {"speaker": "", "sources": [], "plan": [], "bad_sources": sources.bad}

    def simulate(self, clean: np.ndarray, rng: np.random.Generator, sources: Sources) -> WideClip:
        """Degrade a clean clip [n]."""
        return simulate_wide(clean, rng, self.taxonomy, sources.makers(), sources.draw_room)

    def keep(self, split: str, name: str, clip: WideClip) -> dict:
        """Write a clip and its stems; returns what its row says, ``stems`` below the corpus."""
        audio_path = Path("clips") / split / f"{name}.wav"
        stems = {}
        if clip.reference is not None:
            (self.folder / "stems" / split).mkdir(parents=True, exist_ok=True)
            for stem, audio in {"reference": clip.reference, **clip.stems}.items():
                path = audio_path
                if not np.array_equal(audio, clip.audio):
                    path = Path("stems") / split / f"{name}.{stem}.flac"
                    self.write(self.folder / path, audio, "FLAC")
                stems[stem] = str(path)
        self.write(self.folder / audio_path, clip.audio, "WAV")  # last: it says that all is there
        duration_s = len(clip.audio) / SAMPLE_RATE_HZ
        return {
            "id": name,
            "duration_s": duration_s,
            "system": self._system(clip),
            "reference": self._reference(name, clip, duration_s),
            "clip": str(audio_path),
            "stems": stems,
            "artifacts": [a.to_dict() for a in clip.artifacts],
        }

    def measured(self, clip: WideClip) -> dict:
        """Nothing: that is another pass."""
        return {}

    @staticmethod
    def settings() -> dict:
        """What decides the clips beside sources and seed, by name."""
        return {
            "version": "wide 1",
            "simulation.yaml": load_points(),
            "wide.yaml": load_settings()["draw"],
            "coders": len(ladder()),
        }

    def _system(self, clip: WideClip) -> str:
        if clip.reference is None:
            return "no speech"
        return "+".join(sorted({a.kind for a in clip.artifacts})) or "clean"

    def _reference(self, name: str, clip: WideClip, duration_s: float) -> dict | None:
        if clip.reference is None:
            return None
        scores = score_dimensions(clip.artifacts, duration_s, self.taxonomy, self.ceiling)
        scores = {dimension: round(score, 3) for dimension, score in scores.items()}
        assessment = Assessment(self.taxonomy, scores, clip.artifacts)
        # A generator of the name's own, so that the labels pass writes in the same manner.
        text = describe(assessment, duration_s, np.random.default_rng(list(name.encode())))
        return Assessment(self.taxonomy, scores, clip.artifacts, text).to_dict()
