"""Methods of our own over the memory store: the agent, triggers, plans, live status."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from runner_agent.api.backend import AutomationsState
from runner_agent.executors.usage import Usage
from runner_agent.model.ids import BootMark, Instant, RunId, ServiceId
from runner_agent.model.records import Service
from runner_agent.model.runs import Handle, Live, Moment, ServiceRun
from tests.api.requests import WEB, a_task, create_service, create_task
from tests.api.world import AGENT, ENVIRONMENT, World


async def test_the_agent_tells_of_itself(world: World) -> None:
    world.info = world.info._replace(
        automations=AutomationsState("/workspace/.ona/automations.yaml", world.clock.wall(), "line 3: what?")
    )
    assert (await world.call("GetAgent", of=AGENT))["agent"] == {
        "version": "1.2.3",
        "pid": 4711,
        "environmentId": ENVIRONMENT,
        "addresses": ["unix:/run/api.sock"],
        "stateDir": "/var/lib/runner-agent",
        "workspace": "/workspace",
        "startedAt": "2026-01-01T00:00:00Z",
        "automations": {
            "path": "/workspace/.ona/automations.yaml",
            "appliedAt": "2026-01-01T00:00:00Z",
            "error": "line 3: what?",
        },
    }


async def make_triggered(world: World) -> tuple[str, str]:
    web = (await world.call("CreateService", WEB))["service"]["id"]
    task = a_task()
    task["metadata"]["triggeredBy"] = [{"postDevcontainerStart": True}]
    return web, (await world.call("CreateTask", task))["task"]["id"]


async def test_an_event_is_fired(world: World) -> None:
    """Rules 6.1, 6.4."""
    web, build = await make_triggered(world)
    request = {"event": "postDevcontainerStart", "onceKey": "k"}
    fired = await world.call("FireTrigger", request, of=AGENT)
    (execution,) = fired["firing"]["executions"]
    assert fired["firing"]["services"] == [{"id": web, "reference": "web"}]
    assert (execution["reference"], execution["taskId"]) == ("build", build)
    assert fired["firing"]["firedBy"] == "uid 1000"
    got = (await world.call("GetTaskExecution", {"id": execution["id"]}))["taskExecution"]
    assert got["metadata"]["startedBy"] == "postDevcontainerStart"
    again = await world.call("FireTrigger", request, of=AGENT)
    assert again == {"firing": fired["firing"], "repeatedKey": True}
    assert (await world.call("ListFirings", of=AGENT))["firings"] == [fired["firing"]]


async def test_a_dry_run_starts_nothing(world: World) -> None:
    await make_triggered(world)
    told = await world.call("FireTrigger", {"event": "postDevcontainerStart", "dryRun": True}, of=AGENT)
    assert [one["reference"] for one in told["firing"]["services"]] == ["web"]
    assert told["firing"]["executions"] == [{"reference": "build"}]
    assert "id" not in told["firing"]
    assert (await world.call("ListTaskExecutions")).get("taskExecutions") is None
    assert (await world.call("ListFirings", of=AGENT)).get("firings") is None


@pytest.mark.parametrize("event", ["manual", "", "postdevcontainerstart"])
async def test_what_is_no_event_is_not_fired(world: World, event: str) -> None:
    code, message = await world.refused("FireTrigger", {"event": event}, of=AGENT)
    assert (code, "postMachineStart" in message) == ("invalid_argument", True)


async def test_firings_come_in_pages_newest_first(world: World) -> None:
    ids: list[str] = []
    for _ in range(5):
        world.clock.advance(1.0)
        fired = await world.call("FireTrigger", {"event": "prebuild"}, of=AGENT)
        ids.append(fired["firing"]["id"])
    found: list[str] = []
    token = ""
    for size in (2, 2, 1):
        page = {"pagination": {"pageSize": 2, "token": token}}
        answer = await world.call("ListFirings", page, of=AGENT)
        assert len(answer["firings"]) == size
        found += [firing["id"] for firing in answer["firings"]]
        token = answer["pagination"].get("nextToken", "")
    assert (found, token) == (ids[::-1], "")


async def test_a_firing_outlives_the_names_of_what_it_started(world: World) -> None:
    web, _ = await make_triggered(world)
    await world.call("FireTrigger", {"event": "postDevcontainerStart"}, of=AGENT)
    service = world.store.get(Service, web)
    assert service is not None
    await world.store.write(lambda tx: tx.delete(service.key), durable=False)
    (firing,) = (await world.call("ListFirings", of=AGENT))["firings"]
    assert firing["services"] == [{"id": web}]


async def test_a_plan_is_told_and_nothing_runs(world: World) -> None:
    """Rule 4.2."""
    database = await create_service(world, "db")
    build = await create_task(world, "build", dependsOn=[database])
    for request in ({"id": build}, {"reference": "build"}):
        assert await world.call("PlanTask", request, of=AGENT) == {
            "groups": [
                {"steps": [{"reference": "db", "serviceId": database}]},
                {"steps": [{"reference": "build", "taskId": build, "dependsOn": ["db"]}]},
            ]
        }
    assert (await world.refused("PlanTask", {}, of=AGENT))[0] == "invalid_argument"
    assert (await world.refused("PlanTask", {"reference": "x"}, of=AGENT))[0] == "not_found"
    assert (await world.call("ListTaskExecutions")).get("taskExecutions") is None


async def test_live_status_measures_only_when_asked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """And all runs in one go: of a service those of its three roles together."""
    asked: list[list[str]] = []

    def measure(handles: Iterable[Handle]) -> dict[RunId, Usage]:
        asked.append([handle.run_id for handle in handles])
        return dict.fromkeys(map(RunId, asked[-1]), Usage(0.5, 1024, 2, (80,)))

    monkeypatch.setattr("runner_agent.api.live.measure", measure)
    id_ = await create_service(world)
    service = world.store.get(Service, ServiceId(id_))
    assert service is not None
    start, ready = (Live(RunId(name), Instant(0), Handle("machine", RunId(name))) for name in ("a", "b"))
    run = ServiceRun(service.spec.session, BootMark("b"), service.spec.launch, start=start, ready=ready)
    await world.put(replace(service, run=run))
    (told,) = (await world.call("ListLiveStatus", of=AGENT))["services"]
    assert (asked, told.get("usage")) == ([], None)
    (told,) = (await world.call("ListLiveStatus", {"usage": True}, of=AGENT))["services"]
    assert asked == [["a", "b"]]
    assert told["usage"] == {"cpuSeconds": 1.0, "memoryBytes": "2048", "processes": 4, "ports": [80]}


async def test_live_status_tells_since_when(world: World) -> None:
    id_ = await create_service(world)
    service = world.store.get(Service, ServiceId(id_))
    assert service is not None
    run = ServiceRun(service.spec.session, BootMark("b"), service.spec.launch, attempts=3)
    await world.put(replace(service, run=run, phase_since=Moment.of(world.clock)))
    answer = await world.call("ListLiveStatus", of=AGENT)
    assert answer["services"] == [
        {"serviceId": id_, "reference": "web", "phaseSince": "2026-01-01T00:00:00Z", "readyAttempts": 3}
    ]
    world.clock.advance(60.0)
    world.clock.set_wall(world.clock.wall() + timedelta(days=365))
    (told,) = (await world.call("ListLiveStatus", of=AGENT))["services"]
    assert told["phaseSince"] == "2027-01-01T00:00:00Z", "its age is a minute (rule 4.9)"
    world.clock.reboot()
    (told,) = (await world.call("ListLiveStatus", of=AGENT))["services"]
    assert told["phaseSince"] == "2026-01-01T00:00:00Z"


async def test_rule_2_9_a_file_that_is_refused_is_told_with_its_path(world: World) -> None:
    """Unless nothing was to be done, or what was refused is to prune."""
    await create_task(world, "mine", dependsOn=[await create_service(world)])
    file = {"tasks": {"web": {"name": "Web", "command": "echo"}}}
    request: dict[str, Any] = {"automationsFile": file, "path": "/w/a.yaml"}
    for harmless in (request | {"dryRun": True}, request | {"path": ""}, request | {"prune": True}):
        await world.refused("ApplyAutomationsFile", harmless, of=AGENT)
    assert world.refused_files == []
    code, message = await world.refused("ApplyAutomationsFile", request, of=AGENT)
    assert (code, world.refused_files) == ("invalid_argument", [("/w/a.yaml", message)])
    assert world.applied_files == []


async def test_an_automations_file_is_applied_and_all_of_it_told(world: World) -> None:
    """Rule 2.10."""
    file: dict[str, Any] = {
        "services": {"web": {"name": "W", "commands": {"start": "s"}}, "marker": {"name": "M"}},
        "tasks": {"build": {"name": "B", "command": "make"}},
    }
    request: dict[str, Any] = {"automationsFile": file, "path": "/w/a.yaml"}
    would = await world.call("ApplyAutomationsFile", request | {"dryRun": True}, of=AGENT)
    assert [one["change"] for one in would["changes"]] == ["created"] * 3
    assert not any("id" in one for one in would["changes"])
    assert (await world.call("ListServices")).get("services", []) == []
    assert world.applied_files == []
    did = await world.call("ApplyAutomationsFile", request, of=AGENT)
    ids = {one["reference"]: one["id"] for one in did["changes"]}
    assert world.applied_files == ["/w/a.yaml"]
    marker = (await world.call("GetService", {"id": ids["marker"]}))["service"]
    assert "commands" not in marker["spec"], "rule 2.11"
    assert (await world.refused("StartService", {"id": ids["marker"]}))[0] == "failed_precondition"
    del file["services"]["marker"], file["tasks"]["build"]
    left = await world.call("ApplyAutomationsFile", request, of=AGENT)
    assert left == {"notInFile": ["marker", "build"]}
    pruned = await world.call("ApplyAutomationsFile", request | {"prune": True}, of=AGENT)
    assert pruned == {
        "changes": [
            {"change": "deleted", "kind": "service", "reference": "marker", "id": ids["marker"]},
            {"change": "deleted", "kind": "task", "reference": "build", "id": ids["build"]},
        ]
    }
    code, _ = await world.refused("ApplyAutomationsFile", {"automationsFile": file, "prune": True}, of=AGENT)
    assert code == "invalid_argument"
