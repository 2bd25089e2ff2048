"""`trigger --wait` joining a firing of before (rule 6.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.client.fake_agent import service, uuid

if TYPE_CHECKING:
    from tests.cli.conftest import Cli
    from tests.client.fake_agent import FakeAgent, Message


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--once", "k"), "was fired with this key before; nothing new is started.\nIt started:"),
        ((), "was fired in this boot already; nothing new is started.\nIt started:"),
        (("--dry-run",), "was fired in this boot already; nothing new would be started.\nIt started:"),
    ],
)
def test_a_repeated_firing_says_why(cli: Cli, fake: FakeAgent, arguments: tuple[str, ...], told: str) -> None:
    """Rules 6.3 and 6.4: postMachineStart is fired once a boot without a key of anybody's."""
    started = {"services": [{"id": uuid(1), "reference": "web"}]}
    fake.on["FireTrigger"] = lambda _: {
        "firing": {"id": uuid(9), "event": "postMachineStart", **started},
        "repeatedKey": True,
    }
    answer = cli("trigger", "postMachineStart", *arguments)
    assert answer.out == "service web\n"
    assert told in answer.err


def test_what_has_been_deleted_since_is_told_and_not_waited_for(cli: Cli, fake: FakeAgent) -> None:
    fake.services = [service(1, "web", "RUNNING")]

    def joined(_: Message) -> Message:
        started = {
            "services": [{"id": uuid(1), "reference": "web"}, {"id": uuid(7)}],
            "executions": [{"id": uuid(8), "reference": "build"}],
        }
        return {"firing": {"id": uuid(9), "event": "prebuild", **started}, "repeatedKey": True}

    fake.on["FireTrigger"] = joined
    answer = cli("trigger", "prebuild", "--once", "k", "--wait=10")
    assert answer.code == 0, answer.err
    assert "task build has been deleted since" in answer.err
    assert f"service {uuid(7)} has been deleted since" in answer.err
