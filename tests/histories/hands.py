"""The wishes of a history: each is made of the real commands and, if it is granted, entered in the book."""

from __future__ import annotations

from runner_agent.control.drafts import ServicePatch, TaskDraft, TaskPatch
from runner_agent.core.timing import NANOSECONDS, Timing
from runner_agent.model.errors import FailedPrecondition, NotFound, ResourceExhausted, RunnerError
from runner_agent.model.ids import ExecutionId, Reference
from runner_agent.model.phases import ExecutionPhase, ServicePhase, Trigger
from runner_agent.model.records import Execution, Service, Task
from runner_agent.model.specs import (
    AutomationsFile,
    Launch,
    ServiceCommands,
    ServiceEntry,
    TaskEntry,
    TaskSpec,
)
from tests.histories.history import ALICE, CALM, History
from tests.histories.reference import AT_REST, Scripts
from tests.histories.reference_executions import TaskModel

STOPPED = ExecutionPhase.STOPPED
EVENT = Trigger.POST_ENVIRONMENT_START
EVENTS = (Trigger.POST_DEVCONTAINER_START, EVENT)
"""Tasks list both, services the second alone."""
ORDER = ("a", "b", "c", "w", "x", "y", "z")
"""A task needs only what comes before it, so there is no cycle."""


