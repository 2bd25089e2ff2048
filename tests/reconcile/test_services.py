"""Services, as transcripts: what is wished for, what is done about it, and when (rules 3.1 to 3.14)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from runner_agent.kit.virtual import virtual_time
from runner_agent.model.ids import Reference
from runner_agent.model.phases import RunRole, ServicePhase
from runner_agent.model.records import Kind, Service
from runner_agent.model.specs import Launch, ServiceCommands
from runner_agent.store.base import Transaction
from tests.support.world import scene

RUNNING, STOPPED, FAILED = ServicePhase.RUNNING, ServicePhase.STOPPED, ServicePhase.FAILED
STUBBORN = "trap '' TERM; sleep infinity"

UP = ["t=0.000 web STARTING", "t=0.000 start web/start", "t=0.000 web RUNNING"]


@virtual_time
async def test_without_ready_it_runs_once_its_process_exists(tmp_path: Path) -> None:
    """Rules 3.2, 3.7."""
    async with scene(tmp_path) as it:
        await it.service("web", "sleep infinity")
        await it.start("web")
        await it.at(5)
        await it.stop("web")
        await it.until_phase("web", STOPPED)
        assert it.world.lines() == [
            *UP,
            "t=5.000 web STOPPING",
            "t=5.000 terminate web/start",
            "t=5.000 web/start was killed by SIGTERM",
            "t=5.000 web/start gone",
            "t=5.000 web STOPPED",
        ]


@virtual_time
async def test_sigkill_comes_two_minutes_after_sigterm(tmp_path: Path) -> None:
    """Rule 3.7: and the end is STOPPED, whatever the exit code."""
    async with scene(tmp_path) as it:
        await it.service("web", STUBBORN)
        await it.start("web")
        await it.at(5)
        await it.stop("web")
        await it.until_phase("web", STOPPED)
        assert it.world.lines()[3:] == [
            "t=5.000 web STOPPING",
            "t=5.000 terminate web/start",
            "t=125.000 kill web/start",
            "t=125.000 web/start was killed by SIGKILL",
            "t=125.000 web/start gone",
            "t=125.000 web STOPPED",
        ]


@virtual_time
async def test_leftovers_of_a_stopped_start_never_outlast_the_two_minutes(tmp_path: Path) -> None:
    """Rule 3.7: ten seconds after start is gone, but no later than the deadline."""
    async with scene(tmp_path) as it:
        await it.service(
            "web", "(trap '' TERM; sleep infinity) & trap 'sleep 115; exit 0' TERM; sleep infinity"
        )
        await it.start("web")
        await it.at(5)
        await it.stop("web")
        await it.until_phase("web", STOPPED)
        assert it.world.lines()[4:] == [
            "t=5.000 terminate web/start",
            "t=120.000 web/start exited with code 0",
            "t=120.000 web/start left 1 behind",
            "t=125.000 kill web/start",
            "t=125.000 web/start gone",
            "t=125.000 web STOPPED",
        ]


@virtual_time
async def test_ready_is_tried_again_a_second_after_each_failure(tmp_path: Path) -> None:
    """Rules 3.2, 3.3: and never after RUNNING."""
    async with scene(tmp_path) as it:
        await it.service("web", "sleep 2.8; touch up; sleep infinity", ready="sleep 0.5; test -e up")
        await it.start("web")
        await it.until_phase("web", RUNNING)
        await it.at(600)
        assert it.world.lines() == [
            "t=0.000 web STARTING",
            "t=0.000 start web/start",
            "t=0.000 start web/ready",
            "t=0.500 web/ready exited with code 1",
            "t=0.500 web/ready gone",
            "t=1.500 start web/ready",
            "t=2.000 web/ready exited with code 1",
            "t=2.000 web/ready gone",
            "t=3.000 start web/ready",
            "t=3.500 web/ready exited with code 0",
            "t=3.500 web/ready gone",
            "t=3.500 web RUNNING",
        ]


@virtual_time
async def test_a_probe_that_hangs_is_killed_with_the_service_when_time_is_up(tmp_path: Path) -> None:
    """Rules 3.3, 3.4."""
    async with scene(tmp_path) as it:
        await it.service("web", "sleep infinity", ready="echo so far; " + STUBBORN, timeout=2.5)
        await it.start("web")
        await it.until_phase("web", FAILED)
        assert it.world.lines()[3:] == [
            "t=2.500 web STOPPING: not ready within 2.5 s",
            "t=2.500 kill web/ready",
            "t=2.500 web/ready was killed by SIGKILL",
            "t=2.500 web/ready gone",
            "t=2.500 terminate web/start",
            "t=2.500 web/start was killed by SIGTERM",
            "t=2.500 web/start gone",
            "t=2.500 web STOPPING: not ready within 2.5 s; last line: so far",
            "t=2.500 web FAILED: not ready within 2.5 s; last line: so far",
        ]


@virtual_time
async def test_not_ready_in_time_tells_the_last_line_and_goes_down_the_ladder(tmp_path: Path) -> None:
    """Rule 3.4."""
    async with scene(tmp_path) as it:
        await it.service("web", STUBBORN, ready="echo not yet; false", timeout=1.5)
        await it.start("web")
        await it.until_phase("web", FAILED)
        assert it.world.lines()[-6:] == [
            "t=1.500 web STOPPING: not ready within 1.5 s; last line: not yet",
            "t=1.500 terminate web/start",
            "t=121.500 kill web/start",
            "t=121.500 web/start was killed by SIGKILL",
            "t=121.500 web/start gone",
            "t=121.500 web FAILED: not ready within 1.5 s; last line: not yet",
        ]


@virtual_time
async def test_start_that_exits_fails_after_its_leftovers_are_gone(tmp_path: Path) -> None:
    """Rules 3.5, 3.6: and it is not started again."""
    async with scene(tmp_path) as it:
        await it.service("web", "(trap '' TERM; sleep infinity) & sleep 3; exit 3")
        await it.start("web")
        await it.until_phase("web", FAILED)
        await it.at(1000)
        assert it.world.lines() == [
            *UP,
            "t=3.000 web/start exited with code 3",
            "t=3.000 web/start left 1 behind",
            "t=3.005 web STOPPING: start exited with code 3",
            "t=13.000 web/start leftovers killed",
            "t=13.000 web/start gone",
            "t=13.000 web FAILED: start exited with code 3",
        ]


@virtual_time
async def test_start_that_exits_with_zero_is_stopped(tmp_path: Path) -> None:
    """Rule 3.5; and start again runs a new session (rule 3.6)."""
    async with scene(tmp_path) as it:
        await it.service("web", "sleep 1")
        await it.start("web")
        await it.until_phase("web", RUNNING)
        await it.until_phase("web", STOPPED)
        first = it.seen("web").status.session
        await it.start("web")
        await it.until_phase("web", RUNNING)
        assert it.seen("web").status.session != first
        await it.until_phase("web", STOPPED)
        assert [line for line in it.world.lines() if "start web" in line] == [
            "t=0.000 start web/start",
            "t=1.000 start web/start",
        ]


@virtual_time
async def test_start_that_is_killed_by_someone_else_failed(tmp_path: Path) -> None:
    """Rule 3.5."""
    async with scene(tmp_path) as it:
        await it.service("web", "sleep 1; kill -SEGV $$")
        await it.start("web")
        await it.until_phase("web", FAILED)
        assert it.seen("web").status.failure_message == "start was killed by SIGSEGV"


@virtual_time
async def test_what_cannot_be_started_fails_with_the_reason_in_its_log(tmp_path: Path) -> None:
    """Rule 5.7."""
    async with scene(tmp_path) as it:
        service = await it.service("web", "#: cannot start no such directory\ntrue")
        await it.start("web")
        await it.until_phase("web", FAILED)
        assert it.seen("web").status.failure_message == "start could not be started: no such directory"
        assert "start could not be started: no such directory" in it.log(Kind.SERVICE, service, RunRole.START)


@virtual_time
async def test_a_stop_command_replaces_sigterm(tmp_path: Path) -> None:
    """Rule 3.8: when it exits, the start tree is killed at once."""
    async with scene(tmp_path) as it:
        await it.service("web", "(sleep infinity) & sleep infinity", stop="sleep 2")
        await it.start("web")
        await it.at(5)
        await it.stop("web")
        await it.until_phase("web", STOPPED)
        assert it.world.lines()[3:] == [
            "t=5.000 web STOPPING",
            "t=5.000 linger web/start",
            "t=5.000 start web/stop",
            "t=7.000 web/stop exited with code 0",
            "t=7.000 web/stop gone",
            "t=7.000 kill web/start",
            "t=7.000 web/start was killed by SIGKILL",
            "t=7.000 web/start gone",
            "t=7.000 web STOPPED",
        ]


@virtual_time
async def test_a_stop_command_that_fails_is_told(tmp_path: Path) -> None:
    """Rule 3.8."""
    async with scene(tmp_path) as it:
        await it.service("web", "sleep infinity", stop="sleep 2; exit 4")
        await it.start("web")
        await it.at(5)
        await it.stop("web")
        await it.until_phase("web", FAILED)
        assert it.world.lines()[-1] == "t=7.000 web FAILED: stop exited with code 4"


@virtual_time
async def test_a_stop_command_has_two_minutes(tmp_path: Path) -> None:
    """Rule 3.8: then both trees are killed."""
    async with scene(tmp_path) as it:
        await it.service("web", "sleep infinity", stop=STUBBORN)
        await it.start("web")
        await it.at(5)
        await it.stop("web")
        await it.until_phase("web", FAILED)
        assert it.world.lines()[5:] == [
            "t=5.000 start web/stop",
            "t=125.000 web STOPPING: stop command did not finish within 120 s",
            "t=125.000 kill web/start",
            "t=125.000 web/start was killed by SIGKILL",
            "t=125.000 web/start gone",
            "t=125.000 kill web/stop",
            "t=125.000 web/stop was killed by SIGKILL",
            "t=125.000 web/stop gone",
            "t=125.000 web FAILED: stop command did not finish within 120 s",
        ]


@virtual_time
async def test_a_stop_command_runs_to_its_end_though_start_has_exited(tmp_path: Path) -> None:
    """Rule 3.8: start's leftovers wait for it."""
    async with scene(tmp_path) as it:
        await it.service("web", "(trap '' TERM; sleep infinity) & sleep 6; exit 1", stop="sleep 20")
        await it.start("web")
        await it.at(5)
        await it.stop("web")
        await it.until_phase("web", STOPPED)
        assert it.world.lines()[5:] == [
            "t=5.000 start web/stop",
            "t=6.000 web/start exited with code 1",
            "t=25.000 web/stop exited with code 0",
            "t=25.000 web/stop gone",
            "t=25.000 kill web/start",
            "t=25.000 web/start gone",
            "t=25.000 web STOPPED",
        ]


