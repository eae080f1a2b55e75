"""An annotator's words without the intervals in them."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from speechqa_plugin.annotations import without_times
from speechqa_plugin.annotations.plain import normalise, spans


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("Hiss from 0-3.6s", "Hiss"),
        ("Hiss from 0 to 4.8 seconds, then quiet.", "Hiss, then quiet."),
        ("0-1s hiss", "hiss"),
        ("3-3.6s", ""),
        ("Hum between 0.5s and 3.5s.", "Hum."),
        ("Hum between 1.2 to 2.6 seconds and clicks", "Hum and clicks"),
        ("Noise in the first 7.5 seconds", "Noise"),
        ("A pause (1.0–1.4s) is heard", "A pause is heard"),
        ("A pause [1.0–1.4s; 2–3s], a sigh", "A pause, a sigh"),
        ("(Hum from 0-1s)", "(Hum)"),
        ("Hiss from 0-1s, 2-3s and 4-5s.", "Hiss."),
        ("Hiss from 1s, to  2s,\nand then again at 3,5 – 4S!", "Hiss!"),
        (
            "A hum at 1-2 sec. in the back. A hiss, 2-3 sec. A pop.",
            "A hum in the back. A hiss. A pop.",
        ),
        ("It persists for 5.7 seconds.", "It persists for 5.7 seconds."),
        ("A click at 2.3 s", "A click at 2.3 s"),
        ("Rated 4 of 5, two to three voices", "Rated 4 of 5, two to three voices"),
        # What the parser understands and a pattern of digits alone does not.
        ("A 2-3 kHz tone, rated 2-3", "A 2-3 kHz tone, rated 2-3"),
        ("White noise from the start until 1.5 seconds", "White noise"),
        ("A Hum after 2 s.", "A Hum."),
        ("Muffled in the second half", "Muffled in the second half"),
        ("The buzz starts at 0.5s and ends at 1.5s.", "The buzz."),
        ("Music plays from one to three seconds", "Music plays"),
        # Beyond the clip and so in no artifact, but said to be an interval.
        ("Rain from 7-9s", "Rain"),
        (
            "The whole clip is muffled, a hum throughout",
            "The whole clip is muffled, a hum throughout",
        ),
    ],
)
def test_times_are_taken_out_of_prose(text, without):
    assert without_times(text, 6.0) == without


def test_an_end_needs_no_length_to_be_taken_out():
    assert without_times("Hiss in the last 2 s and a hum from 1 s to the end") == "Hiss and a hum"


@given(st.text() | st.text("ab 12,.-–½İﬃ\n\x01″＂ｓ"))
@example("½s-İ\x01")
def test_every_letter_has_its_place(text):
    line = normalise(text)
    words, end = [], 0
    for word in line.split():
        begin = line.index(word, end)
        end = begin + len(word)
        words.append((begin, end))
    for (begin, end), word in zip(spans(text, words), line.split(), strict=True):
        assert word.replace(",", ".") in normalise(text[begin:end]).replace(",", ".")
        assert text[begin:end] == text[begin:end].strip()


@given(st.text())
def test_any_prose_can_be_read(text):
    left = iter(text.replace("\x01", ""))
    assert all(char in left for char in without_times(text) if not char.isspace())
