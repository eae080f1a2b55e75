"""Versions of clips of a comparison, without a model and without torch."""

import numpy as np
from report_cases import RATE_HZ, TAXONOMY, tone

from speechqa_plugin.report.clips import Clip
from speechqa_plugin.report.versions import compare_versions


def scored(folder, n, gain=0.0, seed=0, ending=".wav", noise=0.2):
    """Path to scores of n clips, in each folder of the same ones but for the gain and some luck."""
    hard = np.random.default_rng(0).uniform(2, 4, (n, len(TAXONOMY.names)))
    luck = noise * np.random.default_rng(seed).normal(size=hard.shape)
    values = np.clip(hard + gain + luck, 1, 5)
    return {
        f"{folder}/c{i:04}{ending}": dict(zip(TAXONOMY.names, map(float, row), strict=True))
        for i, row in enumerate(values)
    }


def two(n=40):
    a, b = scored("clean", n, 0.3, 1), scored("coded", n, 0.0, 2, ".mp3")
    return compare_versions(["set/clean", "set/coded"], [a, b], taxonomy=TAXONOMY)


def three(n=40):
    sides = [scored(f, n, g, i) for i, (f, g) in enumerate((("a", 0.0), ("b", 0.3), ("c", -0.4)))]
    return compare_versions(["a", "b", "c"], sides, taxonomy=TAXONOMY)


def sounds(found, n=2, seconds=2.0):
    """Versions to listen to of the n clips that differ most."""
    heard = found.most_different[:n]
    return {
        name: [
            Clip(path, None, samples=tone(seconds), rate_hz=RATE_HZ) for path in found.paths[name]
        ]
        for name in heard
    }
