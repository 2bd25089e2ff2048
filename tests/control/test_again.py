"""A second firing that keeps what has succeeded: what it leaves alone, and what it starts again."""

from dataclasses import replace

from runner_agent.control.commands import Commands
from runner_agent.core import service as service_rules
from runner_agent.kit.virtual import VirtualClock
from runner_agent.model.ids import BootMark, Instant
from runner_agent.model.phases import ExecutionPhase, ServicePhase, Trigger
from runner_agent.model.records import Execution
from runner_agent.model.runs import Down
from runner_agent.store.memory import MemoryStore
from tests.control.scene import (
    ALICE,
    a_file,
    bring_up,
    finish,
    let_end,
    put,
    service_entry,
    service_of,
    task_entry,
)

EVENT = Trigger.POST_ENVIRONMENT_START


async def fire_again(commands: Commands) -> tuple[set[str], set[str]]:
    """What was started, and what was left alone."""
    fired = await commands.triggers.fire(EVENT, ALICE, keep=True)
    return {*fired.services, *fired.tasks}, {each.reference for each in fired.kept}


async def test_only_what_has_not_succeeded_is_fired_again(commands: Commands, store: MemoryStore) -> None:
    names = ("good", "bad", "stopped", "runs")
    await commands.file.apply(a_file(*(task_entry(name, triggered_by=[EVENT]) for name in names)), ALICE)
    first = await commands.triggers.fire(EVENT, ALICE, keep=True)
    assert (first.tasks, first.kept) == (names, ())
    ends = (ExecutionPhase.SUCCEEDED, ExecutionPhase.FAILED, ExecutionPhase.STOPPED)
    for id_, end in zip(first.firing.executions, ends, strict=False):
        await finish(store, id_, end)
    await commands.file.apply(a_file(task_entry("new", triggered_by=[EVENT])), ALICE)
    assert await fire_again(commands) == ({"bad", "stopped", "new"}, {"good", "runs"})
    everything = await commands.triggers.fire(EVENT, ALICE)
    assert ({*everything.tasks}, everything.kept) == ({*names, "new"}, ())


async def test_a_success_of_an_older_boot_or_definition_counts_for_nothing(
    commands: Commands, store: MemoryStore
) -> None:
    names = ("old", "changed", "same")
    await commands.file.apply(a_file(*(task_entry(name, triggered_by=[EVENT]) for name in names)), ALICE)
    fired = await commands.triggers.fire(EVENT, ALICE)
    old, *_ = [await finish(store, id_) for id_ in fired.firing.executions]
    await put(store, replace(old, boot=BootMark("the one before")))
    changed = task_entry("changed", command="make more", triggered_by=[EVENT])
    await commands.file.apply(a_file(changed), ALICE)
    assert await fire_again(commands) == ({"old", "changed"}, {"same"})


async def test_one_that_succeeded_and_then_failed_by_hand_has_succeeded(
    commands: Commands, store: MemoryStore
) -> None:
    await commands.file.apply(a_file(task_entry("build", triggered_by=[EVENT])), ALICE)
    fired = await commands.triggers.fire(EVENT, ALICE)
    done = await finish(store, fired.firing.executions[0])
    by_hand = await commands.executions.start_task(done.task_id, ALICE)
    await finish(store, by_hand.id, ExecutionPhase.FAILED)
    assert await fire_again(commands) == (set(), {"build"})
    kept = (await commands.triggers.fire(EVENT, ALICE, keep=True)).kept[0].record
    assert isinstance(kept, Execution)
    assert kept.id == done.id, "the one that makes another needless"


async def test_services(commands: Commands, store: MemoryStore, clock: VirtualClock) -> None:
    """Up, on its way, or ended by itself and well: left alone. Failed or stopped by somebody: started."""
    names = ("up", "pending", "ended", "failed", "stopped", "reboot")
    await commands.file.apply(a_file(*(service_entry(name, triggered_by=[EVENT]) for name in names)), ALICE)
    await commands.triggers.fire(EVENT, ALICE)
    for name in ("up", "stopped"):
        await bring_up(store, name)
    await let_end(store, "failed", code=3)
    for name in ("ended", "reboot"):
        ended = await let_end(store, name)
        boot = BootMark(clock.boot_mark()) if name == "ended" else BootMark("the one before")
        assert ended.run is not None
        await put(store, replace(ended, run=replace(ended.run, boot=boot)))
    await commands.services.stop(service_of(store, "stopped").id, ALICE)
    session = service_of(store, "up").spec.session
    assert await fire_again(commands) == ({"failed", "stopped", "reboot"}, {"up", "pending", "ended"})
    assert service_of(store, "up").spec.session == session
    assert service_of(store, "stopped").spec.desired_phase is ServicePhase.RUNNING


async def test_a_service_that_ended_with_the_agent_did_not_end_by_itself(
    commands: Commands, store: MemoryStore, clock: VirtualClock
) -> None:
    """The agent's own stop, and a reboot, leave the wish RUNNING; a code of 0 counts only before the stop."""
    asked = {
        "obeyed": Down(Instant(1.0)),
        "forced": Down(Instant(1.0), force=True),
        "ended-before": Down(Instant(1.0), too_late=True),
    }
    names = (*asked, "never-begun")
    await commands.file.apply(a_file(*(service_entry(name, triggered_by=[EVENT]) for name in names)), ALICE)
    await commands.triggers.fire(EVENT, ALICE)
    boot = BootMark(clock.boot_mark())
    for name, course in asked.items():
        ended = await let_end(store, name)
        assert ended.run is not None
        await put(store, replace(ended, run=replace(ended.run, boot=boot, course=course)))
    pending = service_of(store, "never-begun")
    await put(store, replace(pending, run=service_rules.rebooted(pending, boot)))
    assert {each.status.phase for each in store.services()} == {ServicePhase.STOPPED}
    assert {each.spec.desired_phase for each in store.services()} == {ServicePhase.RUNNING}
    assert await fire_again(commands) == ({"obeyed", "forced", "never-begun"}, {"ended-before"})


async def test_a_dry_run_tells_the_same_and_starts_nothing(commands: Commands, store: MemoryStore) -> None:
    await commands.file.apply(a_file(task_entry("a", triggered_by=[EVENT])), ALICE)
    told = await commands.triggers.fire(EVENT, ALICE, keep=True, dry_run=True)
    assert (told.tasks, told.kept) == (("a",), ())
    fired = await commands.triggers.fire(EVENT, ALICE)
    await finish(store, fired.firing.executions[0])
    told = await commands.triggers.fire(EVENT, ALICE, keep=True, dry_run=True)
    assert (told.tasks, [each.reference for each in told.kept]) == ((), ["a"])
