"""The dashboard in a real browser: it is true, follows what happens, and bears whatever it is shown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.e2e.stage import automations, service_yaml, task_yaml

if TYPE_CHECKING:
    from tests.browser.conftest import Opener
    from tests.browser.visit import Visit
    from tests.e2e.stage import Stage

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(300)]

TALK = "n=0; while true; do n=$((n+1)); echo line $n; sleep 0.2; done"


# ---------------------------------------------------------------- services


def test_a_service_is_started_and_seen_running_without_asking_again(stage: Stage, visit: Visit) -> None:
    stage.apply(automations(services=(service_yaml("web", TALK, ready="test -e go"),)))
    visit.phase("web", "stopped")
    visit.row("web").get_by_role("button", name="Start web").click()
    visit.phase("web", "starting")
    visit.row("web").get_by_role("link").click()
    expect(visit.page.get_by_role("heading", name="web")).to_be_visible()
    visit.logged("line 1")
    (stage.workspace / "go").touch()
    visit.phase("web", "running")
    session = stage.service("web").get("status", {}).get("session")
    visit.button("Restart").click()
    visit.phase("web", "running")
    stage.await_phase("web", "RUNNING")
    expect(visit.page.locator(".log .line.note").filter(has_text="web: start")).to_have_count(2)
    assert stage.service("web").get("status", {}).get("session") != session
    visit.button("Stop").click()
    visit.phase("web", "stopped")
    assert stage.phase("web") == "STOPPED"


def test_what_others_do_is_seen_too(stage: Stage, visit: Visit) -> None:
    stage.apply(automations(services=(service_yaml("theirs", "sleep 600"),)))
    visit.phase("theirs", "stopped")
    stage.ok("service", "start", "theirs")
    visit.phase("theirs", "running")
    stage.ok("service", "delete", "theirs")
    expect(visit.row("theirs")).to_have_count(0)


def test_why_is_said_in_words(stage: Stage, visit: Visit) -> None:
    start = "echo no DATABASE_URL given >&2; exit 3"
    stage.apply(automations(services=(service_yaml("broken", start),)))
    visit.go("#/service/broken/logs")
    visit.button("Start").click()
    visit.phase("broken", "failed")
    expect(visit.page.locator(".because")).to_contain_text("exited with code 3")
    visit.page.get_by_role("tab", name="Why").click()
    panel = visit.page.get_by_role("tabpanel")
    expect(panel).to_contain_text("a browser signed in to the dashboard")
    expect(panel).to_contain_text("no DATABASE_URL given")


def test_outputs_definition_and_timeline_are_shown(stage: Stage, visit: Visit) -> None:
    start = 'echo url=http://localhost:3000 >> "$GITPOD_OUTPUT"; sleep 600'
    stage.apply(automations(services=(service_yaml("told", start, more="description: Tells things"),)))
    visit.go("#/service/told/outputs")
    visit.button("Start").click()
    expect(visit.page.get_by_role("cell", name="http://localhost:3000")).to_be_visible()
    visit.page.get_by_role("tab", name="Definition").click()
    expect(visit.page.get_by_role("tabpanel")).to_contain_text("GITPOD_OUTPUT")
    visit.page.get_by_role("tab", name="Timeline").click()
    expect(visit.page.get_by_role("tabpanel")).to_contain_text("STARTING → RUNNING")


# ---------------------------------------------------------------- tasks


def test_a_task_shows_its_groups_and_each_steps_log(stage: Stage, visit: Visit) -> None:
    tasks = (
        task_yaml("fetch", "echo fetched"),
        task_yaml(
            "compile", "while [ ! -e compiled ]; do sleep 0.1; done; echo compiled", more="dependsOn: [fetch]"
        ),
        task_yaml("ship", "echo shipped; exit 7", more="dependsOn: [compile]"),
    )
    stage.apply(automations(tasks=tasks))
    visit.go("#/task/ship/runs")
    expect(visit.page.get_by_text("What a start would run")).to_be_visible()
    visit.button("Start").click()
    groups = visit.page.locator(".execution .groups > li")
    expect(groups).to_have_count(3)
    expect(groups.nth(0)).to_contain_text("succeeded")
    expect(groups.nth(1)).to_contain_text("running")
    expect(groups.nth(2)).to_contain_text("not begun")
    expect(visit.row("ship").locator(".state")).to_contain_text("1/3 steps")
    (stage.workspace / "compiled").touch()
    visit.phase("ship", "failed")
    expect(visit.page.locator(".execution > .failure")).to_contain_text("exited with code 7")
    visit.page.get_by_role("tab", name="Logs").click()
    visit.logged("fetch | fetched")
    visit.page.get_by_label("Which log").select_option(label="compile")
    visit.logged("compiled")
    expect(visit.lines().filter(has_text="fetched")).to_have_count(0)


def test_a_running_execution_is_stopped(stage: Stage, visit: Visit) -> None:
    stage.apply(automations(tasks=(task_yaml("endless", "sleep 600"),)))
    visit.row("endless").get_by_role("button", name="Start endless").click()
    visit.phase("endless", "running")
    visit.row("endless").get_by_role("button", name="Stop endless").click()
    visit.phase("endless", "stopped")


def test_a_trigger_tells_what_it_would_start_and_then_does(stage: Stage, visit: Visit) -> None:
    task = task_yaml("woken", "sleep 600", more="triggeredBy: [beforeSnapshot]")
    stage.apply(automations(tasks=(task,)))
    visit.page.get_by_role("button", name="Triggers").click()
    visit.page.get_by_role("button", name="beforeSnapshot").click()
    expect(visit.page.get_by_role("dialog")).to_contain_text("woken")
    assert list(stage.agent.executions({"taskIds": [stage.id_of("woken")]})) == []
    visit.page.get_by_role("button", name="Fire").click()
    visit.phase("woken", "running")
    expect(visit.page.locator(".toast")).to_contain_text("beforeSnapshot fired")


# ---------------------------------------------------------------- logs


def test_a_log_shows_colours_bars_and_the_agents_notes(stage: Stage, visit: Visit) -> None:
    text = r"\033[31mred\033[0m plain\nold 1%%\rnew 99%%\n\033]8;;http://x\033\\link\033]8;;\033\\ \007end\n"
    start = f"printf '{text}'; sleep 600"
    stage.apply(automations(services=(service_yaml("vivid", start),)))
    visit.go("#/service/vivid/logs")
    visit.button("Start").click()
    visit.logged("red plain")
    visit.logged("new 99%")
    visit.logged("link end")
    red, plain = visit.page.evaluate(
        "() => ['.log .fg1', '.log'].map((each) => getComputedStyle(document.querySelector(each)).color)"
    )
    assert red != plain
    expect(visit.page.locator(".log .line.note").first).to_contain_text("runner-agent: vivid: start")


def test_a_log_is_searched_and_followed(stage: Stage, visit: Visit) -> None:
    start = (
        "seq -f 'row %g' 1 900; while [ ! -e more ]; do sleep 0.1; done; seq -f 'row %g' 901 905; sleep 600"
    )
    stage.apply(automations(services=(service_yaml("long", start),)))
    visit.go("#/service/long/logs")
    visit.button("Start").click()
    visit.logged("row 900")
    visit.page.keyboard.press("g")
    visit.page.keyboard.type("row 12")
    count = visit.page.locator(".tools .count")
    expect(count).to_have_text("11 of 11")  # 12, 120 to 129
    visit.logged("row 129")
    visit.page.keyboard.press("Enter")
    expect(count).to_have_text("1 of 11")
    visit.logged("row 12")
    visit.page.keyboard.press("Shift+Enter")
    expect(count).to_have_text("11 of 11")
    visit.button("Only matches").click()
    expect(visit.lines()).to_have_count(11)
    (stage.workspace / "more").touch()
    visit.page.get_by_label("Find in the log").focus()
    visit.page.keyboard.press("Escape")
    visit.logged("row 905")


# ---------------------------------------------------------------- hostile texts

MISCHIEF = (
    "<img src=x onerror=\"window.hacked='img'\"><script>window.hacked='script'</script>"
    "<svg onload=\"window.hacked='svg'\"></svg>\" autofocus onfocus=window.hacked='attribute' x=\"'"
)


def test_no_text_of_theirs_is_ever_run(stage: Stage, visit: Visit) -> None:
    """Names, descriptions, log lines, outputs, failures, environment."""
    (stage.workspace / "mischief").write_text(MISCHIEF)
    start = 'cat mischief; echo; echo "x=$(cat mischief)" >> "$GITPOD_OUTPUT"; cat mischief >&2; exit 1'
    metadata: Any = {"reference": "mischief", "name": MISCHIEF, "description": MISCHIEF}
    spec: Any = {
        "commands": {"start": start, "ready": f"true # {MISCHIEF}"},
        "env": [{"name": "MISCHIEF", "value": MISCHIEF}],
    }
    stage.agent.create_service(metadata, spec)
    task: Any = {**metadata, "reference": "mischief-task"}
    stage.agent.create_task(task, {"command": start})
    visit.row("mischief").get_by_role("button", name="Start mischief").click()
    visit.row("mischief-task").get_by_role("button", name="Start mischief-task").click()
    visit.phase("mischief", "failed")
    visit.phase("mischief-task", "failed")
    visit.go("#/")
    expect(visit.page.get_by_role("heading", name="Now")).to_be_visible()
    for kind, tabs in (
        ("service/mischief", ("logs", "why", "outputs", "timeline", "definition")),
        ("task/mischief-task", ("logs", "why", "runs", "outputs", "timeline", "definition")),
    ):
        for tab in tabs:
            visit.go(f"#/{kind}/{tab}")
            expect(visit.page.get_by_role("tab", selected=True)).to_have_attribute("id", f"tab-{tab}")
            expect(visit.page.get_by_role("main")).to_contain_text("onerror")
    visit.go(f"#/service/{MISCHIEF}/logs")
    expect(visit.page.get_by_role("main")).to_contain_text("There is no service")
    assert visit.page.evaluate("window.hacked") is None
    assert visit.page.locator("img, iframe, main script").count() == 0
    refused = visit.page.evaluate(
        "() => { try { document.createElement('p').innerHTML = '<b>x</b>'; return 'taken' }"
        " catch { return 'refused' } }"
    )
    assert refused == "refused"
    visit.complaints[:] = [told for told in visit.complaints if "TrustedHTML" not in told]


# ---------------------------------------------------------------- hands, eyes, sizes


def test_the_keyboard_is_enough(stage: Stage, visit: Visit) -> None:
    stage.apply(
        automations(services=(service_yaml("kbd-a", "sleep 600"), service_yaml("kbd-b", "sleep 600")))
    )
    visit.phase("kbd-b", "stopped")
    press = visit.page.keyboard.press
    press("/")
    visit.page.keyboard.type("kbd")
    expect(visit.page.locator("#side .row")).to_have_count(2)
    press("ArrowDown")
    press("j")
    expect(visit.row("kbd-b").get_by_role("link")).to_be_focused()
    press("s")
    visit.phase("kbd-b", "running")
    visit.phase("kbd-a", "stopped")
    press("Enter")
    expect(visit.page.get_by_role("heading", name="kbd-b")).to_be_visible()
    press("w")
    expect(visit.page.get_by_role("tab", name="Why")).to_have_attribute("aria-selected", "true")
    visit.page.get_by_role("tab", name="Why").focus()
    press("ArrowRight")
    expect(visit.page.get_by_role("tab", name="Outputs")).to_be_focused()
    press("x")
    visit.phase("kbd-b", "stopped")
    press("?")
    expect(visit.page.get_by_role("dialog")).to_contain_text("find in the log")
    press("Escape")
    expect(visit.page.get_by_role("dialog")).to_have_count(0)
    press("Escape")
    expect(visit.page.get_by_role("heading", name="Now")).to_be_visible()
    press("/")
    press("Escape")
    expect(visit.page.locator("#filter")).to_have_value("")


def test_it_fits_a_phone(stage: Stage, opened: Opener) -> None:
    stage.apply(automations(services=(service_yaml("pocket", "echo " + "wide " * 60 + "; sleep 600"),)))
    with opened(viewport={"width": 360, "height": 640}, has_touch=True, is_mobile=True) as visit:
        visit.sign_in()
        visit.row("pocket").get_by_role("button").tap()
        visit.phase("pocket", "running")
        visit.row("pocket").get_by_role("link").tap()
        expect(visit.page.get_by_role("heading", name="pocket")).to_be_visible()
        expect(visit.row("pocket")).to_be_hidden()
        for tab in ("logs", "why", "outputs", "timeline", "definition"):
            visit.go(f"#/service/pocket/{tab}")
            expect(visit.page.get_by_role("tab", selected=True)).to_have_attribute("id", f"tab-{tab}")
            width = visit.page.evaluate("document.scrollingElement.scrollWidth")
            assert width <= 360, tab
        small = visit.page.evaluate(
            "() => [...document.querySelectorAll('button, select')]"
            ".filter((n) => n.offsetParent && n.offsetHeight < 32).map((n) => n.outerHTML)"
        )
        assert small == []
        visit.page.get_by_role("link", name="Back to the list").tap()
        expect(visit.row("pocket")).to_be_visible()


CONTRAST = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const colour = parse(getComputedStyle(node).backgroundColor);
      if (colour.length === 3 || colour[3] > 0.9) return colour;
    }
    return [255, 255, 255];
  };
  const poor = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || !node.offsetParent || node.closest('noscript')) continue;
    const [a, b] = [light(parse(getComputedStyle(node).color)), light(ground(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push(`${ratio.toFixed(2)} ${node.className} ${walk.currentNode.data.slice(0, 30)}`);
  }
  return poor;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read(stage: Stage, opened: Opener, scheme: str) -> None:
    """Contrast of 4.5 and more, names for all that can be pressed, and nothing moves for who wants that."""
    stage.apply(
        automations(
            services=(
                service_yaml(f"eyes-{scheme}", "echo to read; exit 1"),
                service_yaml(f"wait-{scheme}", "sleep 600", ready="false"),
            ),
            tasks=(task_yaml(f"work-{scheme}", "echo done"),),
        )
    )
    with opened(color_scheme=scheme, reduced_motion="reduce") as visit:
        visit.sign_in()
        for reference, phase in (
            (f"eyes-{scheme}", "failed"),
            (f"wait-{scheme}", "starting"),
            (f"work-{scheme}", "succeeded"),
        ):
            visit.row(reference).get_by_role("button").click()
            visit.phase(reference, phase)
        for place, there in (
            ("#/", "What has happened"),
            (f"#/service/eyes-{scheme}/logs", "to read"),
            (f"#/service/wait-{scheme}/why", "Ready command"),
            (f"#/task/work-{scheme}/runs", "group 1"),
        ):
            visit.go(place)
            expect(visit.page.get_by_role("main")).to_contain_text(there)
            assert visit.page.evaluate(CONTRAST) == [], place
        nameless = visit.page.evaluate(
            "() => [...document.querySelectorAll('button, a, input, select')].filter((n) => n.offsetParent"
            " && !n.textContent.trim() && !n.ariaLabel && !n.labels?.length).map((n) => n.outerHTML)"
        )
        assert nameless == []
        moving = visit.page.evaluate("document.getAnimations().length")
        assert moving == 0
        stage.ok("service", "stop", f"wait-{scheme}")


# ---------------------------------------------------------------- an agent that goes and comes


def test_an_agent_that_is_killed_is_away_and_comes_back_by_itself(stage: Stage, visit: Visit) -> None:
    stage.apply(automations(services=(service_yaml("steady", TALK),)))
    visit.go("#/service/steady/logs")
    visit.button("Start").click()
    visit.logged("line 3")
    address = visit.address
    port = address.rpartition(":")[2].rstrip("/")
    stage.daemon.sigkill()
    expect(visit.page.locator("#top .link")).to_have_text("away")
    expect(visit.page.locator("#banner")).to_contain_text("The agent is away")
    stage.start("--listen", f"tcp:127.0.0.1:{port}")
    visit.connected()
    expect(visit.page.locator("#banner")).not_to_contain_text("away")
    visit.phase("steady", "running")
    seen = int(re.findall(r"\d+", visit.lines().last.inner_text())[0])
    visit.logged(f"line {seen + 3}")
    # Nothing of the log is lost, and nothing is doubled.
    numbers = [
        int(found[1])
        for text in visit.lines().all_inner_texts()
        if (found := re.fullmatch(r"line (\d+)", text.strip()))
    ]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    visit.button("Stop").click()
    visit.phase("steady", "stopped")


def test_an_orderly_stop_is_told_too(stage: Stage, visit: Visit) -> None:
    port = visit.address.rpartition(":")[2].rstrip("/")
    assert stage.daemon.terminate() == 0
    expect(visit.page.locator("#top .link")).to_have_text("away")
    stage.start("--listen", f"tcp:127.0.0.1:{port}")
    visit.connected()


def test_a_window_that_nobody_looks_at_lets_go_of_its_connections(stage: Stage, visit: Visit) -> None:
    """Browsers open six to one host: hidden windows must leave them to the one in use."""
    stage.apply(automations(services=(service_yaml("unseen", "sleep 600"),)))
    visit.go("#/service/unseen/logs")
    turn = """(seen) => {
      Object.defineProperty(document, 'hidden', { configurable: true, get: () => seen === 'hidden' });
      document.dispatchEvent(new Event('visibilitychange'));
    }"""
    visit.page.evaluate(turn, "hidden")
    expect(visit.page.locator("#top .link")).to_have_text("connecting")
    expect(visit.page.locator("#banner")).not_to_contain_text("away")
    stage.ok("service", "start", "unseen")
    visit.page.wait_for_timeout(500)
    expect(visit.row("unseen").locator(".phase")).to_have_text("stopped")
    visit.page.evaluate(turn, "visible")
    visit.phase("unseen", "running")


def test_a_sign_in_that_ends_in_the_middle_leads_to_the_door(stage: Stage, opened: Opener) -> None:
    stage.apply(automations(services=(service_yaml("locked", "sleep 600"),)))
    with opened() as visit:
        visit.sign_in()
        visit.phase("locked", "stopped")
        visit.page.context.clear_cookies()
        visit.row("locked").get_by_role("button").click()
        expect(visit.page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert stage.phase("locked") == "STOPPED"
