"""Long recordings: nothing is lost at the cuts, and nothing is counted twice."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import MAX_TIME_S, assessments

from speechqa_plugin.schema import Artifact, Assessment, Stretch, load_taxonomy
from speechqa_plugin.windows import MOST_DESCRIBED, cut, join

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


@given(st.data())
def test_windows_overlap_and_cover_everything(data):
    length = data.draw(st.integers(1, 10**7))
    longest = data.draw(st.integers(max(2, length // 1000), 10**6))
    overlap = data.draw(st.integers(0, longest // 2))
    windows = cut(length, longest, overlap)
    assert (windows[0][0], windows[-1][1]) == (0, length)
    assert all(0 < end - start <= longest for start, end in windows)
    shared = {a[1] - b[0] for a, b in zip(windows, windows[1:], strict=False)}
    assert shared <= {overlap}
    if length > longest:  # one window fewer would not do
        fewer = len(windows) - 1
        assert fewer * longest - (fewer - 1) * overlap < length
    sizes = {end - start for start, end in windows}
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


def test_what_two_windows_say_of_their_overlap_is_one():
    #        0       8  10      18       two windows that share 8 to 10
    # hum    |     ##|##|##     |        6 to 10, and 8 to 12: one from 6 to 12
    # click  |       |# |       |        heard by both: once
    # babble |       |  |   ####|        the later window alone
    # pop    |  #    |  | #     |        twice, apart
    # hiss   |  ##   |  |       |        two of one window that touch
    first = (
        Artifact("noise", "pop", 3.0, 3.5),
        Artifact("noise", "hum", 6.0, 10.0),
        Artifact("noise", "click", 8.4, 8.5),
        Artifact("noise", "hiss", 3.0, 4.0),
        Artifact("noise", "hiss", 4.0, 5.0),
        Artifact("speed", "too fast"),
    )
    second = (
        Artifact("noise", "hum", 0.0, 4.0),
        Artifact("noise", "click", 0.4, 0.5),
        Artifact("noise", "babble", 6.0, 10.3),
        Artifact("noise", "pop", 4.0, 4.5),
        Artifact("speed", "too fast"),
    )
    joined = join([(0.0, 10.0, said(3, *first)), (8.0, 18.0, said(3, *second))])
    assert joined.artifacts == (
        Artifact("noise", "pop", 3.0, 3.5),
        Artifact("noise", "hiss", 3.0, 5.0),
        Artifact("noise", "hum", 6.0, 12.0),
        Artifact("noise", "click", 8.4, 8.5),
        Artifact("noise", "pop", 12.0, 12.5),
        Artifact("noise", "babble", 14.0, 18.0),
        Artifact("speed", "too fast"),
    )


def test_artifacts_of_two_kinds_or_types_stay_apart():
    artifacts = [Artifact(k, t, 0.0, 9.0) for k, t in (("noise", "hum"), ("distortion", "hum"))]
    artifacts.append(Artifact("noise", "hiss", 0.0, 9.0))
    joined = join([(0.0, 9.0, said(3, *artifacts)), (9.0, 18.0, said(3, *artifacts))])
    assert {(a.kind, a.type, a.start_s, a.end_s) for a in joined.artifacts} == {
        ("noise", "hum", 0.0, 18.0),
        ("distortion", "hum", 0.0, 18.0),
        ("noise", "hiss", 0.0, 18.0),
    }


def test_a_time_that_a_windows_end_makes_very_short_stays_a_time():
    tail = Artifact("noise", "hum", 8.9, 9.5)
    joined = join([(0.0, 8.9 + 1e-9, said(3, tail)), (8.0, 17.0, said(3))])
    assert joined.artifacts[0].interval.length_s == pytest.approx(1e-6)


def test_the_timeline_holds_the_scores_of_each_window():
    joined = join([(0.0, 10.0, said(5)), (8.0, 18.0, said(2))])
    assert joined.timeline == (
        Stretch(0.0, 10.0, dict.fromkeys(TAXONOMY.names, 5.0)),
        Stretch(8.0, 18.0, dict.fromkeys(TAXONOMY.names, 2.0)),
    )
    assert join([(0.0, 10.0, said(5))]).timeline == ()


def test_where_there_was_nothing_to_judge_no_score_counts():
    def unknown(text=""):
        nothing = dict.fromkeys(TAXONOMY.names, 0.0)
        return replace(said(3, text=text), confidence=nothing, warnings=("no speech found",))

    parts = [(0.0, 10.0, said(5)), (8.0, 18.0, unknown()), (16.0, 26.0, said(4))]
    joined = join(parts)
    assert (joined.mos, joined.confidence["mos"]) == (4.5, 0.5)
    assert joined.warnings == ("no speech found (at 8.0-18.0 s)",)
    assert [t.start_s for t in joined.timeline] == [0.0, 16.0]
    silence = join([(0.0, 10.0, unknown()), (8.0, 18.0, unknown())])
    assert (silence.mos, silence.judged, silence.timeline) == (3.0, False, ())
    assert silence.warnings == ("no speech found",)


def test_a_warning_names_some_stretches_and_counts_the_others():
    bad = replace(said(3), warnings=("low",))
    parts = [(10.0 * i, 10.0 * i + 10, said(3) if i % 2 else bad) for i in range(14)]
    (warning,) = join(parts).warnings
    assert warning == (
        "low (at 0.0-10.0, 20.0-30.0, 40.0-50.0, 60.0-70.0, 80.0-90.0 s and 2 more stretches)"
    )
    assert join(parts[:12]).warnings[0].endswith("80.0-90.0 s and 1 more stretch)")
    parts = [(8.0 * i, 8.0 * i + 10, bad if i < 4 else said(3)) for i in range(14)]
    assert join(parts).warnings == ("low (at 0.0-34.0 s)",)


def test_the_description_says_where_and_never_nothing():
    texts = ["Fine.", "Fine.", "", "", "Bad.", " "]
    parts = [(8.0 * i, 8.0 * i + 10, said(3, text=text)) for i, text in enumerate(texts)]
    assert join(parts).description == "[0.0-18.0 s] Fine. [32.0-42.0 s] Bad."
    assert join([(s, e, said(3)) for s, e, _ in parts]).description == ""


def test_of_many_windows_the_worst_are_described_in_order():
    scores = [5 - 3.5 * (i % 25 == 7) - (i % 3 == 0) * 0.5 for i in range(100)]
    parts = [(8.0 * i, 8.0 * i + 10, said(s, text=f"Window {i}.")) for i, s in enumerate(scores)]
    text = join(parts).description
    assert text.startswith(f"The worst {MOST_DESCRIBED} of 100 stretches: [0.0-10.0 s] Window 0. ")
    assert all(f"[{8 * i}.0-{8 * i + 10}.0 s] Window {i}." in text for i in (7, 32, 57, 82))
    assert text.count("[") == MOST_DESCRIBED
    starts = [float(piece.split("-")[0]) for piece in text.split("[")[1:]]
    assert starts == sorted(starts)
    assert "worst" not in join(parts[:MOST_DESCRIBED]).description


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
