"""Applying automations files (rules 1.6, 2.6, 2.7)."""

import asyncio
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner_agent.control.commands import Commands
from runner_agent.control.drafts import ServicePatch, TaskPatch
from runner_agent.control.queries import preview_plan
from runner_agent.control.upsert import UpsertResult
from runner_agent.core import view
from runner_agent.kit.virtual import VirtualClock, running_clock, virtual_time
from runner_agent.model.errors import FailedPrecondition, InvalidArgument
from runner_agent.model.ids import Reference
from runner_agent.model.phases import ServicePhase, ServiceRole, Trigger
from runner_agent.model.records import Execution, Key, Record
from runner_agent.model.specs import (
    Anywhere,
    AutomationsFile,
    EnvVar,
    InDocker,
    Launch,
    OnMachine,
    RunsOn,
    ServiceCommands,
    ServiceEntry,
    TaskEntry,
    TaskSpec,
)
from runner_agent.store.base import Store
from runner_agent.store.memory import MemoryStore
from tests.control.scene import (
    ALICE,
    a_file,
    bring_up,
    counted_ids,
    definitions_of,
    entries_of,
    service_entry,
    service_of,
    task_draft,
    task_entry,
    task_of,
)

FILE = a_file(
    service_entry("web"),
    service_entry("db"),
    task_entry("test", depends_on=["build"]),
    task_entry("build", depends_on=["db", "install"]),
    task_entry("install"),
)
ALL = ("web", "db", "test", "build", "install")


def definitions(store: Store) -> dict[Key, Record]:
    return {one.key: one for one in definitions_of(store)}


async def test_rule_2_7_a_new_file_creates_its_entries(commands: Commands, store: MemoryStore) -> None:
    result = await commands.file.apply(FILE, ALICE)
    assert (result.created, result.changed, result.unchanged) == (ALL, (), ())
    assert result.service_ids == tuple(one.id for one in store.services())
    assert result.task_ids == tuple(one.id for one in store.tasks())
    assert [one.metadata.reference for one in definitions_of(store)] == list(ALL), "the file's order"
    assert task_of(store, "build").depends_on == (service_of(store, "db").id, task_of(store, "install").id)
    assert all(one.spec.desired_phase is ServicePhase.STOPPED for one in store.services())
    assert all(one.metadata.creator == ALICE.subject for one in definitions_of(store))


async def test_rule_2_7_unchanged_entries_are_not_touched_nor_listed(
    commands: Commands, store: MemoryStore, clock: VirtualClock
) -> None:
    await commands.file.apply(FILE, ALICE)
    before, revision = definitions(store), store.revision
    clock.advance(60)
    assert await commands.file.apply(FILE, ALICE) == UpsertResult(unchanged=tuple(map(Reference, ALL)))
    assert definitions(store) == before
    assert store.revision == revision


async def test_rule_2_7_only_what_changed_is_written(commands: Commands, store: MemoryStore) -> None:
    await commands.file.apply(FILE, ALICE)
    before = definitions(store)
    edited = replace(
        FILE,
        services=(service_entry("web", start="serve --fast"), service_entry("db")),
        tasks=(task_entry("test", depends_on=["install"]), *FILE.tasks[1:]),
    )
    result = await commands.file.apply(edited, ALICE)
    assert result.changed == ("web", "test")
    assert result.service_ids == (service_of(store, "web").id,)
    assert result.task_ids == (task_of(store, "test").id,)
    assert result.unchanged == ("db", "build", "install")
    moved = {key for key, one in definitions(store).items() if one != before[key]}
    assert moved == {service_of(store, "web").key, task_of(store, "test").key}


async def test_rule_2_7_entries_that_are_not_in_the_file_stay(commands: Commands, store: MemoryStore) -> None:
    await commands.file.apply(FILE, ALICE)
    before = definitions(store)
    result = await commands.file.apply(a_file(task_entry("lint", depends_on=["web"])), ALICE)
    assert result.created == ("lint",)
    assert task_of(store, "lint").depends_on == (service_of(store, "web").id,)
    assert before.items() <= definitions(store).items()