@virtual_time
async def test_a_stop_command_that_cannot_be_spawned_gives_way_to_sigterm(tmp_path: Path) -> None:
    """Rule 3.8."""
    async with scene(tmp_path) as it:
        await it.service(
            "web", "trap 'sleep 1; exit 0' TERM; sleep infinity", stop="#: cannot start no room\ntrue"
        )
        await it.start("web")
        await it.at(5)
        await it.stop("web")
        await it.until_phase("web", FAILED)
        assert it.world.lines()[5:] == [
            "t=5.000 start web/stop",
            "t=5.000 web STOPPING: stop could not be started: no room",
            "t=5.000 unlinger web/start",
            "t=5.000 terminate web/start",
            "t=6.000 web/start exited with code 0",
            "t=6.000 web/start gone",
            "t=6.000 web FAILED: stop could not be started: no room",
        ]


@virtual_time
async def test_a_stop_command_is_skipped_when_start_had_ended_before(tmp_path: Path) -> None:
    """Rule 3.8."""
    async with scene(tmp_path) as it:
        await it.service("web", "(trap '' TERM; sleep infinity) & sleep 3", stop="sleep 20")
        await it.start("web")
        await it.at(5)
        await it.stop("web")
        await it.until_phase("web", STOPPED)
        assert it.world.lines()[-3:] == [
            "t=13.000 web/start leftovers killed",
            "t=13.000 web/start gone",
            "t=13.000 web STOPPED",
        ]
        assert it.world.lines(of="web/stop") == []


