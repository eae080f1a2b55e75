"""Long recordings: nothing is lost at the cuts, and nothing is counted twice."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import MAX_TIME_S, assessments

from speechqa_plugin.schema import Artifact, Assessment, load_taxonomy
from speechqa_plugin.windows import cut, join

TAXONOMY = load_taxonomy("qualispeech")


def said(score, *artifacts, text=""):
    scores = dict.fromkeys(TAXONOMY.names, score)
    return Assessment(TAXONOMY, scores, artifacts, text, dict.fromkeys(TAXONOMY.names, 0.5))


@given(st.integers(1, 10**7), st.integers(1, 10**6))
def test_parts_cover_everything_once(length, longest):
    parts = cut(length, longest)
    assert parts[0][0] == 0
    assert parts[-1][1] == length
    assert all(a[1] == b[0] for a, b in zip(parts, parts[1:], strict=False))
    sizes = {end - start for start, end in parts}
    assert 0 < min(sizes) <= max(sizes) <= longest
    assert max(sizes) - min(sizes) <= 1


def test_no_parts_are_refused():
    with pytest.raises(ValueError, match="no parts to join"):
        join([])


@given(assessments(TAXONOMY))
def test_one_part_stays_as_it_is_but_for_repeats(assessment):
    once = tuple(dict.fromkeys(assessment.artifacts))
    assert join([(0.0, MAX_TIME_S + 1, assessment)]) == replace(assessment, artifacts=once)


def test_times_do_not_leave_the_only_part():
    """So short a training writes the same hum three times, and an end that the clip has not."""
    hum = Artifact("noise", "mains hum", 0.0, 6.8)
    after = Artifact("pause", "cut-out", 6.0, 6.5)
    joined = join([(0.0, 5.76, said(3, hum, after, hum))])
    assert joined.artifacts == (
        Artifact("noise", "mains hum", 0.0, 5.76),
        Artifact("pause", "cut-out"),
    )


def test_scores_are_weighted_by_time():
    joined = join([(0.0, 9.0, said(5, text="Fine.")), (9.0, 12.0, said(1, text="Bad."))])
    assert joined.mos == pytest.approx(4.0)
    assert joined.confidence["mos"] == pytest.approx(0.5)
    assert joined.description == "[0.0-9.0 s] Fine. [9.0-12.0 s] Bad."


def test_an_artifact_across_a_cut_is_one():
    #        0         9         18
    # noise  |   ######|#####    |        babble from 3 to 14
    # noise  |         |###      |        music from 9 to 12: nothing before the cut
    babble = Artifact("noise", "babble", 3.0, 9.0), Artifact("noise", "babble", 0.0, 5.0)
    music = Artifact("noise", "music", 0.0, 3.0)
    joined = join([(0.0, 9.0, said(3, babble[0])), (9.0, 18.0, said(3, babble[1], music))])
    assert joined.artifacts == (
        Artifact("noise", "babble", 3.0, 14.0),
        Artifact("noise", "music", 9.0, 12.0),
    )


def test_what_goes_on_across_a_cut_ends_with_the_last_that_does():
    babble = [Artifact("noise", "babble", *times) for times in ((3.0, 9.0), (0.0, 8.0), (0.0, 2.0))]
    joined = join([(0.0, 9.0, said(3, babble[0])), (9.0, 18.0, said(3, *babble[1:]))])
    assert joined.artifacts == (Artifact("noise", "babble", 3.0, 17.0),)


@given(st.lists(st.floats(0.03, 30), min_size=2, max_size=5))
def test_equal_scores_stay_as_they_are(lengths_s):
    edges = [sum(lengths_s[:i]) for i in range(len(lengths_s) + 1)]
    joined = join([(s, e, said(5)) for s, e in zip(edges, edges[1:], strict=False)])
    assert set(joined.scores.values()) == {5.0}


def test_an_artifact_that_ends_before_the_cut_is_another():
    first, second = Artifact("noise", "babble", 3.0, 8.5), Artifact("noise", "babble", 0.0, 5.0)
    joined = join([(0.0, 9.0, said(3, first)), (9.0, 18.0, said(3, second))])
    assert [(a.start_s, a.end_s) for a in joined.artifacts] == [(3.0, 8.5), (9.0, 14.0)]


def test_times_do_not_leave_their_part_and_unknown_times_stay():
    late = Artifact("pause", "cut-out", 8.0, 9.7)  # the part ends at 9.66
    unknown = Artifact("speed", "too fast")
    joined = join([(0.0, 9.66, said(3, late)), (9.66, 19.0, said(3, unknown))])
    assert joined.artifacts == (Artifact("pause", "cut-out", 8.0, 9.66), unknown)
    after = Artifact("speed", "too fast", 12.0, 13.0)
    joined = join([(0.0, 9.0, said(3, after)), (9.0, 18.0, said(3, unknown))])
    assert joined.artifacts == (unknown,)
