"""Why a service is in its phase: what it waits for right now, who wanted that, and what bears on it."""

from collections.abc import Iterator, Sequence
from typing import assert_never

from runner_agent.core import ladder, view
from runner_agent.core.endings import still_there, with_last_line
from runner_agent.core.explanation import Explanation, Present, how_it_ended, run_seen, whole, with_pid
from runner_agent.core.proc import alive, signalable
from runner_agent.core.service import pending
from runner_agent.core.session import by_itself, over, readiness_due
from runner_agent.core.wishes import NO_COMMANDS, startable
from runner_agent.model.ids import Instant
from runner_agent.model.phases import RunRole, ServicePhase, Trigger
from runner_agent.model.records import Service
from runner_agent.model.runs import (
    Down,
    Ended,
    Gone,
    Idle,
    Kills,
    Live,
    NotStarted,
    Proc,
    ServiceRun,
    Starting,
    Up,
)

_NOT_AGAIN = "it is not started again by itself: start it when that is mended"


def explain_service(service: Service, at: Present) -> Explanation:
    """The service as it is now."""
    run = service.run
    if run is None:
        return Explanation(_never_run(service), (*_commandless(service), *_dying(service)))
    runs = (
        *run_seen(RunRole.START, run.start, run.boot, at),
        *run_seen(RunRole.READY, run.ready, run.boot, at),
        *run_seen(RunRole.STOP, run.stop, run.boot, at),
    )
    if over(run):
        reasons = (*_next(service), *_commandless(service), *_dying(service))
        return Explanation(_ended(service, run), reasons, runs=runs)
    match run.course:
        case Up():
            answer, until = _up(run, at)
            reasons = (*_evidence(run, at), *_earlier(service))
        case Down() as course:
            told, until = _down(run, course, at)
            answer = f"{_why_down(service, run)}: {told}"
            reasons = tuple(text for text in (still_there(run.survivors),) if text)
        case _:
            assert_never(run.course)
    return Explanation(answer, (*reasons, *_next(service), *_dying(service)), until=until, runs=runs)


# --- nothing runs


def _never_run(service: Service) -> str:
    if pending(service):
        return f"its start was asked for by {service.cause.by} and is about to begin"
    if not startable(service):
        return f"it has never been started, and cannot be: {NO_COMMANDS}"
    return f"it has never been started: {untriggered(service.metadata.triggered_by)}"


def untriggered(triggers: Sequence[Trigger]) -> str:
    """Why nothing has started it yet."""
    events = [trigger.value for trigger in triggers if trigger is not Trigger.MANUAL]
    if not events:
        return "no trigger starts it, and nobody has asked"
    return f"it waits for {' or '.join(events)} to be fired, and nobody has asked"


def _ended(service: Service, run: ServiceRun) -> str:
    if pending(service):
        return (
            f"its last session has ended; a new one was asked for by {service.cause.by} and is about to begin"
        )
    if view.phase(run) is ServicePhase.FAILED:
        return f"{run.failure}; {_NOT_AGAIN}"
    if by_itself(run):
        ending = run.start.ending if isinstance(run.start, Gone) else None
        told = how_it_ended("start", ending) if ending is not None else "start has ended"
        return f"{told} by itself; a service is not started again when that happens"
    if isinstance(run.start, Idle) and run.course == Down(Instant(0.0)):
        return "the machine restarted since, and nothing is started again by itself"
    if service.spec.desired_phase is ServicePhase.STOPPED:
        return f"it was stopped, as asked by {service.cause.by}"
    return "it was stopped when the agent was, and is not started again by itself"


# --- up


def _up(run: ServiceRun, at: Present) -> tuple[str, Instant | None]:
    match run.start:
        case Starting(waits=waits) if waits:
            return f"its start command waits: {waits}", readiness_due(run)
        case Idle() | Starting():
            return "its start command is about to run", readiness_due(run)
        case Live(at=since, handle=handle) if run.is_ready:
            how = (
                f"`ready` succeeded at attempt {run.attempts}"
                if run.launch.commands.ready
                else "it has no ready command to wait for"
            )
            return f"its start command runs for {whole(at.now - since)}{with_pid(handle)}; {how}", None
        case Live():
            return f"waiting for `ready` to exit 0: {_attempt(run, at)}", readiness_due(run)
        case Ended(ending=ending) | Gone(ending=ending):
            return f"{how_it_ended('start', ending)} by itself; what it left behind is being ended", None
        case _:
            assert_never(run.start)


def _attempt(run: ServiceRun, at: Present) -> str:
    match run.ready:
        case Starting(waits=waits) if waits:
            return f"attempt {max(run.attempts, 1)} waits: {waits}"
        case Idle() | Starting():
            return f"attempt {max(run.attempts, 1)} is about to begin"
        case Live(at=since, handle=handle):
            return f"attempt {run.attempts} runs for {whole(at.now - since)}{with_pid(handle)}"
        case Ended(ending=ending):
            told = how_it_ended(f"attempt {run.attempts}", ending)
            return f"{told}; what it left behind is being ended"
        case Gone(at=ended, ending=ending):
            due = Instant(ended + at.timing.ready_interval)
            return f"{how_it_ended(f'attempt {run.attempts}', ending)}; the next begins {at.until(due)}"
        case _:
            assert_never(run.ready)


