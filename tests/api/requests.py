"""Requests that several tests send, and calls they are sent by."""

from dataclasses import replace
from typing import Any

from runner_agent.core import view
from runner_agent.model.ids import BootMark, Instant, RunId
from runner_agent.model.records import Service
from runner_agent.model.runs import Handle, Live, ServiceRun
from tests.api.world import ABSENT, World

WEB: dict[str, Any] = {
    "metadata": {
        "reference": "web",
        "name": "Web server",
        "description": "Serves",
        "triggeredBy": [{"manual": True}, {"postDevcontainerStart": True}],
        "role": "SERVICE_ROLE_EDITOR",
    },
    "spec": {
        "commands": {"start": "serve", "ready": "curl localhost", "stop": "serve --stop"},
        "runsOn": {"docker": {"image": "node:22", "environment": ["A=1", "B"]}},
        "env": [
            {"name": "PORT", "value": "80"},
            {"name": "EMPTY", "value": ""},
            {"name": "KEY", "valueFrom": {"secretRef": {"id": ABSENT}}},
        ],
        "readinessTimeout": "90.500s",
    },
}


def a_service(reference: str = "web", **spec: object) -> dict[str, Any]:
    """The least a service needs."""
    metadata = {"reference": reference, "name": reference.title()}
    return {"metadata": metadata, "spec": {"commands": {"start": "serve"}, **spec}}


def a_task(reference: str = "build", **rest: object) -> dict[str, Any]:
    """The least a task needs."""
    metadata = {"reference": reference, "name": reference.title()}
    return {"metadata": metadata, "spec": {"command": "make"}, **rest}


async def create_service(world: World, reference: str = "web", **spec: object) -> str:
    answer = await world.call("CreateService", a_service(reference, **spec))
    return str(answer["service"]["id"])


async def create_task(world: World, reference: str = "build", **rest: object) -> str:
    answer = await world.call("CreateTask", a_task(reference, **rest))
    return str(answer["task"]["id"])


async def bring_up(world: World, id_: str) -> None:
    """As the reconciler leaves a service that runs the session wished for."""
    service = world.store.get(Service, id_)
    assert service is not None
    run_id = RunId("run-1")
    start = Live(run_id, Instant(1.0), Handle("scripted", run_id))
    run = ServiceRun(
        service.spec.session,
        BootMark("b"),
        service.spec.launch,
        start=start,
        is_ready=True,
        output={"url": "http://localhost"},
    )
    service = replace(service, run=run)
    await world.put(replace(service, status=view.status(service)))
