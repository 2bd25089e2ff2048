"""Firings of one environment start belong together (rule 6.2a)."""

from dataclasses import replace

import pytest

from runner_agent.control.commands import Commands
from runner_agent.control.drafts import TaskPatch
from runner_agent.control.triggers import Fired
from runner_agent.core import step as step_rules
from runner_agent.core import wishes
from runner_agent.kit.virtual import VirtualClock
from runner_agent.model.ids import BootMark, Instant
from runner_agent.model.phases import ExecutionPhase, Trigger
from runner_agent.model.plans import TaskWork
from runner_agent.model.records import Execution, Step
from runner_agent.model.runs import Down, Exited, Gone, Handle, Live, StepRun
from runner_agent.model.specs import Cause
from runner_agent.store.memory import MemoryStore
from tests.control.scene import ALICE, RUN, a_file, finish, put, service_entry, task_entry, task_of
from tests.support.records import NOON

CONTAINER, ENVIRONMENT = Trigger.POST_DEVCONTAINER_START, Trigger.POST_ENVIRONMENT_START
BOTH = (CONTAINER, ENVIRONMENT)


async def apply(commands: Commands) -> None:
    """A task of both events, one that another event's task needs, and a chain."""
    await commands.file.apply(
        a_file(
            service_entry("web"),
            task_entry("install", triggered_by=BOTH),
            task_entry("tools", triggered_by=[CONTAINER]),
            task_entry("setup", depends_on=["web", "tools"], triggered_by=[ENVIRONMENT]),
            task_entry("deep", depends_on=["setup"], triggered_by=[ENVIRONMENT]),
        ),
        ALICE,
    )


def plan(store: MemoryStore, fired: Fired, reference: str) -> dict[str, TaskWork]:
    """The runs of tasks in the plan of one execution of a firing, by label."""
    found = [store.get(Execution, id_) for id_ in fired.firing.executions]
    (one,) = [one for one in found if one is not None and one.reference == reference]
    return {str(step.label): step.work for step in one.plan.steps() if isinstance(step.work, TaskWork)}


def record(store: MemoryStore, work: TaskWork) -> Step:
    found = store.get(Step, work.step)
    assert found is not None
    return found


async def run(store: MemoryStore, work: TaskWork, clock: VirtualClock) -> Step:
    """As the reconciler leaves a step that runs, held by all that show it."""
    proc = Live(RUN, Instant(1.0), Handle("scripted", RUN))
    present = record(store, work)
    return await _shown(
        store,
        replace(present, holders=present.members, run=StepRun(BootMark(clock.boot_mark()), proc=proc)),
    )


async def end(store: MemoryStore, work: TaskWork, code: int = 0) -> Step:
    """As it leaves one that has ended."""
    present = record(store, work)
    assert present.run is not None
    ended = replace(present.run, proc=Gone(RUN, Instant(2.0), Exited(code)), failure="bad" if code else "")
    return await _shown(store, replace(present, run=ended))


async def _shown(store: MemoryStore, step: Step) -> Step:
    await put(store, replace(step, status=step_rules.view(step.run)))
    return step


@pytest.mark.parametrize("running", [False, True], ids=["pending", "running"])
async def test_a_task_of_both_start_events_has_one_run(
    commands: Commands, store: MemoryStore, clock: VirtualClock, running: bool
) -> None:
    await apply(commands)
    first = await commands.triggers.fire(CONTAINER, ALICE)
    begun = plan(store, first, "install")["install"]
    if running:
        await run(store, begun, clock)
    second = await commands.triggers.fire(ENVIRONMENT, ALICE)
    assert plan(store, second, "install")["install"] == begun
    both = (*first.firing.executions[:1], *second.firing.executions[:1])
    shared = record(store, begun)
    assert (shared.members, shared.firing) == (both, first.firing.id)


async def test_a_dependency_that_the_other_event_began_is_joined_wherever_it_stands_in_the_plan(
    commands: Commands, store: MemoryStore, clock: VirtualClock
) -> None:
    await apply(commands)
    first = await commands.triggers.fire(CONTAINER, ALICE)
    tools = plan(store, first, "tools")["tools"]
    await run(store, tools, clock)
    second = await commands.triggers.fire(ENVIRONMENT, ALICE)
    assert plan(store, second, "setup")["tools"] == plan(store, second, "deep")["tools"] == tools
    assert len(record(store, tools).members) == 3
    assert plan(store, second, "setup")["setup"] == plan(store, second, "deep")["setup"]


