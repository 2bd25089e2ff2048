"""Random histories against a dict: whatever is asked in whatever order, a store answers as the dict would."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner_agent.core.halves import spec_half, status_half
from runner_agent.model.errors import ResourceExhausted
from runner_agent.model.ids import Reference, Version
from runner_agent.model.phases import ExecutionPhase, ServicePhase
from runner_agent.model.records import Execution, Firing, Key, Record, Service, ServiceStatus, Step, Task
from runner_agent.store.base import Finished, Reader, Store, Transaction
from runner_agent.store.tables import has_process, is_live, planned_steps
from tests.store.conftest import KINDS, breaking, open_store
from tests.support.records import (
    a_firing,
    a_running_service,
    a_running_step,
    a_service,
    a_step,
    a_task,
    an_execution,
)

State = Mapping[Key, Record]

FEW = st.integers(0, 2)
REFERENCES = ("web", "api")
PLANS = (("st0", "st1"), ("st1", "st2"), ())


def services(number: int, reference: int, message: int, running: bool) -> Service:
    record = a_service(f"s{number}", reference=REFERENCES[reference % 2], minute=message)
    status = ServiceStatus(ServicePhase.FAILED, str(message)) if message else ServiceStatus()
    return replace(record, status=status, run=a_running_service().run if running else None)


def executions(number: int, phase: ExecutionPhase, minute: int) -> Execution:
    record = an_execution(
        f"e{number}", task=f"t{number % 2}", minute=minute, phase=phase, steps=PLANS[number]
    )
    return record if minute else replace(record, completed_at=None)


def steps(number: int, running: bool, held: bool) -> Step:
    record = a_running_step(f"st{number}") if running else a_step(f"st{number}", minute=number)
    return replace(record, holders=record.members if held else ())


def tasks(number: int, minute: int) -> Task:
    return a_task(f"t{number}", reference=f"build-{number}", minute=minute)


def firings(number: int, minute: int) -> Firing:
    return a_firing(f"f{number}", minute=minute)


RECORDS: st.SearchStrategy[Record] = st.one_of(
    st.builds(services, FEW, FEW, FEW, st.booleans()),
    st.builds(tasks, FEW, FEW),
    st.builds(executions, FEW, st.sampled_from(ExecutionPhase), FEW),
    st.builds(steps, FEW, st.booleans(), st.booleans()),
    st.builds(firings, FEW, FEW),
)


@dataclass(frozen=True)
class Act:
    """Put, or delete what has the record's key."""

    record: Record
    delete: bool


@dataclass(frozen=True)
class Move:
    """One write: what it does, and what becomes of it."""

    acts: tuple[Act, ...]
    durable: bool
    awaited: bool
    end: str


MOVES = st.builds(
    Move,
    st.lists(st.builds(Act, RECORDS, st.sampled_from([False, False, False, True])), max_size=4).map(tuple),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["commit"] * 6 + ["abort", "refuse", "reopen"]),
)


class Aborted(Exception):
    """By the change itself."""


def bare(record: Record) -> Record:
    return replace(record, born=Version(0), spec_version=Version(0), status_version=Version(0))


def applied(state: State, move: Move) -> dict[Key, Record]:
    """In the order in which they were created, which is that of a dict's keys (rule 4.9)."""
    after: dict[Key, Record | None] = dict(state)
    for act in move.acts:
        if not act.delete:
            after[act.record.key] = act.record
        elif act.record.key in after:
            after[act.record.key] = None
    return {key: record for key, record in after.items() if record is not None}


