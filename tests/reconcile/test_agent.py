"""The agent's comings and goings: restart, recovery, reboot, bringing all down (rules 6.6, 7.1, 7.2)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from runner_agent.core.decisions import Begin
from runner_agent.core.facts import Promised
from runner_agent.executors.scripted import ScriptedExecutor
from runner_agent.kit.virtual import virtual_time
from runner_agent.model.errors import ResourceExhausted, Unavailable
from runner_agent.model.ids import BootMark, Instant, RunId
from runner_agent.model.phases import ExecutionPhase, RunRole, ServicePhase
from runner_agent.model.records import Key, Kind
from runner_agent.model.runs import Handle
from runner_agent.reconcile.machines import ServiceMachine
from runner_agent.reconcile.mode import Mode
from runner_agent.reconcile.notes import Notes
from runner_agent.store.memory import MemoryStore
from tests.support.world import Scene, scene

STUBBORN = "trap '' TERM; sleep infinity"


@virtual_time
async def test_a_restart_leaves_every_run_alone(tmp_path: Path) -> None:
    """Rule 7.2: RUNNING stays RUNNING and `ready` is not run again (rule 3.3)."""
    async with scene(tmp_path) as it:
        await it.service("web", "sleep infinity", ready="true")
        await it.start("web")
        await it.until_phase("web", ServicePhase.RUNNING)
        await it.task("build", "sleep 100")
        (build,) = await it.execute("build")
        await it.at(5)
        before = len(it.world.transcript)
        await it.restarted(after=10)
        await it.at(50)
        assert it.world.lines()[before:] == []
        assert await it.ended(build) == [ExecutionPhase.SUCCEEDED]
        assert it.world.lines()[-1] == "t=100.000 build-1 SUCCEEDED"


@virtual_time
async def test_what_ended_meanwhile_is_learned_on_return(tmp_path: Path) -> None:
    """Rule 7.2: with its exit code and its last line."""
    async with scene(tmp_path) as it:
        await it.task("build", "sleep 5; echo alas; exit 9")
        (build,) = await it.execute("build")
        await it.at(1)
        await it.restarted(after=60)
        assert await it.ended(build) == [ExecutionPhase.FAILED]
        assert it.world.lines()[-1] == (
            't=61.000 build-1 FAILED: step "build" failed: build exited with code 9; last line: alas'
        )


@virtual_time
async def test_a_stop_command_that_finished_in_time_has_finished_in_time(tmp_path: Path) -> None:
    """Rules 3.8, 7.2: though nobody was there to see it until after the deadline."""
    async with scene(tmp_path) as it:
        await it.service("web", STUBBORN, stop="sleep 2")
        await it.start("web")
        await it.at(5)
        await it.stop("web")
        await it.at(6)
        await it.restarted(after=600)
        await it.until_phase("web", ServicePhase.STOPPED)
        assert it.world.lines()[-4:] == [
            "t=606.050 kill web/start",
            "t=606.050 web/start was killed by SIGKILL",
            "t=606.050 web/start gone",
            "t=606.050 web STOPPED",
        ]
        assert it.seen("web").status.failure_message == ""


@virtual_time
async def test_sigterm_comes_first_though_the_agent_was_away_for_longer(tmp_path: Path) -> None:
    """Rule 3.8: no SIGKILL before its deadline, which begins with the SIGTERM."""
    async with scene(tmp_path) as it:
        await it.service("web", STUBBORN)
        await it.start("web")
        await it.at(5)
        await it.agents[-1].dies()
        await it.stop("web")
        await it.at(600)
        await it.agent()
        await it.until_phase("web", ServicePhase.STOPPED)
        assert it.world.lines()[3:] == [
            "t=600.050 web STOPPING",
            "t=600.050 terminate web/start",
            "t=720.050 kill web/start",
            "t=720.050 web/start was killed by SIGKILL",
            "t=720.050 web/start gone",
            "t=720.050 web STOPPED",
        ]


@virtual_time
async def test_a_deadline_goes_on_while_the_agent_is_away(tmp_path: Path) -> None:
    """Rule 3.7: it is an instant, not a timer."""
    async with scene(tmp_path) as it:
        await it.service("web", STUBBORN)
        await it.start("web")
        await it.at(5)
        await it.stop("web")
        await it.at(60)
        await it.restarted(after=30)
        await it.until_phase("web", ServicePhase.STOPPED)
        assert it.world.lines()[-4] == "t=125.000 kill web/start"


@virtual_time
async def test_recovery_is_complete_when_every_run_is_taken_up(tmp_path: Path) -> None:
    """Rule 7.5: what ended meanwhile is told by then."""
    async with scene(tmp_path) as it:
        await it.service("web", "sleep infinity")
        await it.start("web")
        await it.service("gone", "sleep 10; exit 1")
        await it.start("gone")
        await it.at(5)
        agent = await it.restarted(after=60)
        await agent.reconciler.recovered()
        assert it.phase("web") is ServicePhase.RUNNING
        assert it.phase("gone") is ServicePhase.FAILED
        assert it.clock.now() - (it.world.began or 0) < 66


@virtual_time
async def test_what_ended_while_the_agent_was_away_ended_then(tmp_path: Path) -> None:
    """Rule 4.8: as its holder has written down; what nobody has written down, when the agent came back."""
    async with scene(tmp_path) as it:
        await it.service("web", "sleep 18")
        await it.service("late", "sleep 19", ready="sleep 16")
        await it.service("waited-for", "sleep 17; exit 1", ready="sleep 2; false")
        await it.service("lost", "sleep infinity")
        for reference in ("web", "late", "lost"):
            await it.start(reference)
        await it.task("good", "sleep 14")
        await it.task("bad", "sleep 13; exit 3")
        await it.task("needs", "true", "waited-for")
        await it.task("leaves", "(trap '' TERM; sleep 5; trap '' TERM; sleep 5) & sleep 12")
        executions = await it.execute("good", "bad", "needs", "leaves")
        begun = {one: it.execution(one).created_at for one in executions}
        await it.at(10)
        await it.agents[-1].dies()
        await it.at(15)
        it.world.lose(next(id_ for id_, run in it.world.runs.items() if run.name == "lost/start"))
        await it.at(30)
        await it.agent()
        await it.ended(*executions)
        took = [it.execution(one).completed_at for one in executions]
        assert [
            round((at - begun[one]).total_seconds(), 3)
            for one, at in zip(executions, took, strict=True)
            if at
        ] == [14, 13, 17, 12]
        await it.until_phase("lost", ServicePhase.FAILED)
        assert {name: _since(it, name) for name in ("web", "late", "waited-for", "lost")} == {
            "web": 18,
            "late": 19,
            "waited-for": 17,
            "lost": 30,
        }


@virtual_time
async def test_what_an_ended_command_left_lasts_longer_than_it(tmp_path: Path) -> None:
    """Rule 3.9: there is no end before that is gone, and that nobody has written down."""
    async with scene(tmp_path) as it:
        await it.service("web", "(trap '' TERM; sleep infinity) & sleep 3")
        await it.start("web")
        await it.at(2)
        await it.restarted(after=4)
        await it.until_phase("web", ServicePhase.STOPPING)
        assert _since(it, "web") == 3
        await it.until_phase("web", ServicePhase.STOPPED)
        assert _since(it, "web") == 13


def _since(it: Scene, reference: str) -> float:
    """Seconds of the scene at which it came into its phase, to a tenth."""
    since = it.seen(reference).phase_since
    assert since is not None
    return round(since.at - (it.world.began or 0), 1)


@virtual_time
async def test_recovery_of_nothing_is_complete_at_once(tmp_path: Path) -> None:
    """Rule 7.5."""
    async with scene(tmp_path) as it:
        await it.agents[-1].reconciler.recovered()
        assert it.clock.now() == it.world.began


@virtual_time
async def test_a_run_that_no_record_knows_is_ended(tmp_path: Path) -> None:
    """Rule 7.2: none is forgotten, not even by a state that was lost."""
    async with scene(tmp_path) as it:
        await it.service("web", "sleep infinity")
        await it.start("web")
        await it.at(5)
        await it.agents[-1].dies()
        it.store = MemoryStore()
        await it.agent()
        await it.at(6)
        assert it.world.lines()[-3:] == [
            "t=5.000 kill web/start",
            "t=5.000 web/start was killed by SIGKILL",
            "t=5.000 web/start gone",
        ]
        assert it.orphans() == []


@virtual_time
async def test_an_executor_that_cannot_be_asked_does_not_end_the_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 7.5: what cannot be surveyed now is cleared away at another start."""

    async def away(_: ScriptedExecutor) -> tuple[Handle, ...]:
        raise Unavailable("the engine is away")

    monkeypatch.setattr(ScriptedExecutor, "survey", away)
    async with scene(tmp_path) as it:
        await it.service("web", "sleep infinity")
        await it.start("web")
        await it.until_phase("web", ServicePhase.RUNNING)
        await it.restarted()
        await it.at(5)
        await it.stop("web")
        await it.until_phase("web", ServicePhase.STOPPED)
        assert not it.agents[-1].task.done()


