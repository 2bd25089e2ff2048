"""Pruning of finished executions (rule 4.9)."""

from datetime import timedelta

import pytest

from runner_agent.control.commands import Commands
from runner_agent.control.pruning import Pruned, prune
from runner_agent.kit.virtual import VirtualClock
from runner_agent.model.ids import ExecutionId
from runner_agent.model.phases import Trigger
from runner_agent.model.records import Execution, Step
from runner_agent.store.memory import MemoryStore
from tests.control.scene import ALICE, a_file, finish, task_entry, task_of

DAY, YEAR = timedelta(days=1), timedelta(days=365)
EVENT = Trigger.POST_ENVIRONMENT_START


async def done(commands: Commands, store: MemoryStore, clock: VirtualClock, reference: str) -> ExecutionId:
    clock.advance(1)
    started = await commands.executions.start_task(task_of(store, reference).id, ALICE)
    await finish(store, started.id)
    return started.id


async def test_rule_4_9_the_newest_of_each_task_are_kept(
    commands: Commands, store: MemoryStore, clock: VirtualClock
) -> None:
    await commands.file.apply(a_file(task_entry("a"), task_entry("b")), ALICE)
    of_a = [await done(commands, store, clock, "a") for _ in range(5)]
    of_b = [await done(commands, store, clock, "b") for _ in range(2)]
    live = await commands.executions.start_task(task_of(store, "a").id, ALICE)
    gone = await prune(store, clock, keep=3)
    assert set(gone.executions) == set(of_a[:2])
    assert {one.id for one in store.executions()} == {*of_a[2:], *of_b, live.id}
    assert await prune(store, clock, keep=3) == Pruned()


async def test_rule_4_9_what_is_too_old_goes(
    commands: Commands, store: MemoryStore, clock: VirtualClock
) -> None:
    await commands.file.apply(a_file(task_entry("a")), ALICE)
    old = await done(commands, store, clock, "a")
    live = await commands.executions.start_task(task_of(store, "a").id, ALICE)
    assert await prune(store, clock) == Pruned()
    clock.advance(30 * 86_400)
    assert (await prune(store, clock)).executions == (), "it is just within 30 days"
    young = await done(commands, store, clock, "a")
    clock.advance(60)
    gone = await prune(store, clock)
    assert gone.executions == (old,)
    assert len(gone.steps) == 1
    assert store.get(Step, gone.steps[0]) is None
    assert {one.id for one in store.executions()} == {young, live.id}


@pytest.mark.parametrize("years", [-20, 20])
async def test_rule_4_9_the_time_of_day_may_be_stepped_by_years(
    commands: Commands, store: MemoryStore, clock: VirtualClock, years: int
) -> None:
    """Neither what is kept nor any order follows it."""
    await commands.file.apply(a_file(task_entry("a")), ALICE)
    made: list[ExecutionId] = []
    for number in range(6):
        clock.set_wall(clock.wall() + (years if number % 2 else -years) * YEAR)
        made.append(await done(commands, store, clock, "a"))
        assert await prune(store, clock) == Pruned()
    assert [one.id for one in store.executions()] == made[::-1]
    assert [one.id for one in store.executions(limit=2)] == made[:3:-1]
    assert set((await prune(store, clock, keep=2)).executions) == set(made[:4])


async def test_rule_4_9_an_age_is_counted_over_restarts_and_boots_but_not_in_between(
    commands: Commands, store: MemoryStore, clock: VirtualClock
) -> None:
    """Twenty days of one boot, a year that nobody measured, and ten days of the next."""
    await commands.file.apply(a_file(task_entry("a")), ALICE)
    old = await done(commands, store, clock, "a")
    for _ in range(20):
        assert await prune(store, clock) == Pruned()
        clock.advance(86_400)
    assert await prune(store, clock) == Pruned()
    clock.reboot()
    clock.set_wall(clock.wall() + YEAR)
    assert await prune(store, clock) == Pruned()
    clock.advance(9.9 * 86_400)
    assert await prune(store, clock) == Pruned()
    clock.advance(0.2 * 86_400)
    assert (await prune(store, clock)).executions == (old,)


async def test_rule_4_9_a_shared_step_goes_with_the_last_that_shows_it(
    commands: Commands, store: MemoryStore, clock: VirtualClock
) -> None:
    tasks = (
        task_entry("install"),
        task_entry("a", depends_on=["install"], triggered_by=[EVENT]),
        task_entry("b", depends_on=["install"], triggered_by=[EVENT]),
    )
    await commands.file.apply(a_file(*tasks), ALICE)
    first, second = (await commands.triggers.fire(EVENT, ALICE)).firing.executions
    shared = next(step.id for step in store.live_steps() if step.reference == "install")
    await finish(store, first)
    assert await prune(store, clock, age=DAY / 2) == Pruned()
    clock.advance(DAY.total_seconds())
    gone = await prune(store, clock, age=DAY / 2)
    assert gone.executions == (first,)
    assert shared not in gone.steps
    assert store.get(Step, shared) is not None
    await finish(store, second)
    clock.advance(3600)
    assert await prune(store, clock, age=DAY / 2) == Pruned()
    clock.advance(DAY.total_seconds())
    gone = await prune(store, clock, age=DAY / 2)
    assert shared in gone.steps
    assert store.get(Step, shared) is None
    assert store.get(Execution, second) is None


async def test_rule_4_9_executions_of_a_deleted_task_are_pruned_too(
    commands: Commands, store: MemoryStore, clock: VirtualClock
) -> None:
    await commands.file.apply(a_file(task_entry("a")), ALICE)
    old = [await done(commands, store, clock, "a") for _ in range(120)]
    await commands.tasks.delete(task_of(store, "a").id, ALICE)
    gone = await prune(store, clock, keep=10)
    assert set(gone.executions) == set(old[:110])
    assert len(gone.steps) == 110