class Hands(History):
    """Who makes the wishes of a history."""

    def __init__(self, timing: Timing | None = None) -> None:
        super().__init__(timing)
        self._version = 0
        self._fired: dict[str, tuple[str, str]] = {}

    def _find(self, name: str) -> Service | Task | None:
        return self.store.by_reference(Reference(name))

    def _expect(
        self,
        answer: object,
        wanted: type[RunnerError] | None,
        what: str,
        of: Service | Task | None = None,
    ) -> bool:
        """True if it was granted, as it should be. What is dying may be gone in that very moment."""
        if of is not None and of.deletion is not None and isinstance(answer, NotFound):
            wanted = None if self.store.get(type(of), of.id) is not None else NotFound
        refused = isinstance(answer, RunnerError)
        if isinstance(answer, ResourceExhausted):
            if self.store_works:
                self.book.wrong.append(f"{what}: refused for a full disk that is not full")
        elif wanted is None and refused:
            self.book.wrong.append(f"{what}: refused: {answer}")
        elif wanted is not None and not isinstance(answer, wanted):
            self.book.wrong.append(f"{what}: not refused by {wanted.__name__}: {answer!r}")
        return not refused

    # --- services

    def service(
        self,
        name: str,
        start: str,
        ready: str = "",
        stop: str = "",
        timeout: float = 0.0,
        *,
        by: str = "create",
    ) -> None:
        """Define it, or redefine it; every command carries the version of its spec as a comment."""
        self._version += 1
        mark = f"\n# v{self._version}"
        commands = ServiceCommands(start + mark, ready and ready + mark, stop and stop + mark)
        launch = Launch(commands, readiness_timeout=int(timeout * NANOSECONDS) or None)
        entry = ServiceEntry(Reference(name), name, launch, triggered_by=(EVENT,))
        scripts = Scripts(start, ready, stop, timeout)
        present = self._find(name)
        assert present is None or isinstance(present, Service)
        if present is None:
            self._create_service(entry, scripts, by)
        elif by == "update":
            self._update_service(present, launch, scripts)
        else:
            self._apply(present, AutomationsFile(services=(entry,)), scripts)

    def _create_service(self, entry: ServiceEntry, scripts: Scripts, by: str) -> None:
        if by == "file":
            self._apply(None, AutomationsFile(services=(entry,)), scripts)
            return
        wish = ServicePhase.RUNNING if by == "create and start" else ServicePhase.STOPPED
        self.book.defining = (str(entry.reference), self._version, scripts)
        answer = self.wish(self.commands.services.create(entry, ALICE, wish))
        self._expect(answer, None, "create")

    def _update_service(self, present: Service, launch: Launch, scripts: Scripts) -> None:
        commands = launch.commands
        patch = ServicePatch(
            start=commands.start,
            ready=commands.ready,
            stop=commands.stop,
            readiness_timeout=launch.readiness_timeout,
        )
        model = self.book.services[present.id]
        answer = self.wish(self.commands.services.update(present.id, patch))
        # It may have come to rest, or begun, in that very moment.
        then = answer if isinstance(answer, Service) else self.store.get(Service, present.id) or present
        busy = then.deletion is not None or then.status.phase not in AT_REST
        if self._expect(answer, FailedPrecondition if busy else None, "update (rule 3.11)", present):
            model.respecified(self._version, scripts)

    def _apply(self, present: Service | Task | None, file: AutomationsFile, scripts: Scripts | None) -> bool:
        dying = present is not None and present.deletion is not None
        if scripts is not None:
            self.book.defining = (str(file.services[0].reference), self._version, scripts)
        answer = self.wish(self.commands.file.apply(file, ALICE, patience=0.0))
        if present is not None and not isinstance(answer, RunnerError):
            dying = dying and self.store.get(type(present), present.id) is not None  # else gone meanwhile
        granted = self._expect(answer, FailedPrecondition if dying else None, "upsert (rules 1.6, 2.7)")
        if granted and isinstance(present, Service) and scripts is not None:
            self.book.services[present.id].respecified(self._version, scripts)
        return granted

    def start(self, name: str) -> None:
        service = self._find(name)
        if not isinstance(service, Service):
            return
        dying = service.deletion is not None
        model, was_attentive = self.book.services[service.id], self.attentive
        renewed = model.would_be_renewed(service.status, self.loop.time())
        answer = self.wish(self.commands.services.start(service.id, ALICE))
        if self._expect(answer, FailedPrecondition if dying else None, "start", service) and isinstance(
            answer, Service
        ):
            if was_attentive and renewed is (answer.spec.session == service.spec.session):
                self.book.wrong.append(f"start of {name}: a new session should be {renewed} (rule 3.6)")
            model.asked_to_run(answer.spec.session, self.loop.time())

    def restart(self, name: str) -> None:
        """Rule 3.6: a new session, unless one has yet to begin."""
        service = self._find(name)
        if not isinstance(service, Service):
            return
        dying = service.deletion is not None
        model, was_attentive = self.book.services[service.id], self.attentive
        renewed = not model.running or service.status.session == model.session
        answer = self.wish(self.commands.services.restart(service.id, ALICE))
        if self._expect(answer, FailedPrecondition if dying else None, "restart", service) and isinstance(
            answer, Service
        ):
            if was_attentive and renewed is (answer.spec.session == service.spec.session):
                self.book.wrong.append(f"restart of {name}: a new session should be {renewed} (rule 3.6)")
            model.asked_to_run(answer.spec.session, self.loop.time())

    def stop(self, name: str) -> None:
        service = self._find(name)
        if isinstance(service, Service):
            answer = self.wish(self.commands.services.stop(service.id, ALICE))
            if self._expect(answer, None, "stop", service):
                self.book.services[service.id].asked_to_stop(self.loop.time())

    def delete(self, name: str, *, force: bool = False) -> None:
        service = self._find(name)
        if isinstance(service, Service):
            answer = self.wish(self.commands.services.delete(service.id, ALICE, force=force))
            if self._expect(answer, None, "delete", service):
                self.book.services[service.id].asked_to_go(self.loop.time(), force=force)

    # --- tasks

    def task(self, name: str, command: str, needs: tuple[str, ...] = (), *, by: str = "create") -> None:
        """Define it, or redefine it; it needs those of `needs` that are there and come before it."""
        self._version += 1
        spec = TaskSpec(f"{command}\n# v{self._version}")
        before = [need for need in needs if ORDER.index(need) < ORDER.index(name)]
        found = [one for need in before if (one := self._find(need)) is not None and one.deletion is None]
        names = tuple(str(one.metadata.reference) for one in found)
        present = self._find(name)
        model = TaskModel(name, self._version, command, names)
        if isinstance(present, Task) and by == "update":
            busy = present.deletion is not None
            patch = TaskPatch(command=spec.command)
            model.needs = self.book.tasks[present.id].needs
            answer = self.wish(self.commands.tasks.update(present.id, patch))
            granted = self._expect(answer, FailedPrecondition if busy else None, "update of a task", present)
        elif present is None and by == "create":
            draft = TaskDraft(Reference(name), name, spec, "", EVENTS, tuple(one.id for one in found))
            granted = self._expect(
                self.wish(self.commands.tasks.create(draft, ALICE)), None, "create of a task"
            )
        else:
            needed = tuple(Reference(one) for one in names)
            entry = TaskEntry(Reference(name), name, spec, "", EVENTS, needed)
            granted = self._apply(present, AutomationsFile(tasks=(entry,)), None)
        task = self._find(name)
        if granted and task is not None:
            self.book.tasks[task.id] = model

    def delete_task(self, name: str) -> None:
        task = self._find(name)
        if not isinstance(task, Task):
            return
        needed = task.deletion is None and any(
            task.id in one.depends_on and one.deletion is None for one in self.store.tasks()
        )
        running = [one.id for one in self.store.live_executions() if one.task_id == task.id]
        answer = self.wish(self.commands.tasks.delete(task.id, ALICE))
        if self._expect(answer, FailedPrecondition if needed else None, "delete of a task", task):
            self._expect_stopped(running)

    def run_task(self, name: str) -> None:
        task = self._find(name)
        if not isinstance(task, Task):
            return
        broken = self._cannot_run(task)
        answer = self.wish(self.commands.executions.start_task(task.id, ALICE))
        if self._expect(answer, FailedPrecondition if broken else None, "start of a task", task):
            assert isinstance(answer, Execution)
            self.book.begun_execution(answer)

    def _cannot_run(self, task: Task) -> bool:
        """It, or something it needs, is gone or being deleted."""
        needs = [self.store.get(Task, one) or self.store.get(Service, one) for one in task.depends_on]
        return task.deletion is not None or any(
            one is None or one.deletion is not None or (isinstance(one, Task) and self._cannot_run(one))
            for one in needs
        )

    def stop_execution(self, index: int) -> None:
        live = self.store.live_executions()
        if live:
            id_ = live[index % len(live)].id
            answer = self.wish(self.commands.executions.stop(id_, ALICE))
            if self._expect(answer, None, "stop of an execution"):
                self._expect_stopped([id_])

    def _expect_stopped(self, ids: list[ExecutionId]) -> None:
        for id_ in ids:
            one = self.store.get(Execution, id_)
            if one is None or not (one.status.phase.terminal or one.desired_phase is STOPPED):
                self.book.wrong.append(f"{id_} was to be stopped, and is not")

    # --- triggers

    def fire(self, once: str = "", event: int = 1) -> None:
        """Rules 6.1, 6.2, 6.2a, 6.4. `event`: which of the two."""
        boot, key = f"{self.scene.clock.boot_mark()} {event}", once
        earlier = self._fired.get(boot) if once else None
        able = [one.id for one in self.store.tasks() if not self._cannot_run(one)]
        before = len(self.store.executions())
        answer = self.wish(self.commands.triggers.fire(EVENTS[event], ALICE, once_key=key))
        if not self._expect(answer, None, "fire") or isinstance(answer, RunnerError):
            return
        new = len(self.store.executions()) - before
        if earlier is not None:
            if (str(answer.firing.id), once) != earlier or new:
                self.book.wrong.append(f"fired twice within a boot: {answer.firing.id} after {earlier}")
            return
        if once:
            self._fired[boot] = (str(answer.firing.id), once)
        if new != len(able):
            self.book.wrong.append(f"a firing started {new} of {len(able)} tasks")
        for service_id in answer.firing.services:
            service = self.store.get(Service, service_id)
            if service is not None and service.spec.desired_phase is ServicePhase.RUNNING:
                self.book.services[service_id].asked_to_run(service.spec.session, self.loop.time())
        for id_ in answer.firing.executions:
            execution = self.store.get(Execution, id_)
            if execution is not None:
                self.book.begun_execution(execution)

    # --- the end

    def comes_to_rest(self) -> None:
        """Without faults all is as it must be; then all is stopped, and nothing is left (rules 3.9, 4.6)."""
        self.recovers()
        for seconds in (CALM, 1.0):
            self.passes(seconds)
        for service in self.store.services():
            self.stop(str(service.metadata.reference))
        while any(one.desired_phase is not STOPPED for one in self.store.live_executions()):
            for index in range(len(self.store.live_executions())):
                self.stop_execution(index)
        self.passes(300.0)
        left = [seen.name for seen in self.live_runs()]
        assert not left, f"left: {left}\n{self.told()}"
        kept = [run.name for run in self.world.runs.values()]
        assert not kept, f"not cleaned up: {kept}\n{self.told()}"
        assert self.scene.unfinished() == [], self.told()