@virtual_time
async def test_a_decision_is_judged_again_in_the_moment_it_is_noted(tmp_path: Path) -> None:
    """Rule 3.10: of a stop and a spawn in one moment the stop wins, and nothing is promised."""
    async with scene(tmp_path, agent=False) as it:
        service = await it.service("web", "sleep infinity")
        await it.start("web")
        boot = BootMark(it.clock.boot_mark())
        machine = ServiceMachine(it.timing, boot, Mode())
        notes = Notes(it.store, it.clock)
        begun = machine.began(it.seen("web"))
        promise = Promised(RunRole.START, RunId("run-1"), Instant(it.clock.now()))
        key = Key(Kind.SERVICE, service)
        _, written = await asyncio.gather(
            it.stop("web"), notes.write(machine, key, begun, promise, asked=Begin())
        )
        assert not written
        assert it.seen("web").run is None


@virtual_time
async def test_a_reboot_ends_every_run_and_replays_nothing(tmp_path: Path) -> None:
    """Rule 6.6: neither what ran, nor what was wished for and had not begun."""
    async with scene(tmp_path) as it:
        await it.service("web", "sleep infinity")
        await it.service("db", "sleep infinity")
        await it.start("web")
        await it.task("install", "sleep 100")
        await it.task("build", "true", "install")
        (running,) = await it.execute("build")
        await it.at(5)
        await it.agents[-1].dies()
        (pending,) = await it.execute("build")
        await it.start("db")
        it.world.reboot()
        it.clock.reboot(it.clock.now())
        before = len(it.world.transcript)
        await it.agent()
        assert await it.ended(running, pending) == [ExecutionPhase.FAILED, ExecutionPhase.FAILED]
        await it.at(1000)
        assert sorted(line.partition(" ")[2] for line in it.world.lines()[before:]) == [
            "build-1 FAILED: the machine restarted",
            "build-2 FAILED: the machine restarted",
            "web STOPPED",
        ]
        assert it.steps(running) == {"install": "FAILED"}
        assert it.steps(pending) == {}
        assert it.phase("db") is ServicePhase.STOPPED
        await it.start("web")
        await it.until_phase("web", ServicePhase.RUNNING)


