"""The page of a comparison in a real browser."""

import pytest
from browsing import needs_chromium, now, wait_for_sound, wait_until
from versions_cases import sounds, three, two

from speechqa_plugin.report.versions_page import render_versions

pytestmark = needs_chromium


@pytest.fixture
def opened(opened_html):
    def open_versions(found, n=2, seconds=2.0, **options):
        return opened_html(render_versions(found, sounds(found, n, seconds)), **options)

    return open_versions


def names(page):
    return page.locator("#clips tbody tr:visible .open").all_inner_texts()


def test_it_sorts_by_what_differs(opened):
    found = two()
    page = opened(found)
    assert names(page) == found.most_different
    head = page.locator("#clips thead").get_by_role("button", name="overall quality, A\u00a0−")
    head.click()
    rising = sorted(found.comparison.pairs, key=lambda pair: pair.difference("mos"))
    assert names(page) == [pair.name for pair in rising]
    head.focus()
    page.keyboard.press("Enter")
    assert names(page) == [pair.name for pair in rising[::-1]]


def test_it_filters_by_name(opened):
    page = opened(two())
    page.get_by_label("Search").fill("c000")
    assert sorted(names(page)) == [f"c000{i}" for i in range(10)]
    assert page.locator("#shown").inner_text() == "10 of 40"


def test_both_versions_are_heard_one_at_a_time(opened):
    found = two()
    page = opened(found, seconds=20.0)  # so that none ends while a busy machine looks at it
    page.locator(".open").first.focus()
    page.keyboard.press("Enter")
    wait_for_sound(page)
    assert page.locator("tr.detail audio").count() == 2
    paused = "[...document.querySelectorAll('audio')].map(audio => audio.paused)"
    plots = page.locator("tr.detail .plot")
    for i in range(2):
        box = plots.nth(i).bounding_box()
        plots.nth(i).click(position={"x": box["width"] / 2, "y": 20})
        wait_until(page, f"{paused}[{i}] === false")
        assert page.evaluate(paused) == [i != 0, i != 1]
    assert now(page) >= 10
    (name,) = names(page)[:1]
    label = page.locator("tr.detail audio").last.get_attribute("aria-label")
    assert label == f"Player of B: {name}"


def test_one_pair_is_open_at_once(opened):
    found = two(1)
    page = opened(found, n=1)
    assert page.locator("tr.detail audio").count() == 2


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("of", [two, three])
def test_no_page_is_wider_than_its_window(opened, of, width):
    page = opened(of(), viewport={"width": width, "height": 800})
    page.locator(".open").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if width == 360 and of is two:  # the difference is seen without scrolling
        cell = page.locator(".versions tbody .number").first.bounding_box()
        assert cell["x"] + cell["width"] <= width


@pytest.mark.parametrize(
    ("of", "width", "over"),
    [(two, 1280, []), (three, 1280, []), (three, 800, [0, 1]), (two, 390, [0, 1])],
)
def test_a_table_that_goes_on_says_so_until_its_end(opened, of, width, over):
    page = opened(of(6), viewport={"width": width, "height": 800})
    tables = page.locator(".scroll")
    classes = "boxes => boxes.map(box => box.className)"
    wait_until(page, "document.readyState === 'complete'")
    page.wait_for_timeout(100)  # for the observer of sizes
    expected = ["scroll over more" if i in over else "scroll" for i in range(2)]
    assert tables.evaluate_all(classes) == expected
    inside = tables.evaluate_all("boxes => boxes.map(box => box.scrollWidth <= box.clientWidth)")
    assert inside == [i not in over for i in range(2)]
    for box in tables.all():
        box.evaluate("box => { box.scrollLeft = box.scrollWidth; }")
    page.wait_for_timeout(100)
    at_the_end = ["scroll over" if i in over else "scroll" for i in range(2)]
    assert tables.evaluate_all(classes) == at_the_end


def test_words_on_a_phone_do_not_run_into_one_another(opened):
    page = opened(two(6), viewport={"width": 390, "height": 800})
    left, right = (page.locator(".ends span").nth(i).bounding_box() for i in range(2))
    assert left["x"] + left["width"] + 3 <= right["x"]


def test_the_chart_stands_on_its_axis(opened):
    page = opened(two())
    meter = page.locator(".versions .meter").first.bounding_box()
    point = page.locator(".versions .meter b").first.bounding_box()
    mean = two().comparison.dimensions["mos"].difference.value
    middle = meter["x"] + meter["width"] * (0.5 + mean)  # from -0.5 to 0.5
    assert point["x"] + point["width"] / 2 == pytest.approx(middle, abs=1.5)


def test_light_and_dark(opened):
    back = "getComputedStyle(document.body).backgroundColor"
    for scheme, colour in (("light", "rgb(251, 251, 250)"), ("dark", "rgb(20, 21, 23)")):
        assert opened(two(3), color_scheme=scheme).evaluate(back) == colour


def test_a_thousand_clips_open_at_once(opened):
    page = opened(two(1000), viewport={"width": 1280, "height": 900})
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.reload()
    metrics = session.send("Performance.getMetrics")["metrics"]
    assert {m["name"]: m["value"] for m in metrics}["TaskDuration"] < 3
    assert len(names(page)) == 1000
