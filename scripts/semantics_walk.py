"""Every state the service and step machines of `core` can reach, and which fact leads from which to which.

A walk asks the real `decide` what is to be done and the real `fold` what each fact leads to. States that
differ only in times, ids and words count as one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache

from runner_agent.core import service as service_rules
from runner_agent.core import step as step_rules
from runner_agent.core.decisions import Action, Begin, Kill, Linger, Note, Remove, Spawn, Terminate
from runner_agent.core.facts import (
    Began,
    Killed,
    NeverStarted,
    Promised,
    Rebooted,
    RunEnded,
    RunFact,
    RunGone,
    ServiceFact,
    Spawned,
    Terminated,
)
from runner_agent.core.proc import expects
from runner_agent.core.session import role_proc
from runner_agent.core.timing import Timing
from runner_agent.model.ids import (
    BootMark,
    ExecutionId,
    Instant,
    Reference,
    RunId,
    ServiceId,
    SessionId,
    StepId,
    TaskId,
)
from runner_agent.model.phases import RunRole, ServicePhase
from runner_agent.model.records import Deletion, Service, Step
from runner_agent.model.runs import (
    Ended,
    Exited,
    Gone,
    Handle,
    Kills,
    NotStarted,
    Proc,
    ServiceRun,
    Starting,
    StepRun,
)
from runner_agent.model.specs import Cause, Launch, ServiceCommands, ServiceMetadata, ServiceSpec, TaskSpec

START, READY, STOP, TASK = RunRole.START, RunRole.READY, RunRole.STOP, RunRole.TASK
NOTES = {"StopAsked": "stop asked for", "NotReadyInTime": "not ready in time", "StopOverran": "stop overran"}
TIMING = Timing(ready_attempt_timeout=60.0)
BOOT, SESSION, ZERO = BootMark("boot"), SessionId("s1"), Instant(0.0)
SOON, LATE = Instant(0.0), Instant(1e6)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ENDINGS = (Exited(0), Exited(1))


# --- what the world may tell of a run


def _news(role: RunRole, proc: Proc) -> Iterator[tuple[str, RunFact]]:
    run_id = RunId(role.value)
    yield f"{role.value} lives", Spawned(role, run_id, ZERO, Handle("x", run_id))
    yield f"{role.value} never started", NeverStarted(role, run_id)
    yield f"{role.value} cannot be started", RunGone(role, run_id, ZERO, NotStarted("x"))
    for ending in ENDINGS:
        how = "exits 0" if ending.code == 0 else "fails"
        yield f"{role.value} {how}, leaving something behind", RunEnded(role, run_id, ZERO, ending)
        yield f"{role.value} {how}", RunGone(role, run_id, ZERO, ending)
    if isinstance(proc, Ended):
        yield f"what {role.value} left is gone", RunGone(role, run_id, ZERO, proc.ending)


def _apart(name: str, proc: Proc, fact: RunFact) -> bool:
    """Whether the name fits the state: a command exits once, and only if it lived."""
    if not expects(proc, fact):
        return False
    if isinstance(fact, RunGone):
        if isinstance(proc, Ended):
            return name.startswith("what")
        return isinstance(proc, Starting) == isinstance(fact.ending, NotStarted)
    return True


def _told(action: Action) -> list[ServiceFact]:
    """The facts that doing it leads to."""
    match action:
        case Begin():
            return []
        case Spawn(role=role):
            return [Promised(role, RunId(role.value), ZERO)]
        case Terminate():
            return [Terminated(ZERO)]
        case Kill(role=role):
            return [Killed(role, ZERO)]
        case Note(fact=fact):
            return [replace(fact, at=ZERO)]
        case Linger() | Remove():
            return []


def words(action: Action) -> str:
    match action:
        case Spawn(role=role):
            return f"spawn {role.value}"
        case Terminate(role=role):
            return f"SIGTERM to {role.value}"
        case Kill(role=role):
            return f"SIGKILL to {role.value}"
        case Note(fact=fact):
            return NOTES[type(fact).__name__]
        case Linger(role=role, on=on):
            return f"{'keep' if on else 'release'} leftovers of {role.value}"
        case Begin() | Remove():
            return type(action).__name__.lower()


# --- services


@dataclass(frozen=True)
class Seen:
    """One step of the walk."""

    before: ServiceRun
    fact: str
    after: ServiceRun


def _plain(run: ServiceRun) -> ServiceRun:
    """Less what a state may differ in without being another one."""
    return replace(
        run,
        start=_plain_proc(run.start),
        ready=_plain_proc(run.ready),
        stop=_plain_proc(run.stop),
        attempts=0,
        last_attempt=None,
        failure="failed" if run.failure else "",
        start_kills=Kills(),
        ready_kills=Kills(),
        stop_kills=Kills(),
    )


def _plain_proc(proc: Proc) -> Proc:
    """How a run ended counts only in what was folded from it, and in whether it ever was."""
    if isinstance(proc, Ended | Gone) and not isinstance(proc.ending, NotStarted):
        return replace(proc, ending=Exited(0))
    return proc


def _service(run: ServiceRun, wish: str) -> Service:
    phase = ServicePhase.RUNNING if wish == "wanted" else ServicePhase.STOPPED
    cause = Cause("x", NOON)
    return Service(
        ServiceId("x"),
        ServiceMetadata(Reference("x"), "x", NOON),
        ServiceSpec(run.launch, phase, SESSION),
        cause,
        deletion=Deletion(cause, force=True) if wish == "forced" else None,
        run=run,
    )


def decisions(run: ServiceRun) -> tuple[tuple[str, Action], ...]:
    """What is asked for in this state, by wish, at any time."""
    return tuple(
        (wish, action)
        for wish in ("wanted", "unwanted", "forced")
        for now in (SOON, LATE)
        for action in service_rules.decide(_service(run, wish), now, TIMING).actions
    )


def _next(run: ServiceRun) -> Iterator[tuple[str, ServiceRun]]:
    for _, action in decisions(run):
        for fact in _told(action):
            yield words(action), service_rules.fold(run, fact, TIMING)
    for role in (START, READY, STOP):
        proc = role_proc(run, role)
        for name, news in _news(role, proc):
            if _apart(name, proc, news):
                yield name, service_rules.fold(run, news, TIMING)
    yield "the machine restarts", service_rules.fold(run, Rebooted(), TIMING)


@cache
def walk() -> tuple[Seen, ...]:
    seen: list[Seen] = []
    for ready in ("", "probe"):
        for stop in ("", "stop"):
            limit = 30_000_000_000 if ready else None
            launch = Launch(ServiceCommands("start", ready, stop), readiness_timeout=limit)
            first = service_rules.fold(None, Began(SESSION, launch, BOOT), TIMING)
            known, queue = {repr(first)}, [first]
            while queue:
                run = queue.pop()
                for name, after in _next(run):
                    plain = _plain(after)
                    seen.append(Seen(run, name, plain))
                    if repr(plain) not in known:  # their mappings have no hash
                        known.add(repr(plain))
                        queue.append(plain)
    return tuple(seen)


def runs() -> list[ServiceRun]:
    """All of them."""
    return list({id(one.before): one.before for one in walk()}.values())


# --- steps


@dataclass(frozen=True)
class StepSeen:
    """One step of the walk."""

    before: StepRun
    fact: str
    after: StepRun


def _step(run: StepRun, *, wanted: bool) -> Step:
    holders = (ExecutionId("e"),) if wanted else ()
    return Step(
        StepId("s"), TaskId("t"), Reference("t"), TaskSpec("x"), NOON, holders, holders=holders, run=run
    )


def _next_step(run: StepRun) -> Iterator[tuple[str, StepRun]]:
    for wanted in (True, False):
        for now in (SOON, LATE):
            for action in step_rules.decide(_step(run, wanted=wanted), now, TIMING).actions:
                for fact in _told(action):
                    yield words(action), step_rules.fold(run, fact, BOOT, "t")  # type: ignore[arg-type]
    for name, news in _news(TASK, run.proc):
        if _apart(name, run.proc, news):
            yield name, step_rules.fold(run, news, BOOT, "t")
    yield "the machine restarts", step_rules.fold(run, Rebooted(), BOOT, "t")


@cache
def step_walk() -> tuple[StepSeen, ...]:
    """All of a step, from its promise on."""
    seen: list[StepSeen] = []
    first = step_rules.fold(None, Promised(TASK, RunId(TASK.value), ZERO), BOOT, "t")
    known, queue = {repr(first)}, [first]
    while queue:
        run = queue.pop()
        for name, after in _next_step(run):
            failure = "failed" if after.failure else ""
            plain = replace(after, proc=_plain_proc(after.proc), kills=Kills(), failure=failure)
            seen.append(StepSeen(run, name, plain))
            if repr(plain) not in known:
                known.add(repr(plain))
                queue.append(plain)
    return tuple(seen)
