"""The service machine, folding: what a session is after a fact, and which facts cannot follow."""

from dataclasses import replace
from typing import assert_never

from runner_agent.core import ladder, proc
from runner_agent.core.endings import blame, seconds, with_last_line
from runner_agent.core.facts import (
    Began,
    Killed,
    NeverStarted,
    NotReadyInTime,
    OutputSeen,
    Promised,
    Rebooted,
    RunEnded,
    RunFact,
    RunGone,
    ServiceFact,
    Spawned,
    StopAsked,
    StopOverran,
    SurvivorsSeen,
    Terminated,
    Waits,
)
from runner_agent.core.outputs import merged
from runner_agent.core.session import may_start, over, readiness_due, role_proc, too_slow
from runner_agent.core.timing import Timing
from runner_agent.model.errors import IllegalFact
from runner_agent.model.ids import Instant
from runner_agent.model.phases import RunRole
from runner_agent.model.runs import (
    Attempt,
    Down,
    Ended,
    Exited,
    Gone,
    Idle,
    Kills,
    Live,
    ServiceRun,
    Starting,
    Up,
)


def fold(run: ServiceRun | None, fact: ServiceFact, timing: Timing) -> ServiceRun:
    """The run after `fact`. Raises IllegalFact, leaving the state as it was, where the fact cannot follow."""
    if isinstance(fact, Began):
        if run is not None and (not over(run) or run.session == fact.session):
            raise IllegalFact("service", run, fact)
        return ServiceRun(fact.session, fact.boot, fact.launch)
    if run is None:
        raise IllegalFact("service", run, fact)
    match fact:
        case Promised() | Waits() | Spawned() | NeverStarted() | RunEnded() | RunGone():
            return _fold_run(run, fact)
        case StopAsked() | Terminated():
            return replace(run, course=ladder.course_after(run.course, run.start, fact))
        case Killed(role=role, at=at):
            return _fold_killed(run, role, at)
        case NotReadyInTime(at=at):
            return _fold_not_ready(run, at)
        case StopOverran():
            if not isinstance(run.course, Down) or not isinstance(run.stop, Live):
                raise IllegalFact("service", run, fact)
            text = f"stop command did not finish within {seconds(timing.service_stop_grace)}"
            return replace(run, failure=run.failure or text)
        case SurvivorsSeen(survivors=survivors):
            return run if over(run) else replace(run, survivors=survivors)  # over: gone since they were seen
        case OutputSeen(entries=entries):
            output = merged(run.output, entries)
            start, ready, stop = (proc.read_up_to(one, fact) for one in (run.start, run.ready, run.stop))
            return replace(run, output=output, start=start, ready=ready, stop=stop)
        case Rebooted():
            return after_reboot(run)
        case _:
            assert_never(fact)


def _fold_run(run: ServiceRun, fact: RunFact) -> ServiceRun:
    if isinstance(fact, Promised) and not may_start(run, fact.role):
        raise IllegalFact("service", run, fact)
    if isinstance(fact, RunGone):
        run = replace(run, survivors=())  # whoever outlives it elsewhere is seen again at the next look
    match fact.role:
        case RunRole.START:
            return _fold_start(run, fact)
        case RunRole.READY:
            return _fold_ready(run, fact)
        case RunRole.STOP:
            return _fold_stop(run, fact)
        case RunRole.TASK:
            raise IllegalFact("service", run, fact)
        case _:
            assert_never(fact.role)


def _fold_start(run: ServiceRun, fact: RunFact) -> ServiceRun:
    start = proc.fold(run.start, fact)
    match fact:
        case Promised(at=at):
            first = at if run.promised_at is None else run.promised_at
            return replace(run, start=start, promised_at=first)
        case Spawned():
            up = isinstance(run.course, Up)  # asked to stop meanwhile, it never was RUNNING
            return replace(run, start=start, is_ready=up and not run.launch.commands.ready)
        case RunEnded(ending=ending) | RunGone(ending=ending) if isinstance(
            run.course, Up
        ) and proc.commanding(run.start):
            return replace(run, start=start, failure=blame("start", ending))  # rule 3.5: nobody had asked
        case _:
            return replace(run, start=start)


