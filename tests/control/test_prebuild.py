"""A prebuild's wishes over a memory store, and its conductor, killed between any two of its steps (rule
6.5).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from runner_agent.control.base import Control, NewId
from runner_agent.control.commands import Commands
from runner_agent.control.prebuild import PrebuildControl
from runner_agent.control.prebuild_record import load, under_way
from runner_agent.core.prebuild import (
    Cleaning,
    End,
    Ending,
    Fire,
    ItemKind,
    Over,
    Prebuild,
    TearingDown,
    Wait,
)
from runner_agent.kit.virtual import VirtualClock
from runner_agent.logs.files import LogFiles
from runner_agent.model.errors import FailedPrecondition, InvalidArgument, NotFound
from runner_agent.model.ids import BootMark
from runner_agent.model.phases import ExecutionPhase, ServicePhase, Trigger
from runner_agent.model.records import Execution, Firing, Service
from runner_agent.store.memory import MemoryStore
from tests.control.scene import (
    ALICE,
    a_file,
    bring_up,
    finish,
    let_end,
    service_entry,
    service_of,
    task_entry,
)

PREBUILD, SNAPSHOT, ENVIRONMENT = Trigger.PREBUILD, Trigger.BEFORE_SNAPSHOT, Trigger.POST_ENVIRONMENT_START


@dataclass(frozen=True, slots=True)
class Scene:
    """An agent's commands, and whatever daemon comes next over the same store."""

    store: MemoryStore
    clock: VirtualClock
    commands: Commands
    logs: LogFiles
    new_id: NewId

    def control(self, *, closed: bool = False) -> PrebuildControl:
        """As a daemon that starts now has it."""
        base = Control(self.store, self.clock, self.new_id)
        return PrebuildControl(base, self.logs, least=300.0, closed=closed)

    def executions(self) -> dict[str, Execution]:
        """By reference."""
        return {one.reference: one for one in self.store.executions()}


@pytest.fixture
async def scene(store: MemoryStore, clock: VirtualClock, commands: Commands, tmp_path: Path) -> Scene:
    """With a service and a task of each event, and one of another."""
    await commands.file.apply(
        a_file(
            service_entry("db", triggered_by=[PREBUILD]),
            service_entry("web", triggered_by=[ENVIRONMENT]),
            task_entry("install", triggered_by=[PREBUILD]),
            task_entry("tidy", triggered_by=[SNAPSHOT]),
            task_entry("greet", triggered_by=[ENVIRONMENT]),
        ),
        ALICE,
    )
    return Scene(store, clock, commands, LogFiles(tmp_path), lambda: str(uuid4()))


async def conduct(scene: Scene, prebuild: Prebuild) -> list[Fire | Wait | End]:
    """One daemon after the other looks, does one thing and dies; the world does its part in between."""
    done: list[Fire | Wait | End] = []
    while True:
        control = scene.control()
        action = control.decide(prebuild)
        done.append(action)
        match action:
            case Fire():
                await control.fire(prebuild, action)
                await scene.control().fire(prebuild, action)  # killed before it could note that
            case Wait():
                for execution in scene.store.live_executions():
                    await finish(scene.store, execution.id)
                if service_of(scene.store, "db").run is None:
                    await bring_up(scene.store, "db")
            case End():
                return done


async def test_rule_6_5_the_road_of_a_prebuild(scene: Scene) -> None:
    """Fire, wait, fire, wait, end; only its own automations, each once, whoever is killed in between."""
    prebuild = await scene.control().begin(600.0, ALICE)
    until = prebuild.deadline
    assert await conduct(scene, prebuild) == [
        Fire(PREBUILD),
        Wait(until),
        Fire(SNAPSHOT),
        Wait(until),
        End(Ending.DONE),
    ]
    assert sorted(one.reference for one in scene.store.executions()) == ["install", "tidy"]
    assert {one.event for one in scene.store.firings(limit=9)} == {PREBUILD, SNAPSHOT}
    assert service_of(scene.store, "web").spec.desired_phase is ServicePhase.STOPPED


