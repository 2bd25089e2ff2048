"""Which log is meant by a service, an execution or a step, and when nothing more will come (rule 5.5)."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from runner_agent.control.base import find_execution, find_service
from runner_agent.core.wishes import pending
from runner_agent.logs.logbook import Logbook
from runner_agent.logs.merged import MergedLog
from runner_agent.logs.reader import Log
from runner_agent.model.errors import NotFound
from runner_agent.model.ids import ExecutionId, ServiceId, StepId
from runner_agent.model.phases import RunRole, ServicePhase
from runner_agent.model.plans import PlanStep, ServiceWork, TaskWork
from runner_agent.model.records import Execution, Service, Step
from runner_agent.store.base import Store

_AT_REST = (ServicePhase.STOPPED, ServicePhase.FAILED)


class Subject(NamedTuple):
    """A log and its end. `single`: one file, whose bytes may be asked for by Range. `id`: the same wherever a
    run that several executions share is shown.
    """

    log: Log
    ended: Callable[[], Awaitable[None]]
    single: bool
    id: str


class Subjects:
    """Finds the logs of what is in the store."""

    def __init__(self, store: Store, logbook: Logbook) -> None:
        """Opens nothing yet."""
        self._store = store
        self._logbook = logbook

    def service(self, id_: str, role: RunRole) -> Subject:
        """One command of a service. Raises NotFound."""
        service = find_service(self._store, id_)

        async def ended() -> None:
            await self._until(lambda: _at_rest(self._store.get(Service, service.id)))

        log = self._logbook.service(ServiceId(service.id), role)
        return Subject(log, ended, single=True, id=f"{service.id}/{role.value}")

    def execution(self, id_: str) -> Subject:
        """All steps, or the only one. Raises NotFound, OSError."""
        execution = find_execution(self._store, id_)
        steps = execution.plan.steps()
        if len(steps) == 1:

            async def over() -> None:
                await self._until(lambda: self._execution_ended(execution))

            return self._step(execution, steps[0])._replace(ended=over)
        runs = [(step.work.step, step.label) for step in steps if isinstance(step.work, TaskWork)]
        merged = self._logbook.execution(ExecutionId(execution.id), runs, self._run_ended)

        async def ended() -> None:
            await self._until(lambda: self._execution_ended(execution, merged))

        return Subject(merged, ended, single=False, id=execution.id)

    def step(self, id_: str, step_id: str) -> Subject:
        """One step of an execution, by the id it has there. Raises NotFound."""
        execution = find_execution(self._store, id_)
        for step in execution.plan.steps():
            if step.id == step_id:
                return self._step(execution, step)
        raise NotFound(
            f"no step of the execution {id_} has the id {step_id}; get the execution to see its plan"
        )

    def _step(self, execution: Execution, step: PlanStep) -> Subject:
        match step.work:
            case ServiceWork(service_id):
                return self.service(service_id, RunRole.START)
            case TaskWork(step=run):

                async def ended() -> None:
                    await self._until(lambda: self._run_ended(run) or self._execution_ended(execution))

                return Subject(self._logbook.run(StepId(run)), ended, single=True, id=run)

    def _run_ended(self, id_: str) -> bool:
        step = self._store.get(Step, id_)
        return step is None or (step.status is not None and step.status.phase.terminal)

    def _execution_ended(self, execution: Execution, merged: MergedLog | None = None) -> bool:
        """`merged` is told at each look: a step that ended may have left a last line without an end."""
        if merged is not None:
            merged.look_again()
        now = self._store.get(Execution, execution.id)
        return now is None or now.status.phase.terminal

    async def _until(self, done: Callable[[], bool]) -> None:
        """Look at every change of the store. Returns too when the store closes."""
        watch = self._store.watch()
        try:
            while not done() and await watch.changes():
                pass
        finally:
            watch.close()


def _at_rest(service: Service | None) -> bool:
    """Nothing runs and nothing is about to."""
    if service is None:
        return True
    return service.status.phase in _AT_REST and not pending(service)