def _fold_ready(run: ServiceRun, fact: RunFact) -> ServiceRun:
    ready = proc.fold(run.ready, fact)
    match fact:
        case Promised():
            return replace(run, ready=ready, attempts=run.attempts + 1, ready_kills=Kills())
        case RunEnded(ending=Exited(code=0)) | RunGone(ending=Exited(code=0)) if (
            proc.commanding(run.ready) and isinstance(run.course, Up) and isinstance(run.start, Live)
        ):
            return replace(run, ready=ready, is_ready=True)
        case RunGone(last_line=last_line):
            assert isinstance(ready, Gone)
            # The attempt the timeout cut off is the last one, and its line is the evidence (rule 3.4).
            cut_off = bool(run.failure) and run.failure == too_slow(run)
            failure = with_last_line(run.failure, last_line) if cut_off else run.failure
            return replace(run, ready=ready, last_attempt=Attempt(ready.ending, last_line), failure=failure)
        case _:
            return replace(run, ready=ready)


def _fold_stop(run: ServiceRun, fact: RunFact) -> ServiceRun:
    stop = proc.fold(run.stop, fact)
    match fact:
        case RunEnded(ending=ending) | RunGone(ending=ending) if proc.commanding(run.stop):
            ours = run.stop_kills.count > 0  # killed by force or for overrunning, which has its own words
            return replace(run, stop=stop, failure=run.failure or ("" if ours else blame("stop", ending)))
        case _:
            return replace(run, stop=stop)


def _fold_killed(run: ServiceRun, role: RunRole, at: Instant) -> ServiceRun:
    target = role_proc(run, role)
    if not isinstance(target, Gone) and not proc.signalable(target):
        raise IllegalFact("service", run, Killed(role, at))
    match role:
        case RunRole.START:
            return replace(run, start_kills=ladder.struck(run.start_kills, at))
        case RunRole.READY:
            return replace(run, ready_kills=ladder.struck(run.ready_kills, at))
        case RunRole.STOP:
            return replace(run, stop_kills=ladder.struck(run.stop_kills, at))
        case RunRole.TASK:
            raise IllegalFact("service", run, Killed(role, at))
        case _:
            assert_never(role)


def _fold_not_ready(run: ServiceRun, at: Instant) -> ServiceRun:
    if not isinstance(run.course, Up) or readiness_due(run) is None or run.is_ready:
        raise IllegalFact("service", run, NotReadyInTime(at))
    match run.start:
        case Idle() | Starting():
            waited = proc.waits(run.start)
            why = f"it waited: {waited}" if waited else "its start command had not begun"
            return replace(run, failure=f"{too_slow(run)}; {why}", course=Down(at))
        case Ended() | Gone():
            raise IllegalFact("service", run, NotReadyInTime(at))
        case Live():
            pass
        case _:
            assert_never(run.start)
    if waited := proc.waits(run.ready):
        return replace(run, failure=f"{too_slow(run)}; `ready` waited: {waited}", course=Down(at))
    known = run.last_attempt is not None and not proc.alive(run.ready)
    last_line = run.last_attempt.last_line if known and run.last_attempt else ""
    return replace(run, failure=with_last_line(too_slow(run), last_line), course=Down(at))


def after_reboot(run: ServiceRun) -> ServiceRun:
    """Whatever ran is gone, and reads STOPPED; what had ended before stays as it ended (rule 6.6)."""
    if over(run):
        return run
    ended = Down(Instant(0.0))
    return replace(run, start=Idle(), ready=Idle(), stop=Idle(), course=ended, failure="", survivors=())
