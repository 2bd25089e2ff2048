"""Firing events (rules 6.1 to 6.4)."""

import asyncio

import pytest

from runner_agent.control.commands import Commands
from runner_agent.control.triggers import Fired
from runner_agent.kit.virtual import VirtualClock
from runner_agent.model.errors import InvalidArgument
from runner_agent.model.phases import ExecutionPhase, ServicePhase, Trigger
from runner_agent.model.plans import TaskWork
from runner_agent.model.records import Execution, Firing, Step
from runner_agent.store.memory import MemoryStore
from tests.control.scene import (
    ALICE,
    a_file,
    bring_up,
    counted_ids,
    service_entry,
    service_of,
    task_entry,
    task_of,
)

ENVIRONMENT, DEVCONTAINER = Trigger.POST_ENVIRONMENT_START, Trigger.POST_DEVCONTAINER_START


async def apply(commands: Commands) -> None:
    """Two tasks that need install, one of them install's other dependant's main task, and a service."""
    await commands.file.apply(
        a_file(
            service_entry("web", triggered_by=[ENVIRONMENT]),
            service_entry("db", triggered_by=[DEVCONTAINER]),
            task_entry("install", triggered_by=[ENVIRONMENT]),
            task_entry("build", depends_on=["install", "web"], triggered_by=[ENVIRONMENT]),
            task_entry("test", depends_on=["build", "tools"], triggered_by=[ENVIRONMENT]),
            task_entry("tools", triggered_by=[Trigger.MANUAL]),
        ),
        ALICE,
    )


def executions(store: MemoryStore, fired: Fired) -> dict[str, Execution]:
    found = [store.get(Execution, id_) for id_ in fired.firing.executions]
    return {one.reference: one for one in found if one is not None}


async def test_rule_6_1_everything_that_lists_the_event_is_started(
    commands: Commands, store: MemoryStore, clock: VirtualClock
) -> None:
    await apply(commands)
    fired = await commands.triggers.fire(ENVIRONMENT, ALICE)
    assert fired.services == ("web",)
    assert fired.tasks == ("install", "build", "test")
    assert not fired.repeated
    assert fired.skipped == ()
    web = service_of(store, "web")
    assert web.spec.desired_phase is ServicePhase.RUNNING
    assert web.cause.by == "trigger postEnvironmentStart"
    assert service_of(store, "db").spec.desired_phase is ServicePhase.STOPPED
    for one in executions(store, fired).values():
        assert (one.started_by, one.firing) == ("postEnvironmentStart", fired.firing.id)
        assert (one.status.phase, one.boot) == (ExecutionPhase.PENDING, clock.boot_mark())
    assert len(store.live_executions()) == 3


async def test_rule_6_1_the_firing_is_recorded(
    commands: Commands, store: MemoryStore, clock: VirtualClock
) -> None:
    await apply(commands)
    fired = await commands.triggers.fire(ENVIRONMENT, ALICE, once_key="k")
    recorded = store.get(Firing, fired.firing.id)
    assert recorded == fired.firing
    assert recorded is not None
    assert (recorded.event, recorded.at, recorded.boot) == (ENVIRONMENT, clock.wall(), clock.boot_mark())
    assert (recorded.cause.by, recorded.once_key) == (ALICE.by, "k")
    assert recorded.services == (service_of(store, "web").id,)


async def test_rule_6_2_a_task_that_several_need_has_one_run(commands: Commands, store: MemoryStore) -> None:
    await apply(commands)
    fired = await commands.triggers.fire(ENVIRONMENT, ALICE)
    started = executions(store, fired)
    steps = {step.reference: step for step in store.live_steps()}
    assert len(store.live_steps()) == 4
    members = {
        reference: {m for m, one in started.items() if one.id in s.members} for reference, s in steps.items()
    }
    assert members == {
        "install": {"install", "build", "test"},
        "build": {"build", "test"},
        "test": {"test"},
        "tools": {"test"},
    }
    assert {step.firing for step in steps.values()} == {fired.firing.id}


async def test_rule_6_2_each_execution_shows_its_own_step_id(commands: Commands, store: MemoryStore) -> None:
    await apply(commands)
    started = executions(store, await commands.triggers.fire(ENVIRONMENT, ALICE))
    shown = [
        (step.id, step.work.step)
        for one in started.values()
        for step in one.plan.steps()
        if step.label == "install" and isinstance(step.work, TaskWork)
    ]
    assert len({step for step, _ in shown}) == 3
    assert len({record for _, record in shown}) == 1


async def test_rule_6_1_a_live_service_is_left_alone_but_belongs_to_the_firing(
    commands: Commands, store: MemoryStore
) -> None:
    await apply(commands)
    await commands.services.start(service_of(store, "web").id, ALICE)
    up = await bring_up(store, "web")
    fired = await commands.triggers.fire(ENVIRONMENT, ALICE)
    assert service_of(store, "web") == up
    assert fired.firing.services == (up.id,)


async def test_rule_6_1_manual_never_fires(commands: Commands, store: MemoryStore) -> None:
    await apply(commands)
    with pytest.raises(InvalidArgument, match="manual never fires by itself"):
        await commands.triggers.fire(Trigger.MANUAL, ALICE)
    assert store.firings(limit=1) == []


