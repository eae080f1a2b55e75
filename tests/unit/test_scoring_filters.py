"""Conditions on scores."""

import pytest

from speechqa_plugin.scoring.filters import Filter, FilterError


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("mos >= 3.5 and noise > 3", False),
        ("mos >= 3.5 or noise > 3", True),
        ("not (mos < 4)", True),
        ("1 < noise <= 2 != mos == 4", True),
        ("mos > -1", True),
        ("  mos>3\n", True),
        ("noise < mos", True),
    ],
)
def test_conditions(text, holds):
    assert Filter(text)({"mos": 4.0, "noise": 2.0}) is holds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mos",
        "3",
        "mos >",
        "mos = 3",
        "mos > '3'",
        "mos > True",
        "mos > 1j",
        "mos in (3, 4)",
        "mos is 3",
        "mos + 1 > 3",
        "mos > 3 and noise",
        "__import__('os').system('true')",
        "(lambda: 3)() > 2",
        "mos.real > 3",
        "mos[0] > 3",
        "mos > 3; noise",
        "mos > (x := 3)",
        "mos > 3\0",
        "(" * 400 + "mos > 3" + ")" * 400,
        "mos > 3 and " * 200 + "mos > 3",
    ],
)
def test_conditions_that_are_refused(text):
    with pytest.raises(FilterError, match="need comparisons of scores and numbers like"):
        Filter(text)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("mos > 3 && noise > 2", "write 'and' for '&&'"),
        ("mos > 3 & noise > 2", "write 'and' for '&'"),
        ("mos > 3 || noise > 2", "write 'or' for '||'"),
        ("mos > 3 OR !(noise > 2)", "write 'not' for '!' and 'or' for 'OR'"),
        ("mos = 3", "write '==' for '='"),
        ("mos >= 3 and noise <= 2 and mos != 4 and noise == 1 and", "invalid syntax"),
    ],
)
def test_what_other_languages_call_it(text, hint):
    with pytest.raises(FilterError) as caught:
        Filter(text)
    assert str(caught.value).startswith(f"--filter {text!r}: {hint}; need comparisons")


def test_names_that_nothing_is_known_of():
    condition = Filter("mos > 3 and pitch < 2 or tone > 1")
    with pytest.raises(FilterError, match="pitch, tone is no score of this model; it has mos, noi"):
        condition.check_names(["mos", "noise"])
    with pytest.raises(FilterError, match="it has noise, mos; the overall one is mos$"):
        Filter("overall > 3").check_names(["noise", "mos"])
    condition.check_names(["mos", "pitch", "tone"])
