"""A listening test's columns as a taxonomy."""

from speechqa_plugin.ratings.dimensions import make_test_taxonomy
from speechqa_plugin.schema import load_taxonomy


def test_known_dimensions_keep_their_words_and_order():
    ours = load_taxonomy("qualispeech")
    made = make_test_taxonomy(["mos", "warmth", "distortion", "noise"])
    assert made.names == ("noise", "distortion", "warmth", "mos") and not made.kinds
    assert made.dimension("noise") == ours.dimension("noise")
    assert made.dimension("warmth").title == "warmth"
    nisqa = load_taxonomy("nisqa")
    assert make_test_taxonomy(reversed(nisqa.names)).dimensions == nisqa.dimensions
