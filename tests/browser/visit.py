"""A developer before the page: signs in, finds things by what they are called, and sees what goes wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.browser.chromium import PATIENCE

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Page

    from tests.e2e.stage import Stage

expect.set_options(timeout=PATIENCE)


@dataclass(slots=True)
class Visit:
    """One window. Whatever a script of the page fails at, or the browser refuses it, is a complaint."""

    page: Page
    stage: Stage
    complaints: list[str] = field(default_factory=list[str])
    asked: list[str] = field(default_factory=list[str])

    @classmethod
    def of(cls, context: BrowserContext, stage: Stage) -> Visit:
        """A new window."""
        context.set_default_timeout(PATIENCE)
        visit = cls(context.new_page(), stage)
        visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
        visit.page.on("console", lambda message: visit._heard(message))  # noqa: PLW0108  # slots
        visit.page.on("request", lambda request: visit.asked.append(request.url))
        return visit

    def _heard(self, message: ConsoleMessage) -> None:
        # An agent that is away and a refused sign-in are told by the browser too; the page's part is to cope.
        if message.type == "error" and not re.search(r"ERR_|status of 4", message.text):
            self.complaints.append(message.text)

    # ------------------------------------------------------------ the way in

    @property
    def address(self) -> str:
        """Of the page."""
        tcp = next(text for text in self.stage.daemon.info().addresses if text.startswith("tcp:"))
        return f"http://{tcp.removeprefix('tcp:')}/"

    def link(self) -> str:
        """As `runner-agent dashboard` prints it."""
        return self.stage.ok("dashboard").strip()

    def sign_in(self, place: str = "") -> None:
        """By the printed address; then to a place of the page."""
        self.page.goto(self.link())
        self.connected()
        if place:
            self.go(place)

    def go(self, place: str) -> None:
        """By the address line: `#/service/web`."""
        self.page.evaluate("place => { location.hash = place }", place)

    def connected(self) -> None:
        """The page has all there is, and hears of what changes."""
        expect(self.page.locator("#top .link")).to_have_text("connected")

    # ------------------------------------------------------------ what is on it

    def row(self, reference: str) -> Locator:
        """Of the list."""
        return self.page.locator("#side .row").filter(has=self.page.get_by_text(reference, exact=True))

    def phase(self, reference: str, phase: str) -> None:
        """What the list says comes to be this."""
        expect(self.row(reference).locator(".phase")).to_have_text(phase)

    def button(self, name: str) -> Locator:
        """Of the detail."""
        return self.page.get_by_role("main").get_by_role("button", name=name, exact=True)

    def lines(self) -> Locator:
        """Of the log, those that are drawn."""
        return self.page.locator(".log .line")

    def logged(self, text: str) -> None:
        """A line of the log comes to read so."""
        expect(self.lines().filter(has_text=re.compile(f"^{re.escape(text)}$")).first).to_be_visible()
