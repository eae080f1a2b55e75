"""Does a description earn what it says: paraphrases against opposites, and how to cheat."""

import numpy as np
import pytest

from speechqa_plugin.rewards import (
    DescriptionRouge,
    DescriptionSimilarity,
    PolarityAware,
    SectionSimilarity,
    per_dimension,
)
from speechqa_plugin.schema import SCORE_MAX, SCORE_MIN, Assessment, load_taxonomy, make_taxonomy
from speechqa_plugin.simulate.describe import describe
from speechqa_plugin.text.answers import ParsedAnswer
from speechqa_plugin.text.polarity import Agreement
from speechqa_plugin.text.prompts import build_prompt

TAXONOMY = load_taxonomy("qualispeech")
AGREEMENT = Agreement(TAXONOMY)
TASK = build_prompt(TAXONOMY).splitlines()[0]


def says(text):
    return Assessment(TAXONOMY, dict.fromkeys(TAXONOMY.names, 3), description=text)


def value(reward, said, there):
    return reward([ParsedAnswer("", says(said))], [says(there)])[0]


# A statement, the same in other words, and its opposite, often in the statement's own words.
TRIPLES = [
    (
        "The speech is clear with low background noise",
        "Clean audio, hardly any noise",
        "Heavy packet loss makes the speech choppy",
    ),
    (
        "The speech is clear with low background noise",
        "Clean audio, hardly any noise",
        "The speech is unclear with loud background noise",
    ),
    ("There is a loud hum.", "Heavy mains noise.", "There is no loud hum."),
    ("There is no hum.", "The recording is free of noise.", "There is a strong hum."),
    ("The voice is very distorted.", "Severe clipping!", "The voice is not distorted."),
    ("No noise or clicks.", "Background noise: none", "Noise and clicks."),
    ("The speech is disjointed.", "The speech is often interrupted.", "The speech is very smooth."),
    ("The talker is very fast.", "The pace is fairly fast.", "The talker is very slow."),
    ("The overall quality is good.", "Overall, it sounds excellent.", "The quality isn't good."),
]


class ByLength:
    """An encoder for whom texts are as like as their lengths: of no use, and so no help."""

    def __call__(self, texts):
        return np.array([[1.0, len(text) / 100] for text in texts])


@pytest.mark.parametrize(("there", "paraphrase", "opposite"), TRIPLES)
@pytest.mark.parametrize(
    "similarity", [DescriptionRouge(), DescriptionSimilarity(ByLength())], ids=lambda r: r.name
)
def test_paraphrase_earns_more_than_its_opposite(similarity, there, paraphrase, opposite):
    reward = PolarityAware(TAXONOMY, similarity)
    assert value(reward, paraphrase, there) > value(reward, opposite, there) + 0.2
    assert value(reward, there, there) == pytest.approx(1)


def test_likeness_alone_prefers_the_opposite():
    """Why there is a polarity at all."""
    there, paraphrase, opposite = TRIPLES[1]
    rouge = DescriptionRouge()
    assert value(rouge, opposite, there) > value(rouge, paraphrase, there)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", {}),
        ("A talker reads.", {}),
        (TASK, {}),
        ("Mains hum", {"noise": 0.25}),
        ("A faint hum, and the noise is slightly noticeable.", {"noise": 0.75}),
        ("Noise-free speech without reverberation", {"noise": 1, "distortion": 1}),
        ("an impressive level of noise, which is virtually non-existent", {"noise": 1}),
        ("The voice is not very distorted.", {"distortion": 1}),
        ("There is loud hum and babble, but the voice is clear", {"noise": 0, "mos": 1}),
        ("The noise is not noticeable. The noise is very intrusive.", {"noise": 0.5}),
        ("The quality isn't good", {"mos": 0.25}),
        ("The talker sounds fairly slow.", {"speed": 0.25}),
        ("It is too fast.", {}),
        ("Background noise: none. Distortion: severe", {"noise": 1, "distortion": 0}),
    ],
)
def test_reading(text, told):
    assert AGREEMENT.read(text) == told


def simulated(seed, flip=False):
    """Prose of the simulator for random scores, with the scores or with their mirror image."""
    rng = np.random.default_rng(seed)
    scores = {n: float(rng.choice([1, 5])) for n in TAXONOMY.names}
    if flip:
        scores = {n: SCORE_MIN + SCORE_MAX - s for n, s in scores.items()}
    return scores, Assessment(TAXONOMY, scores)


@pytest.mark.parametrize("seed", range(20))
def test_simulated_prose_is_read_exactly(seed):
    """The simulator knows what it says: an oracle that shares no code with the reader."""
    rng = np.random.default_rng(seed)
    scores = {n: float(rng.integers(1, 6)) for n in TAXONOMY.names}
    told = AGREEMENT.read(describe(Assessment(TAXONOMY, scores), 4.0, rng))
    assert len(told) >= 3
    assert told == {n: (scores[n] - 1) / 4 for n in told}


@pytest.mark.parametrize("seed", range(20))
def test_simulated_paraphrase_earns_more_than_its_opposite(seed):
    reward = PolarityAware(TAXONOMY, DescriptionRouge())
    _, same = simulated(seed)
    _, mirrored = simulated(seed, flip=True)
    there, paraphrase, opposite = (
        describe(a, 4.0, np.random.default_rng(s)) for a, s in ((same, 1), (same, 2), (mirrored, 1))
    )
    assert value(reward, paraphrase, there) > value(reward, opposite, there)
    assert value(reward, opposite, there) < 0.1


