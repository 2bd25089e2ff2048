"""A simulated world for the machines of `core`: it does what is asked; its programs live and die as told.

What is true (a program's `state`) and what has been told of it (`told`) are two things, as they are outside.
The agent is the record alone: between two looks nothing else is kept, so every look is a restart.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import TYPE_CHECKING, Generic, TypeVar, assert_never

from runner_agent.core import service as service_rules
from runner_agent.core import step as step_rules
from runner_agent.core import view, wishes
from runner_agent.core.decisions import Action, Begin, Decision, Kill, Linger, Note, Remove, Spawn, Terminate
from runner_agent.core.facts import (
    Began,
    Killed,
    NeverStarted,
    NotReadyInTime,
    Promised,
    Rebooted,
    RunEnded,
    RunFact,
    RunGone,
    ServiceFact,
    Spawned,
    StopOverran,
    SurvivorsSeen,
    Terminated,
)
from runner_agent.core.timing import Timing
from runner_agent.model.errors import IllegalFact
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
from runner_agent.model.records import Deletion, Service, Step, StepStatus, Task
from runner_agent.model.runs import (
    Ending,
    Exited,
    Handle,
    Lost,
    NotStarted,
    Proc,
    ServiceRun,
    Signaled,
    Survivor,
)
from runner_agent.model.specs import (
    Cause,
    Launch,
    ServiceCommands,
    ServiceMetadata,
    ServiceSpec,
    TaskMetadata,
    TaskSpec,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

T = TypeVar("T")
R = TypeVar("R", Service, Step)

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
TIMING = Timing()
SIGKILLED = Signaled(9)
EVERY_DAY, DEEP = 1_000, 12_000
"""Random histories: with each commit, and in the heavy suites."""
MANY_LOOKS = 16
"""More looks than any machine needs before it has nothing more to ask at one instant."""


class Choices:
    """Draws from bytes, so that Hypothesis shrinks a history by shrinking them. At their end: the first."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def below(self, bound: int) -> int:
        byte = self._data[self._at] if self._at < len(self._data) else 0
        self._at += 1
        return byte % bound

    def of(self, options: Sequence[T]) -> T:
        return options[self.below(len(options))]


class State(IntEnum):
    """How far a program is, in truth or by what was told."""

    PROMISED = 0
    LIVE = 1
    ENDED = 2
    EMPTY = 3


@dataclass
class Program:
    """One run in truth. It outlives `shrugs` SIGKILLs; without an `ending` when EMPTY it never ran."""

    run_id: RunId
    role: RunRole
    owner: str
    state: State = State.PROMISED
    told: State = State.PROMISED
    ending: Ending | None = None
    shrugs: int = 0
    spawn_told_at: float | None = None
    end_told_at: float | None = None
    terminated: list[float] = field(default_factory=list[float])
    killed: list[float] = field(default_factory=list[float])
    lingers: bool = False

    @property
    def untold(self) -> bool:
        """There is news of it."""
        return self.told < self.state

    @property
    def handle(self) -> Handle:
        return Handle("world", self.run_id, {"pid": 1})

    def spawn(self) -> None:
        assert self.state is State.PROMISED
        self.state = State.LIVE

    def refuse(self, reason: str = "no such shell") -> None:
        assert self.state is State.PROMISED
        self.state, self.ending = State.EMPTY, NotStarted(reason)

    def lapse(self) -> None:
        """The agent died on its promise, which now cannot be kept any more."""
        assert self.state is State.PROMISED
        self.state = State.EMPTY

    def end(self, ending: Ending, *, leftovers: bool = False) -> None:
        assert self.state is State.LIVE
        self.state, self.ending = (State.ENDED if leftovers else State.EMPTY), ending

    def clear(self) -> None:
        assert self.state is State.ENDED
        self.state = State.EMPTY

    def die(self, ending: Ending) -> None:
        """At once and whole."""
        self.ending = self.ending or ending
        self.state = State.EMPTY


