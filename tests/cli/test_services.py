"""`service ...`: output, waiting, exit codes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.client.fake_agent import LogPart, Message, service, task, uuid

if TYPE_CHECKING:
    from tests.cli.conftest import Cli
    from tests.client.fake_agent import FakeAgent


def test_list_has_the_columns_of_the_interface(cli: Cli, fake: FakeAgent) -> None:
    fake.services = [
        service(1, "web", "RUNNING", triggers=["manual", "postEnvironmentStart"]),
        service(2, "database"),
    ]
    fake.live = [{"serviceId": uuid(1), "phaseSince": "2020-02-03T04:05:06.123456789Z"}]
    told = cli("service", "list")
    assert told.code == 0
    assert told.err == ""
    assert [line.rstrip() for line in told.out.splitlines()] == [
        "REFERENCE   NAME           PHASE     READY SINCE   TRIGGERS",
        "web         The web        RUNNING   2020-02-03    manual, postEnvironmentStart",
        "database    The database   STOPPED   -             -",
    ]


@pytest.mark.parametrize(
    "words", [("automations", "service"), ("auto", "services"), ("service",), ("services",)]
)
def test_short_forms(cli: Cli, fake: FakeAgent, words: tuple[str, ...]) -> None:
    fake.services = [service(1, "web")]
    assert "web" in cli(*words, "list").out


def test_list_for_programs(cli: Cli, fake: FakeAgent) -> None:
    fake.services = [service(1, "web")]
    assert json.loads(cli("service", "list", "--json").out) == fake.services
    assert json.loads(cli("service", "list", "-o", "json").out) == fake.services
    assert yaml.safe_load(cli("service", "list", "-o", "yaml").out) == fake.services
    fake.services = []
    assert json.loads(cli("service", "list", "--json").out) == []


def test_an_empty_list_says_so_on_stderr(cli: Cli) -> None:
    told = cli("service", "list")
    assert (told.code, told.out) == (0, "")
    assert "runner-agent automations update FILE" in told.err


def test_get(cli: Cli, fake: FakeAgent) -> None:
    fake.services = [service(1, "web", "FAILED", failure="start exited with code 3", ready="true")]
    told = cli("service", "get", "web").out
    assert "Phase:         FAILED" in told
    assert "Failure:       start exited with code 3" in told
    assert json.loads(cli("service", "get", uuid(1), "--json").out) == fake.services[0]
    fake.services.append(service(2, "db"))
    assert cli("service", "get", "db", "web").out == f"{cli('service', 'get', 'db').out}\n{told}"
    assert json.loads(cli("service", "get", "web", "db", "--json").out) == fake.services
    none = cli("service", "get", "web", "ghost")
    assert (none.code, none.out) == (2, "")


@pytest.mark.parametrize("command", ["get", "start", "stop", "restart", "delete", "logs"])
def test_an_unknown_reference_is_invalid_input(cli: Cli, fake: FakeAgent, command: str) -> None:
    fake.services = [service(1, "web")]
    told = cli("service", command, "wbe")
    assert (told.code, told.out) == (2, "")
    assert "There is no service 'wbe'. Did you mean 'web'?" in told.err
    fake.tasks = [task(2, "build")]
    assert "is a task" in cli("service", command, "build").err


@pytest.mark.parametrize(
    ("command", "methods"),
    [
        ("start", ["StartService"]),
        ("stop", ["StopService"]),
        ("restart", ["RestartService"]),
        ("delete", ["DeleteService"]),
    ],
)
def test_wishes_return_at_once(cli: Cli, fake: FakeAgent, command: str, methods: list[str]) -> None:
    fake.services = [service(1, "web")]
    told = cli("service", command, "web")
    assert (told.code, told.out) == (0, "")
    assert "requested" in told.err
    assert [one for one in fake.methods() if one != "GetAgent"] == ["ListServices", *methods]


def test_delete_by_force(cli: Cli, fake: FakeAgent) -> None:
    fake.services = [service(1, "web")]
    assert cli("service", "delete", "web", "--force").code == 0
    assert fake.asked[-1] == ("DeleteService", {"id": uuid(1), "force": True})


def goes_through(fake: FakeAgent, *states: Message) -> None:
    """The service is in these states, one after each look at it."""
    ahead = list(states)

    def get(_: Message) -> Message:
        now = ahead.pop(0) if len(ahead) > 1 else ahead[0]
        fake.publish("SERVICE", now["id"])
        return {"service": now}

    fake.on["GetService"] = get


class TestStartAndWait:
    def test_until_running(self, cli: Cli, fake: FakeAgent) -> None:
        fake.services = [service(1, "web")]
        goes_through(
            fake,
            service(1, "web", "FAILED", session="old") | {"spec": {"session": "s1"}},
            service(1, "web", "STARTING"),
            service(1, "web", "RUNNING"),
        )
        told = cli("service", "start", "web", "--wait")
        assert (told.code, told.out) == (0, "")
        assert told.err.splitlines() == ["Service web: STARTING", "Service web: RUNNING"]

    def test_failed_tells_why_and_shows_the_end_of_its_log(self, cli: Cli, fake: FakeAgent) -> None:
        fake.services = [service(1, "web")]
        goes_through(fake, service(1, "web", "FAILED", failure="start exited with code 7"))
        start = b"runner-agent: web: start\n"
        log = b"of an earlier start\n" + start + b"loading\ncannot bind\n"
        fake.logs[f"/logs/services/{uuid(1)}"] = [LogPart(log)]
        told = cli("service", "start", "--wait=60", "web")
        assert told.code == 1
        assert "  | cannot bind" in told.err
        assert "earlier" not in told.err
        assert "Service web failed: start exited with code 7" in told.err

    def test_too_late(self, cli: Cli, fake: FakeAgent) -> None:
        fake.services = [service(1, "web")]
        goes_through(fake, service(1, "web", "STARTING"))
        told = cli("service", "start", "web", "--wait=0.2")
        assert told.code == 3
        assert "Service web is not RUNNING after 0.2s." in told.err

    def test_a_number_without_its_equals_sign(self, cli: Cli) -> None:
        told = cli("service", "start", "--wait", "5", "web")
        assert told.code == 2
        assert "--wait=5" in told.err

    def test_stopped_or_deleted_by_somebody_else(self, cli: Cli, fake: FakeAgent) -> None:
        fake.services = [service(1, "web")]
        goes_through(fake, service(1, "web", "STOPPING", desired="STOPPED"))
        told = cli("service", "start", "web", "--wait")
        assert told.code == 1
        assert "stopped by somebody else" in told.err

    def test_a_start_that_ends_well_has_been_running_unless_it_had_to_be_ready(
        self, cli: Cli, fake: FakeAgent
    ) -> None:
        fake.services = [service(1, "web")]
        goes_through(fake, service(1, "web", "STOPPED", desired="RUNNING"))
        assert cli("service", "start", "web", "--wait").code == 0
        goes_through(fake, service(1, "web", "STOPPED", desired="RUNNING", ready="true"))
        assert cli("service", "start", "web", "--wait").code == 1


class TestStopAndWait:
    def test_until_stopped(self, cli: Cli, fake: FakeAgent) -> None:
        fake.services = [service(1, "web", "RUNNING")]
        goes_through(
            fake, service(1, "web", "STOPPING", desired="STOPPED"), service(1, "web", desired="STOPPED")
        )
        told = cli("service", "stop", "web", "--wait")
        assert told.code == 0
        assert told.err.splitlines() == ["Service web: STOPPING", "Service web: STOPPED"]

    def test_a_stop_command_that_fails(self, cli: Cli, fake: FakeAgent) -> None:
        fake.services = [service(1, "web", "RUNNING")]
        goes_through(fake, service(1, "web", "FAILED", desired="STOPPED", failure="stop exited with code 1"))
        earlier = b"runner-agent: web: stop\nof an earlier stop\n"
        log = LogPart(earlier + b"runner-agent: web: stop\nno such process\n")
        fake.logs[f"/logs/services/{uuid(1)}"] = [log]
        told = cli("service", "stop", "web", "--wait")
        assert told.code == 1
        assert "stop exited with code 1" in told.err
        assert "Last lines of its stop command:\n  | runner-agent: web: stop\n  | no such process" in told.err
        assert "earlier" not in told.err
        assert "role=stop" in fake.log_queries[-1]

    def test_what_had_failed_before_is_down(self, cli: Cli, fake: FakeAgent) -> None:
        fake.services = [service(1, "web", "FAILED")]
        goes_through(fake, service(1, "web", "FAILED", desired="STOPPED"))
        assert cli("service", "stop", "web", "--wait").code == 0


def test_a_wait_number_needs_its_equals_sign(cli: Cli, fake: FakeAgent) -> None:
    """`--wait web` waits for ever for web; it does not take web for a number."""
    fake.services = [service(1, "web")]
    goes_through(fake, service(1, "web", "RUNNING"))
    assert cli("service", "start", "--wait", "web").code == 0
    told = cli("service", "start", "web", "--wait=soon")
    assert told.code == 2
    assert "120, 120s, 2m or 1h30m" in told.err


def test_logs(cli: Cli, fake: FakeAgent) -> None:
    fake.services = [service(1, "web")]
    fake.logs[f"/logs/services/{uuid(1)}"] = [LogPart(b"a\n"), LogPart(b"b\n")]
    assert cli("service", "logs", "web").out == "a\n"
    assert cli("service", "logs", "web", "--no-follow", "--role", "ready", "--tail", "5").out == "b\n"
    assert fake.log_queries == ["follow=true", "follow=false&tail=5&role=ready"]
    assert cli("service", "logs", "web", "--tail", "1", "--offset", "2").code == 2
