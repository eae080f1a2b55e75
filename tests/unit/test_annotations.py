"""Annotators' remarks: a table of our own, generated times, and any text at all."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from annotation_cases import GROWN_ON, HELD_OUT, MET_LATER
from annotation_coverage import coverage
from hypothesis import example, given
from hypothesis import strategies as st

from speechqa_plugin.annotations import Flag, base, parse_annotation
from speechqa_plugin.schema import Artifact, ArtifactKind, Interval, load_taxonomy

TAXONOMY = load_taxonomy("qualispeech")
NOISE, PAUSE = TAXONOMY.kind("noise"), TAXONOMY.kind("pause")


def test_the_table_is_long_enough_and_has_no_text_twice():
    cases = [*GROWN_ON, *HELD_OUT]
    assert len({case[:3] for case in cases}) == len(cases) >= 150


@pytest.mark.parametrize("case", [*GROWN_ON, *HELD_OUT], ids=lambda case: case[0][:40] or "empty")
def test_table(case):
    text, kind, duration_s, present, type_, intervals = case
    found = parse_annotation(text, TAXONOMY.kind(kind), duration_s)
    assert found.present == present or present is None
    assert found.kind_type == type_ or type_ is None
    flat = [bound for i in found.intervals for bound in (i.start_s, i.end_s)]
    assert flat == pytest.approx([bound for pair in intervals for bound in pair])
    assert found.text == text


@pytest.mark.parametrize("case", MET_LATER, ids=lambda case: case[0][:40])
def test_wordings_of_others(case):
    text, kind, duration_s, present, type_, intervals = case
    found = parse_annotation(text, TAXONOMY.kind(kind), duration_s)
    assert (found.present, found.type) == (present, type_)
    assert found.intervals == intervals


def test_a_type_has_the_name_of_the_kind_as_well():
    found = parse_annotation("hissing and a gong", NOISE)
    assert (found.type, found.kind_type) == ("hissing and gong", "white noise and gong")
    unknown = parse_annotation("a gong", NOISE)
    assert unknown.type == unknown.kind_type == "gong"
    assert parse_annotation("none", NOISE).kind_type == ""


@pytest.mark.parametrize(
    ("text", "duration_s", "flags"),
    [
        ("hum", 4, set()),
        ("door from 0-1s", 4, {Flag.UNKNOWN_WORDING}),
        ("1-2s", 4, {Flag.TYPE_NOT_SAID}),
        ("background noise from 1-2s", 4, {Flag.TYPE_NOT_SAID}),
        ("continuous noise", 4, {Flag.TYPE_NOT_SAID}),
        ("2.5", 4, {Flag.TYPE_NOT_SAID}),
        ("hum and music", 4, {Flag.SEVERAL_TYPES}),
        ("hum throughout", 4, {Flag.WHOLE_CLIP}),
        ("hum throughout", None, {Flag.WHOLE_CLIP}),
        ("hum throughout except from 1-2s", 4, {Flag.EXCEPTED}),
        ("hum from 0-3s except 1-2s", 4, {Flag.EXCEPTED}),
        ("quiet except from 1-2s", 4, {Flag.TYPE_NOT_SAID}),
        ("hum in the last 2 s", None, {Flag.NEEDS_DURATION}),
        ("hum in the first half", 4, {Flag.VAGUE_TIME}),
        ("hum at 3.2 s", 4, {Flag.POINT_IN_TIME}),
        ("hum at 3.2", 4, {Flag.POINT_IN_TIME}),
        ("hum from 2-2s", 4, {Flag.POINT_IN_TIME}),
        ("hum persists for 5.7 seconds", 4, {Flag.LENGTH_ONLY}),
        ("hum for about 2 to 3 seconds", 4, {Flag.LENGTH_ONLY}),
        ("hum for about 1.2 to 1.7 seconds", 4, {Flag.LENGTH_ONLY}),
        ("hum takes 2-3 seconds", 4, {Flag.LENGTH_ONLY}),
        ("hum lasts up to 3 seconds", 4, {Flag.LENGTH_ONLY}),
        ("hum during the same timeframe", 4, {Flag.SAME_TIME_AS_OTHER}),
        ("hum at the beginning", 4, {Flag.VAGUE_TIME}),
        ("hum at the beginning, 0-1 s", 4, set()),
        ("hum every 2 seconds", 4, {Flag.UNREAD_TIME}),
        ("hum after 2 s", 4, {Flag.OPEN_END}),
        ("hum from 2 s to the end", 4, set()),
        ("hum from 3-1s", 4, {Flag.REVERSED}),
        ("hum from 3-4.2s", 4, {Flag.CLAMPED}),
        ("hum from 5-6s", 4, {Flag.BEYOND_CLIP}),
        ("hum from 5 s on", 4, {Flag.BEYOND_CLIP}),
        ("hum in the first 35 seconds", 4.01, {Flag.CLAMPED, Flag.LOST_DECIMAL_POINT}),
        ("hum from 12-35s", 4.01, {Flag.BEYOND_CLIP, Flag.LOST_DECIMAL_POINT}),
        ("hum from 0-50s", 4, {Flag.CLAMPED}),
        ("hum in the last 25 s", 4, {Flag.CLAMPED, Flag.LOST_DECIMAL_POINT}),
        ("no hum at 3.2 s", 4, set()),
    ],
)
def test_flags(text, duration_s, flags):
    assert parse_annotation(text, NOISE, duration_s).flags == flags


def test_every_flag_is_explained():
    source = Path(base.__file__).read_text(encoding="utf-8")
    assert re.findall(r' {4}[A-Z_]+ = "(\w+)"\n {4}"""', source) == list(Flag)


