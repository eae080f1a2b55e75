"""The figure of one clip."""

import re

import pytest
from PIL import Image
from report_cases import assessed, clip, silent, tone

from speechqa_plugin.report.clip_figure import clip_figure
from speechqa_plugin.schema import Artifact


def test_it_names_artifacts_and_scores(tmp_path):
    clip_figure(clip(), tmp_path / "f.svg", "svg")
    words = re.findall(r"<text[^>]*>([^<]*)</text>", (tmp_path / "f.svg").read_text("utf-8"))
    for word in ("mains hum", "cut-out", "overall quality", "2.0 (0.50)", "time (s)"):
        assert word in words, word


def test_it_is_as_sharp_as_print_needs(tmp_path):
    clip_figure(clip(assessment=assessed(3, sure=None)), tmp_path / "f.png")
    assert Image.open(tmp_path / "f.png").width == 2100


def test_names_with_dollars_are_no_formula(tmp_path):
    formula = assessed(2, [Artifact("noise", r"$\frac{$ hum", 0.1, 0.2)])
    clip_figure(clip(assessment=formula), tmp_path / "f.svg", "svg")
    assert r"$\frac{$ hum" in (tmp_path / "f.svg").read_text("utf-8")


@pytest.mark.parametrize("changes", [{"sound": False}, {"assessment": None}])
def test_there_must_be_something_to_draw(tmp_path, changes):
    with pytest.raises(ValueError, match="call.wav: need an assessment and samples to draw"):
        clip_figure(clip(**changes), tmp_path / "f.png")


def test_what_was_not_judged_has_no_scores(tmp_path):
    clip_figure(silent(samples=tone()), tmp_path / "a.svg", "svg")
    words = (tmp_path / "a.svg").read_text("utf-8")
    assert "not judged" in words and words.count(">–<") == 7 and ">3.0" not in words
