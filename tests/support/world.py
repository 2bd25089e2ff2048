"""A scene for the reconciler: a store and a scripted world that outlive any number of agents."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

from runner_agent.core import wishes
from runner_agent.core.plan import make_plan
from runner_agent.core.timing import NANOSECONDS, Timing
from runner_agent.executors.base import RunRequest
from runner_agent.executors.scripted import ScriptedExecutor
from runner_agent.executors.scripted_world import World
from runner_agent.executors.table import Executors
from runner_agent.kit.inotify import Inotify
from runner_agent.kit.virtual import VirtualClock, running_clock
from runner_agent.logs.cap import LogCap
from runner_agent.logs.files import LogFiles
from runner_agent.model.ids import (
    BootMark,
    EnvironmentId,
    ExecutionId,
    Reference,
    ServiceId,
    SessionId,
    StepId,
    TaskId,
    Version,
)
from runner_agent.model.phases import ExecutionPhase, RunRole, ServicePhase
from runner_agent.model.plans import TaskWork
from runner_agent.model.records import (
    Deletion,
    Execution,
    ExecutionStatus,
    Kind,
    Record,
    Service,
    ServiceStatus,
    Step,
    Task,
)
from runner_agent.model.runs import Live, Proc
from runner_agent.model.specs import (
    Cause,
    Launch,
    ServiceCommands,
    ServiceMetadata,
    ServiceSpec,
    Subject,
    TaskMetadata,
    TaskSpec,
)
from runner_agent.reconcile.evidence import Evidence
from runner_agent.reconcile.loop import Reconciler, Setting
from runner_agent.reconcile.means import Means
from runner_agent.reconcile.notes import Notes
from runner_agent.reconcile.requests import Requests
from runner_agent.secrets.given import RunSecrets
from runner_agent.store.base import Transaction
from runner_agent.store.memory import MemoryStore
from tests.support.strikes import Life, Strikes, struck

BOUND = 24 * 3600.0
"""Virtual seconds after which what was waited for will never be."""


@dataclass(frozen=True)
class Agent:
    """One life of the agent."""

    reconciler: Reconciler
    task: asyncio.Task[None]
    inotify: Inotify
    life: Life

    async def dies(self) -> None:
        """As by SIGKILL: whatever it was about to do is not done."""
        self.life.fallen.set()
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        self.inotify.close()


@dataclass
class Scene:
    """What outlives the agent, and the hands that make wishes and look."""

    folder: Path
    clock: VirtualClock
    store: MemoryStore = field(default_factory=MemoryStore)
    world: World = field(default_factory=World)
    timing: Timing = field(default_factory=Timing)
    strikes: Strikes = field(default_factory=Strikes)
    begun: Counter[tuple[str, str, str]] = field(default_factory=Counter[tuple[str, str, str]])
    agents: list[Agent] = field(default_factory=list[Agent])
    secrets: Callable[[], RunSecrets] = RunSecrets
    """What each agent resolves secrets with, made anew as a new agent's memory is."""

    def __post_init__(self) -> None:
        self._ids = count(1)
        self._executions = count(1)
        self._shown: dict[str, str] = {}
        self._versions: dict[str, Version] = {}
        self.world.on_begin = self._count
        self.world.began = self.clock.now()

    # --- the agent

    async def agent(self) -> Agent:
        """Start an agent over what there is."""
        inotify = Inotify()
        life = Life()
        store, machine = struck(self.store, ScriptedExecutor(self.world), self.strikes, life)
        evidence = Evidence(LogFiles(self.folder / "logs"), LogCap(inotify), self.folder / "outputs", inotify)
        (self.folder / "outputs").mkdir(exist_ok=True)
        means = Means(
            store=store,
            notes=Notes(store, self.clock),
            executors=Executors({"machine": machine}),
            requests=Requests(
                evidence, EnvironmentId("environment-1"), "/run/agent.sock", secrets=self.secrets()
            ),
            evidence=evidence,
            clock=self.clock,
        )
        setting = Setting(BootMark(self.clock.boot_mark()), self.timing, self.new_id)
        reconciler = Reconciler(means, setting)
        task = asyncio.get_running_loop().create_task(reconciler.run(), name="agent")
        agent = Agent(reconciler, task, inotify, life)
        self.agents.append(agent)
        return agent

    async def restarted(self, *, after: float = 0.0) -> Agent:
        """The agent is killed and comes back `after` so many seconds."""
        await self.agents[-1].dies()
        await asyncio.sleep(after)
        return await self.agent()

    # --- wishes

    def new_id(self) -> str:
        return f"00000000-0000-4000-8000-{next(self._ids):012}"

    def cause(self, by: str = "uid 1000") -> Cause:
        return Cause(by, self.clock.wall())

    async def service(self, reference: str, start: str, **rest: str | float) -> ServiceId:
        """Define one. `ready` and `stop` are scripts, `timeout` is that of readiness, in seconds."""
        commands = ServiceCommands(start, str(rest.get("ready", "")), str(rest.get("stop", "")))
        timeout = int(float(rest.get("timeout", 0)) * NANOSECONDS) or None
        service = Service(
            id=ServiceId(f"service-{reference}"),
            metadata=ServiceMetadata(Reference(reference), reference, self.clock.wall()),
            spec=ServiceSpec(Launch(commands, readiness_timeout=timeout)),
            cause=self.cause(),
        )
        await self._put(service)
        return service.id

    async def task(self, reference: str, command: str, *depends_on: str) -> TaskId:
        """Define one. Dependencies by reference."""
        found = [self.store.by_reference(Reference(one)) for one in depends_on]
        task = Task(
            id=TaskId(f"task-{reference}"),
            metadata=TaskMetadata(Reference(reference), reference, self.clock.wall()),
            spec=TaskSpec(command),
            depends_on=tuple(one.id for one in found if one is not None),
        )
        assert len(task.depends_on) == len(depends_on)
        await self._put(task)
        return task.id

    async def start(self, reference: str, by: str = "uid 1000") -> None:
        session, cause = SessionId(f"session-{next(self._ids)}"), self.cause(by)
        await self._wish(reference, lambda service: wishes.start_service(service, session, cause))

    async def stop(self, reference: str, by: str = "uid 1000") -> None:
        cause = self.cause(by)
        await self._wish(reference, lambda service: wishes.stop_service(service, cause))

    async def delete(self, reference: str, *, force: bool = False) -> None:
        deletion = Deletion(self.cause(), force)
        if self.store.by_reference(Reference(reference)) is None:
            return
        await self._wish(reference, lambda service: wishes.delete_service(service, deletion))

    async def respecify(self, reference: str, start: str) -> None:
        """A new spec, as an upsert writes it (rule 2.7)."""

        def changed(service: Service) -> Service:
            launch = replace(service.spec.launch, commands=ServiceCommands(start))
            return replace(service, spec=replace(service.spec, launch=launch))

        await self._wish(reference, changed)

    async def execute(self, *references: str) -> list[ExecutionId]:
        """Start these tasks in one firing: they share the tasks that several of them need (rule 6.2)."""
        definitions: list[Service | Task] = [*self.store.services(), *self.store.tasks()]
        known = {one.id: one for one in definitions}
        shared: dict[TaskId, StepId] = {}

        def work_for(task: Task) -> TaskWork:
            id_ = StepId(f"step-{task.id.removeprefix('task-')}-{next(self._ids)}")
            return TaskWork(task.id, task.spec, shared.setdefault(task.id, id_))

        executions: list[Execution] = []
        for reference in references:
            task = self.store.by_reference(Reference(reference))
            assert isinstance(task, Task)
            executions.append(
                Execution(
                    id=ExecutionId(f"{reference}-{next(self._executions)}"),
                    task_id=task.id,
                    reference=task.metadata.reference,
                    created_at=self.clock.wall(),
                    creator=Subject(),
                    started_by="manual",
                    plan=make_plan(task, known, self.new_id, work_for),
                    cause=self.cause(),
                    boot=BootMark(self.clock.boot_mark()),
                )
            )
        await self._put(*executions, *self._step_records(executions))
        return [execution.id for execution in executions]

    async def stop_execution(self, execution: ExecutionId) -> None:
        cause = self.cause()

        def change(tx: Transaction) -> None:
            found = tx.get(Execution, execution)
            assert found is not None
            tx.put(wishes.stop_execution(found, cause))

        await self.store.write(change, durable=True)

    async def delete_task(self, task: TaskId) -> None:
        deletion, cause = Deletion(self.cause()), self.cause()

        def change(tx: Transaction) -> None:
            found = tx.get(Task, task)
            assert found is not None
            tx.put(replace(found, deletion=deletion))
            for execution in tx.live_executions():
                if execution.task_id == task:
                    tx.put(wishes.stop_execution(execution, cause))

        await self.store.write(change, durable=True)

    def _step_records(self, executions: Sequence[Execution]) -> list[Step]:
        found: dict[StepId, Step] = {}
        for execution in executions:
            for step in execution.plan.steps():
                if not isinstance(step.work, TaskWork):
                    continue
                work = step.work
                record = found.get(work.step) or Step(
                    work.step, work.task_id, step.label, work.spec, execution.created_at, ()
                )
                found[work.step] = replace(record, members=(*record.members, execution.id))
        return list(found.values())

    async def _wish(self, reference: str, wish: Callable[[Service], Service]) -> None:
        def change(tx: Transaction) -> None:
            service = tx.by_reference(Reference(reference))
            assert isinstance(service, Service)
            tx.put(wish(service))

        await self.store.write(change, durable=True)

    async def _put(self, *records: Record) -> None:
        def change(tx: Transaction) -> None:
            for record in records:
                tx.put(record)

        await self.store.write(change, durable=True)

    # --- looking

    def phase(self, reference: str) -> ServicePhase:
        return self.seen(reference).status.phase

    def seen(self, reference: str) -> Service:
        service = self.store.by_reference(Reference(reference))
        assert isinstance(service, Service)
        return service

    def execution(self, id_: ExecutionId) -> Execution:
        found = self.store.get(Execution, id_)
        assert found is not None
        return found

    def steps(self, id_: ExecutionId) -> dict[str, str]:
        """Phases by label, those of steps that have not started left out."""
        execution = self.execution(id_)
        return {
            step.label: execution.steps[step.id].status.phase.value
            for step in execution.plan.steps()
            if step.id in execution.steps
        }

    def log(self, kind: Kind, id_: str, role: RunRole = RunRole.TASK) -> str:
        files = LogFiles(self.folder / "logs")
        path = files.service(ServiceId(id_), role) if kind is Kind.SERVICE else files.run(StepId(id_))
        return path.read_text() if path.exists() else ""

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for it, looking whenever the store changed."""
        watch = self.store.watch()
        try:
            async with asyncio.timeout(BOUND):
                while not condition():
                    await watch.changes()
        finally:
            watch.close()

    async def until_phase(self, reference: str, phase: ServicePhase) -> None:
        await self.until(lambda: self.phase(reference) is phase)

    async def until_gone(self, reference: str) -> None:
        await self.until(lambda: self.store.by_reference(Reference(reference)) is None)

    async def ended(self, *executions: ExecutionId) -> list[ExecutionPhase]:
        await self.until(lambda: all(self.execution(one).status.phase.terminal for one in executions))
        return [self.execution(one).status.phase for one in executions]

    async def at(self, seconds: float) -> None:
        """Sleep until so many seconds after the scene began."""
        assert self.world.began is not None
        await asyncio.sleep(self.world.began + seconds - self.clock.now())

    async def pause(self, seconds: float) -> None:
        """Let an agent work undisturbed for so long, so that the next wish meets what it is meant to meet."""
        blows = -1
        while blows != self.strikes.blows:
            blows = self.strikes.blows
            agent = self.agents[-1]
            if agent.life.fallen.is_set():
                blows = -1
            else:
                await agent.reconciler.recovered()
            await asyncio.sleep(seconds)

    # --- what must always hold

    async def watch_over(self) -> None:
        """Add what the API shows to the transcript, and see to it that versions only grow (rule 1.5)."""
        watch = self.store.watch()
        while changed := await watch.changes():
            for key, change in changed.items():
                if change.deleted and key.kind is Kind.SERVICE:
                    self.world.say(f"{key.id.removeprefix('service-')} DELETED")
                record = self.store.get(_KINDS[key.kind], key.id)
                if record is None:
                    continue
                newest = max(record.spec_version, record.status_version)
                assert newest >= self._versions.get(str(key), Version(0)), f"{key} went back"
                self._versions[str(key)] = newest
                self._show(record)

    def _show(self, record: Record) -> None:
        match record:
            case Service():
                name, shown = str(record.metadata.reference), _told(record.status)
            case Execution():
                name, shown = str(record.id), _told(record.status)
            case _:
                return
        before = self._shown.setdefault(name, shown)
        if before != shown:
            self._shown[name] = shown
            self.world.say(f"{name} {shown}")

    def _count(self, request: RunRequest) -> None:
        """Rule 7.2: no body is begun twice for one session or step; `ready` may be, once it has failed."""
        if request.role is RunRole.TASK:
            owner = request.log.stem
        else:
            run = self.seen(request.reference).run
            assert run is not None
            owner = run.session
        self.begun[request.reference, request.role.value, owner] += 1

    def begun_twice(self) -> list[tuple[str, str, str]]:
        return [one for one, number in self.begun.items() if number > 1 and one[1] != RunRole.READY.value]

    def orphans(self) -> list[str]:
        """Runs that the world remembers and the store does not, live or not yet cleaned."""
        known = {proc.run_id for proc in self._procs() if isinstance(proc, Live)}
        return [run.name for run in self.world.runs.values() if run.request.run_id not in known]

    def unfinished(self) -> list[str]:
        """What is not at rest, though nothing keeps it from being."""
        found = [str(execution.key) for execution in self.store.live_executions()]
        found += [str(step.key) for step in self.store.live_steps()]
        resting = (ServicePhase.STOPPED, ServicePhase.FAILED)
        return found + [str(one.key) for one in self.store.services() if one.status.phase not in resting]

    def _procs(self) -> list[Proc]:
        procs: list[Proc] = []
        for service in self.store.services():
            if service.run is not None:
                procs += [service.run.start, service.run.ready, service.run.stop]
        return procs + [step.run.proc for step in self.store.live_steps() if step.run is not None]


def _told(status: ServiceStatus | ExecutionStatus) -> str:
    return f"{status.phase.value}: {status.failure_message}".removesuffix(": ")


_KINDS: dict[Kind, type[Record]] = {
    Kind.SERVICE: Service,
    Kind.TASK: Task,
    Kind.EXECUTION: Execution,
    Kind.STEP: Step,
}


@asynccontextmanager
async def scene(folder: Path, *, agent: bool = True, timing: Timing | None = None) -> AsyncGenerator[Scene]:
    """A scene, watched over, with an agent unless told otherwise. Its laws are checked at the end."""
    made = Scene(folder, running_clock(), timing=timing or Timing())
    watching = asyncio.get_running_loop().create_task(made.watch_over())
    if agent:
        await made.agent()
    try:
        yield made
        await asyncio.sleep(0.001)
        if watching.done():
            watching.result()
        assert made.begun_twice() == []
    finally:
        watching.cancel()
        for one in made.agents:
            await one.dies()


def texts(lines: Iterable[str]) -> list[str]:
    """Without the times."""
    return [line.partition(" ")[2] for line in lines]