TEMPLATES = (
    "from {a}-{b}s|from {a} to {b} seconds|{a}-{b}s|{a}s-{b}s|{a} – {b} s|from {a}s—{b}s|{a} - {b}|"
    "between {a}s and {b}s|between {a} to {b} seconds|between {a}-{b} seconds|{a}s~{b}s|"
    "seconds {a} to {b}|{a} to {b} second mark|FROM {a}S TO {b}S|at {a}-{b} sec|"
    "from {a}s until {b}s|starts at {a} s and ends at {b} s|[{a}s, {b}s]|({a}-{b}s)|"
    "during {a} s to about {b} s|from the {a} second mark to the {b} second mark|from{a}to{b}s|"
    "lasting from {a}s to {b}s|from  {a}\n to {b} s"
).split("|")
STEPS = st.integers(0, 99)


@given(
    st.lists(st.tuples(STEPS, STEPS).filter(lambda p: p[0] < p[1]), min_size=1, max_size=4),
    st.sampled_from([", ", " and ", "; ", " / "]),
    st.sampled_from(["", "hum ", "Slight hum, ", "There is a hum "]),
    st.booleans(),
    st.data(),
)
def test_written_intervals_are_read_back(pairs, joint, lead, comma, data):
    """Every form, alone and in lists, with decimal points and commas."""
    stretches = []
    for pair in pairs:
        a, b = (f"{step / 10:.1f}".replace(".", "," if comma else ".") for step in pair)
        stretches.append(data.draw(st.sampled_from(TEMPLATES)).format(a=a, b=b))
    found = parse_annotation(lead + joint.join(stretches), NOISE, 10.0)
    expected = sorted({Interval(a / 10, b / 10) for a, b in pairs})
    assert found.present
    assert found.kind_type == ("mains hum" if lead else "noise")
    assert found.intervals == expected


@given(st.integers(1, 40), st.sampled_from(["first {}s", "initial {} seconds", "until {} s"]))
def test_beginnings(tenths, form):
    (found,) = parse_annotation("hum " + form.format(tenths / 10), NOISE, 4.0).intervals
    assert found == Interval(0.0, tenths / 10)


@given(st.integers(1, 39), st.sampled_from(["last {}s", "the final {} seconds"]))
def test_endings(tenths, form):
    (found,) = parse_annotation("hum in " + form.format(tenths / 10), NOISE, 4.0).intervals
    assert (found.start_s, found.end_s) == (pytest.approx(4.0 - tenths / 10), 4.0)


WORDS = st.sampled_from(
    "from to until between and , . ; - – / ( ) [ at first last half second seconds s hz db % no not"
    " none but except hum noise very smooth throughout whole 0 1 2.5 0,5 12 3s 0.5-1 :30 1:02"
    " two for"
    " lasts same the end start onwards except third"
    " speakers \n it is which virtually non-existent".split(" ")
)
TEXTS = st.text() | st.lists(WORDS, max_size=14).map(" ".join) | st.lists(WORDS).map("".join)


@given(TEXTS, st.sampled_from(TAXONOMY.kinds), st.none() | st.floats(0.01, 600))
@example("9" * 500 + "-" + "9" * 501 + "s", NOISE, 4.0)
@example("\x01", PAUSE, 4.0)
@example("٣-٤ s", NOISE, 4.0)
def test_any_text_is_read(text, kind, duration_s):
    found = parse_annotation(text, kind, duration_s)
    assert found.intervals == sorted(set(found.intervals))
    for interval in found.intervals:
        assert 0 <= interval.start_s < interval.end_s <= (duration_s or 1e9)
    assert found.present == bool(found.type) == bool(found.kind_type)
    assert found.present or not (found.intervals or found.flags)
    if found.present:
        Artifact(kind.name, found.type)
        Artifact(kind.name, found.kind_type)  # raises where the type could not stand in an answer