async def test_rule_6_5_no_other_trigger_fires_meanwhile(scene: Scene) -> None:
    control = scene.control()
    early = await scene.commands.triggers.fire(ENVIRONMENT, ALICE, once_key="early")
    await control.begin(600.0, ALICE)
    for event in (ENVIRONMENT, PREBUILD, SNAPSHOT, Trigger.POST_MACHINE_START):
        with pytest.raises(FailedPrecondition, match="a prebuild is under way, begun by uid 1000"):
            await scene.commands.triggers.fire(event, ALICE)
    again = await scene.commands.triggers.fire(ENVIRONMENT, ALICE, once_key="early")
    assert (again.repeated, again.firing.id) == (True, early.firing.id), "joining one of before fires nothing"
    assert (await scene.commands.triggers.fire(ENVIRONMENT, ALICE, dry_run=True)).tasks == ("greet",)
    assert [one.event for one in scene.store.firings(limit=9)] == [ENVIRONMENT]


async def test_rule_6_5_the_mode_is_on_record_and_ends_with_the_prebuild(scene: Scene) -> None:
    """A daemon that comes after a crash is in it; one of another boot is not."""
    control = scene.control()
    assert control.user_scope_open()
    assert control.fires_by_itself()
    prebuild = await control.begin(600.0, ALICE)
    for daemon in (control, scene.control()):
        assert not daemon.user_scope_open()
        assert not daemon.fires_by_itself()
    with pytest.raises(FailedPrecondition, match="--cancel"):
        await scene.control().begin(600.0, ALICE)
    stopping = await control.end(prebuild, Ending.DONE, "the end")
    assert not scene.control().user_scope_open(), "closed until nothing runs any more"
    assert isinstance(stopping.stage, TearingDown)
    await control.move(stopping, Over(control.report(stopping, stopping.stage)))
    assert scene.control().user_scope_open()
    assert not scene.control().fires_by_itself(), "the image is yet to be made"
    assert (await scene.control().begin(600.0, ALICE)).id != prebuild.id


async def test_rule_6_6_a_prebuild_of_another_boot_is_over(scene: Scene) -> None:
    """A machine that restarted, or one made from an image that was taken too early."""
    await scene.control().begin(600.0, ALICE)
    scene.clock.reboot()
    later = scene.control()
    assert later.latest() is None
    assert later.user_scope_open()
    assert later.fires_by_itself()
    assert under_way(scene.store, BootMark(scene.clock.boot_mark())) is None
    await later.forget()
    assert load(scene.store) is None
    assert (await scene.commands.triggers.fire(ENVIRONMENT, ALICE)).tasks == ("greet",)


async def test_a_daemon_made_for_prebuilds_alone(scene: Scene) -> None:
    """The setting `prebuild`."""
    control = scene.control(closed=True)
    assert not control.user_scope_open()
    assert not control.fires_by_itself()


@pytest.mark.parametrize("limit", [299.9, 7200.1, 0.0, -1.0, float("nan"), float("inf")])
async def test_rule_6_5_time_limits_are_5_minutes_to_2_hours(scene: Scene, limit: float) -> None:
    with pytest.raises(InvalidArgument, match="must be 300 s to 7200 s"):
        await scene.control().begin(limit, ALICE)
    assert load(scene.store) is None


async def test_rule_6_5_out_of_time(scene: Scene) -> None:
    """beforeSnapshot is not fired; what runs is stopped by it."""
    control = scene.control()
    prebuild = await control.begin(600.0, ALICE)
    await control.fire(prebuild, Fire(PREBUILD))
    scene.clock.advance(600.0)
    assert scene.control().decide(prebuild) == End(Ending.TIMED_OUT)
    stopping = await control.end(prebuild, Ending.TIMED_OUT, "the prebuild's time limit")
    await control.stop_all("the prebuild's time limit")
    install = scene.executions()["install"]
    assert install.desired_phase is ExecutionPhase.STOPPED
    assert install.cause.by == "the prebuild's time limit"
    assert service_of(scene.store, "db").spec.desired_phase is ServicePhase.STOPPED
    await finish(scene.store, install.id, ExecutionPhase.STOPPED)
    assert isinstance(stopping.stage, TearingDown)
    assert control.report(stopping, stopping.stage).exit_code == 3
    assert set(control.firings(prebuild)) == {PREBUILD}


