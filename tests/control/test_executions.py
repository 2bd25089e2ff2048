"""Starting and stopping executions (rules 4.1, 4.2, 4.6, 4.8)."""

from uuid import UUID, uuid4

import pytest

from runner_agent.control.commands import Commands
from runner_agent.control.drafts import TaskPatch
from runner_agent.kit.virtual import VirtualClock
from runner_agent.model.errors import FailedPrecondition, NotFound
from runner_agent.model.phases import ExecutionPhase
from runner_agent.model.plans import Plan, ServiceWork, TaskWork
from runner_agent.model.records import Execution, Step
from runner_agent.store.memory import MemoryStore
from tests.control.scene import ALICE, a_file, finish, service_entry, service_of, task_entry, task_of


def labels(plan: Plan) -> list[set[str]]:
    return [{step.label for step in group.steps} for group in plan.groups]


async def a_diamond(commands: Commands) -> None:
    """top needs left and right, both need base; right needs web too."""
    await commands.file.apply(
        a_file(
            service_entry("web"),
            task_entry("base"),
            task_entry("left", depends_on=["base"]),
            task_entry("right", depends_on=["base", "web"]),
            task_entry("top", depends_on=["left", "right"]),
        ),
        ALICE,
    )


async def test_rules_4_1_4_8_a_new_pending_execution(
    commands: Commands, store: MemoryStore, clock: VirtualClock
) -> None:
    await a_diamond(commands)
    started = await commands.executions.start_task(task_of(store, "top").id, ALICE)
    assert started == store.get(Execution, started.id)
    assert started.status.phase is ExecutionPhase.PENDING
    assert started.desired_phase is ExecutionPhase.RUNNING
    assert (started.created_at, started.creator) == (clock.wall(), ALICE.subject)
    assert (started.started_by, started.boot, started.firing) == ("manual", clock.boot_mark(), None)
    assert (started.steps, started.started_at) == ({}, None)
    assert service_of(store).spec.session == "", "a service is asked for when its step is reached, not before"


async def test_rule_4_2_the_plan_has_each_dependency_once_by_level(
    commands: Commands, store: MemoryStore
) -> None:
    await a_diamond(commands)
    started = await commands.executions.start_task(task_of(store, "top").id, ALICE)
    assert labels(started.plan) == [{"base", "web"}, {"left", "right"}, {"top"}]
    steps = {str(step.label): step for step in started.plan.steps()}
    assert {
        label: {s.label for s in steps.values() if s.id in one.depends_on} for label, one in steps.items()
    } == {
        "base": set(),
        "web": set(),
        "left": {"base"},
        "right": {"base", "web"},
        "top": {"left", "right"},
    }
    assert isinstance(steps["web"].work, ServiceWork)
    assert steps["web"].work.service_id == service_of(store).id


async def test_rule_6_2_each_task_of_a_plan_has_one_step_record(
    commands: Commands, store: MemoryStore
) -> None:
    await a_diamond(commands)
    started = await commands.executions.start_task(task_of(store, "top").id, ALICE)
    works = [step.work for step in started.plan.steps() if isinstance(step.work, TaskWork)]
    records = [store.get(Step, work.step) for work in works]
    assert len({work.step for work in works}) == 4
    for work, record in zip(works, records, strict=True):
        assert record is not None
        assert (record.task_id, record.spec, record.members) == (work.task_id, work.spec, (started.id,))
        assert (record.holders, record.run) == ((), None)


async def test_rule_4_1_executions_overlap_and_share_nothing(commands: Commands, store: MemoryStore) -> None:
    await a_diamond(commands)
    one = await commands.executions.start_task(task_of(store, "top").id, ALICE)
    two = await commands.executions.start_task(task_of(store, "top").id, ALICE)
    ids = [str(step.id) for execution in (one, two) for step in execution.plan.steps()]
    ids += [step.id for step in store.live_steps()] + [one.id, two.id]
    assert len(ids) == len(set(ids)) == 5 + 5 + 4 + 4 + 2
    assert all(str(UUID(id_)) == id_ for id_ in ids)


async def test_rule_4_1_later_edits_do_not_touch_it(commands: Commands, store: MemoryStore) -> None:
    await a_diamond(commands)
    started = await commands.executions.start_task(task_of(store, "top").id, ALICE)
    await commands.tasks.update(task_of(store, "base").id, TaskPatch(command="something else"))
    now = store.get(Execution, started.id)
    assert now == started
    assert {work.spec.command for s in started.plan.steps() if isinstance(work := s.work, TaskWork)} == {
        "make"
    }


async def test_rule_4_1_a_missing_or_dying_dependency_is_named(
    commands: Commands, store: MemoryStore
) -> None:
    await a_diamond(commands)
    await commands.services.delete(service_of(store).id, ALICE)
    with pytest.raises(
        FailedPrecondition, match='"right" cannot be started: it depends on "web", which is being del'
    ):
        await commands.executions.start_task(task_of(store, "top").id, ALICE)
    await store.write(lambda tx: tx.delete(service_of(store).key), durable=False)
    with pytest.raises(FailedPrecondition, match="which no longer exists"):
        await commands.executions.start_task(task_of(store, "top").id, ALICE)
    assert store.live_executions() == []
    assert store.live_steps() == []


async def test_rule_4_6_stop_is_idempotent(commands: Commands, store: MemoryStore) -> None:
    await a_diamond(commands)
    started = await commands.executions.start_task(task_of(store, "top").id, ALICE)
    stopped = await commands.executions.stop(started.id, ALICE)
    assert stopped.desired_phase is ExecutionPhase.STOPPED
    assert stopped.spec_version > started.spec_version
    assert await commands.executions.stop(started.id, ALICE) == stopped


async def test_rule_4_6_stopping_a_finished_execution_changes_nothing(
    commands: Commands, store: MemoryStore
) -> None:
    await a_diamond(commands)
    started = await commands.executions.start_task(task_of(store, "top").id, ALICE)
    await finish(store, started.id)
    before = store.get(Execution, started.id)
    assert await commands.executions.stop(started.id, ALICE) == before
    assert store.get(Execution, started.id) == before


async def test_an_unknown_id_is_not_found(commands: Commands) -> None:
    unknown = str(uuid4())
    with pytest.raises(NotFound, match=f"no task has the id {unknown}"):
        await commands.executions.start_task(unknown, ALICE)
    with pytest.raises(NotFound, match=f"no task execution has the id {unknown}"):
        await commands.executions.stop(unknown, ALICE)
