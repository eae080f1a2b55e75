"""The schema's types accept what is valid and name what is not."""

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import assessments, intervals

from speechqa_plugin.schema import (
    Artifact,
    ArtifactKind,
    Assessment,
    Dimension,
    Interval,
    SchemaError,
    Stretch,
    Taxonomy,
    Utterance,
    assessment_from_dict,
    is_judged,
    load_taxonomy,
    round_score,
)

QUALISPEECH = load_taxonomy("qualispeech")
NISQA = load_taxonomy("nisqa")
ANCHORS = ("a", "b", "c", "d", "e")
SCORES = dict.fromkeys(QUALISPEECH.names, 3)


def dimension(name="mos"):
    return Dimension(name, "title", ANCHORS)


@pytest.mark.parametrize("source", ["qualispeech", "nisqa"])
def test_shipped_taxonomies_load(source):
    taxonomy = load_taxonomy(source)
    assert taxonomy.name == source
    assert taxonomy.overall == "mos" == taxonomy.names[-1]
    for name in taxonomy.names:
        assert taxonomy.dimension(name).name == name
        assert len(set(taxonomy.dimension(name).anchors)) == 5
    for name in taxonomy.kind_names:
        assert taxonomy.kind(name).dimension in taxonomy.names


def test_only_speed_is_a_magnitude():
    assert [d.name for d in QUALISPEECH.dimensions if d.magnitude] == ["speed"]


def test_unknown_names_are_key_errors():
    with pytest.raises(KeyError):
        QUALISPEECH.dimension("loudness")
    with pytest.raises(KeyError):
        QUALISPEECH.kind("loudness")


