"""The service machine on its way down, as transcripts. Rules 3.7 to 3.10, 3.13 and 6.6."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runner_agent.core import wishes
from runner_agent.core.decisions import Begin, Kill, Linger, Note, Remove, Spawn, Terminate
from runner_agent.core.facts import (
    StopAsked,
    StopOverran,
    SurvivorsSeen,
)
from runner_agent.core.timing import Timing
from runner_agent.model.errors import FailedPrecondition
from runner_agent.model.ids import Instant, SessionId
from runner_agent.model.phases import RunRole, ServicePhase
from runner_agent.model.runs import Exited, Lost, Signaled, Survivor
from runner_agent.model.specs import Cause
from tests.support.histories import NOON, SIGKILLED, ServiceStage, a_launch, running, starting

START, READY, STOP = RunRole.START, RunRole.READY, RunRole.STOP
STARTING, RUNNING, STOPPING = ServicePhase.STARTING, ServicePhase.RUNNING, ServicePhase.STOPPING
STOPPED, FAILED, DELETED = ServicePhase.STOPPED, ServicePhase.FAILED, ServicePhase.DELETED
OK, BAD = Exited(0), Exited(1)


def stop_asked(stage: ServiceStage) -> Note:
    return Note(StopAsked(Instant(stage.now)))


# --- 3.7: down by signal


def test_rule_3_7_sigterm_at_once_and_sigkill_at_exactly_120_s() -> None:
    stage = running()
    stage.program(START).shrugs = 3
    assert stage.stop() == [stop_asked(stage), Terminate(START)]
    assert stage.phase is STOPPING
    sent = stage.now
    assert stage.wake() == sent + 120
    stage.now = sent + 119.999
    assert stage.look() == []
    stage.now = sent + 120.0
    assert stage.look() == [Kill(START)]


def test_rule_3_7_ends_stopped_whatever_the_exit_code() -> None:
    for ending in (OK, BAD, Signaled(15), SIGKILLED):
        stage = running()
        stage.stop()
        stage.gone(ending, START)
        assert (stage.phase, stage.message) == (STOPPED, "")


def test_rule_3_7_leftovers_of_a_terminated_start_have_their_own_grace() -> None:
    """Their holder kills them then; from there on so do we, and who outlives it is named (rule 3.9)."""
    stage = running()
    stage.stop()
    stage.after(100)
    stage.ended(Signaled(15), START)
    stage.program(START).shrugs = 1
    assert stage.after(9.999) == []
    assert stage.after(0.001) == [Kill(START)]
    assert stage.phase is STOPPING


def test_rule_3_7_leftovers_of_a_terminated_start_have_that_deadline_too() -> None:
    stage = running()
    stage.stop()
    stage.after(115)
    stage.ended(Signaled(15), START)
    stage.program(START).shrugs = 1
    assert stage.after(4.999) == []
    assert stage.after(0.001) == [Kill(START)]
    assert stage.phase is STOPPING


def test_rule_3_7_the_grace_is_a_setting() -> None:
    stage = ServiceStage(a_launch(), timing=Timing(service_stop_grace=3))
    stage.start()
    stage.spawned(START)
    stage.stop()
    assert stage.after(2.999) == []
    assert stage.after(0.001) == [Kill(START)]


def test_rule_3_8_an_agent_that_was_away_for_the_two_minutes_still_sends_sigterm_first() -> None:
    stage = running()
    stage.record = wishes.stop_service(stage.service, Cause("bob", NOON))
    stage.fold(StopAsked(Instant(stage.now)))
    assert stage.after(500) == [Terminate(START)]
    assert stage.after(119.999) == []
    assert stage.after(0.001) == [Kill(START)]


def test_rule_3_8_after_a_kill_it_looks_again_with_back_off() -> None:
    stage = running()
    stage.program(START).shrugs = 99
    stage.stop()
    stage.after(120)
    pauses: list[float] = []
    for _ in range(9):
        wake = stage.wake()
        assert wake is not None
        pauses.append(wake - stage.now)
        stage.now = wake - 0.001
        assert stage.look() == []
        stage.now = wake
        assert stage.look() == [Kill(START)]
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


# --- 3.8: down by stop command


def test_rule_3_8_stop_runs_instead_of_sigterm_and_its_exit_kills_start_at_once() -> None:
    stage = running(stop="bye")
    assert stage.stop() == [stop_asked(stage), Linger(START, on=True), Spawn(STOP)]
    assert stage.spawned(STOP) == []
    assert stage.after(60) == []
    assert stage.phase is STOPPING
    assert stage.gone(OK, STOP) == [Kill(START)]
    stage.gone(role=START)
    assert (stage.phase, stage.message) == (STOPPED, "")


def test_rule_3_8_start_is_killed_as_soon_as_stop_exits_though_stop_leaves_something() -> None:
    stage = running(stop="bye")
    stage.stop()
    stage.spawned(STOP)
    assert stage.ended(OK, STOP) == [Kill(START)]
    stage.gone(role=START)
    assert stage.phase is STOPPING, "rule 3.9"
    assert stage.after(10) == [Kill(STOP)]
    stage.gone(role=STOP)
    assert stage.phase is STOPPED


@pytest.mark.parametrize(
    ("ending", "message"),
    [(Exited(7), "stop exited with code 7"), (Signaled(15), "stop was killed by SIGTERM")],
)
def test_rule_3_8_a_stop_that_fails_makes_the_service_fail(ending: Exited | Signaled, message: str) -> None:
    stage = running(stop="bye")
    stage.stop()
    stage.spawned(STOP)
    assert stage.gone(ending, STOP) == [Kill(START)]
    stage.gone(role=START)
    assert (stage.phase, stage.message) == (FAILED, message)


def test_rule_3_8_a_stop_that_does_not_finish_within_120_s_of_its_spawning() -> None:
    stage = running(stop="bye")
    stage.stop()
    stage.after(7)
    stage.spawned(STOP)
    spawned = stage.now
    assert stage.wake() == spawned + 120
    stage.now = spawned + 119.999
    assert stage.look() == []
    stage.now = spawned + 120.0
    assert stage.look() == [Note(StopOverran(Instant(stage.now))), Kill(START), Kill(STOP)]
    assert stage.phase is STOPPING
    stage.gone(role=STOP)
    stage.gone(role=START)
    assert (stage.phase, stage.message) == (FAILED, "stop command did not finish within 120 s")


def test_rule_3_8_start_exits_while_stop_runs() -> None:
    stage = running(stop="bye")
    stage.stop()
    stage.spawned(STOP)
    assert stage.ended(Exited(9), START) == []
    assert stage.after(60) == [], "start's leftovers wait for stop"
    assert stage.program(START).lingers
    assert stage.gone(OK, STOP) == [Kill(START)]
    stage.gone(role=START)
    assert (stage.phase, stage.message) == (STOPPED, ""), "start's own exit code does not count"


def test_rule_3_8_stop_still_runs_to_its_end_when_start_is_gone() -> None:
    stage = running(stop="bye")
    stage.stop()
    stage.spawned(STOP)
    assert stage.gone(OK, START) == []
    assert stage.phase is STOPPING
    assert stage.gone(Exited(2), STOP) == []
    assert (stage.phase, stage.message) == (FAILED, "stop exited with code 2")


def test_rule_3_8_stop_runs_also_if_start_ends_between_asking_and_spawning() -> None:
    stage = running(stop="bye")
    stage.record = wishes.stop_service(stage.service, Cause("bob", NOON))
    stage.fold(StopAsked(Instant(stage.now)))
    assert stage.gone(BAD, START) == [Spawn(STOP)]
    assert stage.phase is STOPPING
    stage.spawned(STOP)
    stage.gone(OK, STOP)
    assert (stage.phase, stage.message) == (STOPPED, "")


def test_rule_3_8_stop_is_skipped_if_start_had_ended_before() -> None:
    stage = running(stop="bye")
    stage.ended(BAD, START)
    assert stage.stop() == [stop_asked(stage)]
    assert stage.after(9) == []
    assert stage.after(1) == [Kill(START)], "its leftovers, by rule 3.5"
    stage.gone(role=START)
    assert (stage.phase, stage.message) == (FAILED, "start exited with code 1")


def test_rule_3_8_stop_command_that_cannot_be_spawned() -> None:
    stage = running(stop="bye")
    stage.stop()
    assert stage.refused(STOP, "no bash") == [Linger(START, on=False), Terminate(START)]
    sent = stage.now
    stage.now = sent + 119.999
    assert stage.look() == []
    stage.now = sent + 120
    assert stage.look() == [Kill(START)]
    stage.gone(role=START)
    assert (stage.phase, stage.message) == (FAILED, "stop could not be started: no bash")


def test_rule_3_8_a_promise_of_stop_that_was_never_kept_is_made_again() -> None:
    stage = running(stop="bye")
    stage.stop()
    assert stage.never_started(STOP) == [Linger(START, on=True), Spawn(STOP)]


def test_rule_3_8_wall_time_counts_for_nothing() -> None:
    stage = running()
    stage.stop()
    stage.wall = stage.wall.replace(year=2060)
    assert stage.look() == []
    assert stage.phase is STOPPING


# --- 3.9: provably empty


def test_rule_3_9_survivors_of_sigkill_are_named_while_stopping() -> None:
    stage = running()
    stage.program(START).shrugs = 2
    stage.stop()
    stage.after(120)
    stage.after(0.5)
    assert stage.phase is STOPPING
    assert stage.message == "processes that outlive SIGKILL: 4711 (sleep); still trying"
    assert stage.after(1) == [Kill(START)]
    stage.gone(role=START)
    assert (stage.phase, stage.message) == (STOPPED, "")
    stage.fold(SurvivorsSeen((Survivor(4711, "sleep"),)))
    assert stage.message == "", "seen before it was gone, told after"


def test_rule_3_9_survivors_of_the_stop_tree_are_forgotten_with_it() -> None:
    stage = running(stop="bye")
    stage.stop()
    stage.spawned(STOP)
    stage.ended(Exited(1), STOP)
    stage.gone(role=START)
    stage.fold(SurvivorsSeen((Survivor(4711, "sleep"),)))
    assert "4711" in stage.message
    stage.gone(role=STOP)
    assert (stage.phase, stage.message) == (FAILED, "stop exited with code 1")


# --- 3.10: wishes that cross


def test_rule_3_10_restart_while_stopping_runs_after_the_stop() -> None:
    stage = running()
    stage.stop()
    assert stage.start() == []
    assert (stage.phase, stage.service.status.session) == (STOPPING, "session-1")
    assert stage.gone(OK, START) == [Begin(), Spawn(START)]
    assert (stage.phase, stage.service.status.session) == (STARTING, "session-2")


def test_rule_3_10_the_last_wish_wins() -> None:
    stage = running()
    stage.stop()
    stage.start()
    stage.stop()
    assert stage.gone(OK, START) == []
    assert stage.phase is STOPPED
    stage = running()
    stage.stop()
    stage.start()
    stage.stop()
    stage.start()
    assert stage.gone(OK, START) == [Begin(), Spawn(START)]


def test_rule_3_10_stop_while_starting_kills_the_probe_then_goes_down() -> None:
    stage = starting(ready="probe")
    stage.spawned(READY)
    assert stage.stop() == [stop_asked(stage), Kill(READY), Terminate(START)]
    assert stage.phase is STOPPING
    stage.gone(OK, START)
    assert stage.phase is STOPPING
    stage.gone(role=READY)
    assert stage.phase is STOPPED


@pytest.mark.parametrize("stop", ["", "bye"])
def test_rule_3_10_stop_before_the_process_exists_waits_for_it(stop: str) -> None:
    stage = ServiceStage(a_launch(stop=stop))
    stage.start()
    assert stage.stop() == [stop_asked(stage)]
    assert stage.phase is STOPPING
    assert stage.spawned(START) == ([Linger(START, on=True), Spawn(STOP)] if stop else [Terminate(START)])
    assert stage.service.run
    assert not stage.service.run.is_ready, "it never was RUNNING"


@pytest.mark.parametrize("stop", ["", "bye"])
def test_rule_3_10_stop_before_a_process_that_never_comes(stop: str) -> None:
    for never in (ServiceStage.never_started, ServiceStage.refused):
        stage = ServiceStage(a_launch(stop=stop))
        stage.start()
        stage.stop()
        assert never(stage, START) == []
        assert (stage.phase, stage.message) == (STOPPED, "")


def test_rule_3_10_stop_before_anything_was_promised() -> None:
    stage = ServiceStage(a_launch())
    stage.record = wishes.start_service(stage.service, stage.new_session(), Cause("x", NOON))
    stage.perform(Begin())
    stage.stop()
    assert stage.phase is STOPPED
    assert stage.programs == []


def test_rule_7_2_a_promise_the_agent_died_on_is_made_again_under_another_id() -> None:
    stage = ServiceStage(a_launch())
    stage.start()
    first = stage.program(START).run_id
    assert stage.never_started(START) == [Spawn(START)]
    assert stage.program(START).run_id != first
    assert stage.phase is STARTING


# --- 2.7, 3.13: other changes while it runs


def test_rule_2_7_a_live_run_keeps_the_copy_it_started_with() -> None:
    stage = running(stop="bye")
    spec = replace(stage.service.spec, launch=a_launch(stop="", ready="probe"))
    stage.record = replace(stage.service, spec=spec)
    assert stage.look() == []
    assert stage.stop() == [stop_asked(stage), Linger(START, on=True), Spawn(STOP)]


def test_rule_3_13_delete_stops_first_then_the_object_goes() -> None:
    stage = running()
    assert stage.delete() == [stop_asked(stage), Terminate(START)]
    assert stage.phase is STOPPING
    assert stage.gone(OK, START) == [Remove()]
    assert stage.phase is DELETED


def test_rule_3_13_delete_of_a_stopped_service() -> None:
    stage = ServiceStage(a_launch())
    assert stage.delete() == [Remove()]


def test_rule_3_13_delete_wins_over_a_pending_start() -> None:
    stage = running()
    stage.stop()
    stage.start()
    stage.delete()
    assert stage.gone(OK, START) == [Remove()]


def test_rule_1_6_a_service_being_deleted_cannot_be_started() -> None:
    stage = running()
    stage.delete()
    with pytest.raises(FailedPrecondition, match='service "web" cannot be started: it is being deleted'):
        stage.start()


@pytest.mark.parametrize("before", ["nothing", "stop", "delete", "stop command"])
def test_rule_3_13_force_kills_at_once_and_upgrades_what_is_under_way(before: str) -> None:
    stage = running(stop="bye" if before == "stop command" else "")
    if before in ("stop", "stop command"):
        stage.stop()
    if before == "stop command":
        stage.spawned(STOP)
    if before == "delete":
        stage.delete()
    kills = [Kill(STOP), Kill(START)] if before == "stop command" else [Kill(START)]
    assert stage.delete(force=True) == [Note(StopAsked(Instant(stage.now), force=True)), *kills]
    if before == "stop command":
        stage.gone(role=STOP)
        assert stage.phase is STOPPING, "rule 3.9 still holds"
    assert stage.gone(role=START) == [Remove()]


def test_rule_3_13_force_is_never_taken_back() -> None:
    stage = running()
    stage.program(START).shrugs = 5
    stage.delete(force=True)
    forced = stage.service
    stage.delete()
    assert stage.service is forced


def test_rule_3_13_force_while_the_process_is_still_promised() -> None:
    stage = ServiceStage(a_launch(stop="bye"))
    stage.start()
    stage.delete(force=True)
    assert stage.spawned(START) == [Kill(START)]
    assert stage.gone(role=START) == [Remove()]


# --- 6.6, 7.4


@pytest.mark.parametrize("phase", ["starting", "running", "stopping", "failing"])
def test_rule_6_6_after_a_reboot_services_read_stopped_and_nothing_is_replayed(phase: str) -> None:
    stage = ServiceStage(a_launch(ready="probe", timeout=9))
    stage.start()
    if phase != "starting":
        stage.spawned(START)
    if phase == "running":
        stage.spawned(READY)
        stage.gone(OK, READY)
    if phase == "stopping":
        stage.stop()
    if phase == "failing":
        stage.after(9)
        assert stage.message
    stage.reboot()
    assert (stage.phase, stage.message) == (STOPPED, "")
    assert stage.after(1000) == []


def test_rule_6_6_a_start_that_was_still_pending_is_not_replayed_either() -> None:
    stage = running()
    stage.stop()
    stage.start()
    stage.reboot()
    assert stage.look() == []
    assert stage.phase is STOPPED
    fresh = ServiceStage(a_launch())
    fresh.record = wishes.start_service(fresh.service, SessionId("s"), Cause("x", NOON))
    fresh.reboot()
    assert fresh.look() == []
    assert fresh.start() == [Begin(), Spawn(START)], "a new wish counts"


def test_rule_6_6_what_had_ended_before_stays_as_it_ended() -> None:
    stage = running()
    stage.gone(BAD, START)
    stage.reboot()
    assert (stage.phase, stage.message) == (FAILED, "start exited with code 1")


def test_rule_7_4_lost_supervisor_fails_and_only_when_nothing_is_left() -> None:
    stage = running()
    stage.ended(Lost("supervisor lost"), START)
    assert stage.phase is STOPPING
    stage.gone(role=START)
    assert (stage.phase, stage.message) == (FAILED, "supervisor lost")