@pytest.mark.parametrize(
    "entry",
    [
        ServiceEntry(Reference("web"), "Other", Launch(ServiceCommands("serve"))),
        ServiceEntry(Reference("web"), "Web", Launch(ServiceCommands("serve")), "About"),
        ServiceEntry(Reference("web"), "Web", Launch(ServiceCommands("serve")), "", (Trigger.PREBUILD,)),
        ServiceEntry(Reference("web"), "Web", Launch(ServiceCommands("serve")), role=ServiceRole.EDITOR),
        ServiceEntry(Reference("web"), "Web", Launch(ServiceCommands("serve", "probe"))),
        ServiceEntry(Reference("web"), "Web", Launch(ServiceCommands("serve", "", "halt"))),
        ServiceEntry(Reference("web"), "Web", Launch(ServiceCommands("serve"), InDocker("alpine"))),
        ServiceEntry(Reference("web"), "Web", Launch(ServiceCommands("serve"), readiness_timeout=0)),
        TaskEntry(Reference("build"), "Other", TaskSpec("make")),
        TaskEntry(Reference("build"), "Build", TaskSpec("make test")),
        TaskEntry(Reference("build"), "Build", TaskSpec("make", OnMachine())),
        TaskEntry(Reference("build"), "Build", TaskSpec("make", prebuild_requires_success=True)),
        TaskEntry(Reference("build"), "Build", TaskSpec("make"), "About"),
        TaskEntry(Reference("build"), "Build", TaskSpec("make"), "", (Trigger.MANUAL,)),
        TaskEntry(Reference("build"), "Build", TaskSpec("make"), depends_on=(Reference("web"),)),
    ],
)
async def test_rule_2_7_every_field_of_an_entry_counts(
    commands: Commands, entry: ServiceEntry | TaskEntry
) -> None:
    await commands.file.apply(a_file(service_entry("web"), task_entry("build")), ALICE)
    assert (await commands.file.apply(a_file(entry), ALICE)).changed == (entry.reference,)
    assert (await commands.file.apply(a_file(entry), ALICE)).unchanged == (entry.reference,)


async def test_rule_2_7_a_service_that_is_up_gets_its_new_spec_and_keeps_its_run(
    commands: Commands, store: MemoryStore
) -> None:
    await commands.services.create(service_entry(), ALICE, ServicePhase.RUNNING)
    up = await bring_up(store)
    result = await commands.file.apply(a_file(service_entry(start="serve --fast")), ALICE)
    assert result.service_ids == (up.id,)
    now = service_of(store)
    assert now.spec.launch.commands.start == "serve --fast"
    assert (now.spec.session, now.spec.desired_phase, now.run, now.cause) == (
        up.spec.session,
        up.spec.desired_phase,
        up.run,
        up.cause,
    )


async def test_rule_2_7_variables_of_a_spec_outlive_a_file(commands: Commands, store: MemoryStore) -> None:
    """A file cannot state them, so it does not unset them."""
    await commands.file.apply(FILE, ALICE)
    env = (EnvVar("A", "1"),)
    await commands.services.update(service_of(store).id, ServicePatch(env=env))
    await commands.tasks.update(task_of(store).id, TaskPatch(env=env))
    assert (await commands.file.apply(FILE, ALICE)).changed == ()
    await commands.file.apply(a_file(service_entry(start="other"), task_entry(command="other")), ALICE)
    assert service_of(store).spec.launch == Launch(ServiceCommands("other"), Anywhere(), env)
    assert task_of(store).spec == TaskSpec("other", Anywhere(), env)


async def test_rule_2_7_an_entry_never_changes_kind(commands: Commands, store: MemoryStore) -> None:
    await commands.file.apply(FILE, ALICE)
    before = definitions(store)
    swapped = a_file(service_entry("build"), task_entry("web"), task_entry("new"))
    with pytest.raises(InvalidArgument) as caught:
        await commands.file.apply(swapped, ALICE)
    assert [str(violation).partition(" in this")[0] for violation in caught.value.violations] == [
        "automations_file.services.build: is a task",
        "automations_file.tasks.web: is a service",
    ]
    assert definitions(store) == before


async def test_rule_1_2_a_reference_twice_in_one_file(commands: Commands) -> None:
    with pytest.raises(
        InvalidArgument, match=r"automations_file\.tasks\.web: is a service of the same file too"
    ):
        await commands.file.apply(a_file(service_entry("web"), task_entry("web")), ALICE)


