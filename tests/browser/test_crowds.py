"""The dashboard with a great deal to show: 300 services, and a log as large as logs become."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.e2e.stage import automations, service_yaml

if TYPE_CHECKING:
    from tests.browser.visit import Visit
    from tests.e2e.stage import Stage

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(600)]

MANY = 300


def test_three_hundred_services(stage: Stage, visit: Visit) -> None:
    names = [f"many-{number:03}" for number in range(MANY)]
    trigger = "triggeredBy: [postEnvironmentStart]"
    stage.apply(
        automations(services=tuple(service_yaml(name, "exec sleep 600", more=trigger) for name in names))
    )
    visit.page.keyboard.press("/")
    visit.page.keyboard.type("many-")
    rows = visit.page.locator("#side .row")
    expect(rows).to_have_count(MANY)
    stage.ok("trigger", "postEnvironmentStart")
    expect(rows.locator(".phase.running")).to_have_count(MANY)
    asked = len(visit.asked)
    stage.ok("service", "stop", names[7])
    visit.phase(names[7], "stopped")
    assert len(visit.asked) - asked < 10  # asked for that one, not for all
    visit.page.keyboard.type("29 running")
    expect(rows).to_have_count(10)
    # Drawn once for each that changed: the list is not made anew.
    drawn = visit.page.evaluate(
        """async () => {
          const seen = [];
          const observer = new MutationObserver((all) => seen.push(...all));
          observer.observe(document.querySelector('#side'), {childList: true, subtree: true});
          await new Promise((resolve) => setTimeout(resolve, 1500));
          return seen.filter((each) => each.target.closest('.row') === null).length;
        }"""
    )
    assert drawn == 0
    for name in names:
        stage.agent.delete_service(stage.id_of(name), force=True)
    expect(rows).to_have_count(0)


def test_a_log_of_64_mib_is_opened_searched_and_left(stage: Stage, visit: Visit) -> None:
    # 64 bytes a line, a million lines, with one needle far up.
    script = (
        "awk 'BEGIN { for (n = 1; n <= 1000000; n++) "
        'printf "%09d %s %s\\n", n, (n == 1234 ? "needle" : "nothing"), '
        '"abcdefghijklmnopqrstuvwxyz0123456789abcdef" }\'; '
        "echo written; sleep 600"
    )
    stage.apply(automations(services=(service_yaml("flood", script),)))
    visit.go("#/service/flood/logs")
    visit.button("Start").click()
    visit.logged("written")
    visit.page.reload()
    visit.connected()
    visit.logged("written")
    assert visit.lines().count() < 400
    visit.page.get_by_label("Find in the log").fill("needle")
    expect(visit.page.locator(".tools .count")).to_have_text("none")
    visit.button("Search all of it").click()
    expect(visit.lines()).to_have_count(1)
    expect(visit.lines().first).to_contain_text("000001234 needle")
    visit.page.get_by_label("Find in the log").press("Escape")
    visit.logged("written")
    visit.button("Earlier lines").click()
    expect(visit.page.locator(".sizer")).to_have_js_property("offsetHeight", 10000 * 19 + 12)
    assert visit.lines().count() < 400
    used = visit.page.evaluate("performance.memory?.usedJSHeapSize ?? 0")
    assert used < 200 << 20
    visit.page.locator(".log").evaluate("(node) => { node.scrollTop = 0 }")
    visit.logged("000990002 nothing abcdefghijklmnopqrstuvwxyz0123456789abcdef")
    stage.ok("service", "stop", "flood")


def test_a_log_that_pours_leaves_the_page_at_hand(stage: Stage, visit: Visit) -> None:
    stage.apply(automations(services=(service_yaml("pour", "yes some words of a chatty program"),)))
    visit.go("#/service/pour/logs")
    visit.button("Start").click()
    expect(visit.lines().nth(20)).to_be_visible()
    visit.button("Stop").click()
    visit.phase("pour", "stopped")
    assert visit.lines().count() < 400
