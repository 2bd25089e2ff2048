"""The system's Chromium, driven by Playwright: a fresh profile, no sandbox, no talk of its own."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

from tests.support.machines import lacking

if TYPE_CHECKING:
    from collections.abc import Generator

    from playwright.sync_api import Browser

PROGRAMS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
START = 120_000.0
"""Milliseconds a browser may take to start."""
PATIENCE = 60_000.0
"""Milliseconds a page may take to become what is expected: only a failure waits so long."""


@contextmanager
def chromium() -> Generator[Browser]:
    """Running until the block ends. While it runs, no other event loop can in this thread."""
    program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        lacking("there is no Chromium: apt-get install -y --no-install-recommends chromium fonts-dejavu-core")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, headless=True, chromium_sandbox=False, args=[*FLAGS], timeout=START
        )
        try:
            yield browser
        finally:
            browser.close()