def test_taxonomy_from_a_file_of_your_own(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(
        "name: own\noverall: mos\ndimensions:\n"
        "  - {name: mos, title: overall, anchors: [a, b, c, d, e]}\n"
        "kinds:\n  - {name: hiss, dimension: mos}\n"
    )
    taxonomy = load_taxonomy(str(path))
    assert taxonomy == Taxonomy("own", (Dimension("mos", "overall", ANCHORS),), "mos",
                                (ArtifactKind("hiss", "mos"),))  # fmt: skip


@pytest.mark.parametrize(
    "text", ["name: own\n", "a list of words\n", "name: n\noverall: mos\ndimensions: [{}]\n"]
)
def test_file_that_is_no_taxonomy(tmp_path, text):
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(SchemaError, match="own.yaml"):
        load_taxonomy(str(path))


def test_missing_taxonomy_lists_ours():
    with pytest.raises(SchemaError, match=r"'nope'.*nisqa.*qualispeech"):
        load_taxonomy("nope")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Dimension("mos", "t", ("a", "b")), "2 anchors, need 5"),
        (lambda: dimension("Mos"), "'Mos' is not a lower-case identifier"),
        (lambda: dimension("a b"), "'a b' is not a lower-case identifier"),
        (lambda: dimension(3), "3 is not a lower-case identifier"),
        (lambda: ArtifactKind("no/ise", "mos"), "'no/ise' is not a lower-case identifier"),
        (lambda: ArtifactKind("noise", "mos", ("a (b)",)), "has a bracket"),
        (lambda: Taxonomy("t", (dimension(), dimension()), "mos"), r"named twice: \['mos'\]"),
        (
            lambda: Taxonomy("t", (dimension(),), "mos", (ArtifactKind("x", "mos"),) * 2),
            r"kind named twice: \['x'\]",
        ),
        (lambda: Taxonomy("t", (dimension("a"),), "mos"), "overall 'mos' is none of"),
        (
            lambda: Taxonomy("t", (dimension("artifact"),), "artifact"),
            r"may not be named \['artifact'\]",
        ),
        (
            lambda: Taxonomy("t", (dimension(),), "mos", (ArtifactKind("x", "noise"),)),
            "kind 'x' points to dimension 'noise'",
        ),
        (lambda: Interval(math.nan, 1), "must be finite"),
        (lambda: Interval(0, math.inf), "must be finite"),
        (lambda: Interval(-0.1, 1), "need 0 <= start_s < end_s"),
        (lambda: Interval(1, 1), "need 0 <= start_s < end_s"),
        (lambda: Interval(2, 1), "need 0 <= start_s < end_s"),
        (lambda: Artifact("noise", ""), "not one line of plain words"),
        (lambda: Artifact("noise", "a\nb"), "not one line of plain words"),
        (lambda: Artifact("noise", " a"), "not one line of plain words"),
        (lambda: Artifact("noise", None), "not one line of plain words"),
        (lambda: Artifact("noise", "hum", 1.0), "give both or neither"),
        (lambda: Artifact("noise", "hum", end_s=1.0), "give both or neither"),
        (lambda: Artifact("noise", "hum", 2.0, 1.0), "need 0 <= start_s < end_s"),
        (lambda: Artifact("noise", "hum", severity=1.1), r"severity 1.1 not in \[0, 1\]"),
        (lambda: Artifact("noise", "hum", severity=math.nan), "severity nan"),
        (lambda: Utterance("", "a.wav", 1.0), "id: is empty"),
        (lambda: Utterance("a", "a.wav", 0.0), "duration_s: 0.0 is not above 0"),
        (lambda: Utterance("a", "a.wav", math.nan), "duration_s: nan is not above 0"),
        (lambda: Utterance("a", "a.wav", math.inf), "duration_s: inf is not above 0"),
    ],
)
def test_parts_that_break_a_rule(build, message):
    with pytest.raises(SchemaError, match=message):
        build()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": {**SCORES, "mos": 5.01}}, r"scores: mos is 5.01, not in \[1, 5\]"),
        ({"scores": {**SCORES, "mos": 0}}, r"scores: mos is 0, not in \[1, 5\]"),
        ({"scores": {**SCORES, "mos": math.nan}}, "scores: mos is nan"),
        ({"scores": {**SCORES, "mos": "4"}}, "scores: mos is '4', not a number"),
        ({"scores": {**SCORES, "mos": True}}, "scores: mos is True, not a number"),
        ({"scores": {**SCORES, "bass": 3}}, r"scores: \['bass'\] are no dimensions"),
        ({"scores": {"mos": 3}}, r"scores: no value for \['noise'"),
        ({"confidence": {"mos": 1.5}}, r"confidence: mos is 1.5, not in \[0, 1\]"),
        ({"confidence": {"bass": 0.5}}, r"confidence: \['bass'\] are no dimensions"),
        ({"artifacts": (Artifact("echo", "x"),)}, "kind 'echo' is none of"),
        ({"description": None}, "description: need a text, found None"),
    ],
)
def test_assessment_that_breaks_a_rule(changes, message):
    with pytest.raises(SchemaError, match=message):
        Assessment(QUALISPEECH, **{"scores": SCORES, **changes})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], r"need a mapping from dimension to score, found \[\]"),
        ({"scores": [1]}, "need a mapping from dimension to score"),
        ({"scores": SCORES, "mood": 1}, r"unknown fields \['mood'\]"),
        ({"scores": SCORES, "artifacts": [{"kind": "noise"}]}, "artifacts: .*'type'"),
        ({"scores": SCORES, "artifacts": [7]}, "artifacts: "),
        ({"scores": SCORES, "timeline": {}}, r"timeline: need a list, found \{\}"),
        ({"scores": SCORES, "timeline": [{"start_s": 0}]}, "timeline: .*'end_s'"),
        (
            {"scores": SCORES, "timeline": [{"start_s": 0, "end_s": 1, "scores": {"mos": 3}}]},
            r"timeline: 0-1 s: no value for \['noise'",
        ),
        (
            {"scores": SCORES, "timeline": [{"start_s": 1, "end_s": 1, "scores": SCORES}]},
            "need 0 <= start_s < end_s",
        ),
        (
            {"scores": SCORES, "timeline": [{"start_s": "0", "end_s": 1, "scores": SCORES}]},
            "timeline: start_s is '0', not a number",
        ),
        ({"scores": SCORES, "warnings": "loud"}, "warnings: need a list of texts, found 'loud'"),
        ({"scores": SCORES, "warnings": [1]}, r"warnings: need a list of texts, found \[1\]"),
        ({"scores": SCORES, "warnings": None}, "warnings: need a list of texts, found None"),
        ({"scores": SCORES, "artifacts": [{"kind": "noise", "type": "x", "at": 1}]}, "'at'"),
    ],
)
def test_dict_that_is_no_assessment(data, message):
    with pytest.raises(SchemaError, match=message):
        assessment_from_dict(data, QUALISPEECH)


