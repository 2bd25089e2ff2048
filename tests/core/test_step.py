"""The step machine as transcripts. Rules 4.4 to 4.7 and 6.2."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runner_agent.core.decisions import Kill, Note, Spawn, Terminate
from runner_agent.core.facts import (
    Killed,
    OutputSeen,
    Promised,
    RunGone,
    ServiceFact,
    StopAsked,
    StopOverran,
    SurvivorsSeen,
    Terminated,
)
from runner_agent.core.timing import Timing
from runner_agent.model.errors import IllegalFact
from runner_agent.model.ids import ExecutionId, Instant, RunId
from runner_agent.model.phases import ExecutionPhase, RunRole
from runner_agent.model.runs import Exited, Lost, Signaled, Survivor
from tests.support.histories import StepStage

TASK = RunRole.TASK
RUNNING, SUCCEEDED = ExecutionPhase.RUNNING, ExecutionPhase.SUCCEEDED
FAILED, STOPPED = ExecutionPhase.FAILED, ExecutionPhase.STOPPED
OK, BAD = Exited(0), Exited(1)


def running(timing: Timing | None = None) -> StepStage:
    stage = StepStage("e1", timing=timing or Timing())
    assert stage.look() == [Spawn(TASK)]
    assert stage.spawned() == []
    return stage


def shows(stage: StepStage) -> tuple[ExecutionPhase, str]:
    return stage.shown.phase, stage.shown.failure_message


def test_rule_4_3_nothing_is_shown_before_it_begins() -> None:
    stage = StepStage()
    assert stage.look() == [], "nobody has reached it"
    assert stage.step.status is None
    assert stage.hold("e1") == [Spawn(TASK)]
    assert shows(stage) == (RUNNING, "")


@pytest.mark.parametrize(
    ("ending", "last_line", "phase", "message"),
    [
        (Exited(0), "done", SUCCEEDED, ""),
        (Exited(2), "", FAILED, "build exited with code 2"),
        (Exited(2), "no rule to make", FAILED, "build exited with code 2; last line: no rule to make"),
        (Signaled(9, oom=True), "", FAILED, "build was killed by SIGKILL (out of memory)"),
        (Lost("supervisor lost"), "", FAILED, "supervisor lost"),
    ],
)
@pytest.mark.parametrize("leftovers", [False, True])
def test_rule_4_4_how_a_step_ends(
    ending: Exited | Signaled | Lost, last_line: str, phase: ExecutionPhase, message: str, leftovers: bool
) -> None:
    stage = running()
    if leftovers:
        stage.ended(ending)
        assert shows(stage) == (RUNNING, ""), "rule 4.7: what it left behind is not gone yet"
        stage.gone(last_line=last_line)
    else:
        stage.gone(ending, last_line=last_line)
    assert shows(stage) == (phase, message)
    assert stage.hold() == [], "it is over"
    assert stage.after(1000) == []


def test_rule_5_7_a_command_that_could_not_be_started() -> None:
    stage = StepStage("e1")
    stage.look()
    stage.refused(reason="no bash")
    assert shows(stage) == (FAILED, "build could not be started: no bash")


def test_rule_4_6_sigterm_at_once_and_sigkill_at_exactly_120_s() -> None:
    stage = running()
    stage.program().shrugs = 1
    assert stage.hold() == [Note(StopAsked(Instant(stage.now))), Terminate(TASK)]
    sent = stage.now
    stage.now = sent + 119.999
    assert stage.look() == []
    stage.now = sent + 120.0
    assert stage.look() == [Kill(TASK)]
    assert shows(stage) == (RUNNING, "")
    assert stage.after(0.5) == [Kill(TASK)]
    stage.gone()
    assert shows(stage) == (STOPPED, "")


def test_rule_4_6_the_grace_is_a_setting() -> None:
    stage = running(Timing(task_stop_grace=10))
    stage.hold()
    assert stage.after(9.999) == []
    assert stage.after(0.001) == [Kill(TASK)]


@pytest.mark.parametrize("ending", [OK, BAD, Signaled(15)])
def test_rule_4_6_asked_to_stop_it_ends_stopped_whatever_the_exit_code(ending: Exited | Signaled) -> None:
    stage = running()
    stage.hold()
    stage.gone(ending, last_line="bye")
    assert shows(stage) == (STOPPED, "")


@pytest.mark.parametrize(("ending", "phase"), [(OK, SUCCEEDED), (BAD, FAILED)])
def test_rule_4_6_a_stop_after_its_end_changes_nothing(ending: Exited, phase: ExecutionPhase) -> None:
    stage = running()
    stage.ended(ending)
    assert stage.hold() == [Note(StopAsked(Instant(stage.now)))]
    stage.gone()
    assert stage.shown.phase is phase


def test_rule_4_6_stopped_while_its_process_is_only_promised() -> None:
    stage = StepStage("e1")
    stage.look()
    assert stage.hold() == [Note(StopAsked(Instant(stage.now)))]
    assert stage.spawned() == [Terminate(TASK)]
    other = StepStage("e1")
    other.look()
    other.hold()
    assert other.never_started() == []
    assert shows(other) == (STOPPED, "")


def test_rule_4_6_an_agent_that_was_away_still_sends_sigterm_first() -> None:
    stage = running()
    stage.record = replace(stage.step, holders=())
    stage.fold(StopAsked(Instant(stage.now)))
    assert stage.after(500) == [Terminate(TASK)]
    assert stage.after(119) == []


def test_rule_4_7_leftovers_are_killed_after_10_s() -> None:
    stage = running()
    stage.ended(BAD)
    stage.program().shrugs = 1
    assert stage.after(9.999) == []
    assert stage.after(0.001) == [Kill(TASK)]
    stage.fold(SurvivorsSeen((Survivor(12, "cc"),)))
    assert shows(stage) == (RUNNING, "processes that outlive SIGKILL: 12 (cc); still trying")
    assert stage.after(0.5) == [Kill(TASK)]
    stage.gone()
    assert shows(stage) == (FAILED, "build exited with code 1")
    stage.fold(SurvivorsSeen((Survivor(12, "cc"),)))
    assert shows(stage) == (FAILED, "build exited with code 1")


def test_rule_6_2_it_goes_on_while_anybody_holds_it() -> None:
    stage = StepStage("e1", "e2")
    stage.look()
    stage.spawned()
    assert stage.hold("e2") == []
    assert stage.hold() == [Note(StopAsked(Instant(stage.now))), Terminate(TASK)]
    assert stage.hold("e3") == [], "a stop under way is not taken back"


def test_rule_6_2_condemned_by_the_execution_whose_main_task_it_is() -> None:
    stage = StepStage("e1", "e2")
    stage.look()
    stage.spawned()
    stage.record = replace(stage.step, stopped_by=ExecutionId("e1"))
    assert stage.look() == [Note(StopAsked(Instant(stage.now))), Terminate(TASK)]


def test_rule_7_1_by_force_sigkill_at_once() -> None:
    stage = running()
    stage.fold(StopAsked(Instant(stage.now), force=True))
    assert stage.look() == [Kill(TASK)]
    stage.gone()
    assert shows(stage) == (STOPPED, "")


def test_rule_7_2_a_promise_the_agent_died_on_is_made_again_and_stays_shown() -> None:
    stage = StepStage("e1")
    stage.look()
    assert stage.never_started() == [Spawn(TASK)]
    assert shows(stage) == (RUNNING, "")


@pytest.mark.parametrize("moment", ["promised", "live", "never started"])
def test_rule_6_6_a_reboot_ends_it(moment: str) -> None:
    stage = StepStage("e1")
    stage.look()
    if moment == "live":
        stage.spawned()
    if moment == "never started":
        stage.program().lapse()
        stage.tell(stage.program())
    stage.reboot()
    assert shows(stage) == (FAILED, "the machine restarted")
    assert stage.look() == []


def test_rule_6_6_what_was_held_but_not_begun_is_not_begun_after_a_reboot() -> None:
    stage = StepStage("e1")
    stage.reboot()
    assert stage.look() == []


def test_rule_6_6_what_had_ended_stays_as_it_ended() -> None:
    stage = running()
    stage.gone(OK)
    stage.reboot()
    assert shows(stage) == (SUCCEEDED, "")


def test_rule_5_3_output_is_merged() -> None:
    stage = running()
    stage.fold(OutputSeen({"a": "1", "b": "2"}))
    stage.fold(OutputSeen({"b": "", "a": "3"}))
    assert stage.shown.output == {"a": "3"}
    stage.gone(OK)
    assert stage.shown.output == {"a": "3"}


def test_facts_that_cannot_follow_are_refused() -> None:
    at, run_id = Instant(1.0), RunId("run-77")
    fresh, promised, up, down, ended = StepStage("e1"), StepStage("e1"), running(), running(), running()
    promised.look()
    down.hold()
    ended.gone(OK)
    cases: list[tuple[StepStage, ServiceFact]] = [
        (fresh, StopAsked(at)),
        (fresh, OutputSeen({})),
        (promised, Killed(TASK, at)),
        (promised, Promised(TASK, run_id, at)),
        (up, Promised(TASK, run_id, at)),
        (up, Terminated(at)),
        (up, Killed(RunRole.START, at)),
        (up, RunGone(TASK, run_id, at, OK)),
        (up, RunGone(RunRole.START, run_id, at, OK)),
        (up, StopOverran(at)),
        (down, Promised(TASK, run_id, at)),
        (ended, Promised(TASK, run_id, at)),
    ]
    for stage, fact in cases:
        before = stage.record
        with pytest.raises(IllegalFact):
            stage.fold(fact)
        assert stage.record is before
