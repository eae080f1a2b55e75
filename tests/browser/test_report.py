"""The report in a real browser."""

import itertools
import time

import pytest
from browsing import needs_chromium, now, wait_for_sound, wait_until
from report_cases import RATE_HZ, TAXONOMY, assessed, clip, many, silent, tone

from speechqa_plugin.report.clips import Clip
from speechqa_plugin.report.page import render_page
from speechqa_plugin.schema import Artifact

OPENS_S = 3
"""In which a page of a thousand clips has to open."""

pytestmark = needs_chromium


@pytest.fixture
def opened(opened_html):
    return lambda clips, **options: opened_html(render_page(clips, TAXONOMY), **options)


def long_clip(path="call.wav"):
    """20 s, so that it does not end while a busy machine looks at it."""
    artifacts = [
        Artifact("noise", "mains hum", 5.0, 12.5),
        Artifact("pause", "cut-out", 15.0, 17.0),
    ]
    return Clip(path, assessed(2.0, artifacts), samples=tone(20.0), rate_hz=RATE_HZ)


def names(page):
    return page.locator("#clips tbody tr:visible .open").all_inner_texts()


def test_a_click_on_an_artifact_plays_there(opened):
    page = opened([long_clip()])
    wait_for_sound(page)
    seconds = page.evaluate("document.querySelector('audio').duration")
    assert seconds == pytest.approx(20, abs=0.01)
    page.get_by_role("button", name="Play cut-out, 15.0–17.0 s").click()
    assert 15 <= now(page) < 20
    wait_until(page, "document.querySelector('audio').currentTime > 15.1")  # it does play
    page.locator(".track i").first.click()
    assert 5 <= now(page) < 15
    wait_until(page, "document.querySelector('audio').currentTime > 5.1")
    page.locator(".region").last.click(position={"x": 3, "y": 50})
    assert 15 <= now(page) <= 20


def test_a_click_on_the_plot_plays_there_and_a_line_shows_where(opened):
    page = opened([long_clip()])
    wait_for_sound(page)
    box = page.locator(".gram img").bounding_box()
    # Between the artifacts, at 14 of 20 s.
    page.mouse.click(box["x"] + 0.7 * box["width"], box["y"] + box["height"] / 2)
    assert 13.9 <= now(page) < 20
    wait_until(page, "parseFloat(document.querySelector('.cursor').style.left) > 70.1")


def test_the_keyboard_reaches_what_plays(opened):
    page = opened([long_clip()])
    wait_for_sound(page)
    for _ in range(12):  # through the player's own controls
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.play") == "15.000":
            break
    page.keyboard.press("Enter")
    assert now(page) >= 15


def test_a_picture_and_an_axis_lie_on_one_another(opened):
    page = opened([clip()], viewport={"width": 390, "height": 800})
    boxes = [
        page.locator(s).first.bounding_box() for s in (".wave", ".gram img", ".axis", ".track")
    ]
    assert len({(round(b["x"]), round(b["width"])) for b in boxes}) == 1
    region = page.locator(".region").first.bounding_box()
    bar = page.locator(".track i").first.bounding_box()
    assert region["x"] == pytest.approx(bar["x"], abs=1)
    assert bar["x"] == pytest.approx(boxes[0]["x"] + boxes[0]["width"] / 4, abs=1)
    assert page.evaluate("document.querySelector('.gram img').naturalWidth") == 240


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("seconds", [20.0, 300.0, 3700.0])
def test_words_of_the_axis_do_not_run_into_one_another(opened, seconds, width):
    hum = Artifact("noise", "mains hum", 5.0, 12.5)
    long = Clip("a.wav", assessed(2.0, [hum]), duration_s=seconds)
    page = opened([long], viewport={"width": width, "height": 800})
    boxes = [word.bounding_box() for word in page.locator(".axis span, .axis em").all()]
    boxes.sort(key=lambda box: box["x"])
    for one, other in itertools.pairwise(boxes):
        assert one["x"] + one["width"] <= other["x"]


def test_it_sorts(opened):
    page = opened(many(40))
    worst_first = names(page)
    head = page.locator("#clips thead").get_by_role("button", name="overall quality")
    head.click()
    assert names(page) == worst_first[::-1]
    page.locator("#clips thead").get_by_role("button", name="clip").click()
    assert names(page) == [f"clip-{i:04}.wav" for i in range(40)]
    assert page.locator("#clips [aria-sort=ascending]").inner_text().startswith("clip")
    head.focus()
    page.keyboard.press("Enter")
    assert names(page) == worst_first
    page.locator("#systems thead").get_by_role("button", name="system").click()
    assert page.locator("#systems tbody th").all_inner_texts() == ["codec-0", "codec-1", "codec-2"]