@virtual_time
async def test_what_outlives_sigkill_is_named_and_tried_again(tmp_path: Path) -> None:
    """Rules 3.9, 3.13: with pauses that double; gone is only what is gone."""
    async with scene(tmp_path) as it:
        await it.service("web", "#: unkillable 10\nsleep infinity")
        await it.start("web")
        await it.at(5)
        await it.delete("web", force=True)
        await it.until_gone("web")
        assert it.world.lines()[3:] == [
            "t=5.000 web STOPPING",
            "t=5.000 kill web/start",
            "t=5.500 kill web/start",
            "t=5.500 web STOPPING: processes that outlive SIGKILL: 100 (web start); still trying",
            "t=6.500 kill web/start",
            "t=8.500 kill web/start",
            "t=12.500 kill web/start",
            "t=15.000 web/start was killed by SIGKILL",
            "t=15.000 web/start gone",
            "t=15.000 web STOPPED",
            "t=15.000 web DELETED",
        ]


@virtual_time
async def test_start_while_stopping_runs_a_new_session_after(tmp_path: Path) -> None:
    """Rule 3.10; a start of what runs is a no-op (rule 3.6)."""
    async with scene(tmp_path) as it:
        await it.service("web", "trap 'sleep 3; exit 0' TERM; sleep infinity")
        await it.start("web")
        await it.at(5)
        await it.stop("web")
        await it.at(6)
        await it.start("web")
        await it.at(20)
        await it.start("web")
        await it.at(30)
        assert it.world.lines()[3:] == [
            "t=5.000 web STOPPING",
            "t=5.000 terminate web/start",
            "t=8.000 web/start exited with code 0",
            "t=8.000 web/start gone",
            "t=8.000 web STOPPED",
            "t=8.000 web STARTING",
            "t=8.000 start web/start",
            "t=8.000 web RUNNING",
        ]


