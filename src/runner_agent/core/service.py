"""The service machine, deciding: from wish, run and time to what is to be done (rules 3.1 to 3.14).

`fold`, the other half, lives in `service_fold`; `over` in `session`. All three go by `service.<name>`.
"""

from typing import assert_never

from runner_agent.core import ladder, proc
from runner_agent.core.decisions import REST, Begin, Decision, Linger, Note, Remove, Spawn, do, rest
from runner_agent.core.facts import NotReadyInTime, StopAsked, StopOverran
from runner_agent.core.service_fold import after_reboot, fold
from runner_agent.core.session import over, readiness_due, stop_due
from runner_agent.core.timing import Timing
from runner_agent.model.ids import BootMark, Instant
from runner_agent.model.phases import RunRole, ServicePhase
from runner_agent.model.records import Service
from runner_agent.model.runs import Down, Ended, Gone, Idle, Live, NotStarted, ServiceRun, Starting, Up

__all__ = ["decide", "fold", "over", "pending", "rebooted", "wanted"]

START, READY, STOP = RunRole.START, RunRole.READY, RunRole.STOP


def wanted(service: Service, run: ServiceRun) -> bool:
    """The wish still covers this very session."""
    return (
        service.deletion is None
        and service.spec.desired_phase is ServicePhase.RUNNING
        and service.spec.session == run.session
    )


def pending(service: Service) -> bool:
    """The wished-for session has not been taken up yet."""
    session = service.run.session if service.run else ""
    return service.spec.desired_phase is ServicePhase.RUNNING and service.spec.session != session


def rebooted(service: Service, boot: BootMark) -> ServiceRun | None:
    """The run after the machine restarted (rule 6.6): what ran is gone, what was to start never will.

    To be asked once for every service, in one write, before anything is decided in the new boot.
    """
    if pending(service):
        return ServiceRun(service.spec.session, boot, service.spec.launch, course=Down(Instant(0.0)))
    return after_reboot(service.run) if service.run else None


def decide(service: Service, now: Instant, timing: Timing) -> Decision:
    """What is to be done about the service, given its wish, its run and the time."""
    run = service.run
    if run is None or over(run):
        if service.deletion is not None:
            return do(Remove())
        return do(Begin()) if pending(service) else REST
    forced = service.deletion is not None and service.deletion.force
    match run.course:
        case Up():
            if not wanted(service, run):
                return do(Note(StopAsked(now, force=forced)))
            return _decide_up(run, now, timing)
        case Down() as course:
            if forced and not course.force:
                return do(Note(StopAsked(now, force=True)))
            return _decide_down(run, course, now, timing)
        case _:
            assert_never(run.course)


# --- up


def _decide_up(run: ServiceRun, now: Instant, timing: Timing) -> Decision:
    due = readiness_due(run)
    if due is not None and now >= due and not run.is_ready and not isinstance(run.start, (Ended, Gone)):
        return do(Note(NotReadyInTime(now)))
    match run.start:
        case Idle():
            return do(Spawn(START))
        case Starting():
            return REST if due is None else rest(due)
        case Live():
            if run.is_ready:  # the probe has done its duty
                return ladder.kill(READY, run.ready, run.ready_kills, now, timing)
            return _decide_readiness(run, REST if due is None else rest(due), now, timing)
        case Ended() | Gone():
            leftovers = ladder.clear(START, run.start, run.start_kills, now, timing)
            return ladder.kill(READY, run.ready, run.ready_kills, now, timing) | leftovers
        case _:
            assert_never(run.start)


def _decide_readiness(run: ServiceRun, deadline: Decision, now: Instant, timing: Timing) -> Decision:
    """Rule 3.3, until the deadline of rule 3.4."""
    match run.ready:
        case Idle():
            return deadline | do(Spawn(READY))
        case Starting():
            return deadline
        case Live(at=began):
            return deadline | _decide_attempt(run, began, now, timing)
        case Ended():
            return deadline | ladder.clear(READY, run.ready, run.ready_kills, now, timing)
        case Gone(at=ended):
            due = Instant(ended + timing.ready_interval)
            return deadline | (do(Spawn(READY)) if now >= due else rest(due))
        case _:
            assert_never(run.ready)


def _decide_attempt(run: ServiceRun, began: Instant, now: Instant, timing: Timing) -> Decision:
    if not timing.ready_attempt_timeout:
        return REST
    due = Instant(began + timing.ready_attempt_timeout)
    return rest(due) if now < due else ladder.kill(READY, run.ready, run.ready_kills, now, timing)


# --- down


def _decide_down(run: ServiceRun, course: Down, now: Instant, timing: Timing) -> Decision:
    probe = ladder.kill(READY, run.ready, run.ready_kills, now, timing)
    if course.force:
        stopper = ladder.kill(STOP, run.stop, run.stop_kills, now, timing)
        return probe | stopper | ladder.kill(START, run.start, run.start_kills, now, timing)
    if course.too_late:
        return probe | ladder.clear(START, run.start, run.start_kills, now, timing)
    if run.launch.commands.stop:
        return probe | _with_stop_command(run, course, now, timing)
    return probe | _by_signal(run, course, now, timing)


def _by_signal(run: ServiceRun, course: Down, now: Instant, timing: Timing) -> Decision:
    """Rule 3.7."""
    grace = timing.service_stop_grace
    return ladder.bring_down(START, run.start, course, run.start_kills, grace, now, timing)


def _with_stop_command(run: ServiceRun, course: Down, now: Instant, timing: Timing) -> Decision:
    """Rule 3.8."""
    kill_start = ladder.kill(START, run.start, run.start_kills, now, timing)
    match run.stop:
        case Idle():
            if not stop_due(run):
                return REST
            linger = do(Linger(START, on=True)) if proc.signalable(run.start) else REST
            return linger | do(Spawn(STOP))
        case Starting():
            return REST
        case Live(at=began):
            deadline = Instant(began + timing.service_stop_grace)
            if now < deadline:
                return rest(deadline)
            if not run.failure:
                return do(Note(StopOverran(now)))
            return kill_start | ladder.kill(STOP, run.stop, run.stop_kills, now, timing)
        case Ended():
            return kill_start | ladder.clear(STOP, run.stop, run.stop_kills, now, timing)
        case Gone(ending=NotStarted()):
            fresh = course.terminated_at is None and proc.signalable(run.start)
            return (do(Linger(START, on=False)) if fresh else REST) | _by_signal(run, course, now, timing)
        case Gone():
            return kill_start
        case _:
            assert_never(run.stop)
