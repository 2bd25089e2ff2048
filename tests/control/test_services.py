"""Commands on services (rules 1.2, 1.6, 3.6, 3.10 to 3.13)."""

from dataclasses import replace
from uuid import uuid4

import pytest

from runner_agent.control.commands import Commands
from runner_agent.control.drafts import ServicePatch, StatusPatch
from runner_agent.kit.virtual import VirtualClock
from runner_agent.model.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
)
from runner_agent.model.ids import Reference
from runner_agent.model.phases import ServicePhase, ServiceRole, Trigger
from runner_agent.model.records import Service
from runner_agent.model.specs import (
    Anywhere,
    EnvVar,
    InDocker,
    Launch,
    OnMachine,
    ServiceCommands,
    ServiceEntry,
)
from runner_agent.store.memory import MemoryStore
from tests.control.scene import ALICE, a_file, bring_up, let_end, put, service_entry, service_of, task_draft

RUNNING, STOPPED = ServicePhase.RUNNING, ServicePhase.STOPPED


async def test_rule_1_6_create_without_a_wish_does_not_start(
    commands: Commands, store: MemoryStore, clock: VirtualClock
) -> None:
    made = await commands.services.create(service_entry(), ALICE)
    assert made == service_of(store)
    assert made.spec.desired_phase is STOPPED
    assert made.spec.session == ""
    assert (made.metadata.creator, made.metadata.created_at) == (ALICE.subject, clock.wall())
    assert made.spec_version > 0


async def test_rule_1_6_create_running_starts(commands: Commands, store: MemoryStore) -> None:
    made = await commands.services.create(service_entry(), ALICE, RUNNING)
    assert made.spec.desired_phase is RUNNING
    assert made.spec.session != ""
    assert made.cause.by == ALICE.by


@pytest.mark.parametrize("phase", [phase for phase in ServicePhase if phase not in {RUNNING, STOPPED}])
async def test_rule_1_6_other_wishes_are_invalid(
    commands: Commands, store: MemoryStore, phase: ServicePhase
) -> None:
    with pytest.raises(InvalidArgument, match=r"spec\.desired_phase"):
        await commands.services.create(service_entry(), ALICE, phase)
    assert store.services() == []


async def test_rule_1_2_a_reference_is_unique_over_services_and_tasks(
    commands: Commands, store: MemoryStore
) -> None:
    await commands.services.create(service_entry("web"), ALICE)
    await commands.tasks.create(task_draft("build"), ALICE)
    with pytest.raises(AlreadyExists, match='reference "web" is taken by a service'):
        await commands.services.create(service_entry("web"), ALICE)
    with pytest.raises(AlreadyExists, match='reference "build" is taken by a task'):
        await commands.services.create(service_entry("build"), ALICE)
    with pytest.raises(AlreadyExists, match='reference "web" is taken by a service'):
        await commands.tasks.create(task_draft("web"), ALICE)
    assert len(store.services()) == 1
    assert len(store.tasks()) == 1


async def test_rule_1_2_a_dying_object_still_holds_its_reference(
    commands: Commands, store: MemoryStore
) -> None:
    made = await commands.services.create(service_entry(), ALICE)
    await commands.services.delete(made.id, ALICE)
    with pytest.raises(AlreadyExists, match="being deleted; try again once it is gone"):
        await commands.services.create(service_entry(), ALICE)