async def test_rule_6_5_a_task_that_could_not_be_started_is_told(scene: Scene) -> None:
    """What was being deleted when the event fired: nobody is left in the dark about it."""
    needs = task_entry("build", depends_on=["web"], triggered_by=[PREBUILD])
    await scene.commands.file.apply(a_file(needs), ALICE)
    await scene.commands.services.delete(service_of(scene.store, "web").id, ALICE)
    scene.clock.advance(1.0)
    control = scene.control()
    prebuild = await control.begin(600.0, ALICE)
    await control.fire(prebuild, Fire(PREBUILD))
    found = {item.reference: item for item in control.items(prebuild)}
    assert found["build"].phase == "FAILED"
    assert "could not be started" in found["build"].message


async def test_cancelling_is_idempotent_and_names_who(scene: Scene) -> None:
    control = scene.control()
    with pytest.raises(NotFound):
        await control.cancel("", ALICE)
    prebuild = await control.begin(600.0, ALICE)
    with pytest.raises(NotFound):
        await control.cancel("0199a000-0000-7000-8000-000000000009", ALICE)
    first = await control.cancel(prebuild.id, ALICE)
    assert isinstance(first.stage, TearingDown)
    assert (first.stage.ending, first.stage.by, first.stage.quickly) == (Ending.CANCELLED, ALICE.by, False)
    scene.clock.advance(5.0)
    again = await control.cancel(prebuild.id, ALICE)
    assert again == first
    quick = await control.cancel("", ALICE, now=True)
    assert isinstance(quick.stage, TearingDown)
    assert (quick.stage.quickly, quick.stage.at) == (True, first.stage.at)
    over = await control.move(quick, Over(control.report(quick, quick.stage)))
    assert await control.cancel(prebuild.id, ALICE) == over


async def test_rule_6_5_what_must_not_be_cloned_goes_and_what_ran_stays(scene: Scene) -> None:
    control = scene.control()
    prebuild = await control.begin(600.0, ALICE)
    await conduct(scene, prebuild)
    stopping = await control.end(prebuild, Ending.DONE, "the end")
    await control.stop_all("the end")
    await let_end(scene.store, "db")
    assert isinstance(stopping.stage, TearingDown)
    report = control.report(stopping, stopping.stage)
    for _ in range(2):  # a daemon that was killed does it again
        await control.forget_runs()
        await scene.store.seal()
    await control.move(stopping, Cleaning(report))
    assert scene.store.firings(limit=9) == []
    assert list(scene.store.timeline(limit=9)) == []
    db = service_of(scene.store, "db")
    assert (db.run, db.spec.session, db.status.phase) == (None, "", ServicePhase.STOPPED)
    assert {one.reference: one.status.phase for one in scene.store.executions()} == {
        "install": ExecutionPhase.SUCCEEDED,
        "tidy": ExecutionPhase.SUCCEEDED,
    }
    kinds = {item.reference: (item.kind, item.event, item.phase) for item in report.items}
    assert kinds["db"] == (ItemKind.SERVICE, "prebuild", "RUNNING"), "as it was before it was stopped"
    assert {name: event for name, (_, event, _) in kinds.items()} == {
        "db": "prebuild",
        "install": "prebuild",
        "tidy": "beforeSnapshot",
    }


async def test_rule_6_2_a_shared_run_is_one_item(scene: Scene) -> None:
    await scene.commands.file.apply(
        a_file(
            task_entry("one", depends_on=["install"], triggered_by=[PREBUILD]),
            task_entry("two", depends_on=["install"], triggered_by=[PREBUILD]),
        ),
        ALICE,
    )
    control = scene.control()
    prebuild = await control.begin(600.0, ALICE)
    await control.fire(prebuild, Fire(PREBUILD))
    items = control.items(prebuild)
    assert [item.reference for item in items] == ["db", "install", "one", "two"]
    (install,) = (item for item in items if item.reference == "install")
    assert set(install.executions) == {one.id for one in scene.executions().values()}


async def test_many_ask_for_a_prebuild_at_once_and_one_gets_it(scene: Scene) -> None:
    control = scene.control()
    answers = await asyncio.gather(*(control.begin(600.0, ALICE) for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(one, Prebuild) for one in answers) == 1
    assert scene.store.get(Service, "nothing") is None
    assert scene.store.get(Firing, "nothing") is None
