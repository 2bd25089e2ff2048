"""The book kept of a history: each wish and each thing seen is entered, and judged by the models."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from runner_agent.core.execution import World as Hanging
from runner_agent.core.execution import hangs_on
from runner_agent.core.explain import explain_execution
from runner_agent.core.explanation import Present
from runner_agent.core.timing import Timing
from runner_agent.executors.base import RunRequest
from runner_agent.model.ids import BootMark, Instant, Reference, StepId, Version
from runner_agent.model.phases import ExecutionPhase, RunRole, ServicePhase
from runner_agent.model.plans import TaskWork
from runner_agent.model.records import Execution, Key, Kind, Service, Step, Task
from runner_agent.store.memory import MemoryStore
from tests.histories.reference import AT_REST, EXACT, RANK, SOON, Scripts, ServiceModel, Session
from tests.histories.reference_executions import ExecutionModel, TaskModel, in_plan, step_allowed
from tests.histories.witness import Seen, WitnessedWorld

FOREVER = float("inf")
MANY = 100
LOOK, LONGEST_LOOK = 0.5, 31.0
"""Seconds between one SIGKILL and the next at least, and until everybody is told at most."""


class Book:
    """Implements `witness.Witness`. Times are the machine's."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.wrong: list[str] = []
        self.services: dict[str, ServiceModel] = {}
        self.tasks: dict[str, TaskModel] = {}
        self.executions: dict[str, ExecutionModel] = {}
        self.runs: dict[str, Seen] = {}
        self.lag = SOON
        self.hindered = 0.0
        self.unwritable = False
        """The disk is full: nothing that becomes known is written, and what follows from it is not done."""
        self.down = False
        """The agent goes down: SIGTERM to all (rule 7.1)."""
        self.forced = False
        """It does so at once: SIGKILL to all."""
        self.last_event = 0.0
        self.wishing = False
        """A wish is being written just now: the change of a wish is its doing."""
        self.defining: tuple[str, int, Scripts] | None = None
        self._versions: dict[str, Version] = {}
        self._views: dict[tuple[str, Version], object] = {}

    def look_at(self, store: MemoryStore, world: WitnessedWorld) -> None:
        self._store, self._world = store, world

    def stir(self) -> None:
        """Something happened: the agent may need a moment."""
        self.last_event = self._now()

    def hinder(self, until: float) -> None:
        """What is under way now, and what happens until then, may be seen late."""
        self.hindered = max(self.hindered, until)
        for service in self.services.values():
            for session in service.sessions.values():
                if session.alive or session.rank < RANK[ServicePhase.STOPPED]:  # or its end is not told yet
                    session.murky = True

    def _lag(self) -> float:
        return FOREVER if self.unwritable or self._now() <= self.hindered else self.lag

    def by_reference(self, reference: str) -> ServiceModel | None:
        found = self._store.by_reference(Reference(reference))
        return self.services.get(found.id) if isinstance(found, Service) else None

    # --- what the machine sees

    def begins(self, request: RunRequest) -> None:
        self.stir()
        if request.role is RunRole.TASK:
            self._begins_task(request)
            return
        service, session = self._of(request)
        if service is None or session is None:
            self.wrong.append(f"{request.note} begins for no session that was asked for")
            return
        if self.down and request.role is RunRole.STOP and session.released is None:
            session.released = self._now()  # rule 7.1, for what began in that very moment too
        if reason := service.may_begin(request.role, session, self._now(), self._lag()):
            self.wrong.append(f"{request.note} begins {reason}")

    def _of(self, request: RunRequest) -> tuple[ServiceModel | None, Session | None]:
        shown = self._store.by_reference(request.reference)
        service = self.services.get(shown.id) if shown is not None else None
        if service is None or not isinstance(shown, Service):
            return None, None
        self._take_over_wish(shown, service)
        return service, service.sessions.get(shown.status.session)

    def begun(self, seen: Seen) -> None:
        if seen.request.role is RunRole.TASK:
            self.runs[seen.request.log.stem] = seen
            return
        service, session = self._of(seen.request)
        if service is None or session is None:
            return
        if self._now() <= self.hindered:
            session.murky = True
        match seen.request.role:
            case RunRole.START:
                session.start = seen
                if seen.version not in session.versions:
                    self.wrong.append(f"{seen.name} begins with a spec that was not in force")
            case RunRole.READY:
                session.readies.append(seen)
            case _:
                session.stop = seen
        if session.start is not None and seen.version != session.start.version:
            self.wrong.append(f"{seen.name} is not of the spec its session began with (rule 2.7)")

    def _owner(self, seen: Seen) -> tuple[ServiceModel, Session] | None:
        for service in self.services.values():
            for session in service.sessions.values():
                if seen in session.runs():
                    return service, session
        return None

    def terminated(self, seen: Seen) -> None:
        self.stir()
        if self.down:  # rule 7.1, for what began in that very moment too
            if (owner := self._owner(seen)) and owner[1].released is None:
                owner[1].released = self._now()
            return
        if seen.request.role is RunRole.TASK:
            record = seen.request.log.stem
            members = [one for one in self.executions.values() if in_plan(one, record)]
            if any(one.holds(record) for one in members) and not self._condemned(record):
                self.wrong.append(f"{seen.name} gets SIGTERM while an execution wants it")
        elif (owner := self._owner(seen)) and (reason := owner[0].may_terminate(owner[1], self._now())):
            self.wrong.append(f"{seen.name} gets SIGTERM {reason}")

    def killed(self, seen: Seen) -> None:
        self.stir()
        self._judge_patience(seen)
        if seen.request.role is RunRole.TASK:
            now = self._now()
            due = seen.terminated is not None and now >= seen.terminated + 120 - 0.001
            left = seen.ended is not None and now >= seen.ended + 10 - 0.001
            if not due and not left and not self.forced:
                self.wrong.append(f"{seen.name} gets SIGKILL before its deadline")
        elif owner := self._owner(seen):
            reason = owner[0].may_kill(seen, owner[1], self._now())
            if reason and not self.forced:
                self.wrong.append(f"{seen.name} gets SIGKILL {reason}")

    def ended(self, seen: Seen) -> None:
        self.stir()
        in_that_moment = seen.lost_at == self._now()  # who knows which of the two the agent saw
        if (in_that_moment or self._now() <= self.hindered) and (owner := self._owner(seen)):
            owner[1].murky = True

    def _judge_patience(self, seen: Seen) -> None:
        """Rule 3.8: after a SIGKILL one looks again with back-off."""
        rested = seen.struck is None or self._now() - seen.struck >= LOOK - EXACT
        if not rested and self._now() > self.hindered and not self.unwritable and not self.forced:
            self.wrong.append(f"{seen.name} gets SIGKILL again, too soon")
            if len(self.wrong) > MANY:
                raise AssertionError(self.wrong[0])  # it would go on for ever

    def lost(self, seen: Seen) -> None:
        self.stir()
        seen.lost, seen.untold = True, seen.untold or seen.ended is None
        seen.lost_at = self._now()

    # --- tasks

    def _condemned(self, record: str) -> bool:
        """The execution whose main task it is was stopped (rule 6.2)."""
        return any(
            one.stopped is not None and (step := in_plan(one, record)) and step.label == one.task
            for one in self.executions.values()
        )

    def _begins_task(self, request: RunRequest) -> None:
        record = request.log.stem
        members = [one for one in self.executions.values() if in_plan(one, record)]
        if record in self.runs:
            self.wrong.append(f"{request.note} begins twice")
        if any(one.rebooted for one in members):
            self.wrong.append(f"{request.note} begins after a reboot")
        lag, now = self._lag(), self._now()
        wanting = [
            one
            for one in members
            if any(step is in_plan(one, record) for step in one.reached())
            and (one.stopped is None or now - one.stopped <= lag)
        ]
        if not wanting:
            self.wrong.append(f"{request.note} begins though no execution has reached it and wants it")
        if others := self._fired_runs(record, members):
            self.wrong.append(f"{request.note} begins while {others} lives, of another firing (rule 6.2a)")
        version = int(request.script.rpartition("# v")[2])
        if any(one.versions.get(request.reference) != version for one in members):
            self.wrong.append(f"{request.note} is not of the spec frozen at its start (rule 4.1)")

    def _fired_runs(self, record: str, members: Sequence[ExecutionModel]) -> list[str]:
        """Other runs of the same task that live, and were begun by firings of the same boot."""
        mine = {(one.boot, one.task_of(record)) for one in members if one.boot}
        return [
            seen.name
            for other, seen in self.runs.items()
            if other != record
            and seen.alive
            and any((one.boot, one.task_of(other)) in mine for one in self.executions.values())
        ]

    # --- what the store shows

    def changed(self, key: Key, *, gone: bool) -> None:
        self.stir()
        match key.kind:
            case Kind.SERVICE:
                service = self._store.get(Service, key.id)
                if service is not None:
                    self._grown(key, service.status_version, service.status)
                    self._shown(service)
                elif gone and (model := self.services.get(key.id)):
                    self._gone(model)
            case Kind.EXECUTION:
                execution = self._store.get(Execution, key.id)
                if execution is not None and key.id in self.executions:
                    shown = (execution.status, {i: s.status for i, s in execution.steps.items()})
                    self._grown(key, execution.status_version, shown)
                    self._take_over_stop(execution)
                    self.wrong += self.executions[key.id].wrong_with(execution)
            case _:
                pass

    def _grown(self, key: Key, version: Version, view: object) -> None:
        """Rule 1.5."""
        if version < self._versions.get(key.id, Version(0)):
            self.wrong.append(f"{key}: its status_version went back")
        self._versions[key.id] = version
        if key.kind is Kind.SERVICE and self._views.setdefault((key.id, version), view) != view:
            self.wrong.append(f"{key}: status_version {version} means two things")

    def _shown(self, service: Service) -> None:
        reference = str(service.metadata.reference)
        if service.id not in self.services and self.defining is not None and self.defining[0] == reference:
            self.defined(service, *self.defining[1:])
        model = self.services.get(service.id)
        if model is None:
            self.wrong.append(f"{reference} is there, and nobody defined it")
            return
        self._take_over_wish(service, model)
        if self.wishing and service.deletion is not None:  # what follows may come before the answer
            model.asked_to_go(self._now(), force=service.deletion.force)
        status = service.status
        session = model.sessions.get(status.session)
        if session is None:
            if status.session or status.phase is not ServicePhase.STOPPED:
                self.wrong.append(f"{model.reference} shows {status} of a session nobody asked for")
            return
        rank = RANK[status.phase]
        if rank < session.rank:
            self.wrong.append(f"{model.reference} goes back to {status.phase.value} within a session")
        session.rank = rank
        if status.phase in AT_REST and session.alive:
            self.wrong.append(f"{model.reference} shows {status.phase.value} while a process lives (3.9)")
        if status.phase is ServicePhase.RUNNING and model.ready_at(session) is None:
            self.wrong.append(f"{model.reference} shows RUNNING, and was never ready")

    def _take_over_wish(self, service: Service, model: ServiceModel) -> None:
        """An execution may ask for a session: the one its plan names, and only while it wants it (4.5)."""
        spec = service.spec
        if spec.desired_phase is not ServicePhase.RUNNING:
            if model.running and not self.wishing:
                self.wrong.append(f"{model.reference}: its stop was asked for by nobody")
            model.asked_to_stop(self._now())
            return
        if spec.session == model.session and model.running:
            return
        asking = [
            one
            for one in self.executions.values()
            if any(getattr(step.work, "session", "") == spec.session for step in one.plan.steps())
        ]
        if not self.wishing and not any(
            one.stopped is None or self._now() - one.stopped <= self._lag() for one in asking
        ):
            self.wrong.append(f"{model.reference}: its session {spec.session} was asked for by nobody")
        model.asked_to_run(spec.session, self._now())

    def _take_over_stop(self, execution: Execution) -> None:
        model = self.executions[execution.id]
        if execution.desired_phase is ExecutionPhase.STOPPED and model.stopped is None:
            if not self.wishing:
                self.wrong.append(f"{execution.id}: its stop was asked for by nobody")
            model.stopped = self._now()

    def _gone(self, model: ServiceModel) -> None:
        if model.deleting is None and not self.wishing:  # else it is entered in a moment
            self.wrong.append(f"{model.reference} is gone, and nobody deleted it")
        if any(session.alive for session in model.sessions.values()):
            self.wrong.append(f"{model.reference} is gone while a process lives (3.13)")

    # --- wishes are entered by the hands that make them

    def defined(self, service: Service, version: int, scripts: Scripts) -> None:
        reference = str(service.metadata.reference)
        model = self.services[service.id] = ServiceModel(reference, version, {version: scripts})
        if service.spec.desired_phase is ServicePhase.RUNNING:
            model.asked_to_run(service.spec.session, self._now())

    def begun_execution(self, execution: Execution) -> None:
        """Rule 4.2: levels, each once, dependencies first."""
        task = self.tasks[execution.task_id]
        levels: dict[str, int] = {}

        def level(reference: str) -> int:
            needs = next((one.needs for one in self._live_tasks() if one.reference == reference), ())
            levels[reference] = 1 + max((level(need) for need in needs), default=-1)
            return levels[reference]

        level(task.reference)
        expected = [
            sorted(name for name, at in levels.items() if at == number)
            for number in range(max(levels.values()) + 1)
        ]
        plan = [sorted(str(step.label) for step in group.steps) for group in execution.plan.groups]
        if plan != expected:
            self.wrong.append(f"the plan of {task.reference} is {plan} instead of {expected}")
        versions = {one.reference: one.version for one in self._live_tasks()}
        boot = str(execution.boot) if execution.firing is not None else ""
        live = self._store.live_executions()
        stopped = frozenset(one.id for one in live if one.desired_phase is ExecutionPhase.STOPPED)
        model = ExecutionModel(
            execution.id, task.reference, execution.plan, versions, self._now(), boot, stopped
        )
        self._joined(model)
        self.executions[execution.id] = model

    def _joined(self, model: ExecutionModel) -> None:
        """Rule 6.2a: a run that goes on is joined, with the spec that it began with."""
        others = [one for one in self.executions.values() if model.boot and one.boot == model.boot]
        for step in model.plan.steps():
            if not isinstance(step.work, TaskWork):
                continue
            for one in others:
                if in_plan(one, step.work.step) is not None:
                    model.versions[step.label] = one.versions[step.label]
            going = [record for record in self.runs if self._goes_on(record, step.work.task_id, others)]
            if going and step.work.step not in going:
                self.wrong.append(f"{model.task} does not join the run of {step.label} (rule 6.2a)")

    def _goes_on(self, record: str, task: str, others: Sequence[ExecutionModel]) -> bool:
        """It is a run of this task that lives, is wanted and is not being ended."""
        seen = self.runs[record]
        wanted = any(one.task_of(record) == task and one.holds(record) for one in others)
        untouched = seen.ended is None and seen.terminated is None and seen.alive
        return wanted and untouched and not self._condemned(record)

    def _live_tasks(self) -> Sequence[TaskModel]:
        return [self.tasks[task.id] for task in self._store.tasks() if task.id in self.tasks]

    # --- what befalls the machine

    def rebooted(self) -> None:
        for service in self.services.values():
            for session in service.sessions.values():
                session.dead = True
            service.release(self._now())
        for one in self.executions.values():
            one.rebooted = one.rebooted or not one.phase.terminal

    def going_down(self, *, now: bool) -> None:
        self.forced, self.down = now, True
        for service in self.services.values():
            for session in service.sessions.values():
                session.maybe = session.start is None
                if session.start is not None and session.released is None:
                    session.released = self._now()
                session.forced |= now
                session.murky = True

    # --- judging an attentive agent

    def judge(self) -> None:
        for service in self._store.services():
            if service.id in self.services:
                self._judge_service(service, self.services[service.id])
        for execution in self._store.live_executions():
            if execution.id in self.executions:
                self._judge_execution(execution, self.executions[execution.id])
        for task in self._store.tasks():
            self._judge_task(task)
        for record, seen in self.runs.items():
            step = self._store.get(Step, StepId(record))
            if step is not None and step.status is not None:
                self._judge_survivors(seen, step.status.failure_message)

    def _judge_service(self, service: Service, model: ServiceModel) -> None:
        now, status = self._now(), service.status
        if (shown := model.sessions.get(status.session)) and not (shown.stop and shown.stop.alive):
            for seen in shown.runs():
                self._judge_survivors(seen, status.failure_message)
        if self._at_an_edge(model, now):
            return
        session = model.sessions.get(status.session)
        phases = model.allowed(session, now)
        if status.phase not in phases:
            told = sorted(phase.value for phase in phases)
            self.wrong.append(f"t={now}: {model.reference} shows {status.phase.value}, not one of {told}")
        nothing_left = session is None or (session.start is not None and not session.alive)
        if model.deleting is not None and nothing_left:
            self.wrong.append(f"{model.reference} is to be deleted, has nothing left, and is there")
        waiting = model.sessions.get(model.session)
        if (
            model.running
            and model.deleting is None
            and waiting is not None
            and waiting is not session
            and status.phase in AT_REST
            and not waiting.dead
            and not waiting.maybe
            and waiting.released is None
        ):
            self.wrong.append(f"{model.reference} does not begin the session that is wished for")

    def _judge_survivors(self, seen: Seen, told: str) -> None:
        """Rule 3.9: what outlives SIGKILL is named by its pid."""
        if seen.killed is None or seen.lost or self._now() < max(seen.killed, self.hindered) + LONGEST_LOOK:
            return
        if any(str(process.pid) not in told for process in seen.run.survivors()):
            self.wrong.append(f"{seen.name} outlives SIGKILL, and nobody is told: {told!r}")

    @staticmethod
    def _at_an_edge(model: ServiceModel, now: float) -> bool:
        """Within a moment of a deadline: both sides of it are right."""
        for session in model.sessions.values():
            timeout = model.scripts(session).timeout
            if session.start is not None and timeout and abs(now - session.start.at - timeout) < SOON:
                return True
        return False

    def _judge_execution(self, execution: Execution, model: ExecutionModel) -> None:
        if model.rebooted:
            self.wrong.append(f"{execution.id} goes on after a reboot")
            return
        for step in model.reached():
            if isinstance(step.work, TaskWork):
                shown = model.steps.get(step.id, ExecutionPhase.PENDING)
                if shown is ExecutionPhase.PENDING and (model.failed or model.stopped is not None):
                    continue
                record = step.work.step
                allowed = step_allowed(model, self.runs.get(record), step.work.spec.command)
                if self._condemned(record):
                    allowed |= {ExecutionPhase.FAILED}
                if step.work.after is not None and self._lives(step.work.after):
                    allowed = frozenset({ExecutionPhase.PENDING})
                if shown not in allowed:
                    told = sorted(one.value for one in allowed)
                    self.wrong.append(f"{execution.id}, {step.label}: {shown.value}, not one of {told}")
        unfinished = [id_ for id_, phase in model.steps.items() if not phase.terminal]
        if not unfinished and (model.stopped is not None or model.failed):
            self.wrong.append(f"{execution.id} has nothing to wait for, and does not end")
        self._judge_explanation(execution)

    def _lives(self, record: str) -> bool:
        return record in self.runs and self.runs[record].alive

    def _judge_explanation(self, execution: Execution) -> None:
        """An execution that has not ended names what it waits for."""
        at = Present(Instant(self._now()), BootMark("boot"), Timing())
        steps = [self._store.get(Step, StepId(id_)) for id_ in hangs_on(execution)]
        hanging = Hanging(
            {one.id: one for one in steps if one is not None}, {one.id: one for one in self._store.services()}
        )
        told = explain_execution(execution, hanging, at)
        running = {id_ for id_, one in execution.steps.items() if one.status.phase is ExecutionPhase.RUNNING}
        labels = {step.label for step in execution.plan.steps() if step.id in running}
        if not told.answer or not labels <= set(told.waits_for):
            self.wrong.append(f"{execution.id} waits for {labels}, and says: {told}")

    def _judge_task(self, task: Task) -> None:
        live = any(one.task_id == task.id for one in self._store.live_executions())
        if task.deletion is not None and not live:
            self.wrong.append(
                f"{task.metadata.reference} is to be deleted, nothing runs of it, and it is there"
            )