@virtual_time
async def test_the_last_wish_wins(tmp_path: Path) -> None:
    """Rule 3.10: a restart that is taken back while the old session goes down."""
    async with scene(tmp_path) as it:
        await it.service("web", "trap 'sleep 3; exit 0' TERM; sleep infinity")
        await it.start("web")
        await it.at(5)
        await it.stop("web")
        await it.at(6)
        await it.start("web")
        await it.at(7)
        await it.stop("web")
        await it.at(100)
        assert it.world.lines()[-1] == "t=8.000 web STOPPED"


@virtual_time
async def test_stop_while_starting_kills_the_probe_and_terminates_start(tmp_path: Path) -> None:
    """Rule 3.10."""
    async with scene(tmp_path) as it:
        await it.service("web", "sleep infinity", ready="sleep 30; false")
        await it.start("web")
        await it.at(5)
        await it.stop("web")
        await it.until_phase("web", STOPPED)
        assert it.world.lines()[3:] == [
            "t=5.000 web STOPPING",
            "t=5.000 kill web/ready",
            "t=5.000 web/ready was killed by SIGKILL",
            "t=5.000 web/ready gone",
            "t=5.000 terminate web/start",
            "t=5.000 web/start was killed by SIGTERM",
            "t=5.000 web/start gone",
            "t=5.000 web STOPPED",
        ]


@virtual_time
async def test_stop_while_preparing_gives_up_what_was_prepared(tmp_path: Path) -> None:
    """Rule 3.10: an image that is being pulled for nobody is not waited for."""
    async with scene(tmp_path) as it:
        await it.service("web", "#: prepare 600\nsleep infinity")
        await it.start("web")
        await it.at(5)
        await it.stop("web")
        await it.until_phase("web", STOPPED)
        await it.at(1000)
        assert it.world.lines() == [
            "t=0.000 web STARTING",
            "t=0.000 prepare web/start",
            "t=5.000 web STOPPING",
            "t=5.000 web STOPPED",
        ]
        assert it.seen("web").status.failure_message == ""


@virtual_time
async def test_force_upgrades_a_stop_and_a_delete_under_way(tmp_path: Path) -> None:
    """Rule 3.13."""
    async with scene(tmp_path) as it:
        await it.service("web", STUBBORN, stop="sleep 30")
        await it.start("web")
        await it.at(5)
        await it.stop("web")
        await it.at(7)
        await it.delete("web")
        await it.at(8)
        await it.delete("web", force=True)
        await it.until_gone("web")
        assert it.world.lines()[5:] == [
            "t=5.000 start web/stop",
            "t=8.000 kill web/stop",
            "t=8.000 web/stop was killed by SIGKILL",
            "t=8.000 web/stop gone",
            "t=8.000 kill web/start",
            "t=8.000 web/start was killed by SIGKILL",
            "t=8.000 web/start gone",
            "t=8.000 web STOPPED",
            "t=8.000 web DELETED",
        ]


