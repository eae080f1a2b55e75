"""What stands on the page of a comparison, and that nothing written elsewhere can act on it."""

import base64
import hashlib
import html
import re
from dataclasses import replace

import pytest
from report_cases import EVIL, RATE_HZ, TAXONOMY, row_names, text_of, tone
from versions_cases import scored, sounds, three, two

from speechqa_plugin.report.clips import Clip
from speechqa_plugin.report.versions import compare_versions
from speechqa_plugin.report.versions_page import render_versions


def test_two_sources():
    found = replace(two(), errors={"bad": "x/bad.wav: is empty"}, alone=((), ("mp3/x.mp3",)))
    text = text_of(render_versions(found, {}))
    of = found.comparison.dimensions
    value, low, high = (f"{v:+.2f}".replace("-", "−") for v in of["mos"].difference)
    higher = f"A is better on {of['mos'].a_better}, B on {of['mos'].b_better} of 40"
    assert "clean against coded" in text
    assert f"{value} overall quality, A minus B 95 % interval {low} to {high}; {higher}" in text
    assert "40 clips in all of them; without a partner in B: 1 (mp3/x.mp3); could not be" in text
    assert "Left out bad: x/bad.wav: is empty" in text
    noise = of["noise"]
    cells = f"background noise {noise.difference.value:+.2f} {noise.difference.low:+.2f} to "
    assert cells in text
    assert f"{noise.a_better} {noise.b_better} distortion of the voice" in text


def test_the_chart_lies_where_the_interval_lies():
    found = two()
    page = render_versions(found, {})
    value, low, high = found.comparison.dimensions["mos"].difference
    assert max(abs(v) for d in found.comparison.dimensions.values() for v in d.difference) < 0.5
    bar = f'left:{50 + 100 * low:.2f}%;width:{100 * (high - low):.2f}%"></i>'
    assert bar + f'<b style="left:{50 + 100 * value:.2f}%">' in page
    assert "from −0.5 to 0.5" in page


def test_what_is_undecided_is_called_so():
    sides = [scored("a", 9), scored("b", 9)]
    page = render_versions(compare_versions(["a", "b"], sides, taxonomy=TAXONOMY), {})
    assert page.count("<small>undecided</small>") == len(TAXONOMY.names) - 1
    assert page.count("<small>best at 3: undecided</small>") == 1
    assert "which holds 0: undecided" in text_of(page) and "+0.00" not in page
    assert "<small>undecided</small>" not in render_versions(two(), {})


def test_what_is_best_in_the_middle_is_not_better_when_it_is_more():
    a, b = ({"c.wav": dict.fromkeys(TAXONOMY.names, 3.0) | {"speed": s}} for s in (4.5, 3.5))
    shown = text_of(render_versions(compare_versions(["a", "b"], [a, b], taxonomy=TAXONOMY), {}))
    assert "speaking speed best at 3: B is nearer +1.00 4.50 3.50 0 1" in shown
    sides = [a, b, a]
    found = compare_versions(["a", "b", "c"], sides, by="speed", taxonomy=TAXONOMY)
    assert "B is best in speaking speed" in text_of(render_versions(found, {}))
    assert "speaking speed best at 3" in text_of(render_versions(three(4), {}))


def test_clips_that_differ_most_stand_first():
    found = two()
    page = render_versions(found, sounds(found))
    assert row_names(page) == [pair.name for pair in found.comparison.pairs]
    assert page.count("<template ") == 40 and page.count("<audio ") == 4
    first = found.comparison.pairs[0]
    assert f'data-value="{first.difference("mos")}"' in page
    assert "those first ones can be heard" in page
    assert "can be heard" not in render_versions(found, {})


def test_a_sound_that_is_gone():
    found = two(3)
    gone = {found.most_different[0]: [Clip("gone.wav", None, no_sound="gone.wav: no such file")]}
    assert "No sound to show: gone.wav: no such file" in text_of(render_versions(found, gone))


def test_more_sources_are_ranked():
    found = three()
    text = text_of(render_versions(found, {}))
    best = found.ranks[0]
    assert "B is best in overall quality" in text
    assert f"{best.means['mos'].value:.2f} on average, the only best on {best.wins} of 40" in text
    assert text.index("1. B b") < text.index("2. A a") < text.index("3. C c")
    assert "told apart" not in text
    alike = [scored(name, 9, 0.0, i) for i, name in enumerate("abc")]
    assert "it cannot be told apart from" in text_of(
        render_versions(compare_versions(["a", "b", "c"], alike), {})
    )


def test_one_pair_has_no_interval():
    one = compare_versions(
        ["x/a.wav", "y/a.wav"], [scored("x", 1, 1), scored("y", 1)], one_clip=True
    )
    text = text_of(render_versions(one, {}))
    assert "x/a.wav against y/a.wav" in text  # their names alone are alike
    assert "one clip, which has no interval" in text and "nan" not in text


def test_dimensions_of_ones_own_keep_their_names():
    found = compare_versions(["a", "b"], [{"1.wav": {"mos": 4, "my_own": 2}}] * 2)
    assert "my own" in text_of(render_versions(found, {}))


def test_what_others_wrote_is_text():
    sides = [{f"{EVIL}.wav": {EVIL: 3.0, "mos": 3.0}}] * 2
    found = compare_versions([EVIL, f"{EVIL}/2"], sides)
    found = replace(found, errors={EVIL: EVIL})
    clip = Clip(EVIL, None, no_sound=EVIL, samples=tone(), rate_hz=RATE_HZ)
    page = render_versions(found, {found.most_different[0]: [clip, clip]})
    assert page.count("<script>") == 1 and "<img src=x" not in page
    assert "{{ 7 * 7 }}" in page and EVIL in text_of(page)


@pytest.mark.parametrize("of", [two, three])
def test_only_its_own_script_may_run_nothing_is_fetched_all_has_words(of):
    found = of(4)
    page = render_versions(found, sounds(found))
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html.unescape(policy)
    assert not re.findall(r"https?:|//[a-z]|url\(|@import", re.sub(r"// .*", "", page))
    assert all(" alt=" in image for image in re.findall(r"<img [^>]*>", page))
    assert all("aria-label=" in it for it in re.findall(r"<(?:svg|audio) [^>]*>", page))
    # What a chart shows stands beside it in numbers.
    assert all("aria-hidden" in it for it in re.findall(r'<span class="meter[^>]*>', page))
