"""Questions about one session of a service: whether it is over, what is still due, what its processes are."""

from typing import assert_never

from runner_agent.core import proc
from runner_agent.core.endings import seconds
from runner_agent.core.timing import NANOSECONDS
from runner_agent.model.ids import Instant
from runner_agent.model.phases import RunRole
from runner_agent.model.runs import Down, Ended, Gone, Idle, Live, NotStarted, Proc, ServiceRun, Starting, Up


def over(run: ServiceRun) -> bool:
    """Nothing of it is left and nothing more will come: STOPPED or FAILED for good (rules 3.6, 3.9)."""
    if any(proc.alive(one) for one in (run.start, run.ready, run.stop)):
        return False
    return (isinstance(run.start, Gone) or isinstance(run.course, Down)) and not stop_due(run)


def by_itself(run: ServiceRun) -> bool:
    """Its start command has ended, and nobody had asked for a stop before (rule 3.5)."""
    return isinstance(run.start, (Ended, Gone)) and (isinstance(run.course, Up) or run.course.too_late)


def stop_due(run: ServiceRun) -> bool:
    """The stop command is still to be run (rule 3.8): the stop was asked while `start` had not ended.

    If `start` ended between the asking and the spawning, `stop` is run all the same: it may be what clears
    away.
    """
    course = run.course
    if not isinstance(course, Down) or course.too_late or course.force:
        return False
    if not run.launch.commands.stop or not isinstance(run.stop, Idle):
        return False
    match run.start:
        case Live() | Ended():
            return True
        case Gone(ending=ending):
            return not isinstance(ending, NotStarted)
        case Idle() | Starting():
            return False  # not there, or not known to be there yet
        case _:
            assert_never(run.start)


def may_start(run: ServiceRun, role: RunRole) -> bool:
    """Whether a run of this role can follow: `start` and `stop` once a session, `ready` until it succeeds."""
    match role:
        case RunRole.START:
            return not isinstance(run.course, Down) and isinstance(run.start, Idle)
        case RunRole.READY:  # one at a time, which `proc` sees to
            return not isinstance(run.course, Down) and isinstance(run.start, Live) and not run.is_ready
        case RunRole.STOP:
            return stop_due(run)
        case RunRole.TASK:
            return False
        case _:
            assert_never(role)


def in_vain(run: ServiceRun, role: RunRole) -> bool:
    """A run of this role, promised but not yet there, would be ended as soon as it is."""
    match role:
        case RunRole.START:
            return isinstance(run.course, Down)
        case RunRole.READY:
            return isinstance(run.course, Down) or not isinstance(run.start, Live)
        case RunRole.STOP | RunRole.TASK:
            return isinstance(run.course, Down) and run.course.force
        case _:
            assert_never(role)


def readiness_limit(run: ServiceRun) -> float:
    """Seconds the session may take to become ready; 0 is no limit (rule 3.4)."""
    return (run.launch.readiness_timeout or 0) / NANOSECONDS


def readiness_due(run: ServiceRun) -> Instant | None:
    """When it must be ready, whatever it waits for until then; None for no limit, or if it has not begun."""
    limit = readiness_limit(run)
    begun = run.promised_at
    if begun is None and isinstance(run.start, (Starting, Live)):  # as an older version wrote it
        begun = run.start.at
    return Instant(begun + limit) if limit and begun is not None else None


def too_slow(run: ServiceRun) -> str:
    """What is said of a session that did not become ready in time (rule 3.4)."""
    return f"not ready within {seconds(readiness_limit(run))}"


def role_proc(run: ServiceRun, role: RunRole) -> Proc:
    """The session's process of this role."""
    match role:
        case RunRole.START:
            return run.start
        case RunRole.READY:
            return run.ready
        case RunRole.STOP:
            return run.stop
        case RunRole.TASK:
            return Idle()
        case _:
            assert_never(role)