async def test_a_finished_one_runs_again(commands: Commands, store: MemoryStore, clock: VirtualClock) -> None:
    """Also while the execution that began it goes on."""
    await apply(commands)
    first = await commands.triggers.fire(CONTAINER, ALICE)
    tools = plan(store, first, "tools")["tools"]
    await run(store, tools, clock)
    await end(store, tools)
    second = await commands.triggers.fire(ENVIRONMENT, ALICE)
    again = plan(store, second, "setup")["tools"]
    assert (again.step != tools.step, again.after) == (True, None)
    assert record(store, again).firing == second.firing.id


async def test_what_a_joined_run_rests_on_is_not_run_again_beside_it(
    commands: Commands, store: MemoryStore, clock: VirtualClock
) -> None:
    """`tools` has succeeded, and `setup`, which needs it, runs: another `tools` would pull it away."""
    await apply(commands)
    first = await commands.triggers.fire(ENVIRONMENT, ALICE)
    works = plan(store, first, "setup")
    await run(store, works["tools"], clock)
    await end(store, works["tools"])
    await run(store, works["setup"], clock)
    second = await commands.triggers.fire(ENVIRONMENT, ALICE)
    assert plan(store, second, "setup") == works
    assert plan(store, second, "deep") == plan(store, first, "deep")
    assert len(record(store, works["tools"]).members) == 4


async def test_what_a_pending_run_rests_on_is_run_again_if_it_failed(
    commands: Commands, store: MemoryStore, clock: VirtualClock
) -> None:
    await apply(commands)
    first = await commands.triggers.fire(ENVIRONMENT, ALICE)
    works = plan(store, first, "setup")
    await run(store, works["tools"], clock)
    await end(store, works["tools"], 1)
    second = await commands.triggers.fire(ENVIRONMENT, ALICE)
    assert plan(store, second, "setup")["setup"] == works["setup"]
    assert plan(store, second, "setup")["tools"].step != works["tools"].step


async def test_rule_4_1_a_run_that_a_person_started_is_not_joined(
    commands: Commands, store: MemoryStore, clock: VirtualClock
) -> None:
    await apply(commands)
    started = await commands.executions.start_task(task_of(store, "install").id, ALICE)
    (own,) = [step.work for step in started.plan.steps() if isinstance(step.work, TaskWork)]
    await run(store, own, clock)
    fired = await commands.triggers.fire(CONTAINER, ALICE)
    again = plan(store, fired, "install")["install"]
    assert (again.step != own.step, again.after) == (True, None)
    manual = await commands.executions.start_task(task_of(store, "install").id, ALICE)
    assert plan(store, fired, "install")["install"] not in [step.work for step in manual.plan.steps()]


async def test_a_run_of_an_older_definition_is_joined_as_it_is(
    commands: Commands, store: MemoryStore, clock: VirtualClock
) -> None:
    """The plan shows what really runs."""
    await apply(commands)
    first = await commands.triggers.fire(CONTAINER, ALICE)
    begun = plan(store, first, "install")["install"]
    await run(store, begun, clock)
    await commands.tasks.update(task_of(store, "install").id, TaskPatch(command="make install"))
    second = await commands.triggers.fire(ENVIRONMENT, ALICE)
    assert plan(store, second, "install")["install"] == begun
    await end(store, begun)
    third = await commands.triggers.fire(ENVIRONMENT, ALICE)
    assert plan(store, third, "install")["install"].spec.command == "make install"


async def test_rule_6_6_nothing_of_another_boot_is_joined(
    commands: Commands, store: MemoryStore, clock: VirtualClock
) -> None:
    """Though nobody has told the old records of the reboot yet."""
    await apply(commands)
    first = await commands.triggers.fire(CONTAINER, ALICE)
    begun = plan(store, first, "install")["install"]
    await run(store, begun, clock)
    clock.reboot()
    second = await commands.triggers.fire(CONTAINER, ALICE)
    assert plan(store, second, "install")["install"] == replace(
        plan(store, second, "install")["install"], after=None
    )
    assert plan(store, second, "install")["install"].step != begun.step


