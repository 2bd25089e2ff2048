"""`wait`: what comes true, what never will, and what is not there yet."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import pytest

from tests.client.fake_agent import LogPart, Message, execution, service, task, uuid

if TYPE_CHECKING:
    from tests.cli.conftest import Cli
    from tests.client.fake_agent import FakeAgent

LOG, RUN = f"/logs/services/{uuid(1)}", f"/logs/executions/{uuid(5)}"
LIVE = {"role": "start", "state": "live"}


@pytest.fixture(autouse=True)
def things(fake: FakeAgent) -> None:
    fake.services = [service(1, "web", "RUNNING"), service(2, "db", "RUNNING", ready="true")]
    fake.tasks = [task(3, "build")]
    fake.executions = [execution(5, uuid(3), "SUCCEEDED")]


def becomes(fake: FakeAgent, *states: Message) -> None:
    """The service is in these states, one after each look at it."""
    ahead = list(states)

    def get(_: Message) -> Message:
        now = ahead.pop(0) if len(ahead) > 1 else ahead[0]
        fake.publish("SERVICE", now["id"])
        return {"service": now}

    fake.on["GetService"] = get


def test_all_of_several_and_the_evidence(cli: Cli) -> None:
    told = cli("wait", "web", "db", "--for", "ready")
    assert (told.code, told.out) == (0, "web: RUNNING\ndb: RUNNING, `ready` succeeded\n")


def test_it_comes(cli: Cli, fake: FakeAgent) -> None:
    """Also of a service that nobody had started when the waiting began."""
    becomes(
        fake,
        service(1, "web"),
        service(1, "web", "FAILED", session="old") | {"spec": {**service(1, "web", "RUNNING")["spec"]}},
        service(1, "web", "STARTING"),
        service(1, "web", "RUNNING"),
    )
    assert cli("wait", "web", "--for", "running", "--timeout", "60").code == 0


@pytest.mark.parametrize(
    ("state", "condition"),
    [
        (service(1, "web", "FAILED", failure="start exited with code 3"), "ready"),
        (service(1, "web", "STOPPED", desired="RUNNING"), "running"),
        (service(1, "web", "FAILED", failure="stop exited with code 1"), "stopped"),
        (service(1, "web", "FAILED", failure="x"), "port=80"),
    ],
)
def test_it_can_no_longer_come(cli: Cli, fake: FakeAgent, state: Message, condition: str) -> None:
    """At once, though db may still come."""
    fake.services = [state, service(2, "db", "STARTING")]
    told = cli("wait", "db", "web", "--for", condition)
    assert (told.code, told.out) == (1, "")
    assert f"`{condition}` can no longer come true" in told.err
    assert state["status"].get("failureMessage", "STOPPED") in told.err


def test_stopped_by_somebody_while_waiting(cli: Cli, fake: FakeAgent) -> None:
    becomes(fake, service(1, "web", "STARTING"), service(1, "web", "STOPPING", desired="STOPPED"))
    told = cli("wait", "web", "--for", "ready")
    assert told.code == 1
    assert "it was stopped before that" in told.err


def test_too_late(cli: Cli, fake: FakeAgent) -> None:
    fake.services[0] = service(1, "web", "STARTING")
    told = cli("wait", "web", "db", "--for", "ready", "--timeout", "0.2", "-o", "json")
    assert told.code == 3
    assert "web: not yet ready after 0.2s." in told.err
    found = json.loads(told.out)
    assert [(each["ref"], each["met"]) for each in found] == [("web", False), ("db", True)]


@pytest.mark.parametrize(
    ("ref", "phase", "condition", "code"),
    [
        ("build", "SUCCEEDED", "succeeded", 0),
        (uuid(5), "SUCCEEDED", "ended", 0),
        ("5e5e", "FAILED", "ended", 0),
        ("build", "FAILED", "succeeded", 1),
        ("build", "STOPPED", "succeeded", 1),
        ("build", "STOPPED", "stopped", 0),
        ("build", "RUNNING", "running", 0),
        ("build", "SUCCEEDED", "running", 1),
        ("build", "PENDING", "ended", 3),
    ],
)
def test_of_executions(cli: Cli, fake: FakeAgent, ref: str, phase: str, condition: str, code: int) -> None:
    fake.executions = [execution(4, uuid(9)) | {"id": f"5e5e{uuid(4)[4:]}"}, execution(5, uuid(3), phase)]
    if ref == "5e5e":
        fake.executions[0]["status"]["phase"] = f"TASK_EXECUTION_PHASE_{phase}"
    assert cli("wait", ref, "--for", condition, "--timeout", "0.2").code == code


def test_of_a_task_that_ran_as_a_step_of_another(cli: Cli, fake: FakeAgent) -> None:
    fake.tasks.append(task(4, "install"))
    fake.executions = [execution(5, uuid(3), "RUNNING", steps={"install": "SUCCEEDED", "build": "RUNNING"})]
    fake.executions[0]["spec"]["plan"][0]["steps"][0]["task"] = {"id": uuid(4)}
    told = cli("wait", "install", "--for", "succeeded")
    assert (told.code, told.out.split()[:2]) == (0, ["install:", "SUCCEEDED"])


class TestLog:
    @pytest.fixture(autouse=True)
    def live(self, fake: FakeAgent) -> None:
        fake.on["ExplainAutomation"] = lambda _: {"runs": [LIVE]}

    def test_in_what_the_last_start_has_written(self, cli: Cli, fake: FakeAgent) -> None:
        """A line of an earlier session is no evidence; nor is one of the agent's own."""
        old = b"runner-agent: web: start\nlistening on 1\nrunner-agent: web: start\nlistening on 2\n"
        fake.logs[LOG] = [LogPart(b"", start=len(old)), LogPart(old)]
        told = cli("wait", "web", "--for", r"log=listening on \d", "--timeout", "60")
        assert (told.code, told.out) == (0, "web: listening on 2\n")
        fake.logs[LOG] = [LogPart(b""), LogPart(b"runner-agent: web: start\n"), LogPart(b"")]
        assert cli("wait", "web", "--for", "log=start", "--timeout", "0.5").code == 3

    def test_in_what_comes_be_it_coloured_or_without_an_end(self, cli: Cli, fake: FakeAgent) -> None:
        come = threading.Event()
        fake.logs[LOG] = [LogPart(b""), LogPart(b"loading\n"), LogPart(b"\x1b[1mReady\x1b[0m> ", hold=come)]
        threading.Timer(0.3, come.set).start()
        told = cli("wait", "web", "--for", "log=^Ready>", "--timeout", "60")
        assert (told.code, told.out) == (0, "web: Ready> \n")

    def test_it_ends_without_such_a_line(self, cli: Cli, fake: FakeAgent) -> None:
        fake.logs[RUN] = [LogPart(b""), LogPart(b"building\n"), LogPart(b"")]
        told = cli("wait", "build", "--for", "log=done")
        assert told.code == 1
        assert "without such a line" in told.err


def test_ports(cli: Cli, fake: FakeAgent) -> None:
    ahead = [[], [3000], [3000, 9229]]

    def explain(_: Message) -> Message:
        return {"runs": [LIVE | {"usage": {"ports": ahead.pop(0) if len(ahead) > 1 else ahead[0]}}]}

    fake.on["ExplainAutomation"] = explain
    assert cli("wait", "web", "--for", "port=9229", "--timeout", "60").out == "web: listens on 9229\n"
    assert cli("wait", "web", "--for", "port").out == "web: listens on 3000, 9229\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["web", "--for", "raedy"], "is none of ready, running"),
        (["web", "--for", "log=("], "not a regular expression"),
        (["web", "--for", "port=0"], "is none of"),
        pytest.param(["web", "--for", f"port={'9' * 5_000}"], "is none of", id="5000 digits"),
        (["web"], "--for"),
        (["build", "--for", "ready"], "Only services are ready"),
        (["web", "--for", "succeeded"], "only tasks succeed"),
        (["wbe", "--for", "ready"], "Did you mean 'web'?"),
    ],
)
def test_bad_usage(cli: Cli, args: list[str], message: str) -> None:
    told = cli("wait", *args)
    assert (told.code, told.out) == (2, "")
    assert message in told.err
