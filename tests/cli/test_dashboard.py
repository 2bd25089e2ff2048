"""`dashboard`: an address that signs in, and what to do where browsers cannot come."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
import pytest

from runner_agent.cli.exits import DONE, FAILED

if TYPE_CHECKING:
    from tests.cli.conftest import Cli
    from tests.client.fake_agent import FakeAgent, Message

HERE, THERE = "http://127.0.0.1:7780/", "http://127.0.0.1:7781/"


def offer(fake: FakeAgent, *urls: str) -> None:
    """What the agent answers."""

    def code(_: Message) -> Message:
        return {"code": "c0de", "expiresIn": 300, "urls": list(urls)}

    fake.on["code"] = code


def test_the_address_is_all_there_is_on_standard_output(fake: FakeAgent, cli: Cli) -> None:
    """So that a script can take it. The code is in the fragment, which browsers send nowhere."""
    offer(fake, HERE, THERE)
    result = cli("dashboard")
    assert (result.code, result.out) == (DONE, f"{HERE}#code=c0de\n")
    assert "5 minutes" in result.err


def test_programs_get_all_addresses(fake: FakeAgent, cli: Cli) -> None:
    offer(fake, HERE, THERE)
    told = json.loads(cli("dashboard", "--json").out)
    assert told == {"url": f"{HERE}#code=c0de", "expiresIn": 300, "others": [f"{THERE}#code=c0de"]}


def test_without_tcp_it_says_what_to_do(fake: FakeAgent, cli: Cli) -> None:
    offer(fake)
    result = cli("dashboard")
    assert (result.code, result.out) == (FAILED, "")
    told = " ".join(result.err.split())
    assert "--listen tcp:127.0.0.1:7780" in told
    assert f"ssh -L 7780:{fake.address.removeprefix('unix:')}" in told


@pytest.mark.parametrize(("code", "exit_code"), [(0, DONE), (1, FAILED)])
def test_open_starts_a_browser_or_says_that_it_cannot(
    fake: FakeAgent, cli: Cli, monkeypatch: pytest.MonkeyPatch, code: int, exit_code: int
) -> None:
    offer(fake, HERE)
    opened: list[str] = []

    def launch(url: str) -> int:
        opened.append(url)
        return code

    monkeypatch.setattr(click, "launch", launch)
    result = cli("dashboard", "--open")
    assert (result.code, opened) == (exit_code, [f"{HERE}#code=c0de"])
    assert ("No browser" in result.err) is (exit_code == FAILED)
