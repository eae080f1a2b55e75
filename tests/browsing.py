"""Chromium, and what tests of a page in it share."""

import os
import shutil
import time

import pytest

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = [
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--mute-audio"),
    *(["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),  # root has none
]

needs_chromium = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium"),
]


def now(page):
    """Where the player is, which must have been able to go there."""
    assert page.evaluate("document.querySelector('audio').error") is None
    return page.evaluate("document.querySelector('audio').currentTime")


def wait_until(page, condition):
    """As Playwright's wait_for_function, which the page's policy stops from evaluating texts."""
    deadline = time.monotonic() + 30
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        page.wait_for_timeout(20)


def wait_for_sound(page):
    wait_until(page, "document.querySelector('audio').readyState >= 1")
