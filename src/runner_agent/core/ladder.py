"""The stop ladder, written once: SIGTERM, the grace, SIGKILL, and looking again until nothing is left (rules
3.7, 3.9, 4.6).
"""

from dataclasses import replace

from runner_agent.core.decisions import REST, Decision, Kill, Terminate, do, rest
from runner_agent.core.facts import StopAsked, Terminated
from runner_agent.core.proc import signalable
from runner_agent.core.timing import Timing
from runner_agent.model.errors import IllegalFact
from runner_agent.model.ids import Instant
from runner_agent.model.phases import RunRole
from runner_agent.model.runs import Course, Down, Ended, Gone, Kills, Proc, Up


def next_look(kills: Kills, timing: Timing) -> Instant:
    """When a tree that was killed is looked at again: the pauses double up to a bound."""
    pause = min(timing.kill_look * 2.0 ** min(kills.count - 1, 32), timing.kill_look_max)
    return Instant(kills.last + pause)


def kill(role: RunRole, proc: Proc, kills: Kills, now: Instant, timing: Timing) -> Decision:
    """SIGKILL now, or once more when the last one should long have worked; nothing if there is no process to
    send it to.
    """
    if not signalable(proc):
        return REST
    if kills.count == 0 or now >= (look := next_look(kills, timing)):
        return do(Kill(role))
    return rest(look)


def clear(role: RunRole, proc: Proc, kills: Kills, now: Instant, timing: Timing) -> Decision:
    """What a command that ended by itself left behind (rules 3.5, 4.7).

    Whoever holds the run sends SIGTERM and, after the leftovers' grace, SIGKILL; from then on so do we, to be
    sure.
    """
    if not isinstance(proc, Ended):
        return REST
    due = Instant(proc.at + timing.leftover_grace)
    return rest(due) if now < due and not kills.count else kill(role, proc, kills, now, timing)


def bring_down(
    role: RunRole, proc: Proc, course: Down, kills: Kills, grace: float, now: Instant, timing: Timing
) -> Decision:
    """SIGTERM at once; SIGKILL once `grace` seconds have passed since it was sent, never before, unless by
    force. What outlives the command itself has the leftovers' grace, if that is over sooner (rule 3.7).
    """
    if course.force:
        return kill(role, proc, kills, now, timing)
    if not signalable(proc):
        return REST
    if course.terminated_at is None:
        return do(Terminate(role))
    deadline = course.terminated_at + grace
    if isinstance(proc, Ended):
        deadline = min(deadline, max(course.terminated_at, proc.at) + timing.leftover_grace)
    return rest(Instant(deadline)) if now < deadline else kill(role, proc, kills, now, timing)


def struck(kills: Kills, at: Instant) -> Kills:
    """One more SIGKILL was sent."""
    return Kills(kills.count + 1, at)


def course_after(course: Course, main: Proc, fact: StopAsked | Terminated) -> Course:
    """The way down: asked for once, upgraded by force, SIGTERM remembered once. `main` is what is to end."""
    match course, fact:
        case Up(), StopAsked(at=at, force=force):
            return Down(at, too_late=isinstance(main, (Ended, Gone)), force=force)
        case Down(), StopAsked(force=force):
            return replace(course, force=course.force or force)
        case Down(), Terminated(at=at) if signalable(main) or isinstance(main, Gone):
            return replace(course, terminated_at=at) if course.terminated_at is None else course
        case _:
            raise IllegalFact("course", course, fact)