@pytest.mark.parametrize(
    ("entry", "path"),
    [
        (ServiceEntry(Reference("a b"), "A", Launch(ServiceCommands("x"))), "metadata.reference"),
        (ServiceEntry(Reference(""), "A", Launch(ServiceCommands("x"))), "metadata.reference"),
        (ServiceEntry(Reference("a\n"), "A", Launch(ServiceCommands("x"))), "metadata.reference"),
        (ServiceEntry(Reference("a"), "", Launch(ServiceCommands("x"))), "metadata.name"),
        (ServiceEntry(Reference("a"), "A", Launch(ServiceCommands("", "r"))), "spec.commands.start"),
        (ServiceEntry(Reference("a"), "A", Launch(ServiceCommands("x", "y\0"))), "spec.commands.ready"),
        (ServiceEntry(Reference("a"), "A", Launch(ServiceCommands("x", "", "\ud800"))), "spec.commands.stop"),
        (
            ServiceEntry(Reference("a"), "A", Launch(ServiceCommands("x"), InDocker(""))),
            "spec.runs_on.docker.image",
        ),
        (
            ServiceEntry(Reference("a"), "A", Launch(ServiceCommands("x"), InDocker("docker://busybox"))),
            "spec.runs_on.docker.image",
        ),
        (
            ServiceEntry(Reference("a"), "A", Launch(ServiceCommands("x"), env=(EnvVar("A=B", "c"),))),
            "spec.env[0].name",
        ),
        (
            ServiceEntry(
                Reference("a"), "A", Launch(ServiceCommands("x"), readiness_timeout=86_400 * 10**9 + 1)
            ),
            "spec.readiness_timeout",
        ),
        (
            ServiceEntry(
                Reference("a"), "A", Launch(ServiceCommands("x")), triggered_by=(Trigger.BEFORE_SNAPSHOT,)
            ),
            "metadata.triggered_by",
        ),
    ],
)
async def test_rule_1_3_nothing_invalid_is_stored(
    commands: Commands, store: MemoryStore, entry: ServiceEntry, path: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await commands.services.create(entry, ALICE)
    assert [violation.path for violation in caught.value.violations] == [path]
    assert store.services() == []


async def test_rule_1_6_an_update_to_a_name_that_no_image_has_is_refused(
    commands: Commands, store: MemoryStore
) -> None:
    made = await commands.services.create(service_entry(), ALICE)
    with pytest.raises(InvalidArgument, match=r"'a//b' is no name of an image: .*; write it like busybox:"):
        await commands.services.update(made.id, ServicePatch(runs_on=InDocker("a//b")))
    assert service_of(store) == made
    updated = await commands.services.update(
        made.id, ServicePatch(runs_on=InDocker("localhost:5000/a.b/c_d:1.2"))
    )
    assert updated.spec.launch.runs_on == InDocker("localhost:5000/a.b/c_d:1.2")


async def test_rule_3_6_start_is_judged_against_the_wish(commands: Commands, store: MemoryStore) -> None:
    """New, still pending, live, ended: only the first and the last need a new session."""
    made = await commands.services.create(service_entry(), ALICE)
    started = await commands.services.start(made.id, ALICE)
    assert started.spec.session != ""
    pending = await commands.services.start(made.id, ALICE)
    assert pending == started
    await bring_up(store)
    live = await commands.services.start(made.id, ALICE)
    assert live.spec == started.spec
    await let_end(store, code=3)
    again = await commands.services.start(made.id, ALICE)
    assert again.spec.session not in {"", started.spec.session}


async def test_rule_3_6_a_restart_is_one_wish(commands: Commands, store: MemoryStore) -> None:
    """Live: a new session, and never a wish for STOPPED. Still pending: that session is new enough."""
    made = await commands.services.create(service_entry(), ALICE, RUNNING)
    up = await bring_up(store)
    again = await commands.services.restart(made.id, ALICE)
    assert (again.spec.desired_phase, again.cause.by) == (RUNNING, ALICE.by)
    assert again.spec.session not in {"", up.spec.session}
    assert again.run == up.run
    assert await commands.services.restart(made.id, ALICE) == again
    assert await commands.services.start(made.id, ALICE) == again


@pytest.mark.parametrize("how", ["never started", "stopped", "ended"])
async def test_rule_3_6_a_restart_starts_what_does_not_run(
    commands: Commands, store: MemoryStore, how: str
) -> None:
    made = await commands.services.create(
        service_entry(), ALICE, STOPPED if how == "never started" else RUNNING
    )
    if how != "never started":
        await bring_up(store)
    if how == "stopped":
        await commands.services.stop(made.id, ALICE)
    if how == "ended":
        await let_end(store, code=3)
    before = service_of(store)
    again = await commands.services.restart(made.id, ALICE)
    assert (again.spec.desired_phase, again.spec.session != before.spec.session) == (RUNNING, True)


async def test_rules_3_6_1_6_what_is_being_deleted_is_not_restarted(
    commands: Commands, store: MemoryStore
) -> None:
    made = await commands.services.create(service_entry(), ALICE, RUNNING)
    await bring_up(store)
    await commands.services.delete(made.id, ALICE)
    with pytest.raises(FailedPrecondition, match='service "web" cannot be restarted: it is being deleted'):
        await commands.services.restart(made.id, ALICE)
    with pytest.raises(NotFound, match="no service has the id"):
        await commands.services.restart("nothing", ALICE)


async def test_rules_3_6_3_10_the_last_wish_wins(commands: Commands, store: MemoryStore) -> None:
    made = await commands.services.create(service_entry(), ALICE, RUNNING)
    await bring_up(store)
    stopped = await commands.services.stop(made.id, ALICE)
    assert stopped.spec.desired_phase is STOPPED
    assert (await commands.services.stop(made.id, ALICE)).spec_version == stopped.spec_version
    started = await commands.services.start(made.id, ALICE)
    assert started.spec.desired_phase is RUNNING
    assert started.spec.session != made.spec.session


async def test_rule_3_6_stop_of_what_is_not_wished_for_changes_nothing(
    commands: Commands, store: MemoryStore
) -> None:
    made = await commands.services.create(service_entry(), ALICE)
    assert await commands.services.stop(made.id, ALICE) == made


async def test_rule_3_13_delete_stops_and_force_upgrades(commands: Commands, store: MemoryStore) -> None:
    made = await commands.services.create(service_entry(), ALICE, RUNNING)
    dying = await commands.services.delete(made.id, ALICE)
    assert dying.deletion is not None
    assert not dying.deletion.force
    assert dying.spec.desired_phase is STOPPED
    assert await commands.services.delete(made.id, ALICE) == dying
    forced = await commands.services.delete(made.id, ALICE, force=True)
    assert forced.deletion is not None
    assert forced.deletion.force
    assert await commands.services.delete(made.id, ALICE) == forced


async def test_rule_1_6_deleting_wins(commands: Commands) -> None:
    made = await commands.services.create(service_entry(), ALICE)
    await commands.services.delete(made.id, ALICE)
    with pytest.raises(FailedPrecondition, match='service "web" cannot be started: it is being deleted'):
        await commands.services.start(made.id, ALICE)
    with pytest.raises(FailedPrecondition, match='service "web" cannot be updated: it is being deleted'):
        await commands.services.update(made.id, ServicePatch(name="New"))


async def test_an_unknown_id_is_not_found(commands: Commands) -> None:
    unknown = str(uuid4())
    for call in (
        commands.services.start(unknown, ALICE),
        commands.services.stop(unknown, ALICE),
        commands.services.delete(unknown, ALICE),
        commands.services.update(unknown, ServicePatch(name="New")),
    ):
        with pytest.raises(NotFound, match=f"no service has the id {unknown}"):
            await call


async def test_rule_7_4_a_full_disk_is_told_and_nothing_written(
    commands: Commands, store: MemoryStore
) -> None:
    store.refuse(lambda: ResourceExhausted("disk full"))
    with pytest.raises(ResourceExhausted):
        await commands.services.create(service_entry(), ALICE)
    store.refuse(None)
    assert store.services() == []


# --- update


FULL = Launch(
    ServiceCommands("serve", "probe", "halt"), OnMachine(), (EnvVar("A", "1"),), readiness_timeout=5 * 10**9
)


async def a_full_service(commands: Commands) -> Service:
    entry = ServiceEntry(Reference("web"), "Web", FULL, "About", (Trigger.PREBUILD,), ServiceRole.EDITOR)
    return await commands.services.create(entry, ALICE)


@pytest.mark.parametrize(
    ("patch", "launch"),
    [
        (ServicePatch(start="other"), replace(FULL, commands=ServiceCommands("other", "probe", "halt"))),
        (ServicePatch(ready=""), replace(FULL, commands=ServiceCommands("serve", "", "halt"))),
        (ServicePatch(stop=""), replace(FULL, commands=ServiceCommands("serve", "probe", ""))),
        (ServicePatch(runs_on=Anywhere()), replace(FULL, runs_on=Anywhere())),
        (ServicePatch(env=()), FULL),
        (ServicePatch(env=(EnvVar("B", "2"),)), replace(FULL, env=(EnvVar("B", "2"),))),
        (ServicePatch(readiness_timeout=0), replace(FULL, readiness_timeout=0)),
        (ServicePatch(), FULL),
    ],
)
async def test_rule_3_11_present_fields_replace_absent_ones_stay(
    commands: Commands, patch: ServicePatch, launch: Launch
) -> None:
    made = await a_full_service(commands)
    changed = await commands.services.update(made.id, patch)
    assert changed.spec == replace(made.spec, launch=launch)
    assert changed.metadata == made.metadata
    assert (changed.spec_version > made.spec_version) is (launch != FULL)


@pytest.mark.parametrize(
    ("patch", "changes"),
    [
        (ServicePatch(name="New"), {"name": "New"}),
        (ServicePatch(description=""), {"description": ""}),
        (ServicePatch(triggered_by=()), {"triggered_by": ()}),
        (ServicePatch(role=ServiceRole.UNSPECIFIED), {"role": ServiceRole.UNSPECIFIED}),
    ],
)
async def test_rule_3_11_metadata_any_time(
    commands: Commands, store: MemoryStore, patch: ServicePatch, changes: dict[str, str]
) -> None:
    made = await a_full_service(commands)
    await commands.services.start(made.id, ALICE)
    await bring_up(store)
    changed = await commands.services.update(made.id, patch)
    assert changed.metadata == replace(made.metadata, **changes)  # type: ignore[arg-type]
    assert changed.spec.launch == made.spec.launch


async def test_rule_3_11_the_spec_only_at_rest(commands: Commands, store: MemoryStore) -> None:
    made = await commands.services.create(service_entry(), ALICE, RUNNING)
    up = await bring_up(store)
    with pytest.raises(
        FailedPrecondition, match='spec of service "web" cannot be updated while it is RUNNING; stop'
    ):
        await commands.services.update(made.id, ServicePatch(name="New", start="other"))
    assert service_of(store) == up
    for code in (1, 0):
        await let_end(store, code=code)
        changed = await commands.services.update(made.id, ServicePatch(start=f"other {code}"))
        assert changed.spec.launch.commands.start == f"other {code}"


async def test_rule_1_6_the_merged_result_is_validated(commands: Commands, store: MemoryStore) -> None:
    made = await commands.services.create(service_entry(), ALICE)
    with pytest.raises(InvalidArgument) as caught:
        await commands.services.update(made.id, ServicePatch(name="", start=""))
    assert [violation.path for violation in caught.value.violations] == [
        "metadata.name",
        "spec.commands.start",
    ]
    assert service_of(store) == made


# --- status


def posting(**output: str) -> ServicePatch:
    return ServicePatch(status=StatusPatch(output))


async def test_rule_3_12_output_is_merged_and_empty_unsets(commands: Commands, store: MemoryStore) -> None:
    made = await commands.services.create(service_entry(), ALICE, RUNNING)
    up = await bring_up(store)
    assert up.run is not None
    await put(store, replace(up, run=replace(up.run, output={"own": "1", "port": "80"})))
    await commands.services.update(made.id, posting(a="1", b="2"))
    await commands.services.update(made.id, posting(a="", port="", c="3"))
    shown = service_of(store)
    assert shown.status.output == {"own": "1", "b": "2", "c": "3"}
    assert shown.status_version > up.status_version
    assert shown.spec_version == up.spec_version


async def test_rule_3_12_output_of_an_earlier_session_is_forgotten(
    commands: Commands, store: MemoryStore
) -> None:
    made = await commands.services.create(service_entry(), ALICE, RUNNING)
    await bring_up(store)
    await commands.services.update(made.id, posting(a="1"))
    await let_end(store)
    await commands.services.start(made.id, ALICE)
    await bring_up(store)
    await commands.services.update(made.id, posting(b="2"))
    assert service_of(store).status.output == {"b": "2"}


async def test_rule_3_12_other_fields_are_refused(commands: Commands, store: MemoryStore) -> None:
    made = await commands.services.create(service_entry(), ALICE, RUNNING)
    up = await bring_up(store)
    patch = ServicePatch(name="New", status=StatusPatch({"a": "1"}, others=("phase", "log_url")))
    with pytest.raises(
        FailedPrecondition, match=r"status\.phase, status\.log_url .* runs the service itself"
    ):
        await commands.services.update(made.id, patch)
    assert service_of(store) == up


async def test_rule_3_12_output_needs_a_session(commands: Commands) -> None:
    made = await commands.services.create(service_entry(), ALICE)
    with pytest.raises(FailedPrecondition, match="has not been started"):
        await commands.services.update(made.id, posting(a="1"))


@pytest.mark.parametrize("output", [{"": "1"}, {"k" * 129: "1"}, {"k": "v" * 4097}])
async def test_rule_5_3_bounds_of_output(
    commands: Commands, store: MemoryStore, output: dict[str, str]
) -> None:
    made = await commands.services.create(service_entry(), ALICE, RUNNING)
    await bring_up(store)
    with pytest.raises(InvalidArgument, match=r"status\.output"):
        await commands.services.update(made.id, ServicePatch(status=StatusPatch(output)))
    longest = {"k" * 128: "v" * 4096}
    changed = await commands.services.update(made.id, ServicePatch(status=StatusPatch(longest)))
    assert changed.status.output == longest


async def test_the_file_and_the_api_share_references(commands: Commands) -> None:
    await commands.file.apply(a_file(service_entry()), ALICE)
    with pytest.raises(AlreadyExists):
        await commands.services.create(service_entry(), ALICE)