TIMELESS = st.lists(
    st.sampled_from(
        "a hum noise from to until between and the at in clicks voice not no very but , . - : ( ) s"
        " during start end of background same time seconds Hz muffled for lasts which is"
        " hiss".split()
    )
).map(" ".join)


@given(TIMELESS | st.text(st.characters(categories=["L", "P", "Z"]), max_size=30))
def test_no_interval_comes_from_a_text_without_numbers(text):
    if not re.search(r"start.*end|beginning|half", text.lower()):
        assert parse_annotation(text, NOISE, 4.0).intervals == []


NOT_TIMES = (
    "{a} speakers|{a}-{b} speakers|between {a} and {b} people|{a} Hz|{a}-{b} kHz|{a}-bit|"
    "from {a} to {b} kHz|-{a} dB|from {a} to {b} dB|score {a}|rated {a}-{b}|up to {a} clicks|"
    "rated between {a} and {b}|{a} out of {b}|{a}/{b}|{a}%|{a}-{b} %|level {a}|{a} times|"
    "on a scale of {a}-{b}|{a} to {b} times"
).split("|")


@pytest.mark.parametrize("form", NOT_TIMES)
@given(a=st.integers(0, 9), b=st.integers(0, 100))
def test_other_numbers_are_no_times(form, a, b):
    assert parse_annotation("hum, " + form.format(a=a, b=b), NOISE, 4.0).intervals == []


@pytest.mark.parametrize(
    "unit", ["about ", "0-", "1 to ", "the ", "lasting ", "no ", "1.2-3.4s, ", "a, ", "pause "]
)
def test_a_long_text_takes_no_long_time(unit):
    start = time.perf_counter()
    parse_annotation(unit * 400, NOISE, 4.0)
    assert time.perf_counter() - start < 10  # 65 s for "about" where repeats are not bounded


def test_the_known_types_come_from_the_kind():
    other = ArtifactKind("smell", "noise", ("babble",))
    assert parse_annotation("chatter", other).kind_type == "babble"
    assert parse_annotation("hum", other).kind_type == "hum"
    assert parse_annotation("1-2 s", other).type == "smell"


def test_a_kind_can_be_named():
    for kind in TAXONOMY.kinds:
        text = "Hiss from 0.5-1s and 2-9 s"
        assert parse_annotation(text, kind.name, 4) == parse_annotation(text, kind, 4)
    with pytest.raises(ValueError, match=r"'smell' is none of \('noise', .*give the ArtifactKind"):
        parse_annotation("Hiss", "smell")


def test_intervals_are_pairs_and_flags_are_words():
    found = parse_annotation("Hiss from 0.5-1s and 2-9 s", kind="noise", duration_s=4)
    assert found.intervals == [(0.5, 1.0), (2.0, 4.0)]
    assert [end - start for start, end in found.intervals] == [0.5, 2.0]
    assert "clamped" in found.flags


@pytest.mark.parametrize("duration_s", [0.0, -1.0, float("nan"), float("inf")])
def test_a_duration_that_is_none_is_refused(duration_s):
    with pytest.raises(ValueError, match="duration_s"):
        parse_annotation("hum", NOISE, duration_s)


def test_coverage_counts():
    texts = ["None", "Hum 0-1s", "Hum 0-9s", "a  Gong", "A gong", "1-2 s", "hum every 2 s | x"]
    found = coverage(texts, NOISE, [4.0] * len(texts))
    assert (found.kind, found.n, found.present) == ("noise", 7, 6)
    assert (found.type_known, found.with_intervals) == (2, 3)
    assert list(found.flags.items())[0] == (Flag.UNKNOWN_WORDING, 3)
    assert found.flags[Flag.CLAMPED] == found.flags[Flag.UNREAD_TIME] == 1
    assert found.not_understood == (("a gong", 2), ("hum every 2 s | x", 1))
    assert "a gong" in found.table() and "every 2 s / x" in found.table()
    assert "every 2 s" not in found.table(n_texts=1)


def test_coverage_as_a_table():
    texts = ["None", "Music from 0-1s", "A door slams at 2.3 s"]
    assert coverage(texts, NOISE, [None, None, 4.0]).table().splitlines() == [
        "| noise                | n   |",
        "|----------------------|-----|",
        "| texts                | 3   |",
        "| present              | 2   |",
        "| type known           | 1   |",
        "| with intervals       | 1   |",
        "| flag point_in_time   | 1   |",
        "| flag unknown_wording | 1   |",
        "",
        "| noise: not understood   | n   |",
        "|-------------------------|-----|",
        "| a door slams at 2.3 s   | 1   |",
    ]


def test_coverage_of_nothing():
    assert coverage([], NOISE, []).table().count("| 0") == 4


def test_coverage_needs_a_duration_for_each_text():
    with pytest.raises(ValueError):
        coverage(["hum"], NOISE, [])