@pytest.mark.parametrize("told", [False, True], ids=["only wished", "under way"])
async def test_a_run_that_is_being_stopped_is_not_joined_but_waited_for(
    commands: Commands, store: MemoryStore, clock: VirtualClock, told: bool
) -> None:
    await apply(commands)
    first = await commands.triggers.fire(CONTAINER, ALICE)
    begun = plan(store, first, "install")["install"]
    running = await run(store, begun, clock)
    await commands.executions.stop(first.firing.executions[0], ALICE)
    if told:
        assert running.run is not None
        down = replace(running.run, course=Down(Instant(3.0)))
        await put(store, replace(running, holders=(), stopped_by=first.firing.executions[0], run=down))
        await finish(store, first.firing.executions[0], ExecutionPhase.STOPPED)
    second = await commands.triggers.fire(ENVIRONMENT, ALICE)
    again = plan(store, second, "install")["install"]
    assert (again.step != begun.step, again.after) == (True, begun.step)
    third = await commands.triggers.fire(ENVIRONMENT, ALICE)
    assert plan(store, third, "install")["install"] == again, "the one that waits is joined"


async def test_a_dependency_goes_on_when_one_that_needs_it_is_stopped_and_is_joined(
    commands: Commands, store: MemoryStore, clock: VirtualClock
) -> None:
    """Its main task is another's, which still wants it."""
    await apply(commands)
    first = await commands.triggers.fire(CONTAINER, ALICE)
    second = await commands.triggers.fire(ENVIRONMENT, ALICE)
    tools = plan(store, first, "tools")["tools"]
    await run(store, tools, clock)
    (setup,) = (id_ for id_ in second.firing.executions if plan_of(store, id_) == {"tools", "setup"})
    await commands.executions.stop(setup, ALICE)
    third = await commands.triggers.fire(ENVIRONMENT, ALICE)
    assert plan(store, third, "setup")["tools"] == tools


def plan_of(store: MemoryStore, id_: str) -> set[str]:
    found = store.get(Execution, id_)
    assert found is not None
    return {str(step.label) for step in found.plan.steps() if isinstance(step.work, TaskWork)}


async def test_rule_6_5_a_prebuild_joins_its_own_runs_alone(
    commands: Commands, store: MemoryStore, clock: VirtualClock
) -> None:
    """What others began may have been given secrets of the user; it is waited for."""
    await commands.file.apply(
        a_file(task_entry("install", triggered_by=[ENVIRONMENT, Trigger.PREBUILD, Trigger.BEFORE_SNAPSHOT])),
        ALICE,
    )
    first = await commands.triggers.fire(ENVIRONMENT, ALICE)
    begun = plan(store, first, "install")["install"]
    await run(store, begun, clock)
    fire = commands.triggers.fire
    prebuild = await fire(Trigger.PREBUILD, ALICE, once_key="prebuild 1", by_prebuild=True)
    own = plan(store, prebuild, "install")["install"]
    assert (own.step != begun.step, own.after) == (True, begun.step)
    snapshot = await fire(Trigger.BEFORE_SNAPSHOT, ALICE, once_key="prebuild 1", by_prebuild=True)
    assert plan(store, snapshot, "install")["install"] == own


async def test_a_dry_run_joins_nothing(commands: Commands, store: MemoryStore, clock: VirtualClock) -> None:
    await apply(commands)
    first = await commands.triggers.fire(CONTAINER, ALICE)
    begun = plan(store, first, "install")["install"]
    before = record(store, begun)
    await commands.triggers.fire(ENVIRONMENT, ALICE, dry_run=True)
    assert record(store, begun) == before


async def test_a_deleted_execution_stops_what_it_began_and_a_new_definition_waits_for_nothing(
    commands: Commands, store: MemoryStore, clock: VirtualClock
) -> None:
    """Rule 1.6: what is dying is not started; its reference, once free, is another task."""
    await apply(commands)
    first = await commands.triggers.fire(CONTAINER, ALICE)
    await run(store, plan(store, first, "install")["install"], clock)
    await commands.tasks.delete(task_of(store, "install").id, ALICE)
    second = await commands.triggers.fire(ENVIRONMENT, ALICE)
    assert "install" not in second.tasks
    wished = store.get(Execution, first.firing.executions[0])
    assert wished is not None
    assert wishes.stop_execution(wished, Cause("x", NOON)) is wished


async def test_one_that_is_about_to_begin_is_left_to_who_joins_it(
    commands: Commands, store: MemoryStore
) -> None:
    """Its only holder has been asked to stop, and would have ended with itself what it has not begun yet."""
    await apply(commands)
    first = await commands.triggers.fire(CONTAINER, ALICE)
    begun = plan(store, first, "install")["install"]
    await put(store, replace(record(store, begun), holders=first.firing.executions[:1]))
    await commands.executions.stop(first.firing.executions[0], ALICE)
    second = await commands.triggers.fire(ENVIRONMENT, ALICE)
    assert plan(store, second, "install")["install"] == begun
    assert record(store, begun).holders == ()
