"""The step machine: one run of one task, from the executions that hold it to what is to be done next (rules
4.4 to 4.7, 6.2).
"""

from dataclasses import replace
from typing import assert_never

from runner_agent.core import ladder, proc
from runner_agent.core.decisions import REST, Decision, Note, Spawn, do
from runner_agent.core.endings import MACHINE_RESTARTED, blame, still_there, with_last_line
from runner_agent.core.facts import (
    Killed,
    NeverStarted,
    OutputSeen,
    Promised,
    Rebooted,
    RunEnded,
    RunFact,
    RunGone,
    Spawned,
    StepFact,
    StopAsked,
    SurvivorsSeen,
    Terminated,
    Waits,
)
from runner_agent.core.outputs import merged
from runner_agent.core.timing import Timing
from runner_agent.model.errors import IllegalFact
from runner_agent.model.ids import BootMark, Instant
from runner_agent.model.phases import ExecutionPhase, RunRole
from runner_agent.model.records import Step, StepStatus
from runner_agent.model.runs import Down, Gone, Idle, Lost, NotStarted, StepRun, Up

TASK = RunRole.TASK


def wanted(step: Step) -> bool:
    """Somebody has reached it and has not let go, and it is not condemned."""
    return bool(step.holders) and step.stopped_by is None


def over(run: StepRun) -> bool:
    """Nothing of it is left and nothing more will come."""
    return isinstance(run.proc, Gone) or (isinstance(run.proc, Idle) and isinstance(run.course, Down))


def decide(step: Step, now: Instant, timing: Timing) -> Decision:
    """What is to be done about the step, given who wants it, its run and the time."""
    run = step.run
    if run is None:
        return do(Spawn(TASK)) if wanted(step) else REST
    if over(run):
        return REST
    match run.course:
        case Up():
            if not wanted(step):
                return do(Note(StopAsked(now)))
            if isinstance(run.proc, Idle):
                return do(Spawn(TASK))
            return ladder.clear(TASK, run.proc, run.kills, now, timing)
        case Down(too_late=True, force=False):
            return ladder.clear(TASK, run.proc, run.kills, now, timing)
        case Down() as course:
            grace = timing.task_stop_grace
            return ladder.bring_down(TASK, run.proc, course, run.kills, grace, now, timing)
        case _:
            assert_never(run.course)


def fold(run: StepRun | None, fact: StepFact, boot: BootMark, reference: str) -> StepRun:
    """The run after `fact`. Raises IllegalFact, leaving the state as it was, where the fact cannot follow."""
    if run is None:
        if not isinstance(fact, (Promised, Rebooted)):
            raise IllegalFact("step", run, fact)
        run = StepRun(boot)
    match fact:
        case Promised() | Waits() | Spawned() | NeverStarted() | RunEnded() | RunGone():
            return _fold_run(run, fact, reference)
        case StopAsked() | Terminated():
            return replace(run, course=ladder.course_after(run.course, run.proc, fact))
        case Killed(at=at):
            if fact.role is not TASK or not (isinstance(run.proc, Gone) or proc.signalable(run.proc)):
                raise IllegalFact("step", run, fact)
            return replace(run, kills=ladder.struck(run.kills, at))
        case SurvivorsSeen(survivors=survivors):
            return run if over(run) else replace(run, survivors=survivors)  # over: gone since they were seen
        case OutputSeen(entries=entries):
            return replace(run, output=merged(run.output, entries), proc=proc.read_up_to(run.proc, fact))
        case Rebooted():
            return _fold_reboot(run)
        case _:
            assert_never(fact)


def _fold_run(run: StepRun, fact: RunFact, reference: str) -> StepRun:
    once = isinstance(run.proc, Idle) and isinstance(run.course, Up)
    if fact.role is not TASK or (isinstance(fact, Promised) and not once):
        raise IllegalFact("step", run, fact)
    after = replace(run, proc=proc.fold(run.proc, fact))
    match fact:
        case RunEnded(ending=ending) if isinstance(run.course, Up):
            return replace(after, failure=blame(reference, ending))
        case RunGone(ending=ending, last_line=last_line):
            unasked = isinstance(run.course, Up) and proc.commanding(run.proc)
            failure = blame(reference, ending) if unasked else run.failure
            evidence = "" if isinstance(ending, NotStarted) else last_line  # it never wrote a line
            return replace(after, failure=with_last_line(failure, evidence), survivors=())
        case _:
            return after


def _fold_reboot(run: StepRun) -> StepRun:
    """Rule 6.6. A step that was yet to begin never will."""
    if over(run):
        return run
    failed = replace(run, failure=run.failure or MACHINE_RESTARTED, survivors=())
    if isinstance(run.proc, (Idle, Gone)):
        return replace(failed, course=Down(Instant(0.0)))
    return replace(failed, proc=Gone(run.proc.run_id, Instant(0.0), Lost(MACHINE_RESTARTED)))


def view(run: StepRun | None) -> StepStatus | None:
    """What executions show of it; None while it has not begun (rule 4.3)."""
    if run is None:
        return None
    if over(run):
        return StepStatus(_final_phase(run), run.failure, run.output)
    message = still_there(run.survivors) or proc.waits(run.proc)
    return StepStatus(ExecutionPhase.RUNNING, message, run.output)


def _final_phase(run: StepRun) -> ExecutionPhase:
    if run.failure:
        return ExecutionPhase.FAILED
    asked_in_time = isinstance(run.course, Down) and not run.course.too_late
    return ExecutionPhase.STOPPED if asked_in_time else ExecutionPhase.SUCCEEDED