class Stage(ABC, Generic[R]):
    """One record, its programs, and a clock moved by hand."""

    def __init__(self, record: R, *, now: float = 1000.0, timing: Timing = TIMING) -> None:
        self.record: R | None = record
        self.now = now
        self.wall = NOON
        self.timing = timing
        self.boot = BootMark("boot-1")
        self.programs: list[Program] = []
        self.log: list[tuple[float, Action]] = []
        self.before_action: Callable[[Action], None] = lambda _: None
        self.after_fact: Callable[[ServiceFact], None] = lambda _: None

    # --- what the kinds of record differ in

    @abstractmethod
    def decide(self) -> Decision: ...

    @abstractmethod
    def fold(self, fact: ServiceFact) -> None: ...

    @abstractmethod
    def procs(self) -> tuple[Proc, ...]: ...

    @abstractmethod
    def owner(self) -> str:
        """What a new run belongs to: a session, a step."""

    # --- the agent

    def look(self) -> list[Action]:
        """Do all that is asked for at this instant. It must come to rest."""
        done: list[Action] = []
        for _ in range(MANY_LOOKS):
            decision = self.decide() if self.record is not None else Decision()
            if not decision.actions:
                return done
            for action in decision.actions:
                if not self.record or not self.decide().asks(action):
                    break  # what was done just now changed what is asked for
                self.perform(action)
                done.append(action)
        raise AssertionError(f"decide does not settle: {done}")

    def perform(self, action: Action, *, noted: bool = True) -> None:
        """Do one thing; `noted=False`: the agent dies between a signal and noting it."""
        self.before_action(action)
        self.log.append((self.now, action))
        at = Instant(self.now)
        match action:
            case Begin():
                assert isinstance(self.record, Service)
                self.fold(Began(self.record.spec.session, self.record.spec.launch, self.boot))
            case Spawn(role=role):
                run_id = RunId(f"run-{len(self.programs)}")
                self.fold(Promised(role, run_id, at))
                self.programs.append(Program(run_id, role, self.owner()))
            case Terminate(role=role):
                self.program(role).terminated.append(self.now)
                if noted:
                    self.fold(Terminated(at))
            case Kill(role=role):
                self._kill(self.program(role), noted=noted)
            case Linger(role=role, on=on):
                self.program(role).lingers = on
            case Note(fact=fact):
                self.fold(fact)
            case Remove():
                self.record = None
            case _:
                assert_never(action)

    def _kill(self, program: Program, *, noted: bool) -> None:
        program.killed.append(self.now)
        if program.shrugs:
            program.shrugs -= 1
        else:
            program.die(SIGKILLED)
        if noted:
            self.fold(Killed(program.role, Instant(self.now)))
            if program.state is not State.EMPTY and len(program.killed) > 1:
                self.fold(SurvivorsSeen((Survivor(4711, "sleep"),)))

    # --- the world

    def removed(self) -> bool:
        """The record is gone."""
        return self.record is None

    def program(self, role: RunRole = RunRole.TASK) -> Program:
        """The latest of this role."""
        return next(program for program in reversed(self.programs) if program.role is role)

    def tell(self, program: Program, *, last_line: str = "", whole: bool = False) -> RunFact:
        """The next news of a program. `whole`: its spawning and its end come as one."""
        at = Instant(self.now)
        fact: RunFact
        if program.told is State.PROMISED and program.ending is None and program.state is State.EMPTY:
            fact, told = NeverStarted(program.role, program.run_id), State.EMPTY
        elif program.told is State.PROMISED and not isinstance(program.ending, NotStarted) and not whole:
            fact, told = Spawned(program.role, program.run_id, at, program.handle), State.LIVE
        elif program.state is State.EMPTY:
            assert program.ending is not None
            fact = RunGone(program.role, program.run_id, at, program.ending, last_line)
            told = State.EMPTY
        elif program.told is State.PROMISED:
            fact, told = Spawned(program.role, program.run_id, at, program.handle), State.LIVE
        else:
            assert program.ending is not None
            fact, told = RunEnded(program.role, program.run_id, at, program.ending), State.ENDED
        if told is State.LIVE:
            program.spawn_told_at = self.now
        elif program.end_told_at is None:
            program.end_told_at = self.now
        program.told = told
        self.fold(fact)
        return fact

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.wall += timedelta(seconds=seconds)

    def wake(self) -> float | None:
        """When the agent wants to look again."""
        return self.decide().wake_at if self.record is not None else None

    @property
    def unfinished(self) -> list[Program]:
        return [program for program in self.programs if program.state is not State.EMPTY or program.untold]

    def power_cut(self) -> None:
        """All programs end and time begins anew; nobody will ever tell."""
        for program in self.unfinished:
            program.die(Lost("power cut"))
            program.told = State.EMPTY
        self.boot = BootMark(f"{self.boot}+")
        self.now = 5.0

    # --- for tests that tell a story

    def spawned(self, role: RunRole = RunRole.TASK) -> list[Action]:
        program = self.program(role)
        program.spawn()
        self.tell(program)
        return self.look()

    def never_started(self, role: RunRole = RunRole.TASK) -> list[Action]:
        program = self.program(role)
        program.lapse()
        self.tell(program)
        return self.look()

    def refused(self, role: RunRole = RunRole.TASK, reason: str = "no such shell") -> list[Action]:
        program = self.program(role)
        program.refuse(reason)
        self.tell(program)
        return self.look()

    def ended(self, ending: Ending, role: RunRole = RunRole.TASK) -> list[Action]:
        """The command ends and leaves something behind."""
        program = self.program(role)
        program.end(ending, leftovers=True)
        self.tell(program)
        return self.look()

    def gone(
        self, ending: Ending | None = None, role: RunRole = RunRole.TASK, last_line: str = ""
    ) -> list[Action]:
        """Nothing of it is left, and this is told."""
        program = self.program(role)
        if ending is not None:
            program.die(ending)
        elif program.state is State.ENDED:
            program.clear()
        self.tell(program, last_line=last_line)
        return self.look()

    def after(self, seconds: float) -> list[Action]:
        """What is done when so much time has passed."""
        self.pass_time(seconds)
        return self.look()


