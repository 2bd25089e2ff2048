"""The way into the dashboard, as a person takes it: the printed address, the token, and out again."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.e2e.stage import automations, service_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.browser.conftest import Opener
    from tests.browser.visit import Visit
    from tests.e2e.stage import Stage

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(300)]


class Hello(BaseHTTPRequestHandler):
    """Anybody's page."""

    def do_GET(self) -> None:
        body = b"<!doctype html><title>hello</title>"
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # as its base has it
        """Quiet."""


@pytest.fixture
def neighbour() -> Iterator[str]:
    """The address of another server of this host."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Hello) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def signed_out(visit: Visit) -> None:
    expect(visit.page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_the_printed_address_signs_in_once_and_leaves_no_trace(opened: Opener, stage: Stage) -> None:
    stage.apply(automations(services=(service_yaml("entry", "sleep 600"),)))
    token = (stage.state / "token").read_text().strip()
    with opened() as visit:
        link = visit.link()
        code = link.partition("#code=")[2]
        assert token not in link
        visit.page.goto(link)
        visit.connected()
        expect(visit.row("entry")).to_be_visible()
        assert visit.page.url == visit.address
        assert not [url for url in visit.asked[1:] if code in url]  # the first is the address typed
        (cookie,) = visit.page.context.cookies()
        assert (cookie.get("httpOnly"), cookie.get("sameSite")) == (True, "Strict")
        assert visit.page.evaluate("document.cookie") == ""
        visit.page.reload()
        visit.connected()
        assert visit.page.evaluate("history.length") <= 3
    with opened() as other:
        other.page.goto(link)
        signed_out(other)
        expect(other.page.get_by_role("alert")).to_contain_text("used or expired")
        expect(other.page.get_by_role("alert")).not_to_contain_text("`")
        expect(other.page.get_by_role("alert").locator("code")).to_have_text(
            ["runner-agent dashboard", "token"]
        )


def test_a_new_link_signs_in_where_the_page_is_open_already(opened: Opener) -> None:
    with opened() as visit:
        visit.page.goto(visit.address)
        signed_out(visit)
        visit.page.goto(visit.link())  # differs in its fragment only: no page is loaded by that
        visit.connected()


def test_the_token_signs_in_by_hand(opened: Opener, stage: Stage) -> None:
    with opened() as visit:
        visit.page.goto(f"{visit.address}#/service/x/why")
        signed_out(visit)
        visit.page.keyboard.type("wrong")
        visit.page.keyboard.press("Enter")
        expect(visit.page.get_by_role("alert")).to_contain_text("wrong, used or expired")
        visit.page.keyboard.type((stage.state / "token").read_text())
        visit.page.keyboard.press("Enter")
        visit.connected()


def test_signing_out_shuts_the_door(opened: Opener) -> None:
    with opened() as visit:
        visit.sign_in()
        cookies = visit.page.context.cookies()
        visit.page.get_by_role("button", name="Agent").click()
        visit.page.get_by_role("button", name="Sign out").click()
        signed_out(visit)
        visit.page.context.add_cookies([{**cookies[0]}])  # type: ignore[typeddict-item]  # as it was given to us
        visit.page.reload()
        signed_out(visit)


def test_a_cookie_that_ends_while_the_page_is_open_leads_back_to_the_door(opened: Opener) -> None:
    with opened() as visit:
        visit.sign_in()
        visit.page.context.clear_cookies()
        visit.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        visit.page.reload()
        signed_out(visit)


def test_a_page_of_another_port_cannot_use_the_cookie(opened: Opener, stage: Stage, neighbour: str) -> None:
    """Same site, other origin: SameSite alone lets it through."""
    stage.apply(automations(services=(service_yaml("prize", "sleep 600"),)))
    with opened() as visit:
        visit.sign_in()
        target = f"{visit.address}gitpod.v1.EnvironmentAutomationService/StartService"
        foreign = visit.page.context.new_page()
        foreign.goto(neighbour)
        outcomes = foreign.evaluate(
            """async ([target, id, logs]) => {
              const body = JSON.stringify({id});
              const told = (answer) => answer.type === 'opaque' ? 'sent blindly' : answer.status;
              const ask = (to, options) =>
                fetch(to, {credentials: 'include', ...options}).then(told, () => 'refused');
              const headers = {'x-runner-agent': 'dashboard', 'content-type': 'application/json'};
              return {
                blind: await ask(target, {method: 'POST', body, mode: 'no-cors'}),
                plain: await ask(target, {method: 'POST', body}),
                ours: await ask(target, {method: 'POST', body, headers}),
                log: await ask(logs, {}),
              };
            }""",
            [
                target,
                stage.id_of("prize"),
                f"{visit.address}logs/services/{stage.id_of('prize')}?follow=false",
            ],
        )
        assert outcomes == {"blind": "sent blindly", "plain": "refused", "ours": "refused", "log": "refused"}
        assert stage.phase("prize") == "STOPPED"
        foreign.close()
