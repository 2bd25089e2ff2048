"""Finding things on the page: in a log and in all of it, in the list, and where an address in a log leads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from runner_agent.web.site import ASSETS, site
from tests.e2e.stage import automations, service_yaml, task_yaml

if TYPE_CHECKING:
    from tests.browser.conftest import Opener
    from tests.browser.visit import Visit
    from tests.e2e.stage import Stage

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(300)]

LONG = (
    "seq -f 'line %g' 1 5000; echo written; "
    "while [ ! -e more-{0} ]; do sleep 0.05; done; echo another line 7 came; "
    "while [ ! -e end-{0} ]; do sleep 0.05; done"
)


def look_for(visit: Visit, text: str) -> None:
    visit.page.get_by_label("Find in the log").fill(text)
    expect(visit.page.locator(".tools .count")).not_to_have_text("")


# ---------------------------------------------------------------- all of a log


def test_a_search_of_all_of_a_live_log_ends_and_then_follows(stage: Stage, visit: Visit) -> None:
    stage.apply(automations(services=(service_yaml("deep", LONG.format("deep")),)))
    stage.ok("service", "start", "deep", "--wait")
    visit.go("#/service/deep/logs")
    visit.logged("written")
    look_for(visit, "line 7")
    expect(visit.page.locator(".tools .count")).to_have_text("none")
    visit.button("Search all of it").click()
    note = visit.page.locator(".log-note")
    expect(note).to_contain_text("All of the log was searched: 111 of 5002 lines; new ones are added")
    expect(visit.button("Search all of it")).to_be_hidden()
    expect(visit.button("Follow")).to_have_attribute("aria-pressed", "true")
    (stage.workspace / "more-deep").touch()
    visit.logged("another line 7 came")
    expect(note).to_contain_text("112 of 5003 lines")
    visit.page.get_by_label("Find in the log").press("Escape")
    visit.logged("written")
    expect(note).to_have_text("")
    stage.ok("service", "stop", "deep")


def test_a_log_that_ends_while_it_is_searched(stage: Stage, visit: Visit) -> None:
    stage.apply(automations(tasks=(task_yaml("ends", LONG.format("ends")),)))
    visit.go("#/task/ends/logs")
    visit.button("Start").click()
    visit.logged("written")
    visit.page.reload()
    visit.connected()
    visit.logged("written")
    look_for(visit, "line 7")
    visit.button("Search all of it").click()
    note = visit.page.locator(".log-note")
    expect(note).to_contain_text("All of the log was searched: 111 of")
    for name in ("more", "end"):
        (stage.workspace / f"{name}-ends").touch()
    visit.phase("ends", "succeeded")
    visit.logged("another line 7 came")
    expect(note).to_have_text("All of the log was searched: 112 of 5004 lines.")


def test_a_search_outlives_a_window_that_nobody_looks_at(stage: Stage, visit: Visit) -> None:
    stage.apply(automations(services=(service_yaml("kept", LONG.format("kept")),)))
    stage.ok("service", "start", "kept", "--wait")
    visit.go("#/service/kept/logs")
    visit.logged("written")
    look_for(visit, "line 7")
    visit.button("Search all of it").click()
    expect(visit.page.locator(".log-note")).to_contain_text("All of the log was searched")
    for tab in ("Why", "Logs"):
        visit.page.get_by_role("tab", name=tab).click()
    expect(visit.page.get_by_label("Find in the log")).to_have_value("line 7")
    expect(visit.page.locator(".log-note")).to_contain_text("All of the log was searched: 111 of 5002")
    stage.ok("service", "stop", "kept")


def test_a_search_goes_on_with_the_next_agent(stage: Stage, visit: Visit) -> None:
    services = (
        service_yaml("outlives", LONG.format("outlives")),
        service_yaml("other", "echo other; sleep 600"),
    )
    stage.apply(automations(services=services))
    for name in ("outlives", "other"):
        stage.ok("service", "start", name, "--wait")
    visit.go("#/service/outlives/logs")
    visit.logged("written")
    look_for(visit, "line 7")
    visit.button("Search all of it").click()
    note = visit.page.locator(".log-note")
    expect(note).to_contain_text("All of the log was searched: 111 of 5002 lines; new")
    port = visit.address.rpartition(":")[2].rstrip("/")
    stage.daemon.sigkill()
    expect(visit.page.locator("#top .link")).to_have_text("away")
    expect(visit.lines()).not_to_have_count(0)
    (stage.workspace / "more-outlives").touch()
    stage.start("--listen", f"tcp:127.0.0.1:{port}")
    visit.connected()
    visit.logged("another line 7 came")
    expect(note).to_contain_text("112 of 5003 lines; new")
    stage.daemon.sigkill()
    expect(visit.page.locator("#top .link")).to_have_text("away")
    visit.go("#/service/other/logs")
    expect(visit.page.get_by_role("heading", name="other")).to_be_visible()
    expect(visit.lines()).to_have_count(0)
    stage.start("--listen", f"tcp:127.0.0.1:{port}")
    visit.logged("other")
    for name in ("outlives", "other"):
        stage.ok("service", "stop", name)


# ---------------------------------------------------------------- another log


def test_what_was_looked_for_in_one_log_does_not_hide_lines_of_the_next(stage: Stage, visit: Visit) -> None:
    wide = "; ".join(f"echo {name} {'wide ' * 60}" for name in ("apple", "pear"))
    services = tuple(service_yaml(name, f"{wide}; sleep 600") for name in ("first", "second"))
    steps = (task_yaml("one", "echo apple"), task_yaml("two", "echo pear", more="dependsOn: [one]"))
    stage.apply(automations(services=services, tasks=steps))
    for name in ("first", "second"):
        stage.ok("service", "start", name, "--wait")
    stage.ok("task", "start", "two")
    visit.go("#/service/first/logs")
    find = visit.page.get_by_label("Find in the log")
    expect(visit.lines().filter(has_text="pear")).to_be_visible()
    look_for(visit, "apple")
    visit.button("Only matches").click()
    expect(visit.lines()).to_have_count(1)
    visit.page.locator(".log").evaluate("(node) => { node.scrollLeft = 300 }")
    for place, line in (
        ("service/second", "pear wide"),
        ("task/two", "two | pear"),
        ("service/first", "pear wide"),
    ):
        visit.go(f"#/{place}/logs")
        expect(visit.lines().filter(has_text=line).first).to_be_visible()
        expect(find).to_have_value("")
        expect(visit.button("Only matches")).to_be_hidden()
        expect(visit.button("Follow")).to_have_attribute("aria-pressed", "true")
        assert visit.page.locator(".log").evaluate("(node) => node.scrollLeft") == 0
        look_for(visit, "apple")
        visit.button("Only matches").click()
        expect(visit.lines().filter(has_text="pear")).to_have_count(0)
    visit.go("#/task/two/logs")
    expect(visit.lines().filter(has_text="two | pear")).to_be_visible()
    look_for(visit, "apple")
    visit.page.get_by_label("Which log").select_option(label="two")
    visit.logged("pear")
    expect(find).to_have_value("")


def test_an_execution_that_was_forgotten_is_said_to_be(stage: Stage, visit: Visit) -> None:
    stage.apply(automations(tasks=(task_yaml("gone", "echo here"),)))
    stage.ok("task", "start", "gone")
    visit.go("#/task/gone/logs/00000000-0000-4000-8000-000000000001")
    expect(visit.page.locator(".log-note")).to_contain_text("not there any more")
    visit.go("#/task/gone/logs")
    visit.logged("here")


# ---------------------------------------------------------------- by keyboard


def test_enter_goes_on_however_fast_one_types(stage: Stage, visit: Visit) -> None:
    stage.apply(automations(services=(service_yaml("typed", "seq -f 'row %g' 1 30; sleep 600"),)))
    stage.ok("service", "start", "typed", "--wait")
    press = visit.page.keyboard.press
    press("/")
    visit.page.keyboard.type("typ")
    press("Enter")
    expect(visit.page.get_by_role("heading", name="typed")).to_be_visible()
    expect(visit.row("typed").get_by_role("link")).to_be_focused()
    visit.logged("row 30")
    press("g")
    visit.page.keyboard.type("row 1")
    press("Enter")
    count = visit.page.locator(".tools .count")
    expect(count).to_have_text("11 of 11")
    press("Enter")
    expect(count).to_have_text("1 of 11")
    press("Shift+Enter")
    expect(count).to_have_text("11 of 11")
    press("Escape")
    press("/")
    visit.page.keyboard.type(" nothing of that name")
    press("Enter")
    expect(visit.page.get_by_role("heading", name="typed")).to_be_visible()


def test_the_filter_is_at_hand_in_a_narrow_window_too(stage: Stage, opened: Opener) -> None:
    stage.apply(
        automations(services=(service_yaml("near", "sleep 600"), service_yaml("far-away", "sleep 600")))
    )
    with opened(viewport={"width": 600, "height": 700}) as visit:
        visit.sign_in("#/service/near/why")
        expect(visit.page.get_by_role("heading", name="near")).to_be_visible()
        visit.page.keyboard.press("/")
        visit.page.keyboard.type("far")
        visit.page.keyboard.press("Enter")
        expect(visit.page.get_by_role("heading", name="far-away")).to_be_visible()


# ---------------------------------------------------------------- addresses in logs

WRITTEN = r"""printf 'see http://127.0.0.1:3000/a?b=1&c, (https://example.org/w_(x)) and "https://quoted.org/".\n'
printf '\033[31mhttps://host.org/\033[32mcolours\033[0m/end! <https://angle.org> http://0.0.0.0:5173/\n'
printf 'javascript:alert(1) ftp://x.org file:///etc/passwd http:// data:text/html,x https://%%zz/\n'
printf '\033]8;;https://osc.org/\007osc\033]8;;\007 \033]8;;javascript:alert(1)\007bad\033]8;;\033\\ '
printf '\033]8;;https://open.org/\007never ended\n'
printf 'plain\n'
sleep 600"""


def test_addresses_in_logs_lead_there_and_nowhere_else(stage: Stage, visit: Visit) -> None:
    stage.apply(automations(services=(service_yaml("leads", WRITTEN),)))
    stage.ok("service", "start", "leads", "--wait")
    visit.go("#/service/leads/logs")
    visit.logged("plain")
    links = visit.page.locator(".log .line a")
    found = links.evaluate_all("(all) => all.map((a) => [a.textContent, a.getAttribute('href')])")
    assert found == [
        # Of another name than the page's own, so that its cookie does not go there.
        ["http://127.0.0.1:3000/a?b=1&c", "http://localhost:3000/a?b=1&c"],
        ["https://example.org/w_(x)", "https://example.org/w_(x)"],
        ["https://quoted.org/", "https://quoted.org/"],
        ["https://host.org/colours/end", "https://host.org/colours/end"],
        ["https://angle.org", "https://angle.org/"],
        ["http://0.0.0.0:5173/", "http://localhost:5173/"],
        ["osc", "https://osc.org/"],
        ["never ended", "https://open.org/"],
    ]
    for name, value in (("target", "_blank"), ("rel", "noopener noreferrer")):
        assert links.evaluate_all(f"(all) => all.every((a) => a.getAttribute('{name}') === '{value}')")
    look_for(visit, "colours")
    expect(visit.page.locator(".line a mark")).to_have_text("colours")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("http://a.org/x).", "http://a.org/x"),
        ("[http://a.org/x]", "http://a.org/x"),
        ("http://a.org/x…", "http://a.org/x"),
        ("http://[::1]:80/x", "http://[::1]/x"),
        ("http://a.org/(x)y)", "http://a.org/(x)y"),
        ("xhttp://a.org", None),
        ("http://", None),
        ("HTTPS://A.org/ü", "https://a.org/%C3%BC"),
    ],
)
def test_where_an_address_ends(visit: Visit, text: str, address: str | None) -> None:
    found = visit.page.evaluate(
        "async ([folder, text]) => (await import(`${folder}links.js`)).addresses(text).map((one) => one[2])",
        [f"{ASSETS}{site().digest}/", text],
    )
    assert found == ([address] if address else [])


# ---------------------------------------------------------------- colours

COLOURS = r"""for fg in '255;255;0' '255;255;255' '20;20;60' '0;0;0' '128;128;128'; do
  printf "\033[38;2;${fg}mon default\033[0m \033[48;2;${fg}mon $fg\033[0m \033[7;38;2;${fg}minverse\033[0m "
  for n in 30 31 32 33 34 35 36 37 90 97; do printf "\033[${n};48;2;${fg}m$n on it\033[0m "; done
  echo
done
printf '\033[38;5;229mpale\033[0m \033[48;5;17mdeep\033[0m \033[7mturned\033[0m '
printf '\033[7;31mred\033[0m \033[7;97mwhite\033[0m\n'
printf 'drawn\n'
sleep 600"""
LEAST = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const figures = (text) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (colour) => colour.slice(0, 3).map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const colour = figures(getComputedStyle(node).backgroundColor);
      if (colour[3] > 200) return colour;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll('.log .line span')].map((node) => {
    const both = [light(figures(getComputedStyle(node).color)), light(ground(node))];
    const [low, high] = both.sort((a, b) => a - b);
    return [node.textContent, (high + 0.05) / (low + 0.05)];
  });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_given_in_figures_can_be_read(stage: Stage, opened: Opener, scheme: str) -> None:
    stage.apply(automations(services=(service_yaml("painted", COLOURS),)))
    stage.ok("service", "start", "painted", "--wait")
    with opened(color_scheme=scheme) as visit:
        visit.sign_in("#/service/painted/logs")
        visit.logged("drawn")
        found = visit.page.evaluate(LEAST)
        assert len(found) > 60
        assert [each for each in found if each[1] < 3] == []