class ServiceStage(Stage[Service]):
    """A service in its world."""

    def __init__(
        self, launch: Launch, *, now: float = 1000.0, timing: Timing = TIMING, id_: str = "web"
    ) -> None:
        super().__init__(a_service(id_, launch), now=now, timing=timing)
        self.sessions = 0

    @property
    def service(self) -> Service:
        assert self.record is not None
        return self.record

    @property
    def phase(self) -> ServicePhase:
        return self.service.status.phase if self.record is not None else ServicePhase.DELETED

    @property
    def message(self) -> str:
        return self.service.status.failure_message

    def decide(self) -> Decision:
        return service_rules.decide(self.service, Instant(self.now), self.timing)

    def fold(self, fact: ServiceFact) -> None:
        self.take(service_rules.fold(self.service.run, fact, self.timing))
        self.after_fact(fact)

    def take(self, run: ServiceRun | None) -> None:
        moved = replace(self.service, run=run)
        self.record = replace(moved, status=view.status(moved))

    def procs(self) -> tuple[Proc, ...]:
        run = self.service.run
        return (run.start, run.ready, run.stop) if run else ()

    def owner(self) -> str:
        assert self.service.run is not None
        return self.service.run.session

    def new_session(self) -> SessionId:
        self.sessions += 1
        return SessionId(f"session-{self.sessions}")

    def start(self) -> list[Action]:
        self.record = wishes.start_service(self.service, self.new_session(), Cause("alice", self.wall))
        return self.look()

    def stop(self, by: str = "bob") -> list[Action]:
        self.record = wishes.stop_service(self.service, Cause(by, self.wall))
        return self.look()

    def delete(self, *, force: bool = False) -> list[Action]:
        deletion = Deletion(Cause("carol", self.wall), force)
        self.record = wishes.delete_service(self.service, deletion)
        return self.look()

    def reboot(self) -> None:
        self.power_cut()
        self.take(service_rules.rebooted(self.service, self.boot))


