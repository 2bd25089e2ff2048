"""Commands on tasks as definitions (rules 1.2, 1.6, 2.6)."""

from dataclasses import replace
from uuid import uuid4

import pytest

from runner_agent.control.commands import Commands
from runner_agent.control.drafts import TaskDraft, TaskPatch
from runner_agent.model.errors import FailedPrecondition, InvalidArgument, NotFound
from runner_agent.model.ids import Reference, TaskId
from runner_agent.model.phases import ExecutionPhase, Trigger
from runner_agent.model.records import Execution, Task
from runner_agent.model.specs import Anywhere, EnvVar, OnMachine, TaskSpec
from runner_agent.store.memory import MemoryStore
from tests.control.scene import ALICE, finish, service_entry, task_draft, task_of


async def test_rule_1_6_create(commands: Commands, store: MemoryStore) -> None:
    service = await commands.services.create(service_entry(), ALICE)
    install = await commands.tasks.create(task_draft("install"), ALICE)
    draft = replace(task_draft(depends_on=[install.id, service.id, install.id]), description="About")
    made = await commands.tasks.create(draft, ALICE)
    assert made == task_of(store)
    assert made.depends_on == (install.id, service.id)
    assert (made.metadata.description, made.metadata.creator) == ("About", ALICE.subject)


async def test_rule_1_6_unknown_dependencies_are_all_named(commands: Commands, store: MemoryStore) -> None:
    one, two = TaskId(str(uuid4())), TaskId(str(uuid4()))
    with pytest.raises(InvalidArgument) as caught:
        await commands.tasks.create(task_draft(depends_on=[one, two]), ALICE)
    assert [str(violation) for violation in caught.value.violations] == [
        f"depends_on[0]: no service or task has the id {one}",
        f"depends_on[1]: no service or task has the id {two}",
    ]
    assert store.tasks() == []


async def test_rule_2_6_a_cycle_is_refused_and_named(commands: Commands, store: MemoryStore) -> None:
    a = await commands.tasks.create(task_draft("a"), ALICE)
    b = await commands.tasks.create(task_draft("b", depends_on=[a.id]), ALICE)
    c = await commands.tasks.create(task_draft("c", depends_on=[b.id]), ALICE)
    with pytest.raises(InvalidArgument, match="go in a circle: a -> c -> b -> a"):
        await commands.tasks.update(a.id, TaskPatch(depends_on=(c.id,)))
    with pytest.raises(InvalidArgument, match="a depends on itself"):
        await commands.tasks.update(a.id, TaskPatch(depends_on=(a.id,)))
    assert task_of(store, "a") == a


async def test_rule_1_6_what_is_being_deleted_cannot_be_depended_on(commands: Commands) -> None:
    service = await commands.services.create(service_entry(), ALICE)
    await commands.services.delete(service.id, ALICE)
    with pytest.raises(FailedPrecondition, match='"build" cannot depend on "web": that is being deleted'):
        await commands.tasks.create(task_draft(depends_on=[service.id]), ALICE)


SPEC = TaskSpec("make", OnMachine(), (EnvVar("A", "1"),), prebuild_requires_success=True)


@pytest.mark.parametrize(
    ("patch", "spec"),
    [
        (TaskPatch(), SPEC),
        (TaskPatch(command="make test"), replace(SPEC, command="make test")),
        (TaskPatch(runs_on=Anywhere()), replace(SPEC, runs_on=Anywhere())),
        (TaskPatch(env=(EnvVar("B", "2"),)), replace(SPEC, env=(EnvVar("B", "2"),))),
        (TaskPatch(prebuild_requires_success=False), replace(SPEC, prebuild_requires_success=False)),
    ],
)
async def test_rule_1_6_update_of_the_spec(commands: Commands, patch: TaskPatch, spec: TaskSpec) -> None:
    made = await commands.tasks.create(TaskDraft(Reference("build"), "Build", SPEC), ALICE)
    changed = await commands.tasks.update(made.id, patch)
    assert changed.spec == spec
    assert changed.metadata == made.metadata
    assert (changed.spec_version > made.spec_version) is (spec != SPEC)