def check(reader: Reader, state: State) -> None:
    """All questions at once."""
    records = list(state.values())
    own_services = [record for record in records if isinstance(record, Service)]
    own_tasks = [record for record in records if isinstance(record, Task)]
    own_executions = [record for record in records if isinstance(record, Execution)]
    own_steps = [record for record in records if isinstance(record, Step)]
    own_firings = [record for record in records if isinstance(record, Firing)]
    for record in records:
        found = reader.get(type(record), record.id)
        assert found is not None
        assert bare(found) == record
    for kind, prefix in ((Service, "s"), (Task, "t"), (Execution, "e"), (Step, "st"), (Firing, "f")):
        present = {n for n in range(3) if reader.get(kind, f"{prefix}{n}") is not None}
        assert present == {int(record.id[len(prefix) :]) for record in records if isinstance(record, kind)}
    assert [bare(record) for record in reader.services()] == own_services
    assert [bare(record) for record in reader.tasks()] == own_tasks
    for reference in REFERENCES:
        holders = [record for record in own_services if record.metadata.reference == reference]
        holder = reader.by_reference(Reference(reference))
        assert (bare(holder) in holders) if holder else not holders
    newest = own_executions[::-1]
    assert [bare(record) for record in reader.executions()] == newest
    assert [bare(record) for record in reader.executions(limit=2)] == newest[:2]
    if newest:
        first = reader.executions(limit=1)[0]
        assert [bare(record) for record in reader.executions(after=first.born)] == newest[1:]
    of_task = [record for record in newest if record.task_id == "t0"]
    assert [bare(record) for record in reader.executions(task="t0", limit=1)] == of_task[:1]
    live = [record for record in newest if is_live(record)]
    assert [bare(record) for record in reader.live_executions()] == live[::-1]
    ended = [Finished.of(record) for record in reader.executions() if not is_live(record)]
    assert reader.finished_executions() == sorted(ended, key=lambda entry: entry.ended)
    wanted = {step for execution in live for step in planned_steps(execution)}
    live_steps = [step for step in own_steps if step.id in wanted or has_process(step)]
    assert [bare(record) for record in reader.live_steps()] == live_steps
    for task in {step.task_id for step in own_steps}:
        of_task_too = [step for step in live_steps if step.task_id == task]
        assert [bare(record) for record in reader.steps_of(task)] == of_task_too
    assert [bare(record) for record in reader.firings(limit=2)] == own_firings[::-1][:2]


def check_versions(reader: Reader, before: Mapping[Key, Record], state: State) -> dict[Key, Record]:
    """Rule 1.5, over any number of writes: a version never shrinks, and a half that differs has a new one."""
    now: dict[Key, Record] = {}
    for key, record in state.items():
        found = reader.get(type(record), key.id)
        assert found is not None
        now[key] = found
        old = before.get(key)
        if old is not None:
            assert found.spec_version >= old.spec_version
            assert found.status_version >= old.status_version
            assert (found.spec_version > old.spec_version) or spec_half(found) == spec_half(old)
            assert (found.status_version > old.status_version) or status_half(found) == status_half(old)
    given_out = [
        version for record in now.values() for version in {record.spec_version, record.status_version}
    ]
    assert len(given_out) == len(set(given_out)), "no two records share a version"
    return now


async def live_through(kind: str, directory: Path, moves: list[Move]) -> None:
    store: Store = open_store(kind, directory)
    state: dict[Key, Record] = {}
    versions: dict[Key, Record] = {}
    waiting: list[asyncio.Future[None]] = []
    for move in moves:
        if move.end in {"refuse", "reopen"}:
            await asyncio.gather(*waiting)
            waiting.clear()

        def change(tx: Transaction, move: Move = move, state: State = state) -> None:
            check(tx, state)
            for act in move.acts:
                if act.delete:
                    tx.delete(act.record.key)
                else:
                    assert bare(tx.put(act.record)) == act.record
            check(tx, applied(state, move))
            if move.end == "abort":
                raise Aborted

        if move.end == "abort":
            with pytest.raises(Aborted):
                await store.write(change, durable=move.durable)
        elif move.end == "refuse":
            with breaking(store):
                twice = [
                    store.write(change, durable=move.durable),
                    store.write(lambda _: None, durable=False),
                ]
                await asyncio.gather(*twice, return_exceptions=True)
                if applied(state, move) != state:
                    with pytest.raises(ResourceExhausted):
                        await store.write(change, durable=move.durable)
        else:
            waiting.append(asyncio.ensure_future(store.write(change, durable=move.durable)))
            await asyncio.sleep(0)  # drafted now
            state = applied(state, move)
        if move.awaited or move.end in {"refuse", "reopen"}:
            await asyncio.gather(*waiting)
            waiting.clear()
            check(store, state)
            versions = check_versions(store, versions, state)
        if move.end == "reopen" and kind != "memory":
            before = store.revision
            await store.aclose()
            store = open_store(kind, directory)
            assert store.revision >= before
            check(store, state)
            assert check_versions(store, versions, state) == versions
    await asyncio.gather(*waiting)
    check(store, state)
    check_versions(store, versions, state)
    await store.aclose()


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(moves=st.lists(MOVES, max_size=12))
def test_any_history(kind: str, moves: list[Move]) -> None:
    # Not on a disk: what is tested here is logic, and some hundred syncs take minutes on a slow one.
    with TemporaryDirectory(dir="/dev/shm") as directory:
        asyncio.run(live_through(kind, Path(directory), moves))
