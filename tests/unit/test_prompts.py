"""Prompts show the format that the parser reads."""

from __future__ import annotations

import pytest

from speechqa_plugin.answers import AnswerForm, parse_answer
from speechqa_plugin.prompts import build_prompt
from speechqa_plugin.schema import load_taxonomy


@pytest.mark.parametrize("name", ["qualispeech", "nisqa"])
@pytest.mark.parametrize("form", AnswerForm)
def test_the_example_in_a_prompt_can_be_parsed(name, form):
    taxonomy = load_taxonomy(name)
    example = build_prompt(taxonomy, form).partition("Format:\n")[2]
    parsed = parse_answer(example, taxonomy, form)
    assert parsed.failure is None
    assert set(parsed.assessment.scores.values()) == {3}


def test_the_two_forms_are_told_apart():
    taxonomy = load_taxonomy("qualispeech")
    assert build_prompt(taxonomy, "scores") != build_prompt(taxonomy, "reasoned")


def test_only_magnitude_dimensions_are_explained():
    assert "speed goes from very slow to very fast" in build_prompt(load_taxonomy("qualispeech"))
    assert "goes from" not in build_prompt(load_taxonomy("nisqa"))
