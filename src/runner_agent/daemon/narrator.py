"""What becomes of services and executions, told to the journal: by reference and run id, one line each."""

from typing import Any

import structlog

from runner_agent.model.ids import ExecutionId, ServiceId
from runner_agent.model.phases import ExecutionPhase, ServicePhase
from runner_agent.model.records import Execution, Key, Kind, Service
from runner_agent.model.runs import Idle
from runner_agent.store.base import Store

_TOLD = frozenset({ServicePhase.RUNNING, ServicePhase.STOPPED, ServicePhase.FAILED})

log = structlog.get_logger("agent")


class Narrator:
    """A watcher of the store. When much happens at once it tells what came of it, not every phase between."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._phases: dict[ServiceId, ServicePhase] = {}
        self._over: set[ExecutionId] = set()

    async def run(self) -> None:
        """Until cancelled."""
        watch = self._store.watch()
        self._phases = {service.id: service.status.phase for service in self._store.services()}
        try:
            while changes := await watch.changes():
                for key in changes:
                    self._tell(key)
        finally:
            watch.close()

    def _tell(self, key: Key) -> None:
        if key.kind is Kind.SERVICE:
            service = self._store.get(Service, key.id)
            if service is None:
                self._phases.pop(ServiceId(key.id), None)
            else:
                self._tell_of_service(service)
        elif key.kind is Kind.EXECUTION:
            execution = self._store.get(Execution, key.id)
            if execution is None:
                self._over.discard(ExecutionId(key.id))
            elif execution.status.phase.terminal and execution.id not in self._over:
                self._over.add(execution.id)
                self._tell_of_execution(execution)

    def _tell_of_service(self, service: Service) -> None:
        phase = service.status.phase
        if self._phases.get(service.id, ServicePhase.STOPPED) is phase:
            return
        self._phases[service.id] = phase
        if phase in _TOLD:
            run = service.run
            facts: dict[str, Any] = {"reference": service.metadata.reference}
            if run is not None and not isinstance(run.start, Idle):
                facts |= {"session": run.session, "run_id": run.start.run_id}
            _say("service", phase.value, service.status.failure_message, facts)

    @staticmethod
    def _tell_of_execution(execution: Execution) -> None:
        status = execution.status
        facts = {
            "reference": execution.reference,
            "execution": execution.id,
            "started_by": execution.started_by,
        }
        _say("task", status.phase.value, status.failure_message, facts)


def _say(what: str, phase: str, failure: str, facts: dict[str, Any]) -> None:
    if phase in {ServicePhase.FAILED.value, ExecutionPhase.FAILED.value}:
        log.warning(f"{what} {phase}", failure=failure, **facts)  # noqa: G004  the words of a rule
    else:
        log.info(f"{what} {phase}", **facts)  # noqa: G004  the same
