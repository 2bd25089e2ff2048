"""The lines of a log as the page holds them: what a terminal shows, within bounds, at the right offset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from runner_agent.web.site import ASSETS, site
from tests.browser.conftest import TCP
from tests.browser.visit import Visit
from tests.e2e.conftest import staged
from tests.e2e.stage import automations, service_yaml
from tests.support.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from tests.e2e.stage import Stage

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """Its logs are capped soon."""
    with staged(RUNNER_AGENT_LOG_CAP=str(1 << 20)) as one:
        one.start(*TCP)
        yield one


@pytest.fixture(scope="module")
def window(browser: Browser, stage: Stage) -> Iterator[Visit]:
    """One for all tests: what they ask of its scripts changes nothing in it."""
    context = browser.new_context()
    visit = Visit.of(context, stage)
    visit.sign_in()
    yield visit
    assert visit.complaints == []
    context.close()


def told(visit: Visit, chunks: list[str], more: str = "") -> Any:
    """What LogLines makes of a text that comes in these chunks; its bytes may be cut anywhere."""
    return visit.page.evaluate(
        """async ([folder, chunks, more]) => {
          const { LogLines, MOST_LINES } = await import(`${folder}log-lines.js`);
          const { parse } = await import(`${folder}ansi.js`);
          const lines = new LogLines();
          lines.begin(1000);
          const encoder = new TextEncoder();
          for (const chunk of chunks)
            for (const byte of encoder.encode(chunk)) lines.add(new Uint8Array([byte]));
          if (more === 'flood') {
            const bytes = encoder.encode('x\\n'.repeat(MOST_LINES / 4));
            for (let at = 0; at < 6; at++) lines.add(bytes);
            return { held: lines.lines.length, gone: lines.gone, most: MOST_LINES };
          }
          return {
            plain: lines.lines.map((line) => line.plain),
            kinds: lines.lines.map((line) => line.kind),
            styles: lines.lines.map(({ text, style }) => parse(text, style).pieces.map((each) => each.style)),
            offset: lines.offset,
            unfinished: lines.unfinished?.plain,
          };
        }""",
        [f"{ASSETS}{site().digest}/", chunks, more],
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\n", ["a", "b"]),
        ("windows\r\n", ["windows"]),
        ("10%\r60%\r100%\n", ["100%"]),
        ("bar 10%\rbar 60%\r\n", ["bar 60%"]),
        ("\r\n\n", ["", ""]),
        ("\x1b[1;31mred\x1b[0m\n", ["red"]),
        ("\x1b]8;;http://x\x07link\x1b]8;;\x1b\\\n", ["link"]),
        ("\x1b[2K\x1b[1Gcleared\x1b[?25l\n", ["cleared"]),
        ("bell\x07 and\x00 null\x7f\ttab\n", ["bell and null\ttab"]),
        ("grüße 🙂\n", ["grüße 🙂"]),
        ("\x1b]0;never ended\n", [""]),
    ],
    ids=[
        "plain",
        "crlf",
        "bar",
        "bar-crlf",
        "empty",
        "colour",
        "link",
        "cursor",
        "control",
        "unicode",
        "cut-sequence",
    ],
)
def test_lines_are_what_a_terminal_would_leave(window: Visit, text: str, shown: list[str]) -> None:
    found = told(window, [text])
    assert found["plain"] == shown
    assert found["offset"] == 1000 + len(text.encode())


@pytest.mark.parametrize(
    ("codes", "style"),
    [
        ("31", {"fg": 1}),
        ("1;92;44", {"bold": True, "fg": 10, "bg": 4}),
        ("38;5;9", {"fg": 9}),
        ("38;5;208", {"fg": "rgb(255,135,0)"}),
        ("48;5;244", {"bg": "rgb(128,128,128)"}),
        ("38;2;1;2;300;4", {"fg": "rgb(1,2,255)", "underline": True}),
        ("31;39;1;22", {}),
        ("", {}),
        ("38;5", {}),
    ],
)
def test_colours(window: Visit, codes: str, style: dict[str, object]) -> None:
    (pieces,) = told(window, [f"\x1b[{codes}mx\n"])["styles"]
    (found,) = pieces
    found.pop("none", None)
    expected = {"fg": 0} if codes == "38;5" else style
    assert {name: value for name, value in found.items() if value is not None} == expected


def test_a_style_goes_on_until_it_is_ended(window: Visit) -> None:
    first, second, third = told(window, ["\x1b[31mone\ntwo\x1b[0m\nthree\n"])["styles"]
    assert (first[0], second[0], third[0]) == ({"fg": 1}, {"fg": 1}, {})


def test_a_line_without_its_end_is_seen_too(window: Visit) -> None:
    assert told(window, ["done\nContinue? [y/N] "])["unfinished"] == "Continue? [y/N] "


def test_notes_of_the_agent_stand_out(window: Visit) -> None:
    text = (
        "runner-agent: web: start\nbuild | runner-agent: task exited with code 0\nit said runner-agent: no\n"
    )
    assert told(window, [text])["kinds"] == ["note", "note", ""]


def test_a_gap_is_in_no_offset(window: Visit) -> None:
    """The agent counts the text; the line that names a gap is not of it."""
    gap = "runner-agent: 500 bytes are gone, the log is over its cap; going on at offset 1504\n"
    found = told(window, ["1234", gap, "äöü\nx"])
    assert found["offset"] == 1000 + len("1234" + gap + "äöü\nx".encode().decode("latin-1"))
    found = told(window, ["123\n", gap, "äöü\nx"])
    assert found["kinds"] == ["", "gap", ""]
    assert found["offset"] == 1504 + len("äöü\nx".encode())


def test_what_is_held_has_bounds(window: Visit) -> None:
    found = told(window, [], "flood")
    assert found["held"] <= found["most"] * 1.1
    assert found["held"] + found["gone"] == found["most"] * 6 // 4


def first_kept(stage: Stage, reference: str) -> int:
    """The offset at which a service's log begins."""
    path = f"/logs/services/{stage.id_of(reference)}?follow=false&offset=0"
    with stage.connection() as connection:
        connection.request("GET", path)
        return int(connection.getresponse().headers["x-log-start"])


def test_where_old_bytes_are_gone_it_says_so(window: Visit, stage: Stage) -> None:
    start = "seq -f 'row %g of many' 1 300000; echo written; sleep 600"
    stage.apply(automations(services=(service_yaml("capped", start),)))
    window.go("#/service/capped/logs")
    window.button("Start").click()
    window.logged("written")
    wait_until(lambda: first_kept(stage, "capped") > 0)
    window.page.reload()
    window.connected()
    window.logged("written")
    window.page.get_by_label("Find in the log").fill("row 299999 of")
    window.button("Search all of it").click()
    expect(window.page.locator(".line.gap")).to_contain_text("bytes are gone")
    expect(window.lines().filter(has_text="row 299999 of many")).to_have_count(1)
    stage.ok("service", "stop", "capped")