async def test_rule_2_6_unknown_dependencies_and_cycles(commands: Commands, store: MemoryStore) -> None:
    with pytest.raises(
        InvalidArgument, match=r'tasks\.build\.depends_on\[1\]: no service or task goes by "nothing"'
    ):
        await commands.file.apply(a_file(task_entry("a"), task_entry(depends_on=["a", "nothing"])), ALICE)
    with pytest.raises(InvalidArgument, match=r"tasks\.a\.depends_on: a depends on itself"):
        await commands.file.apply(a_file(task_entry("a", depends_on=["a"])), ALICE)
    assert store.tasks() == []


async def test_rule_2_6_a_cycle_through_what_is_not_in_the_file(
    commands: Commands, store: MemoryStore
) -> None:
    await commands.file.apply(FILE, ALICE)
    with pytest.raises(InvalidArgument, match=r"in a circle: .*install"):
        await commands.file.apply(a_file(task_entry("install", depends_on=["test"])), ALICE)
    assert task_of(store, "install").depends_on == ()


async def test_rule_1_3_paths_are_those_of_the_file(commands: Commands) -> None:
    bad = a_file(
        ServiceEntry(Reference("web"), "", Launch(ServiceCommands("", "x\0"))),
        TaskEntry(Reference("t"), "T", TaskSpec("x", InDocker(""))),
        TaskEntry(Reference("u"), "U", TaskSpec("x", InDocker("reg/Image:1"))),
    )
    with pytest.raises(InvalidArgument) as caught:
        await commands.file.apply(bad, ALICE)
    assert [violation.path for violation in caught.value.violations] == [
        "automations_file.services.web.name",
        "automations_file.services.web.commands.start",
        "automations_file.services.web.commands.ready",
        "automations_file.tasks.t.runs_on.docker.image",
        "automations_file.tasks.u.runs_on.docker.image",
    ]


async def test_a_dry_run_tells_the_same_and_writes_nothing(commands: Commands, store: MemoryStore) -> None:
    await commands.file.apply(a_file(service_entry("web"), task_entry("build")), ALICE)
    file = replace(FILE, services=(service_entry("web", start="other"), service_entry("db")))
    revision = store.revision
    dry = await commands.file.apply(file, ALICE, dry_run=True)
    assert store.revision == revision
    wet = await commands.file.apply(file, ALICE)
    assert (dry.created, dry.changed, dry.unchanged) == (wet.created, wet.changed, wet.unchanged)
    assert (dry.created, dry.changed) == (("db", "test", "install"), ("web", "build"))


async def test_rule_4_1_a_running_execution_keeps_its_specs(commands: Commands, store: MemoryStore) -> None:
    await commands.file.apply(FILE, ALICE)
    started = await commands.executions.start_task(task_of(store).id, ALICE)
    await commands.file.apply(a_file(task_entry("build", command="other")), ALICE)
    assert store.get(Execution, started.id) == started


# --- what is being deleted


async def a_dying_service(commands: Commands, store: MemoryStore) -> Key:
    await commands.file.apply(FILE, ALICE)
    key = service_of(store).key
    await commands.services.delete(service_of(store).id, ALICE)
    return key


@virtual_time
async def test_rule_1_6_a_dying_object_is_waited_for_and_created_anew() -> None:
    store = MemoryStore()
    commands = Commands(store, running_clock(), counted_ids())
    old = await a_dying_service(commands, store)
    applying = asyncio.ensure_future(commands.file.apply(FILE, ALICE, patience=150))
    await asyncio.sleep(120)
    assert not applying.done()
    await store.write(lambda tx: tx.delete(old), durable=False)
    result = await applying
    assert result.created == ("web",)
    assert result.unchanged == ("db", "test", "build", "install")
    assert service_of(store).key != old
    assert service_of(store).deletion is None


@virtual_time
async def test_rule_1_6_patience_ends() -> None:
    store = MemoryStore()
    clock = running_clock()
    commands = Commands(store, clock, counted_ids())
    await a_dying_service(commands, store)
    began, before = clock.now(), definitions(store)
    with pytest.raises(FailedPrecondition, match="cannot be applied while web is being deleted"):
        await commands.file.apply(FILE, ALICE, patience=150)
    assert clock.now() - began == 150
    with pytest.raises(FailedPrecondition):
        await commands.file.apply(FILE, ALICE, patience=0)
    assert clock.now() - began == 150
    assert definitions(store) == before


