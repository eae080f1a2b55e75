"""Presence and type of artifacts over clips, counted by hand and by their definition."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import assessments

from speechqa_plugin.metrics import Counts, Detection, detect
from speechqa_plugin.schema import Artifact, Assessment, load_taxonomy

TAXONOMY = load_taxonomy("qualispeech")


def clip(*artifacts):
    return Assessment(TAXONOMY, dict.fromkeys(TAXONOMY.names, 3), artifacts)


CLEAN = clip()
HUM = clip(Artifact("noise", "mains hum", 0, 1))
BABBLE = clip(Artifact("noise", "babble"))
CUT = clip(Artifact("pause", "cut-out", 1, 2))


def test_presence_is_counted_by_clip():
    references = [HUM, HUM, CLEAN, CUT, BABBLE]
    predictions = [HUM, CLEAN, HUM, CUT, HUM]
    detection = detect(predictions, references, "noise")
    assert detection == Detection(Counts(hits=2, predicted=3, reference=3), types_right=1, n=5)
    assert detection.presence.f1 == pytest.approx(2 / 3)
    assert detection.type_accuracy == 0.5
    assert detect(predictions, references, "pause").presence == Counts(1, 1, 1)


def test_answer_that_could_not_be_read_finds_nothing():
    assert detect([None, None], [HUM, CLEAN], "noise") == Detection(Counts(0, 0, 1), 0, 2)


@pytest.mark.parametrize(
    ("said", "right"),
    [
        ((Artifact("noise", "MAINS HUM"), Artifact("noise", "babble")), True),
        ((Artifact("noise", "babble", 0, 1), Artifact("noise", "babble", 2, 3)), False),
        ((Artifact("noise", "mains hum"),), False),
        ((Artifact("noise", "mains hum"), Artifact("distortion", "babble")), False),
    ],
)
def test_types_are_right_if_the_same_set_is_named(said, right):
    reference = clip(Artifact("noise", "babble"), Artifact("noise", "mains hum"))
    detection = detect([clip(*said)], [reference], "noise")
    assert detection.presence.hits == 1
    assert detection.type_accuracy == right


def test_undefined_is_nan_with_its_count():
    detection = detect([CLEAN], [CLEAN], "noise")
    assert detection.n == 1
    assert math.isnan(detection.presence.precision)
    assert math.isnan(detection.presence.f1)
    assert math.isnan(detection.type_accuracy)
    assert detect([], [], "noise") == Detection(Counts(), 0, 0)


@given(
    rows=st.lists(st.tuples(st.none() | assessments(TAXONOMY), assessments(TAXONOMY)), max_size=4),
    kind=st.sampled_from(TAXONOMY.kind_names),
)
def test_counts_equal_the_definition(rows, kind):
    def present(assessment):
        return assessment is not None and kind in [a.kind for a in assessment.artifacts]

    predictions, references = [p for p, _ in rows], [r for _, r in rows]
    detection = detect(predictions, references, kind)
    said, there = [present(p) for p in predictions], [present(r) for r in references]
    hits = sum(a and b for a, b in zip(said, there, strict=True))
    assert detection.presence == Counts(hits, sum(said), sum(there))
    assert detection.types_right <= hits
    assert detect(references, references, kind).types_right == sum(there)


def test_lengths_and_kinds_are_checked():
    with pytest.raises(ValueError, match="1 predictions and 2 references"):
        detect([HUM], [HUM, HUM], "noise")
    with pytest.raises(KeyError, match="echo"):
        detect([HUM], [HUM], "echo")
