"""What every store does (`store.base`)."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from runner_agent.model.errors import AlreadyExists, ResourceExhausted, Unavailable
from runner_agent.model.ids import Reference, TaskId, Version
from runner_agent.model.phases import ExecutionPhase, ServicePhase, Trigger
from runner_agent.model.records import (
    Execution,
    ExecutionStatus,
    Key,
    Kind,
    Record,
    Service,
    ServiceStatus,
    Step,
)
from runner_agent.store.base import FIRST_REVISION, Change, Store, Transaction
from tests.store.conftest import breaking
from tests.support.records import (
    BOOT,
    a_firing,
    a_running_service,
    a_running_step,
    a_service,
    a_step,
    a_task,
    an_execution,
)

SUCCEEDED = ExecutionPhase.SUCCEEDED


def put(*records: Record) -> Callable[[Transaction], None]:
    """A change that puts these."""

    def change(tx: Transaction) -> None:
        for record in records:
            tx.put(record)

    return change


def delete(*records: Record) -> Callable[[Transaction], None]:
    """A change that deletes these."""

    def change(tx: Transaction) -> None:
        for record in records:
            tx.delete(record.key)

    return change


def bare(record: Record) -> Record:
    """Without its versions."""
    return replace(record, born=Version(0), spec_version=Version(0), status_version=Version(0))


# ---------------------------------------------------------------- writing and reading


async def test_a_write_is_read_back_once_acknowledged(store: Store) -> None:
    service, task, step = a_running_service(), a_task(), a_running_step()
    execution, firing = an_execution(phase=ExecutionPhase.RUNNING), a_firing()
    await store.write(put(service, task, execution, step, firing), durable=True)
    for record in (service, task, execution, step, firing):
        found = store.get(type(record), record.id)
        assert found is not None
        assert bare(found) == record


async def test_get_of_an_unknown_id_is_none(store: Store) -> None:
    assert store.get(Service, "nobody") is None
    assert store.get(Execution, "nobody") is None


async def test_write_returns_what_the_change_returned(store: Store) -> None:
    made = await store.write(lambda tx: tx.put(a_service()), durable=True)
    assert made == store.get(Service, made.id)


async def test_a_change_sees_writes_not_yet_committed_and_a_reader_does_not(store: Store) -> None:
    first = asyncio.ensure_future(store.write(put(a_service("a")), durable=True))
    await asyncio.sleep(0)
    assert store.get(Service, "a") is None
    assert store.services() == []
    seen = await store.write(lambda tx: tx.get(Service, "a"), durable=False)
    assert seen is not None
    assert first.done(), "a change that put nothing waits for what it may have seen"
    assert store.get(Service, "a") == seen


async def test_a_change_that_raises_writes_nothing(store: Store) -> None:
    await store.write(put(a_service("a")), durable=False)

    def change(tx: Transaction) -> None:
        tx.put(a_service("b", reference="api"))
        tx.delete(Key(Kind.SERVICE, "a"))
        raise AlreadyExists("no")

    before = store.revision
    with pytest.raises(AlreadyExists):
        await store.write(change, durable=True)
    await store.write(put(a_task()), durable=False)
    assert [service.id for service in store.services()] == ["a"]
    assert store.by_reference(Reference("api")) is None
    assert store.revision > before


async def test_a_transaction_is_over_when_the_change_has_returned(store: Store) -> None:
    kept = await store.write(lambda tx: tx, durable=False)
    with pytest.raises(RuntimeError, match=r"service/service-1.*over"):
        kept.put(a_service())
    assert store.services() == []


async def test_writes_are_acknowledged_in_the_order_they_were_asked_for(store: Store) -> None:
    """The durable ones in theirs, the others in theirs: these do not wait for a sync of the disk."""
    orders: dict[bool, list[int]] = {True: [], False: []}

    async def write(number: int) -> None:
        durable = number % 7 == 0
        await store.write(put(a_service(f"s{number}", minute=number)), durable=durable)
        assert store.get(Service, f"s{number}") is not None
        orders[durable].append(number)

    await asyncio.gather(*(write(number) for number in range(50)))
    assert orders == {True: list(range(0, 50, 7)), False: [n for n in range(50) if n % 7]}
    versions = [service.spec_version for service in store.services()]
    assert versions == sorted(versions)


async def test_cancelling_the_wait_does_not_undo_the_write(store: Store) -> None:
    waiting = asyncio.ensure_future(store.write(put(a_service("a")), durable=True))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await store.write(put(a_task()), durable=False)
    assert store.get(Service, "a") is not None


async def test_meta_is_kept(store: Store) -> None:
    assert store.get_meta("environment") is None
    await store.set_meta("environment", "one")
    await store.set_meta("environment", "two")
    assert store.get_meta("environment") == "two"


async def test_a_closed_store_says_so(store: Store) -> None:
    waiting = asyncio.ensure_future(store.write(put(a_service()), durable=False))
    await asyncio.sleep(0)
    await store.aclose()
    assert store.get(Service, a_service().id) is not None, "what was asked for is finished first"
    await waiting
    await store.aclose()
    with pytest.raises(Unavailable, match="closed"):
        await store.write(put(a_task()), durable=True)


# ---------------------------------------------------------------- versions (rule 1.5)


async def test_versions_start_above_ten_to_the_twelve(store: Store) -> None:
    made = await store.write(lambda tx: tx.put(a_service()), durable=True)
    assert made.spec_version > FIRST_REVISION
    assert made.status_version > FIRST_REVISION
    assert len(str(made.spec_version)) == len(str(FIRST_REVISION))
    assert store.revision == made.spec_version


async def test_a_version_moves_with_its_public_half_alone(store: Store) -> None:
    made = await store.write(lambda tx: tx.put(a_service()), durable=True)

    status = ServiceStatus(ServicePhase.STARTING)
    started = await store.write(lambda tx: tx.put(replace(made, status=status)), durable=False)
    assert started.status_version > made.status_version
    assert started.spec_version == made.spec_version

    private = replace(started, run=a_running_service().run)
    noted = await store.write(lambda tx: tx.put(private), durable=False)
    assert noted.run is not None
    assert (noted.spec_version, noted.status_version) == (made.spec_version, started.status_version)

    metadata = replace(noted.metadata, name="Other")
    renamed = await store.write(lambda tx: tx.put(replace(noted, metadata=metadata)), durable=True)
    assert renamed.spec_version > started.status_version
    assert renamed.status_version == started.status_version


async def test_versions_a_caller_sends_are_ignored(store: Store) -> None:
    sent = replace(a_service(), spec_version=Version(5), status_version=Version(10**15))
    made = await store.write(lambda tx: tx.put(sent), durable=True)
    assert made.status_version == made.spec_version == store.revision
    again = await store.write(lambda tx: tx.put(replace(made, spec_version=Version(5))), durable=True)
    assert again == made


async def test_each_record_has_a_version_of_its_own(store: Store) -> None:
    await store.write(put(*(a_service(f"s{n}", minute=n) for n in range(20))), durable=True)
    versions = [service.spec_version for service in store.services()]
    assert sorted(set(versions)) == versions


async def test_a_deletion_moves_the_revision(store: Store) -> None:
    await store.write(put(a_service()), durable=True)
    before = store.revision
    await store.write(delete(a_service()), durable=True)
    assert store.revision > before
    assert store.get(Service, a_service().id) is None


# ---------------------------------------------------------------- questions


async def test_services_and_tasks_are_listed_as_they_came_whatever_the_time_of_day(store: Store) -> None:
    """Rule 4.9."""
    await store.write(
        put(a_service("b", minute=2), a_service("a", minute=3), a_service("c", minute=1)), durable=False
    )
    await store.write(put(a_task("y", minute=2), a_task("x", minute=1)), durable=False)
    assert [service.id for service in store.services()] == ["b", "a", "c"]
    assert [task.id for task in store.tasks()] == ["y", "x"]
    moved = await store.write(lambda tx: tx.put(replace(a_service("b"), born=Version(7))), durable=False)
    assert moved.born == store.services()[0].born, "a change, or a caller, does not move it"


async def test_by_reference_finds_both_kinds_and_follows_renames(store: Store) -> None:
    service, task = a_service(reference="web"), a_task(reference="build")
    await store.write(put(service, task), durable=False)
    found = store.by_reference(Reference("web"))
    assert found is not None
    assert found.id == service.id
    renamed = replace(service, metadata=replace(service.metadata, reference=Reference("www")))
    await store.write(put(renamed), durable=False)
    assert store.by_reference(Reference("web")) is None
    await store.write(put(a_service("other", reference="web")), durable=False)
    holders = [store.by_reference(Reference(name)) for name in ("web", "www", "build")]
    assert [holder and holder.id for holder in holders] == ["other", service.id, task.id]
    await store.write(delete(renamed), durable=False)
    assert store.by_reference(Reference("www")) is None


async def test_executions_are_paged_newest_first_live_and_finished_alike(store: Store) -> None:
    phases = (SUCCEEDED, ExecutionPhase.RUNNING, ExecutionPhase.FAILED)
    made = [
        an_execution(f"e{n:02}", task=f"task-{n % 2}", minute=-n, phase=phases[n % 3], steps=())
        for n in range(30)
    ]
    await store.write(put(*made), durable=True)
    expected = [execution.id for execution in reversed(made)]
    assert [execution.id for execution in store.executions()] == expected
    pages: list[str] = []
    after = None
    while page := store.executions(after=after, limit=7):
        assert len(page) <= 7
        pages += [execution.id for execution in page]
        after = page[-1].born
    assert pages == expected
    ones = [execution.id for execution in store.executions(task="task-1", limit=3)]
    assert ones == [id_ for id_ in expected if int(id_[1:]) % 2][:3]
    assert [e.id for e in store.live_executions()] == [e.id for e in made if not e.status.phase.terminal]


async def test_finished_executions_are_named_for_pruning(store: Store) -> None:
    made = [
        an_execution(f"e{n}", task=f"task-{n % 2}", minute=9 - n, phase=SUCCEEDED, steps=()) for n in range(4)
    ]
    live = [replace(one, status=ExecutionStatus(ExecutionPhase.RUNNING)) for one in made]
    await store.write(put(*live, an_execution("live", steps=())), durable=True)
    await store.write(put(*reversed(made)), durable=True)
    assert [entry.id for entry in store.finished_executions()] == ["e3", "e2", "e1", "e0"]
    assert [entry.id for entry in store.finished_executions(task="task-1")] == ["e3", "e1"]

    def prune(tx: Transaction) -> int:
        for entry in tx.finished_executions(task="task-1"):
            tx.delete(Key(Kind.EXECUTION, entry.id))
        return len(tx.finished_executions())

    assert await store.write(prune, durable=False) == 2
    assert [execution.id for execution in store.executions()] == ["live", "e2", "e0"]
    assert store.get(Execution, "e1") is None


async def test_a_finished_execution_can_be_read_whole(store: Store) -> None:
    running = an_execution(phase=ExecutionPhase.RUNNING, steps=("a", "b", "c"))
    await store.write(put(running), durable=False)
    ended = an_execution(phase=SUCCEEDED, steps=("a", "b", "c"))
    made = await store.write(lambda tx: tx.put(ended), durable=True)
    assert store.live_executions() == []
    assert bare(made) == ended
    assert store.get(Execution, ended.id) == made
    assert list(store.executions()) == [made]


async def test_steps_are_live_while_their_execution_is_or_they_have_a_process(store: Store) -> None:
    execution = an_execution(phase=ExecutionPhase.RUNNING, steps=("a", "b"))
    steps = a_step("a", minute=1), a_running_step("b"), a_step("stranger")
    await store.write(put(execution, *steps), durable=False)
    assert [step.id for step in store.live_steps()] == ["a", "b"]
    assert store.steps_of(steps[0].task_id) == store.live_steps()
    assert store.steps_of(TaskId("none")) == []
    await store.write(put(replace(execution, status=an_execution(phase=SUCCEEDED).status)), durable=True)
    assert [step.id for step in store.live_steps()] == ["b"]
    await store.write(put(a_step("b")), durable=False)
    assert store.live_steps() == []
    assert store.get(Step, "a") is not None
    joined = an_execution("execution-2", phase=ExecutionPhase.RUNNING, steps=("b",))
    await store.write(put(joined), durable=False)
    assert [step.id for step in store.live_steps()] == ["b"]
    await store.write(delete(joined), durable=False)
    assert store.live_steps() == []


async def test_firings_newest_first_and_found_by_their_idempotency_key(store: Store) -> None:
    made = [a_firing(f"f{n}", minute=-n, once_key=f"key-{n}") for n in range(5)]
    await store.write(put(*made), durable=True)
    assert [firing.id for firing in store.firings(limit=3)] == ["f4", "f3", "f2"]
    event = Trigger.POST_MACHINE_START
    found = store.firing_once(boot=BOOT, event=event, once_key="key-2")
    assert found is not None
    assert found.id == "f2"
    assert store.firing_once(boot=BOOT, event=Trigger.PREBUILD, once_key="key-2") is None
    pending = asyncio.ensure_future(store.write(put(a_firing("f9", minute=9, once_key="new")), durable=True))
    await asyncio.sleep(0)
    assert store.firing_once(boot=BOOT, event=event, once_key="new") is None
    seen = await store.write(lambda tx: tx.firing_once(boot=BOOT, event=event, once_key="new"), durable=False)
    assert seen is not None
    await pending


# ---------------------------------------------------------------- watches


async def test_a_watch_tells_what_happened_to_each_key(store: Store) -> None:
    made = await store.write(lambda tx: tx.put(a_service()), durable=False)
    watch = store.watch()
    await store.write(put(replace(made, status=ServiceStatus(ServicePhase.STARTING))), durable=False)
    assert await watch.changes() == {made.key: Change(status_moved=True, run_moved=True)}
    await store.write(put(replace(made, cause=replace(made.cause, by="other"))), durable=False)
    changes = await watch.changes()
    assert changes[made.key] == Change(status_moved=True, wish_moved=True, run_moved=True)
    await store.write(put(a_task()), durable=False)
    await store.write(delete(made), durable=False)
    created = Change(created=True, spec_moved=True, status_moved=True, wish_moved=True, run_moved=True)
    assert await watch.changes() == {a_task().key: created, made.key: Change(deleted=True)}


async def test_an_unchanged_record_wakes_nobody(store: Store) -> None:
    made = await store.write(lambda tx: tx.put(a_service()), durable=False)
    watch, before = store.watch(), store.revision
    await store.write(put(a_service()), durable=False)
    await store.write(put(replace(made, spec_version=Version(3))), durable=True)
    await store.write(delete(a_task("nobody")), durable=True)
    await store.write(put(a_task()), durable=False)
    assert list(await watch.changes()) == [a_task().key]
    assert store.revision == before + 1


async def test_a_slow_watcher_finds_each_key_once(store: Store) -> None:
    watch = store.watch()
    for number in range(20):
        for id_ in ("a", "b"):
            record = a_service(id_)
            status = ServiceStatus(ServicePhase.FAILED, str(number))
            await store.write(put(replace(record, status=status)), durable=False)
    changes = await watch.changes()
    assert list(changes) == [a_service("a").key, a_service("b").key]
    assert changes[a_service("a").key].created


async def test_a_watch_waits_and_a_cancelled_wait_loses_nothing(store: Store) -> None:
    watch = store.watch()
    waiting = asyncio.ensure_future(watch.changes())
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await store.write(put(a_service()), durable=False)
    async with asyncio.timeout(5):
        assert list(await watch.changes()) == [a_service().key]


async def test_what_a_watch_tells_can_be_read(store: Store) -> None:
    watch = store.watch()

    async def follow() -> Service | None:
        await watch.changes()
        return store.get(Service, a_service().id)

    following = asyncio.ensure_future(follow())
    await store.write(put(a_service()), durable=True)
    assert await following is not None


async def test_a_closed_watch_ends(store: Store) -> None:
    watch, other = store.watch(), store.watch()
    waiting = asyncio.ensure_future(watch.changes())
    await asyncio.sleep(0)
    watch.close()
    watch.close()
    assert await waiting == {}
    await store.write(put(a_service()), durable=False)
    assert await watch.changes() == {}
    assert len(await other.changes()) == 1
    ending = asyncio.ensure_future(other.changes())
    await asyncio.sleep(0)
    await store.aclose()
    assert await ending == {}


async def test_two_hundred_watchers_hear_of_every_key(store: Store) -> None:
    watches = [store.watch() for _ in range(200)]
    records = [a_service(f"s{n}", minute=n) for n in range(50)]
    await asyncio.gather(*(store.write(put(record), durable=False) for record in records))
    for watch in watches:
        assert list(await watch.changes()) == [record.key for record in records]


# ---------------------------------------------------------------- commits that fail (rule 7.4)


async def test_a_failed_commit_fails_all_that_rests_on_it_and_leaves_no_trace(store: Store) -> None:
    made = await store.write(lambda tx: tx.put(a_service("kept")), durable=True)
    watch, before = store.watch(), store.revision
    with breaking(store):
        metadata = replace(made.metadata, reference=Reference("renamed"))
        execution = an_execution(phase=ExecutionPhase.RUNNING)
        writes = [
            store.write(put(replace(made, metadata=metadata)), durable=True),
            store.write(put(execution, a_step(), a_firing()), durable=False),
            store.write(delete(made), durable=True),
            store.write(lambda tx: tx.get(Service, "kept"), durable=True),
        ]
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ResourceExhausted] * 4
    assert store.get(Service, "kept") == made
    assert store.by_reference(Reference("renamed")) is None
    assert (store.live_executions(), store.live_steps(), store.firings(limit=9)) == ([], [], [])
    assert store.revision == before

    again = await store.write(lambda tx: tx.put(replace(made, metadata=metadata)), durable=True)
    assert again.spec_version > before
    assert list(await watch.changes()) == [made.key]


async def test_a_failed_commit_gives_finished_executions_back(store: Store) -> None:
    running = an_execution(phase=ExecutionPhase.RUNNING)
    made = await store.write(lambda tx: (tx.put(running), tx.put(a_step()))[0], durable=True)
    with breaking(store), pytest.raises(ResourceExhausted):
        await store.write(put(an_execution(phase=SUCCEEDED)), durable=True)
    assert list(store.live_executions()) == [made]
    assert [step.id for step in store.live_steps()] == ["step-1"]
    assert store.finished_executions() == []
    await store.write(put(an_execution(phase=SUCCEEDED)), durable=True)
    assert store.live_executions() == []
    with breaking(store), pytest.raises(ResourceExhausted):
        await store.write(delete(running), durable=True)
    assert [entry.id for entry in store.finished_executions()] == [running.id]
    assert store.get(Execution, running.id) is not None
