"""Listings in pages and plan previews."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import pytest

from runner_agent.control.commands import Commands
from runner_agent.control.queries import (
    DefinitionFilter,
    ExecutionFilter,
    Listing,
    Page,
    list_executions,
    list_services,
    list_tasks,
    preview_plan,
)
from runner_agent.kit.virtual import VirtualClock
from runner_agent.model.errors import FailedPrecondition, InvalidArgument, NotFound
from runner_agent.model.phases import ExecutionPhase, ServiceRole
from runner_agent.model.records import Execution, Service, Task
from runner_agent.store.memory import MemoryStore
from tests.control.scene import ALICE, a_file, finish, service_entry, service_of, task_entry, task_of

E = TypeVar("E", Service, Task, Execution)
SEED = "00000000-0000-4000-8000-000000000000"
NOTHING_SET = DefinitionFilter()


def walk(ask: Callable[[Page], Listing[E]], size: int) -> list[tuple[E, ...]]:
    """All pages."""
    pages: list[tuple[E, ...]] = []
    token = ""
    while True:
        listing = ask(Page(token, size))
        pages.append(listing.items)
        token = listing.next_token
        if not token:
            return pages


@pytest.mark.parametrize(
    ("count", "size", "lengths"), [(0, 2, [0]), (3, 2, [2, 1]), (4, 2, [2, 2]), (30, 0, [25, 5])]
)
async def test_services_and_tasks_come_in_pages_oldest_first(
    commands: Commands, store: MemoryStore, count: int, size: int, lengths: list[int]
) -> None:
    names = [f"x{number:02}" for number in range(count)]
    await commands.file.apply(a_file(*map(service_entry, names)), ALICE)
    await commands.file.apply(a_file(*[task_entry(f"t{name}") for name in names]), ALICE)
    services = walk(lambda page: list_services(store, NOTHING_SET, page), size)
    tasks = walk(lambda page: list_tasks(store, NOTHING_SET, page), size)
    assert [len(page) for page in services] == [len(page) for page in tasks] == lengths
    assert [one for page in services for one in page] == list(store.services())
    assert [one for page in tasks for one in page] == list(store.tasks())


async def test_a_page_goes_on_where_the_last_one_ended_whatever_changed(
    commands: Commands, store: MemoryStore
) -> None:
    await commands.file.apply(a_file(*map(service_entry, "abcd")), ALICE)
    first = list_services(store, NOTHING_SET, Page(size=2))
    await store.write(lambda tx: tx.delete(service_of(store, "a").key), durable=False)
    await store.write(lambda tx: tx.delete(service_of(store, "b").key), durable=False)
    second = list_services(store, NOTHING_SET, Page(first.next_token, 2))
    assert [one.metadata.reference for one in second.items] == ["c", "d"]
    assert second.next_token == ""


async def test_filters_of_services(commands: Commands, store: MemoryStore) -> None:
    editor = replace(service_entry("b"), role=ServiceRole.EDITOR)
    await commands.file.apply(a_file(service_entry("a"), editor, service_entry("c")), ALICE)
    a = service_of(store, "a")

    def found(wanted: DefinitionFilter) -> list[str]:
        return [one.metadata.reference for one in list_services(store, wanted, Page()).items]

    assert found(DefinitionFilter(ids=frozenset({a.id, "unknown"}))) == ["a"]
    assert found(DefinitionFilter(references=frozenset({"b", "c"}))) == ["b", "c"]
    assert found(DefinitionFilter(references=frozenset({"b", "c"}), ids=frozenset({a.id}))) == []
    assert found(DefinitionFilter(roles=frozenset({ServiceRole.EDITOR}))) == ["b"]
    assert found(NOTHING_SET) == ["a", "b", "c"]


async def some_executions(commands: Commands, store: MemoryStore, clock: VirtualClock) -> list[Execution]:
    """Of build and test in turn, newest first; every third one has ended."""
    await commands.file.apply(a_file(task_entry("build"), task_entry("test")), ALICE)
    started: list[Execution] = []
    for number in range(250):
        clock.advance(0 if number % 5 else 1)
        task = task_of(store, "build" if number % 2 else "test")
        one = await commands.executions.start_task(task.id, ALICE)
        started.append(await finish(store, one.id) if number % 3 == 0 else one)
    return started[::-1]


async def walk_executions(
    store: MemoryStore, wanted: ExecutionFilter, size: int
) -> list[tuple[Execution, ...]]:
    """All pages."""
    pages: list[tuple[Execution, ...]] = []
    token = ""
    while True:
        listing = await list_executions(store, wanted, Page(token, size))
        pages.append(listing.items)
        token = listing.next_token
        if not token:
            return pages


async def test_executions_come_newest_first_in_pages(
    commands: Commands, store: MemoryStore, clock: VirtualClock
) -> None:
    started = await some_executions(commands, store, clock)
    pages = await walk_executions(store, ExecutionFilter(), 100)
    assert [len(page) for page in pages] == [100, 100, 50]
    assert [one.id for page in pages for one in page] == [one.id for one in started]


async def test_filters_of_executions(commands: Commands, store: MemoryStore, clock: VirtualClock) -> None:
    started = await some_executions(commands, store, clock)
    build, test = task_of(store, "build").id, task_of(store, "test").id
    ended = frozenset({ExecutionPhase.SUCCEEDED})
    unfinished = frozenset({ExecutionPhase.PENDING, ExecutionPhase.RUNNING})
    table: list[tuple[ExecutionFilter, Callable[[Execution], bool]]] = [
        (ExecutionFilter(task_ids=frozenset({build})), lambda one: one.task_id == build),
        (ExecutionFilter(task_ids=frozenset({build, test})), lambda one: True),
        (ExecutionFilter(task_references=frozenset({"test"})), lambda one: one.reference == "test"),
        (ExecutionFilter(phases=ended), lambda one: one.status.phase.terminal),
        (ExecutionFilter(phases=unfinished), lambda one: not one.status.phase.terminal),
        (
            ExecutionFilter(frozenset({build}), phases=unfinished),
            lambda one: one.task_id == build and not one.status.phase.terminal,
        ),
        (ExecutionFilter(phases=ended | unfinished), lambda one: True),
        (
            ExecutionFilter(frozenset({build}), frozenset({"build"}), ended),
            lambda one: one.task_id == build and one.status.phase.terminal,
        ),
        (ExecutionFilter(task_ids=frozenset({"unknown"})), lambda one: False),
    ]
    for wanted, fits in table:
        pages = await walk_executions(store, wanted, 7)
        assert [one.id for page in pages for one in page] == [one.id for one in started if fits(one)]


async def test_others_have_their_turn_while_executions_are_searched(
    commands: Commands, store: MemoryStore, clock: VirtualClock
) -> None:
    """The loop is everybody's: of a long past it reads some, lets others go on, and reads some more."""
    await some_executions(commands, store, clock)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    await list_executions(store, ExecutionFilter(phases=frozenset({ExecutionPhase.FAILED})), Page())
    beside.cancel()
    assert turns >= 250 // 25