async def test_rule_1_6_a_dry_run_takes_the_dying_for_gone(commands: Commands, store: MemoryStore) -> None:
    await a_dying_service(commands, store)
    result = await commands.file.apply(FILE, ALICE, dry_run=True)
    assert result.created == ("web",)
    as_task = a_file(task_entry("web"))
    assert (await commands.file.apply(as_task, ALICE, dry_run=True)).created == ("web",)


async def test_rule_2_6_the_dying_cannot_be_depended_on(commands: Commands, store: MemoryStore) -> None:
    await a_dying_service(commands, store)
    with pytest.raises(InvalidArgument, match='no service or task goes by "web"'):
        await commands.file.apply(a_file(task_entry("new", depends_on=["web"])), ALICE)


# --- laws

REFERENCES = ("a", "b", "c", "d", "e")
texts = st.sampled_from(["x", "y"])
triggers = st.lists(st.sampled_from(list(Trigger)[:3]), max_size=2, unique=True).map(tuple)
places: st.SearchStrategy[RunsOn] = st.sampled_from((Anywhere(), OnMachine(), InDocker("alpine", ("A=1",))))


@st.composite
def files(draw: st.DrawFn) -> AutomationsFile:
    """Valid ones: services a and b, tasks c to e, each depending on earlier letters of the file only."""
    chosen = draw(st.lists(st.sampled_from(REFERENCES), unique=True).map(sorted))
    entries: list[ServiceEntry | TaskEntry] = []
    for index, letter in enumerate(chosen):
        reference, name = Reference(letter), draw(texts)
        if letter < "c":
            launch = Launch(ServiceCommands(draw(texts)), draw(places))
            entries.append(ServiceEntry(reference, name, launch, draw(texts), draw(triggers)))
        else:
            earlier = [Reference(one) for one in chosen[:index]]
            needs = draw(st.lists(st.sampled_from(earlier), unique=True)) if earlier else []
            entries.append(
                TaskEntry(reference, name, TaskSpec(draw(texts)), draw(texts), draw(triggers), tuple(needs))
            )
    return a_file(*entries)


def told(result: UpsertResult) -> list[set[str]]:
    return [set(result.created), set(result.changed), set(result.unchanged)]


@settings(max_examples=150)
@given(st.lists(files(), min_size=1, max_size=4))
@virtual_time
async def test_laws_of_upsert(history: list[AutomationsFile]) -> None:
    """After any history: applying twice changes nothing the second time; the answer lists what moved, no
    more, no less; what the file says is so; a dry run foretells it (rule 2.7).
    """
    store = MemoryStore()
    commands = Commands(store, running_clock(), counted_ids())
    await commands.tasks.create(task_draft("other"), ALICE)
    for file in history:
        before = definitions(store)
        dry = await commands.file.apply(file, ALICE, dry_run=True)
        result = await commands.file.apply(file, ALICE)
        after = definitions(store)
        assert told(dry) == told(result)
        assert before.keys() <= after.keys()
        moved = {key.id for key, one in after.items() if one != before.get(key)}
        assert moved == {*result.service_ids, *result.task_ids}
        for entry in entries_of(file):
            assert _says(store, entry)
        revision = store.revision
        again = await commands.file.apply(file, ALICE)
        assert told(again) == [set(), set(), set().union(*told(result))]
        assert (store.revision, definitions(store)) == (revision, after)


def _says(store: Store, entry: ServiceEntry | TaskEntry) -> bool:
    """The store holds just what the entry says."""
    if isinstance(entry, ServiceEntry):
        service = service_of(store, entry.reference)
        metadata = service.metadata
        return entry == ServiceEntry(
            metadata.reference,
            metadata.name,
            service.spec.launch,
            metadata.description,
            metadata.triggered_by,
            metadata.role,
        )
    task = task_of(store, entry.reference)
    names = {one.id: one.metadata.reference for one in definitions_of(store)}
    needs = tuple(names[need] for need in task.depends_on)
    about = task.metadata
    return entry == TaskEntry(
        about.reference, about.name, task.spec, about.description, about.triggered_by, needs
    )


# --- rule 2.10