class StepStage(Stage[Step]):
    """A step record in its world."""

    def __init__(
        self,
        *holders: str,
        id_: str = "step-1",
        now: float = 1000.0,
        timing: Timing = TIMING,
    ) -> None:
        record = Step(
            id=StepId(id_),
            task_id=TaskId("task-1"),
            reference=Reference("build"),
            spec=TaskSpec("make"),
            created_at=NOON,
            members=tuple(ExecutionId(holder) for holder in holders),
            holders=tuple(ExecutionId(holder) for holder in holders),
        )
        super().__init__(record, now=now, timing=timing)

    @property
    def step(self) -> Step:
        assert self.record is not None
        return self.record

    @property
    def shown(self) -> StepStatus:
        assert self.step.status is not None
        return self.step.status

    def decide(self) -> Decision:
        return step_rules.decide(self.step, Instant(self.now), self.timing)

    def fold(self, fact: ServiceFact) -> None:
        if isinstance(fact, (Began, NotReadyInTime, StopOverran)):
            raise IllegalFact("step", self.step.run, fact)
        run = step_rules.fold(self.step.run, fact, self.boot, self.step.reference)
        self.record = replace(self.step, run=run, status=step_rules.view(run))
        self.after_fact(fact)

    def procs(self) -> tuple[Proc, ...]:
        return (self.step.run.proc,) if self.step.run else ()

    def owner(self) -> str:
        return self.step.id

    def hold(self, *holders: str) -> list[Action]:
        self.record = replace(self.step, holders=tuple(ExecutionId(holder) for holder in holders))
        return self.look()

    def reboot(self) -> None:
        self.power_cut()
        self.fold(Rebooted())


def a_launch(
    *, ready: str = "", stop: str = "", timeout: float | None = None, start: str = "serve"
) -> Launch:
    """`timeout` in seconds."""
    limit = None if timeout is None else round(timeout * 1_000_000_000)
    return Launch(ServiceCommands(start, ready, stop), readiness_timeout=limit)


def a_service(name: str, launch: Launch | None = None) -> Service:
    """Never started; its id is its name."""
    return Service(
        ServiceId(name),
        ServiceMetadata(Reference(name), name, NOON),
        ServiceSpec(launch or a_launch()),
        Cause("uid 1000", NOON),
    )


def a_task(name: str, needs: Sequence[str], tasks: Collection[str]) -> Task:
    """Its id is its name; what it needs is a task if its name is among `tasks`, else a service."""
    depends_on = tuple(TaskId(need) if need in tasks else ServiceId(need) for need in needs)
    metadata = TaskMetadata(Reference(name), name, NOON)
    return Task(TaskId(name), metadata, TaskSpec(f"make {name}"), depends_on)


def running(*, ready: str = "", stop: str = "", timeout: float | None = None) -> ServiceStage:
    """A service whose `start` lives, and that was ready if it has a `ready`."""
    stage = starting(ready=ready, stop=stop, timeout=timeout)
    if ready:
        stage.spawned(RunRole.READY)
        stage.gone(Exited(0), RunRole.READY)
    assert stage.phase is ServicePhase.RUNNING
    return stage


def starting(*, ready: str = "", stop: str = "", timeout: float | None = None) -> ServiceStage:
    """A service whose `start` has just been spawned."""
    stage = ServiceStage(a_launch(ready=ready, stop=stop, timeout=timeout))
    assert stage.start() == [Begin(), Spawn(RunRole.START)]
    stage.spawned(RunRole.START)
    return stage
