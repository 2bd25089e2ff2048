"""Whoever else listens where a service wants to be: what `ready` asks, or what the log says is in use."""

import asyncio
from collections.abc import Mapping

from runner_agent.api.backend import Backend
from runner_agent.api.live import handles_of_service
from runner_agent.core.ports import ports_in, says_in_use
from runner_agent.executors.listeners import Listener, listeners
from runner_agent.executors.usage import Usage, measure
from runner_agent.logs.last import last_lines
from runner_agent.model.ids import RunId
from runner_agent.model.phases import RunRole, ServicePhase
from runner_agent.model.records import Service
from runner_agent.model.runs import Ended, Idle, Live, ServiceRun
from runner_agent.model.specs import InDocker

LINES = 20
"""Of the log that are looked through for an address in use."""
_ASKING = (ServicePhase.STARTING, ServicePhase.RUNNING, ServicePhase.FAILED)


async def strangers(backend: Backend, service: Service, used: Mapping[RunId, Usage]) -> tuple[str, ...]:
    """Sentences, one a port. Costs something only where a port is spoken of."""
    run = service.run
    if run is None or isinstance(run.start, Idle) or isinstance(run.launch.runs_on, InDocker):
        return ()
    if service.status.phase not in _ASKING:
        return ()
    spoken = await asyncio.to_thread(_spoken, backend, service, run)
    own = {port for each in used.values() for port in each.ports}
    if service.status.phase is ServicePhase.RUNNING and own & spoken.keys():
        return ()  # it is where it wants to be; `ready` asks for what it needs, too
    taken = {port: where for port, where in spoken.items() if port not in own}
    found = await asyncio.to_thread(listeners, taken) if taken else ()
    if not found:
        return ()
    owners = await _owners(backend, service)
    redact = backend.commands.services.redact
    return tuple(
        _sentence(one, taken[one.port], owners.get(one.port, ""), redact(one.command)) for one in found
    )


def _spoken(backend: Backend, service: Service, run: ServiceRun) -> Mapping[int, str]:
    """Ports, and where they are spoken of."""
    commands = run.launch.commands
    lines = list(last_lines(backend.logs.service(service.id, RunRole.START), LINES))
    opening = f"runner-agent: {service.metadata.reference}: {RunRole.START.value}"
    sessions = [at for at, line in enumerate(lines) if line == opening]
    in_use = says_in_use(lines[sessions[-1] :] if sessions else lines)
    said = [port for line in in_use for port in ports_in(line)]
    if in_use and not said:
        said = [*ports_in(commands.start), *ports_in(commands.ready)]
    found = dict.fromkeys(said, "which its log says was in use")
    if isinstance(run.start, Live | Ended):
        found |= {port: "which `ready` asks" for port in ports_in(commands.ready) if port not in found}
    return found


async def _owners(backend: Backend, service: Service) -> Mapping[int, str]:
    """Which service listens on a port, of the others."""
    owned = [
        (handle, other.metadata.reference)
        for other in backend.store.services()
        if other.id != service.id
        for handle in handles_of_service(other)
    ]
    used = await asyncio.to_thread(measure, [handle for handle, _ in owned])
    return {port: name for handle, name in owned if (one := used.get(handle.run_id)) for port in one.ports}


def _sentence(one: Listener, where: str, owner: str, command: str) -> str:
    who = f"pid {one.pid} ({command})" if one.pid else "a process that the agent may not look into"
    whose = f' of service "{owner}"' if owner else ""
    return f"port {one.port}, {where}, is held by {who}{whose}, user {one.user}, and not by this service"
