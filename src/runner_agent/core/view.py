"""The public status of a service, derived from its run (the phase table of docs/semantics.md)."""

from runner_agent.core import proc
from runner_agent.core.endings import still_there
from runner_agent.core.outputs import merged
from runner_agent.core.session import over
from runner_agent.model.phases import ServicePhase
from runner_agent.model.records import Service, ServiceStatus
from runner_agent.model.runs import Down, Ended, Gone, Live, ServiceRun


def phase(run: ServiceRun | None) -> ServicePhase:
    """Rule 3.1. STOPPED and FAILED only when nothing is left (rule 3.9)."""
    if run is None:
        return ServicePhase.STOPPED
    if over(run):
        return ServicePhase.FAILED if run.failure else ServicePhase.STOPPED
    if isinstance(run.course, Down) or isinstance(run.start, (Ended, Gone)):
        return ServicePhase.STOPPING
    if isinstance(run.start, Live) and run.is_ready:
        return ServicePhase.RUNNING
    return ServicePhase.STARTING


def previous_definition(service: Service) -> bool:
    """It is up, or coming up, with another launch than the one that is defined now (rules 2.7, 2.10)."""
    run = service.run
    if run is None or phase(run) not in {ServicePhase.STARTING, ServicePhase.RUNNING}:
        return False
    return run.launch != service.spec.launch


def status(service: Service) -> ServiceStatus:
    """What the API shows of it."""
    run = service.run
    if run is None:
        return ServiceStatus()
    waits = (proc.waits(one) for one in (run.start, run.ready, run.stop))
    message = "; ".join(text for text in (run.failure, still_there(run.survivors), *waits) if text)
    output = run.output
    if service.posted is not None and service.posted[0] == run.session:
        output = merged(output, service.posted[1])
    return ServiceStatus(phase(run), message, run.session, output)