def test_it_filters(opened):
    clips = many(40)
    page = opened(clips)
    page.get_by_label("Search").fill("CODEC-1 clip-00")
    assert sorted(names(page)) == [f"clip-{i:04}.wav" for i in range(40) if i % 3 == 1]
    assert page.locator("#shown").inner_text() == "13 of 40"
    page.get_by_label("Search").fill("")
    page.get_by_label("Overall quality at most").fill("2.5")
    assert len(names(page)) == sum(c.assessment.mos <= 2.5 for c in clips)
    page.get_by_label("Overall quality at most").fill("")
    wanted = page.locator("#artifact option").nth(1).inner_text()
    page.get_by_label("Artifact").select_option(wanted)
    with_it = [
        c for c in clips if wanted in {f"{a.kind}: {a.type}" for a in c.assessment.artifacts}
    ]
    assert len(names(page)) == len(with_it) > 0


def test_what_was_not_judged_stays_last_and_is_no_score_to_filter_by(opened):
    page = opened([silent(), *many(5)])
    for head in ("overall quality", "background noise"):
        for _ in range(2):
            page.locator("#clips thead").get_by_role("button", name=head).click()
            assert names(page)[-1] == "silent.wav"
    page.get_by_label("Overall quality at most").fill("5")
    assert len(names(page)) == 5 and "silent.wav" not in names(page)


def test_a_row_opens_plays_and_stays_with_its_clip(opened):
    clips = many(5)
    page = opened([*clips, long_clip("set/sounds.wav")])
    button = page.get_by_role("button", name="sounds.wav")
    button.click()
    wait_for_sound(page)
    page.get_by_role("button", name="Play cut-out").click()
    assert now(page) >= 15
    page.locator("#clips thead").get_by_role("button", name="clip").click()
    beside = page.locator("tr.detail").evaluate("row => row.previousElementSibling.innerText")
    assert "sounds.wav" in beside
    page.get_by_label("Search").fill("clip-0001")
    assert page.locator("tr.detail:visible").count() == 0
    page.get_by_label("Search").fill("")
    button.click()
    assert page.locator("tr.detail").count() == 0


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("n", [1, 30])
def test_no_page_is_wider_than_its_window(opened, n, width):
    long_name = "a-name-without-a-place-to-break-" * 6
    clips = [clip(f"set/{long_name}.wav"), *many(n - 1)]
    page = opened(clips, viewport={"width": width, "height": 800})
    if n > 1:
        page.get_by_role("button", name=long_name).click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if n == 1:
        for box in (e.bounding_box() for e in page.locator("main *:visible").all()):
            assert box is None or box["x"] + box["width"] <= width + 1


def test_light_and_dark(opened):
    back = "getComputedStyle(document.body).backgroundColor"
    light = opened([clip()], color_scheme="light").evaluate(back)
    dark = opened([clip()], color_scheme="dark").evaluate(back)
    assert light == "rgb(251, 251, 250)" and dark == "rgb(20, 21, 23)"


def test_what_others_wrote_does_not_run(opened):
    evil = "<img src=x onerror=document.title='ran'><script>document.title='ran'</script>"
    page = opened([clip(f"set/{evil}.wav", warnings=(evil,)), clip("set/b.wav", failure=evil)])
    for button in page.locator("button.open").all():
        button.click()
    page.wait_for_timeout(200)
    assert page.title() != "ran" and page.locator("img[src=x]").count() == 0
    assert evil in page.locator(".notes").first.inner_text()


def test_a_thousand_clips_open_at_once(opened, capsys):
    start = time.perf_counter()
    page = opened(many(1000), viewport={"width": 1280, "height": 900})
    took = time.perf_counter() - start
    session = page.context.new_cdp_session(page)
    # Time of the page's thread: what else a machine does at the time is not the page's fault.
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.reload()
    metrics = session.send("Performance.getMetrics")["metrics"]
    busy = {m["name"]: m["value"] for m in metrics}["TaskDuration"]
    assert len(names(page)) == 1000
    with capsys.disabled():
        print(f"\n1,000 clips: {took:.1f} s to render and open, {busy:.1f} s of the page's thread")
    assert busy < OPENS_S