@virtual_time
async def test_deleting_takes_the_logs_along(tmp_path: Path) -> None:
    """Rule 3.13."""
    async with scene(tmp_path) as it:
        service = await it.service("web", "echo hello; sleep infinity")
        await it.start("web")
        await it.until_phase("web", RUNNING)
        await it.at(1)
        assert "hello" in it.log(Kind.SERVICE, service, RunRole.START)
        await it.delete("web")
        await it.until_gone("web")
        await it.at(2)
        assert it.log(Kind.SERVICE, service, RunRole.START) == ""


@virtual_time
async def test_a_live_run_keeps_the_spec_it_started_with(tmp_path: Path) -> None:
    """Rule 2.7: its stop command included."""
    async with scene(tmp_path) as it:
        service = await it.service("web", "echo old; sleep infinity", stop="echo old stop")
        await it.start("web")
        await it.at(1)
        await it.respecify("web", "echo new; sleep infinity")
        await it.at(2)
        await it.stop("web")
        await it.until_phase("web", STOPPED)
        await it.start("web")
        await it.until_phase("web", RUNNING)
        await it.at(5)
        assert "old stop" in it.log(Kind.SERVICE, service, RunRole.STOP)
        start = it.log(Kind.SERVICE, service, RunRole.START)
        assert start.index("old") < start.index("new")
        assert len(it.world.lines(of="start web/stop")) == 1


@virtual_time
async def test_outputs_of_all_roles_are_published_while_they_run(tmp_path: Path) -> None:
    """Rule 5.3: within half a second, no later than the phase they precede, and cleared at a new session."""
    async with scene(tmp_path) as it:
        await it.service(
            "web",
            "echo url=one >> $GITPOD_OUTPUT; sleep 10; echo url=two >> $GITPOD_OUTPUT; sleep infinity",
            ready="sleep 1; echo checked=yes >> $GITPOD_OUTPUT",
            stop="echo url= >> $GITPOD_OUTPUT",
        )
        await it.start("web")
        await it.at(0.5)
        assert it.seen("web").status.output == {"url": "one"}
        await it.until_phase("web", RUNNING)
        assert it.seen("web").status.output == {"url": "one", "checked": "yes"}
        await it.at(10.5)
        assert it.seen("web").status.output == {"url": "two", "checked": "yes"}
        await it.stop("web")
        await it.until_phase("web", STOPPED)
        assert it.seen("web").status.output == {"checked": "yes"}
        await it.start("web")
        await it.until(lambda: it.phase("web") is ServicePhase.STARTING)
        assert it.seen("web").status.output == {}


@virtual_time
async def test_a_lost_supervisor_is_told_when_nothing_is_left(tmp_path: Path) -> None:
    """Rule 7.4."""
    async with scene(tmp_path) as it:
        await it.service("web", "#: unkillable 7\nsleep infinity")
        await it.start("web")
        await it.at(5)
        it.world.lose(next(iter(it.world.runs)))
        await it.until_phase("web", FAILED)
        assert it.world.lines()[-1] == "t=12.000 web FAILED: supervisor lost"


@virtual_time
async def test_commands_taken_away_before_the_start_are_the_reason(tmp_path: Path) -> None:
    """Rule 2.11: the start was asked for while the session before it was still stopping."""
    async with scene(tmp_path) as it:
        await it.service("web", STUBBORN)
        await it.start("web")
        await it.at(5)
        await it.stop("web")
        await it.start("web")

        def change(tx: Transaction) -> None:
            found = tx.by_reference(Reference("web"))
            assert isinstance(found, Service)
            tx.put(replace(found, spec=replace(found.spec, launch=Launch(ServiceCommands("")))))

        await it.store.write(change, durable=True)
        await it.until_phase("web", FAILED)
        told = it.seen("web").status.failure_message
        assert told == "start could not be started: it has no start command; define its commands.start first"