async def test_rule_1_6_update_of_metadata_and_dependencies(commands: Commands) -> None:
    service = await commands.services.create(service_entry(), ALICE)
    draft = replace(task_draft(depends_on=[service.id]), triggered_by=(Trigger.PREBUILD,))
    made = await commands.tasks.create(draft, ALICE)
    changed = await commands.tasks.update(made.id, TaskPatch(name="New", description="D"))
    assert changed.metadata == replace(made.metadata, name="New", description="D")
    assert changed.depends_on == made.depends_on
    changed = await commands.tasks.update(made.id, TaskPatch(triggered_by=()))
    assert changed.metadata.triggered_by == ()
    with pytest.raises(InvalidArgument, match=r"metadata\.name"):
        await commands.tasks.update(made.id, TaskPatch(name=""))


async def test_rule_1_6_delete_without_executions_is_at_once(commands: Commands, store: MemoryStore) -> None:
    made = await commands.tasks.create(task_draft(), ALICE)
    done = await commands.executions.start_task(made.id, ALICE)
    await finish(store, done.id)
    await commands.tasks.delete(made.id, ALICE)
    assert store.tasks() == []
    assert store.get(Execution, done.id) is not None
    with pytest.raises(NotFound):
        await commands.tasks.delete(made.id, ALICE)


async def test_rule_1_6_delete_stops_its_executions_first(commands: Commands, store: MemoryStore) -> None:
    made = await commands.tasks.create(task_draft(), ALICE)
    other = await commands.tasks.create(task_draft("other"), ALICE)
    mine = [await commands.executions.start_task(made.id, ALICE) for _ in range(2)]
    theirs = await commands.executions.start_task(other.id, ALICE)
    await commands.tasks.delete(made.id, ALICE)
    dying = store.get(Task, made.id)
    assert dying is not None
    assert dying.deletion is not None
    assert dying.deletion.cause.by == ALICE.by
    wishes = {one.id: one.desired_phase for one in store.live_executions()}
    assert wishes == {
        mine[0].id: ExecutionPhase.STOPPED,
        mine[1].id: ExecutionPhase.STOPPED,
        theirs.id: ExecutionPhase.RUNNING,
    }
    await commands.tasks.delete(made.id, ALICE)
    assert store.get(Task, made.id) == dying


async def test_rule_1_6_delete_is_refused_while_needed(commands: Commands, store: MemoryStore) -> None:
    made = await commands.tasks.create(task_draft("install"), ALICE)
    build = await commands.tasks.create(task_draft("build", depends_on=[made.id]), ALICE)
    with pytest.raises(FailedPrecondition, match='"install" cannot be deleted: build depends on it'):
        await commands.tasks.delete(made.id, ALICE)
    await commands.tasks.create(task_draft("test", depends_on=[made.id]), ALICE)
    with pytest.raises(FailedPrecondition, match="build, test depend on it"):
        await commands.tasks.delete(made.id, ALICE)
    assert task_of(store, "install") == made
    await commands.tasks.delete(build.id, ALICE)
    assert [task.metadata.reference for task in store.tasks()] == ["install", "test"]


async def test_rule_1_6_deleting_wins(commands: Commands) -> None:
    made = await commands.tasks.create(task_draft(), ALICE)
    await commands.executions.start_task(made.id, ALICE)
    await commands.tasks.delete(made.id, ALICE)
    with pytest.raises(FailedPrecondition, match='task "build" cannot be started: it is being deleted'):
        await commands.executions.start_task(made.id, ALICE)
    with pytest.raises(FailedPrecondition, match='task "build" cannot be updated: it is being deleted'):
        await commands.tasks.update(made.id, TaskPatch(name="New"))