@virtual_time
async def test_going_down_brings_everything_down_side_by_side(tmp_path: Path) -> None:
    """Rule 7.1: by their ladders; the wishes stay as they are."""
    async with scene(tmp_path) as it:
        await it.service("web", "trap 'sleep 3; exit 0' TERM; sleep infinity")
        await it.service("db", "sleep infinity", stop="sleep 5")
        await it.start("web")
        await it.start("db")
        await it.task("install", STUBBORN)
        await it.task("build", "true", "install")
        (build,) = await it.execute("build")
        await it.at(5)
        before = len(it.world.transcript)
        await it.agents[-1].reconciler.bring_down(now=False)
        it.world.say("down")
        assert sorted(it.world.lines()[before:]) == sorted(
            [
                "t=5.000 web STOPPING",
                "t=5.000 terminate web/start",
                "t=5.000 db STOPPING",
                "t=5.000 linger db/start",
                "t=5.000 start db/stop",
                "t=5.000 terminate install/task",
                "t=8.000 web/start exited with code 0",
                "t=8.000 web/start gone",
                "t=8.000 web STOPPED",
                "t=10.000 db/stop exited with code 0",
                "t=10.000 db/stop gone",
                "t=10.000 kill db/start",
                "t=10.000 db/start was killed by SIGKILL",
                "t=10.000 db/start gone",
                "t=10.000 db STOPPED",
                "t=125.000 kill install/task",
                "t=125.000 install/task was killed by SIGKILL",
                "t=125.000 install/task gone",
                "t=125.000 build-1 STOPPED",
                "t=125.000 down",
            ]
        )
        assert it.execution(build).status.phase is ExecutionPhase.STOPPED
        assert it.seen("web").spec.desired_phase is ServicePhase.RUNNING