ONE, OTHER = "/w/.ona/automations.yaml", "/w/other.yaml"


async def test_rule_2_10_what_a_file_does_not_name_is_told_and_stays(
    commands: Commands, store: MemoryStore
) -> None:
    await commands.file.apply(FILE, ALICE, path=ONE)
    result = await commands.file.apply(a_file(service_entry("web")), ALICE, path=ONE)
    assert result.left_out == ("db", "test", "build", "install")
    assert [one.metadata.reference for one in definitions_of(store)] == list(ALL)
    dying = await commands.services.delete(service_of(store, "db").id, ALICE)
    assert dying.metadata.reference not in (await commands.file.apply(a_file(), ALICE)).left_out


async def test_rule_2_10_prune_deletes_what_the_same_file_created(
    commands: Commands, store: MemoryStore
) -> None:
    await commands.file.apply(FILE, ALICE, path=ONE)
    await commands.file.apply(a_file(service_entry("other")), ALICE, path=OTHER)
    await commands.file.apply(a_file(service_entry("piped")), ALICE)
    await commands.services.create(service_entry("api"), ALICE)
    smaller = a_file(service_entry("web"), task_entry("install"))
    would = await commands.file.apply(smaller, ALICE, path=ONE, prune=True, dry_run=True)
    assert {one.metadata.reference for one in definitions_of(store)} >= set(ALL)
    did = await commands.file.apply(smaller, ALICE, path=ONE, prune=True)
    gone = tuple(one.metadata.reference for one in did.pruned)
    assert gone == tuple(one.metadata.reference for one in would.pruned) == ("db", "test", "build")
    assert set(did.left_out) == set(would.left_out) == {"other", "piped", "api"}
    left = {one.metadata.reference for one in definitions_of(store) if one.deletion is None}
    assert left == {"web", "install", "other", "piped", "api"}


async def test_rule_2_10_what_two_files_state_is_neithers_to_delete(
    commands: Commands, store: MemoryStore
) -> None:
    await commands.file.apply(a_file(service_entry("web"), service_entry("db")), ALICE, path=ONE)
    revision = store.revision
    result = await commands.file.apply(a_file(service_entry("web")), ALICE, path=OTHER)
    assert (result.changed, result.unchanged) == ((), ("web",)), "nothing that anybody sees has changed"
    assert service_of(store, "web").spec_version <= revision
    for path in (ONE, OTHER):
        pruned = (await commands.file.apply(a_file(), ALICE, path=path, prune=True, dry_run=True)).pruned
        assert "web" not in {one.metadata.reference for one in pruned}


async def test_rule_2_10_standard_input_neither_owns_nor_disowns(
    commands: Commands, store: MemoryStore
) -> None:
    await commands.file.apply(a_file(service_entry("web")), ALICE, path=ONE)
    await commands.file.apply(a_file(service_entry("web", start="piped")), ALICE)
    assert service_of(store, "web").file == ONE
    with pytest.raises(InvalidArgument, match="prune"):
        await commands.file.apply(a_file(), ALICE, prune=True)


async def test_rule_2_10_what_something_else_needs_is_not_pruned(
    commands: Commands, store: MemoryStore
) -> None:
    await commands.file.apply(a_file(task_entry("build")), ALICE, path=ONE)
    needs = [task_of(store, "build").id]
    await commands.tasks.create(task_draft("mine", depends_on=needs), ALICE)
    before = definitions(store)
    with pytest.raises(FailedPrecondition, match='build cannot be deleted: task "mine" depends on it'):
        await commands.file.apply(a_file(service_entry("web")), ALICE, path=ONE, prune=True)
    assert definitions(store) == before, "a file that cannot be applied changes nothing"


async def test_rule_2_10_pruning_stops_what_runs(commands: Commands, store: MemoryStore) -> None:
    await commands.file.apply(a_file(service_entry("web"), task_entry("build")), ALICE, path=ONE)
    await commands.services.start(service_of(store).id, ALICE)
    await bring_up(store)
    begun = await commands.executions.start_task(task_of(store).id, ALICE)
    await commands.file.apply(a_file(), ALICE, path=ONE, prune=True)
    web = service_of(store)
    assert web.deletion is not None
    assert web.spec.desired_phase is ServicePhase.STOPPED
    stopped = store.get(Execution, begun.id)
    assert stopped is not None
    assert stopped.desired_phase.value == "STOPPED"
    assert task_of(store).deletion is not None


