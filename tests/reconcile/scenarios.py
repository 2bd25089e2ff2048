"""Short histories that between them go through every corner of reconciling, and what they come to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from runner_agent.executors.scripted_world import MARK
from runner_agent.model.phases import RunRole, ServicePhase
from runner_agent.model.records import Kind
from tests.support.world import Scene

RUNNING, STOPPED, FAILED = ServicePhase.RUNNING, ServicePhase.STOPPED, ServicePhase.FAILED

Scenario = Callable[[Scene], Awaitable[None]]
SCENARIOS: list[Scenario] = []


def scenario(history: Scenario) -> Scenario:
    SCENARIOS.append(history)
    return history


@scenario
async def a_service_is_started_becomes_ready_and_is_stopped(it: Scene) -> None:
    await it.service(
        "web",
        "echo url=http://localhost >> $GITPOD_OUTPUT; sleep 1.5; touch up\n"
        "trap 'echo bye; exit 9' TERM; sleep infinity",
        ready="echo trying; test -e up",
    )
    await it.start("web")
    await it.until_phase("web", RUNNING)
    await it.pause(5)
    await it.stop("web")
    await it.until_phase("web", STOPPED)


@scenario
async def a_service_that_ignores_sigterm_is_killed(it: Scene) -> None:
    await it.service("web", "trap '' TERM; (sleep infinity) & sleep infinity")
    await it.start("web")
    await it.pause(1)
    await it.stop("web")
    await it.until_phase("web", STOPPED)


@scenario
async def a_stop_command_does_its_work(it: Scene) -> None:
    await it.service("web", "trap '' TERM; sleep infinity", stop="echo stopping; sleep 2")
    await it.start("web")
    await it.pause(1)
    await it.stop("web")
    await it.until_phase("web", STOPPED)


@scenario
async def a_stop_command_fails_while_start_ends(it: Scene) -> None:
    await it.service(
        "web", "(trap '' TERM; sleep infinity) & sleep 300; exit 1", stop="sleep 115; touch x; exit 4"
    )
    await it.start("web")
    await it.pause(1)
    await it.stop("web")
    await it.until_phase("web", FAILED)


@scenario
async def a_stop_command_hangs(it: Scene) -> None:
    await it.service("web", "sleep infinity", stop="trap '' TERM; sleep infinity")
    await it.start("web")
    await it.pause(1)
    await it.stop("web")
    await it.until_phase("web", FAILED)


@scenario
async def a_stop_command_cannot_be_started(it: Scene) -> None:
    await it.service(
        "web", "trap 'sleep 1; exit 0' TERM; sleep infinity", stop="#: cannot start no room\ntrue"
    )
    await it.start("web")
    await it.pause(1)
    await it.stop("web")
    await it.until_phase("web", FAILED)


@scenario
async def a_service_fails_and_leaves_something_behind(it: Scene) -> None:
    await it.service("web", "(trap '' TERM; sleep infinity) & sleep 1; exit 3")
    await it.start("web")
    await it.until_phase("web", FAILED)


@scenario
async def a_service_is_not_ready_in_time(it: Scene) -> None:
    await it.service(
        "web", "trap '' TERM; sleep infinity", ready="echo not yet; trap '' TERM; sleep 4; false", timeout=7
    )
    await it.start("web")
    await it.until_phase("web", FAILED)


@scenario
async def a_service_is_restarted_while_it_stops_then_deleted(it: Scene) -> None:
    await it.service("web", "trap 'sleep 3; exit 0' TERM; sleep infinity")
    await it.start("web")
    await it.pause(1)
    await it.stop("web")
    await it.pause(1)
    await it.start("web")
    await it.until(lambda: it.phase("web") is RUNNING and it.world.flags == set())
    await it.pause(2)
    await it.delete("web")
    await it.pause(1)
    await it.delete("web", force=True)
    await it.until_gone("web")


@scenario
async def the_unkillable_are_waited_for(it: Scene) -> None:
    await it.service("web", "#: unkillable 20\nsleep infinity")
    await it.start("web")
    await it.pause(1)
    await it.delete("web", force=True)
    await it.until_gone("web")


@scenario
async def a_task_runs_after_what_it_needs(it: Scene) -> None:
    await it.service("db", "sleep 2; touch up; sleep infinity", ready="test -e up")
    await it.task("install", "echo one; sleep 3; echo lock=42 >> $GITPOD_OUTPUT")
    await it.task("lint", "(trap '' TERM; sleep infinity) & sleep 1")
    await it.task("build", "sleep 2; echo built", "install", "db", "lint")
    await it.ended(*await it.execute("build"))
    await it.stop("db")
    await it.until_phase("db", STOPPED)


@scenario
async def a_task_fails_for_what_it_needs(it: Scene) -> None:
    await it.task("install", "sleep 1; echo boom; exit 7")
    await it.task("lint", "sleep 3; echo lint")
    await it.task("build", "echo built", "install", "lint")
    await it.ended(*await it.execute("build"))


@scenario
async def executions_share_a_step_and_are_stopped(it: Scene) -> None:
    await it.task("install", "trap 'sleep 3; exit 0' TERM; sleep infinity")
    for name in ("a", "b", "c"):
        await it.task(name, f"echo {name}", "install")
    a, b, c, own = await it.execute("a", "b", "c", "install")
    await it.pause(1)
    await it.stop_execution(a)
    await it.pause(1)
    await it.stop_execution(own)
    await it.ended(a, b, c, own)


@scenario
async def an_execution_is_stopped_the_hard_way(it: Scene) -> None:
    await it.task("install", "trap '' TERM; sleep infinity")
    await it.task("build", "true", "install")
    (execution,) = await it.execute("build")
    await it.pause(1)
    await it.stop_execution(execution)
    await it.ended(execution)


@scenario
async def an_execution_is_stopped_at_once(it: Scene) -> None:
    await it.task("install", "trap 'exit 0' TERM; sleep infinity")
    await it.task("build", "true", "install")
    (execution,) = await it.execute("build")
    await it.stop_execution(execution)
    await it.ended(execution)


@scenario
async def someone_stops_the_service_a_task_waits_for(it: Scene) -> None:
    await it.service("db", "sleep infinity", ready="sleep 30; false")
    await it.task("build", "true", "db")
    (execution,) = await it.execute("build")
    await it.pause(1)
    await it.stop("db", by="uid 7")
    await it.ended(execution)
    await it.until_phase("db", STOPPED)


@scenario
async def nothing_can_be_started(it: Scene) -> None:
    await it.service("web", "#: cannot start no room\ntrue")
    await it.task("build", "#: cannot prepare no such image\ntrue")
    await it.start("web")
    await it.ended(*await it.execute("build"))
    await it.until_phase("web", FAILED)


@scenario
async def a_task_is_deleted_while_it_runs(it: Scene) -> None:
    task = await it.task("build", "trap 'sleep 1; exit 0' TERM; sleep infinity")
    await it.execute("build")
    await it.pause(1)
    await it.delete_task(task)
    await it.until(lambda: not it.store.tasks())


def outcome(it: Scene) -> dict[str, object]:
    """All that the undisturbed and the disturbed must have in common; nothing that tells of when."""
    found: dict[str, object] = {}
    for service in it.store.services():
        # No attempt may have been made, if the agent was away.
        message = service.status.failure_message.removesuffix("; last line: not yet")
        found[str(service.key)] = (service.status.phase, message, service.status.output)
        for role in (RunRole.START, RunRole.STOP):
            found[f"{service.key} {role.value} log"] = _written(it.log(Kind.SERVICE, service.id, role))
    for execution in it.store.executions():
        steps = [
            (step.label, execution.steps[step.id].status)
            for step in execution.plan.steps()
            if step.id in execution.steps
        ]
        found[str(execution.key)] = (execution.status, steps)
        for step in execution.plan.steps():
            if (id_ := getattr(step.work, "step", None)) is not None:
                found[f"{execution.key} {step.label} log"] = _written(it.log(Kind.STEP, id_))
    found["tasks"] = [task.id for task in it.store.tasks()]
    found["left"] = it.orphans()
    found["unfinished"] = it.unfinished()
    found["begun"] = sorted(
        (reference, role, number)
        for (reference, role, _), number in it.begun.items()
        if role != RunRole.READY.value
    )
    return found


def _written(log: str) -> list[str]:
    return [line for line in log.splitlines() if not line.startswith(MARK)]
