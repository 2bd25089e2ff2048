"""The service machine as transcripts: what happens, what must be asked for, what is shown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runner_agent.core import service as rules
from runner_agent.core import session, view, wishes
from runner_agent.core.decisions import Begin, Kill, Linger, Note, Spawn, Terminate
from runner_agent.core.facts import (
    Began,
    Killed,
    NotReadyInTime,
    OutputSeen,
    Promised,
    RunGone,
    ServiceFact,
    Spawned,
    StopAsked,
    StopOverran,
    Terminated,
    Waits,
)
from runner_agent.core.timing import Timing
from runner_agent.model.errors import IllegalFact
from runner_agent.model.ids import BootMark, Instant, RunId, SessionId
from runner_agent.model.phases import RunRole, ServicePhase
from runner_agent.model.runs import Exited, Handle, Lost, ServiceRun, Signaled
from runner_agent.model.specs import Cause
from tests.support.histories import NOON, ServiceStage, a_launch, running, starting

START, READY, STOP = RunRole.START, RunRole.READY, RunRole.STOP
STARTING, RUNNING, STOPPING = ServicePhase.STARTING, ServicePhase.RUNNING, ServicePhase.STOPPING
STOPPED, FAILED, DELETED = ServicePhase.STOPPED, ServicePhase.FAILED, ServicePhase.DELETED
OK, BAD = Exited(0), Exited(1)


def stop_asked(stage: ServiceStage) -> Note:
    return Note(StopAsked(Instant(stage.now)))


# --- 3.1, 3.2: starting


def test_rule_3_1_never_started_is_stopped() -> None:
    stage = ServiceStage(a_launch())
    assert stage.look() == []
    assert (stage.phase, stage.message) == (STOPPED, "")


def test_rule_3_2_running_once_the_process_exists() -> None:
    stage = ServiceStage(a_launch())
    assert stage.start() == [Begin(), Spawn(START)]
    assert stage.phase is STARTING
    assert stage.spawned(START) == []
    assert stage.phase is RUNNING


def test_rule_3_2_with_ready_running_only_once_ready_exits_0() -> None:
    stage = ServiceStage(a_launch(ready="probe"))
    stage.start()
    assert stage.spawned(START) == [Spawn(READY)]
    assert stage.phase is STARTING
    stage.spawned(READY)
    stage.gone(BAD, READY)
    assert stage.phase is STARTING
    assert stage.after(1) == [Spawn(READY)]
    stage.spawned(READY)
    assert stage.gone(OK, READY) == []
    assert stage.phase is RUNNING
    assert stage.wake() is None


def test_rule_3_14_the_session_is_the_one_being_run_or_last_run() -> None:
    stage = ServiceStage(a_launch())
    assert stage.service.status.session == ""
    stage.start()
    assert stage.service.status.session == "session-1"
    stage.spawned(START)
    stage.gone(OK, START)
    assert stage.service.status.session == "session-1"
    stage.start()
    assert stage.service.status.session == "session-2"


# --- 3.3: ready


def test_rule_3_3_ready_again_exactly_1_s_after_the_end_of_a_failed_attempt() -> None:
    stage = starting(ready="probe")
    stage.spawned(READY)
    assert stage.after(30) == [], "an attempt may take as long as it likes"
    stage.gone(BAD, READY)
    assert stage.wake() == stage.now + 1
    assert stage.after(0.999) == []
    assert stage.after(0.001) == [Spawn(READY)]


def test_rule_3_3_never_two_attempts_at_once() -> None:
    stage = starting(ready="probe")
    stage.spawned(READY)
    stage.ended(BAD, READY)
    assert stage.after(5) == [], "the attempt left processes behind"
    stage.gone(role=READY)
    assert stage.after(1) == [Spawn(READY)]


def test_rule_3_3_a_successful_attempt_counts_at_its_exit_and_what_it_left_is_killed() -> None:
    stage = starting(ready="probe")
    stage.spawned(READY)
    assert stage.ended(OK, READY) == [Kill(READY)]
    assert stage.phase is RUNNING


def test_rule_3_3_an_attempt_that_cannot_be_spawned_is_one_that_failed() -> None:
    stage = starting(ready="probe")
    stage.refused(READY)
    assert stage.phase is STARTING
    assert stage.after(1) == [Spawn(READY)]


def test_rule_3_3_attempt_timeout() -> None:
    stage = ServiceStage(a_launch(ready="probe"), timing=Timing(ready_attempt_timeout=5))
    stage.start()
    stage.spawned(START)
    stage.after(0.5)
    stage.spawned(READY)
    assert stage.wake() == stage.now + 5
    assert stage.after(4.999) == []
    assert stage.after(0.001) == [Kill(READY)]
    stage.gone(role=READY)
    assert stage.phase is STARTING
    assert stage.after(1) == [Spawn(READY)]


def test_rule_3_3_every_attempt_has_a_ladder_of_its_own() -> None:
    stage = ServiceStage(a_launch(ready="probe"), timing=Timing(ready_attempt_timeout=5))
    stage.start()
    stage.spawned(START)
    for _ in range(9):
        stage.spawned(READY)
        assert stage.after(5) == [Kill(READY)]
        stage.gone(role=READY)
        assert stage.after(1) == [Spawn(READY)]


def test_rule_3_3_leftovers_of_an_attempt_are_killed_after_10_s() -> None:
    stage = starting(ready="probe")
    stage.spawned(READY)
    stage.ended(BAD, READY)
    assert stage.after(9.999) == []
    assert stage.after(0.001) == [Kill(READY)]


def test_rule_3_3_ready_is_a_gate_only() -> None:
    stage = running(ready="probe")
    assert stage.after(100_000) == []
    assert stage.phase is RUNNING


def test_rule_3_3_evidence_of_the_last_attempt_is_kept() -> None:
    stage = starting(ready="probe")
    stage.spawned(READY)
    stage.gone(BAD, READY, last_line="connection refused")
    run = stage.service.run
    assert run
    assert run.last_attempt
    assert (run.attempts, run.last_attempt.ending, run.last_attempt.last_line) == (
        1,
        BAD,
        "connection refused",
    )


# --- 3.4: readiness timeout


@pytest.mark.parametrize("timeout", [None, 0.0])
def test_rule_3_4_no_limit(timeout: float | None) -> None:
    stage = starting(ready="probe", timeout=timeout)
    stage.spawned(READY)
    assert stage.after(1_000_000) == []
    assert stage.phase is STARTING


def test_rule_3_4_not_ready_in_time_goes_down_by_3_7_and_ends_failed() -> None:
    stage = starting(ready="probe", timeout=30)
    stage.spawned(READY)
    assert stage.wake() == stage.now + 30
    assert stage.after(29.999) == []
    stage.pass_time(0.001)
    assert stage.look() == [Note(NotReadyInTime(Instant(stage.now))), Kill(READY), Terminate(START)]
    assert (stage.phase, stage.message) == (STOPPING, "not ready within 30 s")
    stage.gone(role=READY, last_line="waiting for the database")
    stage.gone(OK, START)
    assert stage.phase is FAILED
    assert stage.message == "not ready within 30 s; last line: waiting for the database"


def test_rule_3_4_between_attempts_the_evidence_is_that_of_the_one_before() -> None:
    stage = starting(ready="probe", timeout=1.5)
    stage.spawned(READY)
    stage.after(1)
    stage.gone(BAD, READY, last_line="refused")
    assert stage.after(0.5) == [Note(NotReadyInTime(Instant(stage.now))), Terminate(START)]
    assert stage.message == "not ready within 1.5 s; last line: refused"


def test_rule_3_4_with_a_stop_command_by_3_8() -> None:
    stage = starting(ready="probe", stop="bye", timeout=30)
    stage.spawned(READY)
    asked = stage.after(30)
    assert asked[1:] == [Kill(READY), Linger(START, on=True), Spawn(STOP)]
    stage.gone(role=READY)
    stage.spawned(STOP)
    assert stage.gone(OK, STOP) == [Kill(START)]
    stage.gone(role=START)
    assert (stage.phase, stage.message) == (FAILED, "not ready within 30 s")


def test_rule_3_4_does_not_start_again_by_itself() -> None:
    stage = starting(ready="probe", timeout=30)
    stage.after(30)
    stage.refused(READY)
    stage.gone(OK, START)
    assert stage.phase is FAILED
    assert stage.after(1000) == []


def test_rule_3_4_the_last_moment_counts_as_in_time() -> None:
    stage = starting(ready="probe", timeout=30)
    stage.spawned(READY)
    stage.pass_time(30)
    stage.gone(OK, READY)
    assert stage.phase is RUNNING


def waiting(*, ready: str = "", stop: str = "", words: str = "", timeout: float = 30) -> ServiceStage:
    """A service whose `start` is promised and cannot begin yet."""
    stage = ServiceStage(a_launch(ready=ready, stop=stop, timeout=timeout))
    stage.start()
    if words:
        stage.fold(Waits(START, stage.program(START).run_id, words))
    return stage


@pytest.mark.parametrize("ready", ["", "probe"])
@pytest.mark.parametrize("stop", ["", "bye"])
def test_rule_3_4_counts_from_the_session_and_says_what_it_waited_for(ready: str, stop: str) -> None:
    """An image that is being pulled and an Engine that is away are no reason to wait longer."""
    stage = waiting(ready=ready, stop=stop, words="image big is being pulled")
    assert stage.wake() == stage.now + 30
    assert stage.after(29.999) == []
    assert stage.phase is STARTING
    assert stage.after(0.001) == [Note(NotReadyInTime(Instant(stage.now)))]
    assert stage.phase is STOPPING
    assert stage.message.startswith("not ready within 30 s; it waited: image big is being pulled")
    assert session.in_vain(run_of(stage), START)
    stage.never_started(START)
    assert stage.phase is FAILED
    assert stage.message == "not ready within 30 s; it waited: image big is being pulled"
    assert stage.after(1000) == []


def test_rule_3_4_what_the_image_took_is_not_given_back() -> None:
    stage = waiting(ready="probe")
    stage.pass_time(20)
    stage.spawned(START)
    stage.spawned(READY)
    assert stage.wake() == stage.now + 10
    stage.pass_time(10)
    assert stage.look() == [Note(NotReadyInTime(Instant(stage.now))), Kill(READY), Terminate(START)]


def test_rule_3_4_a_promise_made_anew_does_not_count_anew() -> None:
    """An agent that dies while it waits is followed by another, which promises again."""
    stage = waiting()
    stage.pass_time(20)
    assert stage.never_started(START) == [Spawn(START)]
    assert stage.after(10) == [Note(NotReadyInTime(Instant(stage.now)))]
    stage.never_started(START)
    assert (stage.phase, stage.message) == (FAILED, "not ready within 30 s; its start command had not begun")


def test_rule_3_4_one_that_begins_too_late_is_brought_down() -> None:
    stage = waiting(words="w")
    stage.after(30)
    assert stage.spawned(START) == [Terminate(START)]
    assert stage.phase is STOPPING
    stage.gone(OK, START)
    assert (stage.phase, stage.message) == (FAILED, "not ready within 30 s; it waited: w")


def test_rule_3_4_a_session_counts_from_its_own_begin() -> None:
    """Not from a wish that had to wait for the session before."""
    stage = running(timeout=30)
    stage.stop()
    stage.start()
    stage.pass_time(100)
    stage.gone(OK, START)
    assert stage.phase is STARTING
    assert stage.wake() == stage.now + 30


def run_of(stage: ServiceStage) -> ServiceRun:
    assert stage.service.run is not None
    return stage.service.run


# --- 3.5, 3.6: the end by itself


@pytest.mark.parametrize(
    ("ending", "phase", "message"),
    [
        (Exited(0), STOPPED, ""),
        (Exited(3), FAILED, "start exited with code 3"),
        (Exited(127), FAILED, "start exited with code 127"),
        (Exited(127, "command not found"), FAILED, "start exited with code 127 (command not found)"),
        (Signaled(11), FAILED, "start was killed by SIGSEGV"),
        (Signaled(9, oom=True), FAILED, "start was killed by SIGKILL (out of memory)"),
        (Signaled(40), FAILED, "start was killed by SIGRTMIN+6"),
        (Lost("supervisor lost"), FAILED, "supervisor lost"),
    ],
)
@pytest.mark.parametrize("leftovers", [False, True])
def test_rule_3_5_start_exits_by_itself(
    ending: Exited | Signaled | Lost, phase: ServicePhase, message: str, leftovers: bool
) -> None:
    stage = running()
    if leftovers:
        assert stage.ended(ending, START) == []
        assert (stage.phase, stage.message) == (STOPPING, message)
        stage.gone(role=START)
    else:
        stage.gone(ending, START)
    assert (stage.phase, stage.message) == (phase, message)
    assert stage.after(1000) == [], "rule 3.6: no automatic restart"


def test_rule_3_5_a_start_that_cannot_be_spawned_fails_with_the_reason() -> None:
    stage = ServiceStage(a_launch(ready="probe", stop="bye"))
    stage.start()
    assert stage.refused(START, "the workspace /w is missing: create it") == []
    assert stage.phase is FAILED
    assert stage.message == "start could not be started: the workspace /w is missing: create it"


def test_rule_3_5_leftovers_are_killed_after_10_s_and_looked_for_again() -> None:
    stage = running()
    stage.ended(OK, START)
    stage.program(START).shrugs = 1
    assert stage.after(9.999) == []
    assert stage.after(0.001) == [Kill(START)]
    assert stage.phase is STOPPING
    assert stage.after(0.499) == []
    assert stage.after(0.001) == [Kill(START)]
    stage.gone(role=START)
    assert stage.phase is STOPPED


def test_rule_3_5_start_exiting_while_starting_ends_the_probe_too() -> None:
    stage = starting(ready="probe")
    stage.spawned(READY)
    assert stage.gone(BAD, START) == [Kill(READY)]
    assert stage.phase is STOPPING, "rule 3.9: the probe's tree is not yet known to be empty"
    stage.gone(role=READY)
    assert (stage.phase, stage.message) == (FAILED, "start exited with code 1")


def test_rule_3_5_a_probe_that_succeeds_after_start_exited_does_not_count() -> None:
    stage = starting(ready="probe")
    stage.spawned(READY)
    stage.program(READY).end(OK)
    stage.gone(BAD, START)
    stage.tell(stage.program(READY))
    assert stage.phase is FAILED
    assert stage.service.run
    assert not stage.service.run.is_ready


def test_rule_3_6_no_ops_of_start_are_judged_against_the_wish() -> None:
    stage = ServiceStage(a_launch())
    cause = Cause("x", NOON)

    def no_op() -> bool:
        return wishes.start_service(stage.service, SessionId("other"), cause) is stage.service

    assert not no_op(), "STOPPED is wished for"
    stage.record = wishes.start_service(stage.service, stage.new_session(), cause)
    assert no_op(), "the wished-for session is pending"
    stage.look()
    assert no_op(), "promised"
    stage.spawned(START)
    assert no_op(), "its start lives"
    stage.ended(OK, START)
    assert not no_op(), "its start has ended"
    stage = running()
    stage.stop()
    assert not no_op(), "it is being brought down"
    stage = starting(ready="probe", timeout=5)
    stage.after(5)
    assert stage.service.spec.desired_phase is RUNNING
    assert not no_op(), "it is being brought down by 3.4"


def test_rule_3_6_stop_is_a_no_op_if_and_only_if_stopped_is_wished_for() -> None:
    stage = running()
    stage.gone(OK, START)
    assert stage.service.spec.desired_phase is RUNNING
    stopped = wishes.stop_service(stage.service, Cause("x", NOON))
    assert stopped.spec.desired_phase is STOPPED
    assert wishes.stop_service(stopped, Cause("y", NOON)) is stopped


def test_rule_3_6_a_changed_session_brings_the_live_run_down_first() -> None:
    stage = running()
    spec = replace(stage.service.spec, session=SessionId("session-9"))
    stage.record = replace(stage.service, spec=spec)
    assert stage.look() == [stop_asked(stage), Terminate(START)]
    assert stage.gone(BAD, START) == [Begin(), Spawn(START)]
    assert stage.service.status.session == "session-9"


def test_rule_3_6_the_next_session_starts_also_when_the_old_one_ended_failed() -> None:
    stage = running(stop="bye")
    spec = replace(stage.service.spec, session=SessionId("session-9"))
    stage.record = replace(stage.service, spec=spec)
    stage.look()
    stage.spawned(STOP)
    stage.gone(Exited(7), STOP)
    assert stage.gone(role=START) == [Begin(), Spawn(START)]
    assert (stage.phase, stage.message) == (STARTING, "")


# --- 5.3, 3.12: output


def test_rule_5_3_output_is_merged_and_cleared_at_a_new_session() -> None:
    stage = running()
    stage.fold(OutputSeen({"url": "http://a", "port": "80"}))
    stage.fold(OutputSeen({"port": "", "user": "u"}))
    assert stage.service.status.output == {"url": "http://a", "user": "u"}
    stage.gone(OK, START)
    assert stage.service.status.output == {"url": "http://a", "user": "u"}
    stage.start()
    assert stage.service.status.output == {}


def test_rule_3_12_posted_output_counts_for_its_session_only() -> None:
    stage = running()
    stage.fold(OutputSeen({"a": "1", "b": "2"}))
    stage.record = replace(stage.service, posted=(SessionId("session-1"), {"b": "", "c": "3"}))
    assert view.status(stage.service).output == {"a": "1", "c": "3"}
    stage.gone(OK, START)
    stage.start()
    assert view.status(stage.service).output == {}


# --- facts that cannot follow


def test_facts_that_cannot_follow_are_refused() -> None:
    at, run_id, handle = Instant(1.0), RunId("run-77"), Handle("world", RunId("run-77"))
    promised = {role: Promised(role, run_id, at) for role in RunRole}
    began = Began(SessionId("session-1"), a_launch(), BootMark("b"))
    never = ServiceStage(a_launch())
    fresh = ServiceStage(a_launch())
    fresh.start()
    up = running(ready="probe", stop="bye")
    down = running()
    down.stop()
    ended = running()
    ended.gone(OK, START)
    cases: list[tuple[ServiceStage, ServiceFact]] = [
        (never, promised[START]),
        (never, StopAsked(at)),
        (fresh, Terminated(at)),
        (fresh, Killed(START, at)),
        (fresh, Spawned(START, run_id, at, handle)),
        (fresh, NotReadyInTime(at)),
        (up, began),
        (up, promised[START]),
        (up, promised[READY]),
        (up, promised[STOP]),
        (up, promised[RunRole.TASK]),
        (up, Killed(RunRole.TASK, at)),
        (up, Killed(STOP, at)),
        (up, Terminated(at)),
        (up, StopOverran(at)),
        (up, NotReadyInTime(at)),
        (up, RunGone(START, run_id, at, OK)),
        (up, RunGone(RunRole.TASK, run_id, at, OK)),
        (down, promised[STOP]),
        (down, promised[READY]),
        (ended, promised[START]),
        (ended, began),
    ]
    for stage, fact in cases:
        before = stage.record
        with pytest.raises(IllegalFact):
            stage.fold(fact)
        assert stage.record is before


def test_a_decision_asks_for_a_note_whatever_the_instant_it_was_decided_at() -> None:
    stage = running()
    stage.record = wishes.stop_service(stage.service, Cause("x", NOON))
    decision = rules.decide(stage.service, Instant(5.0), stage.timing)
    assert decision.asks(Note(StopAsked(Instant(4.0))))
    assert not decision.asks(Note(StopAsked(Instant(5.0), force=True)))
    assert not decision.asks(Note(StopOverran(Instant(5.0))))
    assert not decision.asks(Spawn(START))
