"""WatchEvents as each SDK watches: pushed, kept alive, left, and ended by the agent (traps 1 to 3)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.conformance.agents import await_gone, await_phase, new
from tests.conformance.conftest import Agent, running_agent
from tests.conformance.environments import PYTHON_0_11, PYTHON_0_12, PYTHON_1_2
from tests.conformance.sdk import Driver, Json, Refused, Sdk

if TYPE_CHECKING:
    from tests.conformance.sdk import Stream

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(240)]

ANSWERED = 60.0
"""Seconds within which an event must have come; events take milliseconds, this machine may be busy."""
SILENCE = 3.0
"""Seconds without a word until an SDK gives up: thrice what the agent takes. The machine may be busy."""


def event(operation: str, type_: str, id_: str) -> Json:
    """As every SDK shows it."""
    return {
        "operation": f"RESOURCE_OPERATION_{operation}",
        "resourceType": f"RESOURCE_TYPE_{type_}",
        "resourceId": id_,
    }


def await_event(watch: Stream, wanted: Json) -> list[Json]:
    """All events until the wanted one comes."""
    seen: list[Json] = []
    while wanted not in seen:
        (one,) = watch.ask().result(ANSWERED)
        seen.append(one)
        assert len(seen) < 200, seen
    return seen


def test_events_are_pushed(sdk: Sdk) -> None:
    """A sign of life at once; then what happens, as it happens."""
    with sdk.watch() as watch:
        assert watch.next() == event("UPDATE_STATUS", "ENVIRONMENT", sdk.environment_id)
        task = sdk.call(
            "CreateTask", {"metadata": {"reference": new("seen"), "name": "S"}, "spec": {"command": ":"}}
        )
        task_id = task["task"]["id"]
        await_event(watch, event("CREATE", "TASK", task_id))
        execution = sdk.call("StartTask", {"id": task_id})["taskExecution"]["id"]
        await_event(watch, event("CREATE", "TASK_EXECUTION", execution))
        await_event(watch, event("UPDATE_STATUS", "TASK_EXECUTION", execution))
        sdk.call("UpdateTask", {"id": task_id, "metadata": {"name": "T"}})
        await_event(watch, event("UPDATE", "TASK", task_id))
        sdk.call("DeleteTask", {"id": task_id})
        await_event(watch, event("DELETE", "TASK", task_id))


def test_a_service_is_followed_by_watch_and_get(sdk: Sdk) -> None:
    """No payload and no replay: a client watches, gets, and misses nothing."""
    sent = {"metadata": {"reference": new("web"), "name": "W"}, "spec": {"commands": {"start": "sleep 1000"}}}
    id_ = sdk.call("CreateService", sent)["service"]["id"]
    with sdk.watch() as watch:
        watch.next()
        sdk.call("StartService", {"id": id_})
        status = event("UPDATE_STATUS", "SERVICE", id_)
        phases: list[str] = []
        while "SERVICE_PHASE_RUNNING" not in phases:
            await_event(watch, status)
            phases.append(sdk.call("GetService", {"id": id_})["service"]["status"]["phase"])
        assert len(phases) < 10
        sdk.call("DeleteService", {"id": id_})
        await_event(watch, event("DELETE", "SERVICE", id_))
    await_gone(sdk, "GetService", id_)


@pytest.mark.parametrize("scope", [{}, None], ids=["unnamed", "named"])
def test_an_empty_scope_is_this_environment(sdk: Sdk, scope: Json | None) -> None:
    """Rule 1.1."""
    with sdk.watch(scope) as watch:
        assert watch.next()["resourceId"] == sdk.environment_id


def test_many_watch_side_by_side(sdk: Sdk) -> None:
    """And each hears of the same; those who leave are missed by nobody."""
    with sdk.watch() as first, sdk.watch() as second:
        with sdk.watch() as third:
            for watch in (first, second, third):
                watch.next()
        task = sdk.call(
            "CreateTask", {"metadata": {"reference": new("all"), "name": "A"}, "spec": {"command": ":"}}
        )
        for watch in (first, second):
            await_event(watch, event("CREATE", "TASK", task["task"]["id"]))


@pytest.mark.parametrize(
    "driver", [PYTHON_0_12, PYTHON_0_11], ids=[PYTHON_0_12.name, PYTHON_0_11.name], indirect=True
)
def test_an_idle_watch_outlives_the_read_timeout(sdk: Sdk) -> None:
    """Trap 1: signs of life come thrice within `x-stainless-read-timeout`, which only these SDKs send."""
    alive = event("UPDATE_STATUS", "ENVIRONMENT", sdk.environment_id)
    began = time.monotonic()
    with sdk.watch(timeout=SILENCE) as watch:
        for _ in range(6):
            while watch.next() != alive:
                pass  # what others do in the same agent
    assert time.monotonic() - began > SILENCE


@pytest.mark.parametrize("driver", [PYTHON_1_2], ids=[PYTHON_1_2.name], indirect=True)
def test_a_deadline_ends_a_watch(sdk: Sdk) -> None:
    """`connect-timeout-ms` is enforced by nobody but the server."""
    with sdk.watch(timeout=3) as watch:
        watch.next()
        with pytest.raises(Refused) as raised:
            watch.rest()
    assert (raised.value.type, raised.value.code) == ("ConnectError", "deadline_exceeded")


@pytest.mark.parametrize("prefix", ["", "/api"], ids=["/", "/api"])
def test_an_agent_that_stops_ends_its_watches(driver: tuple[str, Driver], prefix: str) -> None:
    """Trap 3: told `unavailable` where the protocol has a word for it; no watcher holds the agent up."""
    with running_agent() as agent:
        sdk = agent.known_to(*driver, prefix)
        with sdk.watch() as watch:
            watch.next()
            pending = watch.ask(1_000_000)
            assert agent.daemon.terminate() == 0
            if sdk.connect:
                with pytest.raises(Refused) as raised:
                    pending.result()
                assert (raised.value.type, raised.value.code) == ("ConnectError", "unavailable")
            else:
                assert all(one["resourceType"] == "RESOURCE_TYPE_ENVIRONMENT" for one in pending.result())


def test_a_stopping_agent_takes_no_new_wishes(driver: tuple[str, Driver]) -> None:
    """While it brings a service down, a start is `unavailable`, and questions are still answered."""
    with running_agent() as agent:
        sdk = agent.known_to(*driver).with_(retries=0)
        id_ = stubborn_service(sdk, agent)
        agent.daemon.process.terminate()
        await_phase(sdk, id_, "STOPPING")
        error = sdk.refused("StartService", {"id": id_})
        (agent.daemon.workspace / "go").touch()
        assert agent.daemon.process.wait(60) == 0
        assert (error.code, "stopping" in error.message) == ("unavailable", True)
        assert error.type == ("ConnectError" if sdk.connect else "InternalServerError")


def stubborn_service(sdk: Sdk, agent: Agent) -> str:
    """One whose stop command waits for the file `go`; its id, once it runs."""
    waits = f"until [ -e {agent.daemon.workspace}/go ]; do sleep 0.05; done"
    spec = {"commands": {"start": "sleep 1000", "stop": waits}, "desiredPhase": "SERVICE_PHASE_RUNNING"}
    id_: str = sdk.call("CreateService", {"metadata": {"reference": "web", "name": "W"}, "spec": spec})[
        "service"
    ]["id"]
    await_phase(sdk, id_, "RUNNING")
    return id_