async def test_rule_6_1_what_cannot_start_does_not_stop_the_rest(
    commands: Commands, store: MemoryStore
) -> None:
    await apply(commands)
    await commands.services.delete(service_of(store, "web").id, ALICE)
    fired = await commands.triggers.fire(ENVIRONMENT, ALICE)
    assert fired.services == ()
    assert fired.tasks == ("install",)
    assert [skipped.reference for skipped in fired.skipped] == ["build", "test"]
    assert 'depends on "web", which is being deleted' in fired.skipped[0].reason
    assert len(store.live_steps()) == 1


async def test_rule_6_1_a_firing_that_starts_nothing_is_recorded_too(
    commands: Commands, store: MemoryStore
) -> None:
    fired = await commands.triggers.fire(Trigger.PREBUILD, ALICE)
    assert store.firings(limit=5) == [fired.firing]


@pytest.mark.parametrize("event", [ENVIRONMENT, DEVCONTAINER])
async def test_rule_6_4_the_same_event_and_key_once_per_boot(
    commands: Commands, store: MemoryStore, clock: VirtualClock, event: Trigger
) -> None:
    await apply(commands)
    first = await commands.triggers.fire(event, ALICE, once_key="k")
    again = await commands.triggers.fire(event, ALICE, once_key="k")
    assert again.repeated
    assert (again.firing, again.services, again.tasks) == (first.firing, first.services, first.tasks)
    other_key = await commands.triggers.fire(event, ALICE, once_key="l")
    no_key = [await commands.triggers.fire(event, ALICE) for _ in range(2)]
    clock.reboot()
    next_boot = await commands.triggers.fire(event, ALICE, once_key="k")
    distinct = [first, other_key, *no_key, next_boot]
    assert len({fired.firing.id for fired in distinct}) == 5
    assert not any(fired.repeated for fired in distinct)


async def test_rule_6_4_ever_so_many_callers_at_once(commands: Commands, store: MemoryStore) -> None:
    await apply(commands)
    all_fired = await asyncio.gather(
        *(commands.triggers.fire(ENVIRONMENT, ALICE, once_key="k") for _ in range(20))
    )
    assert len({fired.firing.id for fired in all_fired}) == 1
    assert [fired.repeated for fired in all_fired] == [False] + [True] * 19
    assert len(store.live_executions()) == 3


async def test_rule_6_3_post_machine_start_once_per_boot_whoever_fires_it(
    commands: Commands, store: MemoryStore, clock: VirtualClock
) -> None:
    first = await commands.triggers.fire(Trigger.POST_MACHINE_START, ALICE)
    for key in ("", "k"):
        again = await commands.triggers.fire(Trigger.POST_MACHINE_START, ALICE, once_key=key)
        assert again.repeated
        assert again.firing.id == first.firing.id
    clock.reboot()
    assert not (await commands.triggers.fire(Trigger.POST_MACHINE_START, ALICE)).repeated


async def test_a_dry_run_tells_and_writes_nothing(commands: Commands, store: MemoryStore) -> None:
    await apply(commands)
    revision = store.revision
    dry = await commands.triggers.fire(ENVIRONMENT, ALICE, once_key="k", dry_run=True)
    assert store.revision == revision
    wet = await commands.triggers.fire(ENVIRONMENT, ALICE, once_key="k")
    assert (dry.services, dry.tasks, dry.repeated) == (wet.services, wet.tasks, wet.repeated)
    again = await commands.triggers.fire(ENVIRONMENT, ALICE, once_key="k", dry_run=True)
    assert again.repeated
    assert again.firing == wet.firing


async def test_a_repeated_firing_names_what_is_still_there(commands: Commands, store: MemoryStore) -> None:
    await apply(commands)
    await commands.triggers.fire(ENVIRONMENT, ALICE, once_key="k")
    await store.write(lambda tx: tx.delete(service_of(store, "web").key), durable=False)
    again = await commands.triggers.fire(ENVIRONMENT, ALICE, once_key="k")
    assert again.services == ()
    assert len(again.firing.services) == 1
    assert task_of(store, "install").metadata.reference in again.tasks
    assert store.get(Step, "nothing") is None


async def test_rule_6_3_an_event_whose_occurrence_is_known_fires_once_whoever_reports_it(
    store: MemoryStore, clock: VirtualClock
) -> None:
    """With a key of the reporter's own, or with none."""
    occurrence = ["first start"]

    async def own_key(event: Trigger) -> str:
        return occurrence[0] if event is ENVIRONMENT else ""

    commands = Commands(store, clock, counted_ids(), own_key=own_key)
    await apply(commands)
    first = await commands.triggers.fire(ENVIRONMENT, ALICE)
    again = await commands.triggers.fire(ENVIRONMENT, ALICE, once_key="other")
    assert (again.repeated, again.firing) == (True, first.firing)
    occurrence[0] = "second start"
    assert not (await commands.triggers.fire(ENVIRONMENT, ALICE)).repeated