def test_assessment_keeps_the_taxonomys_order():
    backwards = dict.fromkeys(reversed(QUALISPEECH.names), 3)
    assessment = Assessment(QUALISPEECH, backwards, [Artifact("noise", "hum")])
    assert tuple(assessment.scores) == QUALISPEECH.names
    assert isinstance(assessment.artifacts, tuple)


def test_intervals_are_those_of_the_kind_with_times():
    artifacts = (
        Artifact("noise", "hum", 1.0, 2.0),
        Artifact("noise", "babble"),
        Artifact("pause", "cut-out", 0.0, 0.5),
    )
    assessment = Assessment(QUALISPEECH, SCORES, artifacts)
    assert assessment.intervals("noise") == [Interval(1.0, 2.0)]
    assert assessment.intervals("distortion") == []


def test_timeline_and_warnings_stand_in_the_dict_where_there_are_some():
    plain = Assessment(QUALISPEECH, SCORES)
    assert set(plain.to_dict()) == {"scores", "artifacts", "description"}
    stretches = Stretch(0.0, 10.0, SCORES), Stretch(8.0, 18.0, SCORES)
    full = replace(plain, timeline=list(stretches), warnings=["no speech found"])
    assert (full.timeline, full.warnings) == (stretches, ("no speech found",))
    data = json.loads(json.dumps(full.to_dict()))
    assert data["timeline"][1] == {"start_s": 8.0, "end_s": 18.0, "scores": SCORES}
    assert data["warnings"] == ["no speech found"]
    assert assessment_from_dict(data, QUALISPEECH) == full


def test_where_every_confidence_is_0_nothing_was_judged():
    def with_confidence(**confidence):
        return Assessment(QUALISPEECH, SCORES, confidence=confidence)

    assert with_confidence().judged and with_confidence(mos=0.1, noise=0).judged
    assert not with_confidence(mos=0, noise=0).judged
    assert is_judged({}) and is_judged({"mos": 0.1, "noise": 0}) and not is_judged({"mos": 0.0})


def test_an_artifact_that_ends_after_its_clip_is_cut_to_it():
    #   0        2   2.5       clip
    # a |  ######|##|          1.0 to 2.3: stays
    # b |        |##|####      2.0 to 4.0: cut
    # c |        |  |  ####    3.0 to 4.0: not in this clip, so its time is not known
    # d                        without a time
    times = (1.0, 2.3), (2.0, 4.0), (3.0, 4.0), ()
    artifacts = tuple(Artifact("noise", "hum", *t) for t in times)
    row = Utterance("a", "a.wav", 2.5, Assessment(QUALISPEECH, SCORES, artifacts))
    cut = row.reference.artifacts
    assert [(a.start_s, a.end_s) for a in cut] == [
        (1.0, 2.3),
        (2.0, 2.5),
        (None, None),
        (None, None),
    ]


@pytest.mark.parametrize("taxonomy", [QUALISPEECH, NISQA], ids=lambda t: t.name)
@given(data=st.data())
def test_dict_round_trip_through_json(taxonomy, data):
    assessment = data.draw(assessments(taxonomy))
    text = json.dumps(assessment.to_dict())
    assert assessment_from_dict(json.loads(text), taxonomy) == assessment


@given(interval=intervals())
def test_interval_length_is_positive(interval):
    assert 0 < interval.length_s <= interval.end_s


@given(score=st.floats(1, 5))
def test_rounding_goes_to_the_nearest_and_halves_up(score):
    rounded = round_score(score)
    assert rounded in range(1, 6)
    assert -0.5 < rounded - score <= 0.5
    assert dimension().anchor(score) == ANCHORS[rounded - 1]
