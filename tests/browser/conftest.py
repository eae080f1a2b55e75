"""Pages in a real browser: Debian's Chromium (packages chromium, chromium-driver)."""

import pytest
from browsing import CHROMIUM, FLAGS


@pytest.fixture(scope="module")
def chromium():
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class Opened:
    """A page from disk, and all that it said and asked for."""

    def __init__(self, chromium, tmp_path, html, **options):
        self.file = tmp_path / "page.html"
        self.file.write_text(html, encoding="utf-8")
        self.page = chromium.new_context(**options).new_page()
        self.said, self.asked = [], []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(self.file.as_uri())


@pytest.fixture
def opened_html(chromium, tmp_path):
    """Open pages; afterwards none may have complained or asked for another file."""
    pages = []

    def open_html(html, **options):
        pages.append(Opened(chromium, tmp_path, html, **options))
        return pages[-1].page

    yield open_html
    for it in pages:
        assert it.said == []
        others = [u for u in it.asked if u != it.file.as_uri() and not u.startswith("data:")]
        assert others == []
        it.page.context.close()