async def test_rule_2_10_a_run_of_an_earlier_definition_is_told(
    commands: Commands, store: MemoryStore
) -> None:
    await commands.file.apply(a_file(service_entry("web"), service_entry("db")), ALICE)
    await commands.services.start(service_of(store).id, ALICE)
    assert not view.previous_definition(service_of(store)), "not begun"
    await bring_up(store)
    changed = a_file(service_entry("web", start="serve --all"), service_entry("db", start="other"))
    assert (await commands.file.apply(changed, ALICE, dry_run=True)).previous == ("web",)
    assert (await commands.file.apply(changed, ALICE)).previous == ("web",), "db does not run"
    assert (await commands.file.apply(changed, ALICE)).previous == ("web",), "and still does"
    assert view.previous_definition(service_of(store))
    assert (await commands.file.apply(a_file(service_entry("web")), ALICE)).previous == ()


async def test_rule_2_10_a_task_that_runs_by_an_earlier_definition_is_told_with_what_to_start_again(
    commands: Commands, store: MemoryStore
) -> None:
    file = a_file(task_entry("all", depends_on=["slow"]), task_entry("slow"))
    await commands.file.apply(file, ALICE)
    begun = [await commands.executions.start_task(task_of(store, each).id, ALICE) for each in ("slow", "all")]
    changed = a_file(task_entry("slow", command="sleep 2"))
    runs = (("slow", "slow"), ("slow", "all"))
    assert (await commands.file.apply(file, ALICE)).previous_runs == ()
    assert (await commands.file.apply(changed, ALICE, dry_run=True)).previous_runs == runs
    assert (await commands.file.apply(changed, ALICE)).previous_runs == runs
    await commands.executions.stop(begun[0].id, ALICE)
    assert (await commands.file.apply(changed, ALICE)).previous_runs == (("slow", "all"),)
    assert (await commands.file.apply(file, ALICE)).previous_runs == (), "as it was"
    pruned = await commands.file.apply(a_file(), ALICE, path=ONE, prune=True)
    assert pruned.previous_runs == ()


# --- rule 2.11


async def test_rule_2_11_a_service_without_commands_cannot_be_started(
    commands: Commands, store: MemoryStore
) -> None:
    event = Trigger.POST_ENVIRONMENT_START
    await commands.file.apply(
        a_file(
            service_entry("marker", start="", triggered_by=[event]),
            service_entry("web", triggered_by=[event]),
            task_entry("needs", depends_on=["marker"], triggered_by=[event]),
        ),
        ALICE,
    )
    marker = service_of(store, "marker")
    with pytest.raises(FailedPrecondition, match='"marker" cannot be started: it has no start command'):
        await commands.services.start(marker.id, ALICE)
    with pytest.raises(FailedPrecondition, match='depends on service "marker", which cannot: it has no'):
        await commands.executions.start_task(task_of(store, "needs").id, ALICE)
    for reference in ("marker", "needs"):
        with pytest.raises(FailedPrecondition, match="it has no start command"):
            preview_plan(store, reference, str(UUID(int=9)))
    fired = await commands.triggers.fire(event, ALICE)
    assert fired.services == ("web",)
    assert [(one.kind, one.reference) for one in fired.skipped] == [("service", "marker"), ("task", "needs")]
    await commands.services.update(marker.id, ServicePatch(start="serve"))
    await commands.services.start(marker.id, ALICE)


async def test_rule_2_11_a_run_outlives_the_loss_of_its_commands(
    commands: Commands, store: MemoryStore
) -> None:
    await commands.file.apply(a_file(service_entry("web"), task_entry("t", depends_on=["web"])), ALICE)
    await commands.services.start(service_of(store).id, ALICE)
    up = await bring_up(store)
    await commands.file.apply(a_file(service_entry("web", start="")), ALICE)
    again = await commands.services.start(up.id, ALICE)
    assert again.spec.session == up.spec.session, "it is up: a start is a no-op"
    await commands.executions.start_task(task_of(store, "t").id, ALICE)
    await commands.services.stop(up.id, ALICE)
    with pytest.raises(FailedPrecondition, match="no start command"):
        await commands.services.start(up.id, ALICE)
