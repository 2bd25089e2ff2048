"""What the page tells at a glance: failures in its tab and its list, what is out of date, where time went."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import TCP
from tests.browser.visit import Visit
from tests.e2e.conftest import staged
from tests.e2e.stage import automations, service_yaml, task_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from tests.browser.conftest import Opener
    from tests.e2e.stage import Stage

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(300)]


@pytest.fixture
def lone(browser: Browser) -> Iterator[Visit]:
    """Of an agent that has nothing but what the test gives it."""
    with staged() as stage:
        stage.start(*TCP)
        context = browser.new_context()
        visit = Visit.of(context, stage)
        visit.sign_in()
        yield visit
        assert visit.complaints == []
        context.close()


ICON = "link[rel=icon]"


def test_the_tab_tells_of_failures_until_there_are_none(lone: Visit) -> None:
    stage, page = lone.stage, lone.page
    expect(page).to_have_title("runner-agent")
    flaky = "test -e fine || { echo no luck; exit 3; }"
    stage.apply(
        automations(
            services=(service_yaml("flaky", f"{flaky}; sleep 600"),), tasks=(task_yaml("checked", flaky),)
        )
    )
    stage.ok("service", "start", "flaky")
    lone.phase("flaky", "failed")
    expect(page).to_have_title("(1 failed) runner-agent")
    expect(page.locator(ICON)).to_have_attribute("href", re.compile("icon-failed.svg"))
    stage.cli("task", "start", "checked")
    lone.go("#/service/flaky/logs")
    expect(page).to_have_title("(2 failed) flaky · runner-agent")
    (stage.workspace / "fine").touch()
    stage.ok("service", "start", "flaky")
    expect(page).to_have_title("(1 failed) flaky · runner-agent")
    stage.ok("task", "start", "checked")
    expect(page).to_have_title("flaky · runner-agent")
    expect(page.locator(ICON)).to_have_attribute("href", re.compile("/icon.svg"))
    stage.ok("service", "delete", "flaky", "--force")
    lone.go("#/")
    expect(page).to_have_title("runner-agent")


def test_a_tab_that_nobody_looks_at_tells_too(lone: Visit) -> None:
    """By a look now and then, in a hundredth of the time here; its connections it lets go of."""
    lone.page.add_init_script(
        "const wait = setTimeout; window.setTimeout = (act, ms) => wait(act, ms >= 10000 ? ms / 100 : ms);"
    )
    lone.page.reload()
    lone.connected()
    lone.page.evaluate(
        "Object.defineProperty(document, 'hidden', { configurable: true, get: () => true });"
        "document.dispatchEvent(new Event('visibilitychange'));"
    )
    expect(lone.page.locator("#top .link")).to_have_text("connecting")
    lone.stage.apply(automations(services=(service_yaml("unseen", "exit 3"),)))
    lone.stage.ok("service", "start", "unseen")
    expect(lone.page).to_have_title("(1 failed) runner-agent")


def test_where_there_is_nothing_it_says_how_to_begin(lone: Visit) -> None:
    side = lone.page.locator("#side")
    expect(side).to_contain_text("runner-agent automations init")
    expect(side).to_contain_text("runner-agent automations update")


def test_a_failed_row_says_why(stage: Stage, visit: Visit) -> None:
    stage.apply(
        automations(
            services=(service_yaml("sick", "exit 3"),),
            tasks=(task_yaml("early", "true"), task_yaml("late", "exit 4", more="dependsOn: [early]")),
        )
    )
    stage.ok("service", "start", "sick")
    stage.cli("task", "start", "late")
    expect(visit.row("sick").locator(".reason")).to_contain_text("exited with code 3")
    expect(visit.row("late").locator(".reason")).to_have_text(re.compile("^late exited with code 4"))
    expect(visit.row("early").locator(".reason")).to_have_count(0)
    now = visit.page.locator(".happening .failure")
    expect(now.filter(has_text="code 3").first).to_be_visible()
    expect(now.filter(has_text="code 4").first).to_be_visible()


def test_what_runs_its_previous_definition_is_marked_and_mended_by_a_restart(
    stage: Stage, visit: Visit
) -> None:
    stage.apply(automations(services=(service_yaml("aged", "echo old; sleep 600"),)))
    stage.ok("service", "start", "aged", "--wait")
    visit.go("#/service/aged/logs")
    visit.phase("aged", "running")
    mark = visit.row("aged").locator(".previous")
    expect(mark).to_have_count(0)
    stage.apply(automations(services=(service_yaml("aged", "echo new; sleep 600"),)))
    expect(mark).to_have_text("runs its previous definition")
    visit.button("Restart to use the new one").click()
    visit.logged("new")
    expect(mark).to_have_count(0)
    expect(visit.button("Restart to use the new one")).to_have_count(0)


def test_a_task_that_runs_its_previous_definition_is_marked_until_it_ends(stage: Stage, visit: Visit) -> None:
    stage.apply(automations(tasks=(task_yaml("slow", "sleep 600"),)))
    visit.go("#/task/slow/logs")
    stage.ok("task", "start", "slow", "--dont-wait")
    visit.phase("slow", "running")
    mark, told = visit.row("slow").locator(".previous"), visit.page.locator(".head .because")
    expect(mark).to_have_count(0)
    stage.apply(automations(tasks=(task_yaml("slow", "sleep 601"),)))
    expect(mark).to_have_text("runs its previous definition")
    expect(told).to_contain_text("start it again")
    stage.ok("task", "stop", "slow")
    visit.phase("slow", "stopped")
    expect(mark).to_have_count(0)
    expect(told.filter(has_text="start it again")).to_have_count(0)


def test_what_is_to_be_said_of_the_file_is_said(browser: Browser) -> None:
    """Rule 2.8: of two default files the second is passed over."""
    with staged() as stage:
        for name in ("config.yaml", "automations.yaml"):
            path = stage.workspace / ".ona" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(automations(tasks=(task_yaml("one", "true"),)))
        stage.start(*TCP)
        context = browser.new_context()
        visit = Visit.of(context, stage)
        visit.sign_in()
        expect(visit.page.locator("#banner")).to_contain_text(".ona/automations.yaml")
        assert visit.complaints == []
        context.close()


def test_a_plan_says_what_a_step_waits_for_and_how_long_it_took(stage: Stage, visit: Visit) -> None:
    tasks = (
        task_yaml("quick", "true"),
        task_yaml("slow", "sleep 1.2"),
        task_yaml("wait", "while [ ! -e waited ]; do sleep 0.1; done", more="dependsOn: [quick, slow]"),
        task_yaml("goal", "true", more="dependsOn: [wait]"),
    )
    stage.apply(automations(tasks=tasks))
    visit.go("#/task/goal/runs")
    step = visit.page.locator(".groups .step")
    expect(step.filter(has_text="goal")).to_contain_text("after wait")
    visit.button("Start").click()
    slow = step.filter(has=visit.page.get_by_role("link", name="slow", exact=True))
    expect(slow).to_have_text(re.compile(r"succeeded · [12]\.\d s$|succeeded · \d+ s$"))
    wait = step.filter(has=visit.page.get_by_role("link", name="wait", exact=True))
    expect(wait).to_contain_text("after quick, slow")
    expect(wait).to_have_text(re.compile(r"running · \d+ s"))
    (stage.workspace / "waited").touch()
    visit.phase("goal", "succeeded")
    expect(wait).to_have_text(re.compile(r"succeeded · (\d\.\d|\d+) s"))
    visit.page.reload()
    expect(wait).to_have_text(re.compile(r"succeeded · (\d\.\d|\d+) s"))


def test_dots_of_a_step_are_seen_before_their_line_ends(stage: Stage, visit: Visit) -> None:
    draw = "printf '...'; while [ ! -e drawn ]; do sleep 0.1; done; printf '10%%\\r50%%\\r'; sleep 600"
    stage.apply(
        automations(tasks=(task_yaml("set-up", "true"), task_yaml("draws", draw, more="dependsOn: [set-up]")))
    )
    visit.go("#/task/draws/logs")
    visit.button("Start").click()
    visit.logged("draws | ...")
    (stage.workspace / "drawn").touch()
    visit.logged("draws | 50%")
    visit.button("Stop").click()
    visit.phase("draws", "stopped")


LONG = "n" * 128
TELL = "unbroken" * 60


def test_the_longest_names_fit_a_phone(stage: Stage, opened: Opener) -> None:
    stage.apply(
        automations(
            services=(service_yaml(LONG, "sleep 600", more=f"description: {TELL}"),),
            tasks=(task_yaml(f"t{LONG[1:]}", "exit 3", more=f"description: {TELL}\ndependsOn: [{LONG}]"),),
        )
    )
    with opened(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True) as visit:
        visit.sign_in()
        stage.cli("task", "start", f"t{LONG[1:]}")
        places = [""]
        places += [f"service/{LONG}/{tab}" for tab in ("logs", "why", "outputs", "timeline", "definition")]
        places += [f"task/t{LONG[1:]}/{tab}" for tab in ("logs", "why", "runs", "timeline", "definition")]
        for place in places:
            visit.go(f"#/{place}")
            if place:
                expect(visit.page.get_by_role("tab", selected=True)).to_have_attribute(
                    "id", f"tab-{place.rpartition('/')[2]}"
                )
            wide = visit.page.evaluate(
                """() => [...document.querySelectorAll('html, #side, .head, .panel, .title, .happening')]
                .filter((node) => node.scrollWidth > Math.max(node.clientWidth, 0) + 1 && node.clientWidth)
                .map((node) => `${node.className} ${node.scrollWidth} > ${node.clientWidth}`)"""
            )
            assert wide == [], place
