"""`gitpod` and `ona` inside runs, as `cli.compat` answers them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runner_agent.cli.compat import answer
from tests.client.fake_agent import service

if TYPE_CHECKING:
    from tests.cli.conftest import Cli
    from tests.client.fake_agent import FakeAgent


@pytest.mark.parametrize(
    "words",
    [
        "environment port open 3000",
        "environment port open 3000 --name web",
        "environment port open --name web 3000",
        "environment ports open 3000 --name=web --admission everyone",
        "env port open 3000 --protocol https",
    ],
)
def test_a_port_is_open_already(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing but the address is on standard output, for `URL=$(gitpod environment port open ...)`."""
    assert answer("gitpod", words.split()) == 0
    told = capsys.readouterr()
    assert (told.out, told.err) == ("http://localhost:3000\n", "")


@pytest.mark.parametrize(
    "words",
    [
        "environment port open",
        "environment port open 70000",
        "environment port open --name 1st x",
        pytest.param(f"environment port open {'9' * 5_000}", id="5000 digits"),
    ],
)
def test_a_port_must_be_one(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer("gitpod", words.split()) == 2
    assert "Which port?" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["environment stop", "environment port list", "login", "--context x"])
def test_other_verbs_say_so(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer("ona", words.split()) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert f"`ona {words}` cannot be done" in told.err


def test_automations_are_ours(cli: Cli, fake: FakeAgent) -> None:
    fake.services = [service(1, "web")]
    assert answer("gitpod", ["automations", "service", "start", "web"]) == 0
    assert fake.methods()[-1] == "StartService"
    assert answer("ona", ["automations", "service", "start", "wep"]) == 2


@pytest.mark.parametrize("words", [[], ["--help"], ["version"], ["environment", "port", "open", "--help"]])
def test_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert answer("gitpod", words) == 0
    assert "runner-agent" in capsys.readouterr().out