@virtual_time
async def test_a_second_request_hastens(tmp_path: Path) -> None:
    """Rule 7.1: SIGKILL to all, stop commands included."""
    async with scene(tmp_path) as it:
        await it.service("web", STUBBORN)
        await it.service("db", STUBBORN, stop="sleep 60")
        await it.start("web")
        await it.start("db")
        await it.task("build", STUBBORN)
        await it.execute("build")
        await it.at(5)
        reconciler = it.agents[-1].reconciler
        first = asyncio.ensure_future(reconciler.bring_down(now=False))
        await it.at(10)
        await reconciler.bring_down(now=True)
        await first
        assert it.clock.now() - (it.world.began or 0) == pytest.approx(10)
        assert it.unfinished() == []
        killed = {line.partition(" ")[2] for line in it.world.lines(of="kill ")}
        assert killed == {"kill web/start", "kill db/start", "kill db/stop", "kill build/task"}


@virtual_time
async def test_nothing_to_bring_down_is_done_at_once(tmp_path: Path) -> None:
    """Rule 7.1."""
    async with scene(tmp_path) as it:
        await it.service("web", "sleep infinity")
        await it.agents[-1].reconciler.bring_down(now=False)
        assert it.clock.now() == it.world.began


@virtual_time
async def test_nothing_is_begun_while_going_down(tmp_path: Path) -> None:
    """Rule 7.1: neither the next probe, nor the next group, nor a wish that comes too late."""
    async with scene(tmp_path) as it:
        await it.service("web", "trap 'sleep 30; exit 0' TERM; sleep infinity", ready="sleep 2; false")
        await it.service("db", "sleep infinity")
        await it.start("web")
        await it.task("install", "trap 'sleep 10; exit 0' TERM; sleep infinity")
        await it.task("build", "true", "install")
        await it.execute("build")
        await it.at(5)
        down = asyncio.ensure_future(it.agents[-1].reconciler.bring_down(now=False))
        await it.at(6)
        before = len(it.world.transcript)
        await it.start("db")
        await down
        assert [line for line in it.world.lines()[before:] if "start " in line.replace("/start ", "")] == []
        assert it.phase("db") is ServicePhase.STOPPED


@virtual_time
async def test_a_deletion_is_carried_out_while_going_down(tmp_path: Path) -> None:
    """Rules 3.13, 7.1."""
    async with scene(tmp_path) as it:
        await it.service("web", "trap 'sleep 3; exit 0' TERM; sleep infinity")
        await it.start("web")
        await it.at(5)
        await it.delete("web")
        await it.agents[-1].reconciler.bring_down(now=False)
        await it.until_gone("web")


@virtual_time
async def test_going_down_waits_for_a_full_disk(tmp_path: Path) -> None:
    """Rules 7.1, 7.4."""
    async with scene(tmp_path) as it:
        await it.service("web", "sleep infinity")
        await it.start("web")
        await it.task("build", "sleep infinity")
        (build,) = await it.execute("build")
        await it.at(5)
        it.store.refuse(lambda: ResourceExhausted("no space left on device"))
        down = asyncio.ensure_future(it.agents[-1].reconciler.bring_down(now=False))
        await it.at(60)
        assert not down.done()
        it.store.refuse(None)
        await down
        assert it.phase("web") is ServicePhase.STOPPED
        assert it.execution(build).status.phase is ExecutionPhase.STOPPED


@virtual_time
async def test_outputs_are_read_on_from_where_they_were(tmp_path: Path) -> None:
    """Rules 5.3, 7.2: after a restart the last write of a key still wins, and no bad line is told twice."""
    async with scene(tmp_path) as it:
        service = await it.service(
            "web",
            "echo url=old >> $GITPOD_OUTPUT; echo nonsense >> $GITPOD_OUTPUT; sleep infinity",
            ready="sleep 2; echo url=new >> $GITPOD_OUTPUT",
        )
        await it.start("web")
        await it.until_phase("web", ServicePhase.RUNNING)
        await it.at(5)
        await it.restarted(after=1)
        await it.at(10)
        assert it.seen("web").status.output == {"url": "new"}
        assert it.log(Kind.SERVICE, service, RunRole.START).count("is skipped") == 1