NOISY = "There is a loud hum. The voice is very distorted."


@pytest.mark.parametrize(
    ("said", "agreed"),
    [
        (NOISY, 1),
        ("There is a loud hum.", 1 / 2),
        ("There is no hum. The voice is not distorted.", 0),
        ("banana", 0),
        (TASK, 0),
        ("Noise and distortion.", 1 / 2),  # there, but how much?
        # Remarks that only the prediction has: praise is worth nothing, an alarm costs.
        (NOISY + " The speech is very smooth. Excellent quality.", 1),
        (NOISY + " The speech is disjointed.", 2 / 3),
        ("There is no hum. The speech is very smooth. Excellent quality.", 0),
        # Saying both, or the middle, is no way round.
        ("There is a loud hum. There is no hum. The voice is very distorted.", 1 / 2),
    ],
)
def test_agreement(said, agreed):
    assert AGREEMENT(said, NOISY) == pytest.approx(agreed)


def test_one_anchor_of_the_speed_is_a_fault_at_both_ends():
    assert AGREEMENT("No noise. The talker is very fast.", "No noise.") == 1 / 2
    assert AGREEMENT("No noise. The talker is very slow.", "No noise.") == 1 / 2


def test_reference_in_which_nothing_can_be_read_is_no_target():
    assert AGREEMENT("Loud hum.", "A talker reads.") is None
    assert (
        value(PolarityAware(TAXONOMY, DescriptionRouge()), "Loud hum.", "A talker reads.") is None
    )


def test_taxonomy_with_general_words_alone():
    anchors = ["bad", "poor", "fair", "good", "excellent"]
    mos = {"name": "mos", "title": "overall quality", "anchors": anchors}
    agreement = Agreement(make_taxonomy("plain", "mos", [mos], []))
    assert agreement.read("The quality is poor.") == {"mos": 0.25}
    assert agreement.read("of the speech") == {}


@pytest.mark.parametrize(
    ("said", "expected"),
    [("abc", 1.0), ("-abc", 0.0), ("other", 0.5), ("", 0.0)],
    ids=["same", "opposite", "orthogonal", "no text"],
)
def test_similarity_is_the_cosine_moved_to_0_1(said, expected):
    vectors = {"abc": [0, 3.0], "-abc": [0, -0.1], "other": [2.0, 0]}
    reward = DescriptionSimilarity(lambda texts: np.array([vectors[t] for t in texts]))
    assert value(reward, said, "abc") == expected


def test_every_text_is_embedded_once():
    calls = []

    def encode(texts):
        calls.append(list(texts))
        return np.ones((len(texts), 2))

    predictions = [ParsedAnswer("", says(t)) for t in ("a", "b", "a", "")] + [ParsedAnswer("")]
    reward = DescriptionSimilarity(encode)
    assert reward(predictions, [says("a")] * 5) == pytest.approx([1, 1, 1, 0, 0])
    assert calls == [["a", "b"]]
    assert reward([ParsedAnswer("")], [says("a")]) == [0]
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.ones((1, 3)), r"encoder gave shape \(1, 3\) for 2 texts"),
        (np.ones(2), r"encoder gave shape \(2,\) for 2 texts"),
        (np.array([[1, np.nan], [1, 1]]), "need finite vectors"),
        (np.zeros((2, 3)), "zero vector, which has no cosine"),
    ],
)
def test_bad_embeddings_are_refused(vectors, message):
    with pytest.raises(ValueError, match=message):
        value(DescriptionSimilarity(lambda texts: vectors), "a", "b")


def test_errors_of_the_encoder_come_through():
    def encode(texts):
        raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        value(PolarityAware(TAXONOMY, DescriptionSimilarity(encode)), "a", "b")


# --- section by section


class ByWords:
    """An encoder that counts a few words."""

    def __call__(self, texts):
        words = ("hum", "hiss", "calm", "harsh", ".")
        return np.array([[text.count(word) for word in words] for text in texts], float)


def test_a_section_is_compared_with_the_same_dimensions_section_only():
    there = "Background noise: a hum. Naturalness: calm."
    swapped = "Background noise: calm. Naturalness: a hum."
    noise = SectionSimilarity("noise", TAXONOMY, ByWords())
    assert value(noise, there, there) == pytest.approx(1.0)
    assert value(noise, swapped, there) == pytest.approx(0.75)  # the full stop is alike
    assert value(noise, "Background noise: a hum. Naturalness: harsh.", there) == pytest.approx(1.0)


def test_a_section_that_is_missing():
    noise = SectionSimilarity("noise", TAXONOMY, ByWords())
    assert value(noise, "Background noise: a hum.", "A hum.") is None
    assert value(noise, "A hum.", "Background noise: a hum.") == 0.0
    unreadable = noise([ParsedAnswer("hum")], [says("Background noise: a hum.")])
    assert unreadable == [0.0]


def test_a_section_reward_for_each_dimension():
    rewards = per_dimension(TAXONOMY, lambda name: SectionSimilarity(name, TAXONOMY, ByWords()))
    assert [r.name for r in rewards] == [f"similarity/{name}" for name in TAXONOMY.names]