@pytest.mark.parametrize("token", ["x", "é", "AAAA", "!!!!", "bm90aGluZw==", "=" * 3])
async def test_a_token_that_is_none_of_ours_is_invalid(store: MemoryStore, token: str) -> None:
    with pytest.raises(InvalidArgument, match=r"pagination\.token: is not a token of an earlier answer"):
        list_services(store, NOTHING_SET, Page(token))
    with pytest.raises(InvalidArgument):
        await list_executions(store, ExecutionFilter(), Page(token))


async def test_rule_4_2_a_plan_preview_is_what_a_start_would_run(
    commands: Commands, store: MemoryStore
) -> None:
    file = a_file(service_entry("db"), task_entry("a", depends_on=["db"]), task_entry("b", depends_on=["a"]))
    await commands.file.apply(file, ALICE)
    revision = store.revision
    plan = preview_plan(store, "b", SEED)
    assert [[step.label for step in group.steps] for group in plan.groups] == [["db"], ["a"], ["b"]]
    started = await commands.executions.start_task(task_of(store, "b").id, ALICE)
    assert [step.label for step in started.plan.steps()] == [step.label for step in plan.steps()]
    assert revision < store.revision
    assert preview_plan(store, "b", SEED) == plan


async def test_a_plan_preview_of_a_service_and_of_nothing(commands: Commands, store: MemoryStore) -> None:
    await commands.file.apply(a_file(service_entry("db"), task_entry("a", depends_on=["db"])), ALICE)
    assert [step.label for step in preview_plan(store, "db", SEED).steps()] == ["db"]
    with pytest.raises(NotFound, match='nothing goes by the reference "x"'):
        preview_plan(store, "x", SEED)
    await commands.services.delete(service_of(store, "db").id, ALICE)
    with pytest.raises(FailedPrecondition, match="being deleted"):
        preview_plan(store, "a", SEED)
