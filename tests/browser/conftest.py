"""A browser for each module, an agent that its tests share, and a window for each test."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.chromium import chromium
from tests.browser.visit import Visit
from tests.e2e.conftest import staged

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from contextlib import AbstractContextManager

    from playwright.sync_api import Browser

    from tests.e2e.stage import Stage

    Opener = Callable[..., AbstractContextManager[Visit]]

TCP = ("--listen", "tcp:127.0.0.1:0")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as one:
        yield one


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """Its tests use references of their own."""
    with staged() as one:
        one.start(*TCP)
        yield one


@pytest.fixture
def opened(browser: Browser, stage: Stage) -> Opener:
    """A window of a browser that was never here; options as Playwright's contexts take them."""

    @contextmanager
    def window(**options: Any) -> Generator[Visit]:
        context = browser.new_context(**options)
        try:
            visit = Visit.of(context, stage)
            yield visit
            assert visit.complaints == []
        finally:
            context.close()

    return window


@pytest.fixture
def visit(opened: Opener) -> Iterator[Visit]:
    """Signed in."""
    with opened() as one:
        one.sign_in()
        yield one
