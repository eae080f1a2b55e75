"""Descriptions in sections: what is joined can be split again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechqa_plugin.schema import Assessment, load_taxonomy
from speechqa_plugin.text.answers import parse_answer, render_answer
from speechqa_plugin.text.sections import join_sections, split_sections

TAXONOMY = load_taxonomy("qualispeech")
TITLES = [d.title for d in TAXONOMY.dimensions]

pieces = st.one_of(st.text(max_size=12), st.sampled_from([*TITLES, ":", ": ", ".", " ", "\n", "-"]))
texts = st.lists(pieces, max_size=6).map("".join)


@given(st.dictionaries(st.sampled_from(TAXONOMY.names), texts))
def test_what_is_joined_can_be_split(sections):
    joined = join_sections(TAXONOMY, sections)
    assert "\n" not in joined
    found = split_sections(TAXONOMY, joined)
    assert list(found) == [n for n in TAXONOMY.names if sections.get(n, "").split()]
    for name, text in found.items():
        assert text.endswith((".", "!", "?"))
        words = " ".join(sections[name].split())
        assert text.replace(" -", ":").rstrip(".") == words.replace(" -", ":").rstrip(".")
    assert join_sections(TAXONOMY, found) == joined


@given(texts)
def test_any_text_can_be_split(text):
    assert set(split_sections(TAXONOMY, text)) <= set(TAXONOMY.names)


def test_as_an_answer_writes_it():
    sections = {"noise": "slightly noticeable. A hum", "mos": "good. It is: fine!"}
    reference = Assessment(
        TAXONOMY,
        dict.fromkeys(TAXONOMY.names, 4),
        description=join_sections(TAXONOMY, sections),
    )
    answer = parse_answer(render_answer(reference), TAXONOMY).assessment
    assert split_sections(TAXONOMY, answer.description) == {
        "noise": "slightly noticeable. A hum.",
        "mos": "good. It is: fine!",
    }


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("The noise is loud.", {}),
        ("Before. BACKGROUND NOISE: loud.", {"noise": "loud."}),
        ("Background noise:loud", {"noise": "loud"}),
        ("Background noise: a. Background noise: b.", {"noise": "a."}),
        ("Background noise: Background noise: b.", {"noise": "b."}),
        ("Unnaturalness: x", {}),
        ("Naturalness: x Overall quality: y", {"naturalness": "x", "mos": "y"}),
    ],
)
def test_texts(text, found):
    assert split_sections(TAXONOMY, text) == found


@pytest.mark.parametrize("letter", ["ı", "İ", "ſ"])
def test_letters_that_count_as_others_in_a_title(letter):
    text = "Background noise: a hum.".replace("i" if letter != "ſ" else "s", letter)
    assert split_sections(TAXONOMY, text) in ({"noise": "a hum."}, {})


def test_a_title_inside_a_section_stays_there():
    joined = join_sections(TAXONOMY, {"mos": "Background noise: loud. Poor."})
    assert joined == "Overall quality: Background noise - loud. Poor."
    assert split_sections(TAXONOMY, joined) == {"mos": "Background noise - loud. Poor."}


def test_an_unknown_dimension_is_refused():
    with pytest.raises(KeyError, match="nois"):
        join_sections(TAXONOMY, {"nois": "loud"})