def _evidence(run: ServiceRun, at: Present) -> tuple[str, ...]:
    """What else bears on a service that is not ready: the last attempt, and how long it may still take."""
    due = readiness_due(run)
    if run.is_ready or not isinstance(run.start, Live):
        return (_given_up(due, at),) if isinstance(run.start, Starting) and due is not None else ()
    told: list[str] = []
    last = run.last_attempt
    if last is not None and alive(run.ready):
        told.append(with_last_line(how_it_ended("the attempt before", last.ending), last.last_line))
    elif last is not None and last.last_line:
        told.append(f"its last line: {last.last_line}")
    told.append(_given_up(due, at) if due is not None else "it has no readinessTimeout: it may take for ever")
    return tuple(told)


def _given_up(due: Instant, at: Present) -> str:
    return f"it is given up {at.until(due)} if it is not ready by then"


# --- down


def _why_down(service: Service, run: ServiceRun) -> str:
    if run.failure:
        return f"being brought down ({run.failure})"
    if service.deletion is not None:
        return f"its deletion was asked for by {service.deletion.cause.by}"
    if service.spec.desired_phase is ServicePhase.STOPPED:
        return f"its stop was asked for by {service.cause.by}"
    if service.spec.session != run.session:
        return f"a new session was asked for by {service.cause.by}, so this one ends first"
    return "the agent is being stopped"


def _down(run: ServiceRun, course: Down, at: Present) -> tuple[str, Instant | None]:
    if course.force:
        return f"by force, {_killing(run.start, run.start_kills, at)}", None
    if course.too_late:
        return "start had ended before; what it left behind is being ended", None
    if run.launch.commands.stop and not isinstance(run.stop, Gone):
        return _stop_command(run, at)
    if isinstance(run.stop, Gone) and not isinstance(run.stop.ending, NotStarted):
        ended = how_it_ended("the stop command", run.stop.ending)
        return f"{ended}; {_killing(run.start, run.start_kills, at)}", None
    return by_signal(run.start, course, run.start_kills, at.timing.service_stop_grace, at)


def _stop_command(run: ServiceRun, at: Present) -> tuple[str, Instant | None]:
    match run.stop:
        case Live(at=since, handle=handle):
            due = Instant(since + at.timing.service_stop_grace)
            what = f"its stop command runs for {whole(at.now - since)}{with_pid(handle)}"
            return f"{what}, SIGKILL to both follows {at.until(due)}", due
        case Ended(ending=ending):
            return f"{how_it_ended('the stop command', ending)}; what it left behind is being ended", None
        case Starting(waits=waits) if waits:
            return f"its stop command waits: {waits}", None
        case _:
            return "its stop command is about to run", None


def by_signal(
    proc: Proc, course: Down, kills: Kills, grace: float, at: Present
) -> tuple[str, Instant | None]:
    """Where it stands on the ladder: SIGTERM, grace, SIGKILL; and when the next rung is due."""
    if not signalable(proc):
        return "its process is about to be gone", None
    if kills.count:
        return _killing(proc, kills, at), ladder.next_look(kills, at.timing)
    if course.terminated_at is None:
        return "SIGTERM is about to be sent", None
    due = Instant(course.terminated_at + grace)
    return f"SIGTERM was sent {at.ago(course.terminated_at)}, SIGKILL follows {at.until(due)}", due


def _killing(proc: Proc, kills: Kills, at: Present) -> str:
    if not signalable(proc):
        return "its processes are about to be gone"
    if not kills.count:
        return "SIGKILL is about to be sent"
    times = "once" if kills.count == 1 else f"{kills.count} times"
    look = ladder.next_look(kills, at.timing)
    return f"SIGKILL was sent {times}, last {at.ago(kills.last)}; looking again {at.until(look)}"


# --- what comes after


def _earlier(service: Service) -> Iterator[str]:
    """Rule 2.10."""
    if view.previous_definition(service):
        cure = f"runner-agent service restart {service.metadata.reference}"
        yield f"it runs the previous definition: that was changed since; for the present one: {cure}"


def _commandless(service: Service) -> Iterator[str]:
    """Rule 2.11."""
    if service.run is not None and not startable(service):
        yield f"it cannot be started again: {NO_COMMANDS}"


def _next(service: Service) -> Iterator[str]:
    if pending(service) and service.run is not None and not over(service.run):
        yield f"a new session follows, asked for by {service.cause.by}"


def _dying(service: Service) -> Iterator[str]:
    if service.deletion is not None:
        force = " by force" if service.deletion.force else ""
        yield f"it is being deleted{force}, asked for by {service.deletion.cause.by}"
