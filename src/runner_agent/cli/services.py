"""`service ...`: what runs for long."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING

import click

from runner_agent.cli.broken_file import tell_broken
from runner_agent.cli.completing import complete_service
from runner_agent.cli.figures import cpu_time_of, memory_of, peak_of, processes_of
from runner_agent.cli.logs import Source, log_options, show
from runner_agent.cli.options import WaitCommand, limit, with_agent, with_output, with_wait
from runner_agent.cli.previous import of_services
from runner_agent.cli.several import for_each, sought
from runner_agent.cli.tables import block, columns, emit
from runner_agent.cli.terminal import note
from runner_agent.cli.words import (
    NOTHING,
    local_time,
    reference_of,
    runs_on,
    runs_previous,
    service_phase,
    short,
    triggers,
)
from runner_agent.client.agent import Agent
from runner_agent.client.logs import LogQuery, service_log
from runner_agent.client.references import find_service

if TYPE_CHECKING:
    from runner_agent.cli.awaited import Awaited
    from runner_agent.client.agent_messages import LiveStatus
    from runner_agent.client.messages import Service

HEADERS = ("REFERENCE", "NAME", "PHASE", "READY SINCE", "TRIGGERS")


@click.command(name="list")
@with_output
@with_agent
def list_(agent: Agent, output: str) -> None:
    """Show all services.

    \b
    Example:
      runner-agent service list
      runner-agent service list -o json
    """
    tell_broken(agent)
    services = list(agent.services())
    if output != "table":
        emit(output, services, "")
    elif services:
        live = agent.live()["services"] if any(map(_is_up, services)) else []
        emit(output, services, service_table(services, live))
        for remark in of_services(live):
            note(remark)
    else:
        note("No services. Apply a file with `runner-agent automations update FILE`.")


def service_table(services: list[Service], live: list[LiveStatus]) -> str:
    """The table of `service list`."""
    since = {each.get("serviceId", ""): each.get("phaseSince", "") for each in live}
    reasons = [
        each.get("status", {}).get("failureMessage", "") if service_phase(each) == "FAILED" else ""
        for each in services
    ]
    rows = [
        (
            reference_of(each),
            each.get("metadata", {}).get("name", ""),
            phase := service_phase(each),
            local_time(since.get(each["id"])) if phase == "RUNNING" else NOTHING,
            triggers(each.get("metadata", {})) or NOTHING,
        )
        for each in services
    ]
    return columns(HEADERS, rows, phase=2, notes=("REASON", reasons))


@click.command()
@click.argument("refs", metavar="REF...", nargs=-1, required=True, shell_complete=complete_service)
@with_output
@with_agent
def get(agent: Agent, refs: tuple[str, ...], output: str) -> None:
    """Show services. JSON of several is a list.

    \b
    Example:
      runner-agent service get web -o yaml
      runner-agent service get web database
    """
    tell_broken(agent)
    services = [find_service(agent, ref) for ref in refs]
    table = output == "table"
    found = {each.get("serviceId", ""): each for each in agent.live(usage=table)["services"]}
    nothing: LiveStatus = {}
    live = [found.get(each["id"], nothing) for each in services]
    marked = [
        {**each, "previousDefinition": True} if now.get("previousDefinition") else each
        for each, now in zip(services, live, strict=True)
    ]
    text = "\n\n".join(map(_described, services, live)) if table else ""
    emit(output, marked[0] if len(marked) == 1 else marked, text)


def _described(service: Service, live: LiveStatus) -> str:
    metadata, spec, status = service.get("metadata", {}), service.get("spec", {}), service.get("status", {})
    commands = spec.get("commands", {})
    usage = live.get("usage")
    return block(
        {
            "Reference": metadata.get("reference", ""),
            "Name": metadata.get("name", ""),
            "Description": metadata.get("description", ""),
            "Id": service["id"],
            "Phase": service_phase(service),
            "Since": local_time(live.get("phaseSince")) if live.get("phaseSince") else "",
            "Failure": status.get("failureMessage", ""),
            "Definition": runs_previous(reference_of(service)) if live.get("previousDefinition") else "",
            "CPU time": cpu_time_of(usage) if usage else "",
            "Memory": memory_of(usage) if usage else "",
            "Most memory": peak_of(usage) if usage else "",
            "Processes": processes_of(usage) if usage else "",
            "Ports": ", ".join(map(str, usage.get("ports", []))) if usage else "",
            "Desired phase": short(spec.get("desiredPhase", "")),
            "Role": short(metadata.get("role", "")).lower().replace("_", "-"),
            "Triggered by": triggers(metadata),
            "Runs on": runs_on(spec.get("runsOn")),
            "Start": commands.get("start", ""),
            "Ready": commands.get("ready", ""),
            "Ready within": spec.get("readinessTimeout", ""),
            "Stop": commands.get("stop", ""),
            "Session": status.get("session", ""),
            "Output": "\n".join(f"{key}={value}" for key, value in status.get("output", {}).items()),
            "Log": status.get("logUrl", ""),
            "Created": local_time(metadata.get("createdAt")),
        }
    )


_WAIT_RUNNING = "Wait until it is RUNNING, for ever or at most this long (30, 2m)."
_REFS = click.argument("refs", metavar="REF...", nargs=-1, required=True, shell_complete=complete_service)


@click.command(cls=WaitCommand)
@_REFS
@with_wait(_WAIT_RUNNING)
@with_agent
def start(agent: Agent, refs: tuple[str, ...], wait: float | None) -> None:
    """Start services. Returns at once, unless told to wait.

    \b
    Example:
      runner-agent service start web
      runner-agent service start web worker --wait=60
    """
    tell_broken(agent)
    with named(agent, refs) as services:
        wish(services, agent.start_service, told("start", wait))
        tell_previous(agent, services)
        _started(agent, services, wait)


@click.command(cls=WaitCommand)
@_REFS
@with_wait(_WAIT_RUNNING)
@with_agent
def restart(agent: Agent, refs: tuple[str, ...], wait: float | None) -> None:
    """Stop services in order, then start them anew.

    One wish each: it holds also where the command is run by the service itself, and ends with it. A service
    that is stopped is started.

    \b
    Example:
      runner-agent service restart web --wait
    """
    tell_broken(agent)
    with named(agent, refs) as services:
        wish(services, agent.restart_service, told("restart", wait))
        _started(agent, services, wait)


def named(agent: Agent, refs: Sequence[str]) -> AbstractContextManager[list[Service]]:
    """As `sought`."""
    return sought(refs, partial(find_service, agent), lambda service: service["id"])


def told(word: str, wait: float | None) -> str:
    """Who waits sees what comes of it."""
    return f"{word} requested" if wait is None else ""


def wish(services: Sequence[Service], ask: Callable[[str], object], told: str = "") -> None:
    """Asks for each by its id. Raises as `for_each`."""
    for_each(((f"Service {reference_of(each)}", partial(ask, each["id"])) for each in services), told)


def tell_previous(agent: Agent, services: Sequence[Service]) -> None:
    """A start leaves what is up as it is: which of these go on by an earlier definition (rule 2.10)."""
    if any(map(_is_up, services)):
        ids = {each["id"] for each in services}
        for remark in of_services(each for each in agent.live()["services"] if each.get("serviceId") in ids):
            note(remark)


def _is_up(service: Service) -> bool:
    return service_phase(service) in {"STARTING", "RUNNING"}


def _started(agent: Agent, services: Sequence[Service], timeout: float | None) -> None:
    if timeout is not None:
        from runner_agent.cli.awaited import Running

        awaited = [Running(agent, each) for each in services]
        _wait(agent, awaited, timeout, "of the services did not come up.", stopping=False)


def _wait(
    agent: Agent, awaited: Sequence[Awaited], timeout: float, summary: str, *, stopping: bool = True
) -> None:
    from runner_agent.cli.waiting import STARTING, STOPPING, detaching, wait

    look = f"service get {awaited[0].name}" if len(awaited) == 1 else "status"
    with detaching(f"runner-agent {look}", STOPPING if stopping else STARTING):
        wait(agent, awaited, limit(timeout), summary)


@click.command(cls=WaitCommand)
@_REFS
@with_wait("Wait until it is STOPPED, for ever or at most this long (30, 2m).")
@with_agent
def stop(agent: Agent, refs: tuple[str, ...], wait: float | None) -> None:
    """Stop services in order, all at the same time.

    Runs the stop command, or sends SIGTERM; what is left after two minutes is killed.

    \b
    Example:
      runner-agent service stop web --wait
      runner-agent service stop web worker
    """
    from runner_agent.cli.awaited import Stopped

    with named(agent, refs) as services:
        wish(services, agent.stop_service, told("stop", wait))
        if wait is not None:
            awaited = [Stopped(agent, each) for each in services]
            _wait(agent, awaited, wait, "of the services did not stop well.")


@click.command(cls=WaitCommand)
@_REFS
@click.option("--force", is_flag=True, help="Kill it at once instead of stopping it in order.")
@with_wait("Wait until it is gone, for ever or at most this long (30, 2m).")
@with_agent
def delete(agent: Agent, refs: tuple[str, ...], force: bool, wait: float | None) -> None:
    """Stop services and forget them.

    \b
    Example:
      runner-agent service delete web
    """
    from runner_agent.cli.awaited import Deleted

    with named(agent, refs) as services:
        wish(services, lambda id_: agent.delete_service(id_, force=force), told("deletion", wait))
        if wait is not None:
            awaited = [Deleted(agent, each) for each in services]
            _wait(agent, awaited, wait, "of the services are not gone.")


@click.command()
@click.argument("refs", metavar="REF...", nargs=-1, required=True, shell_complete=complete_service)
@click.option("--role", type=click.Choice(["start", "ready", "stop"]), help="Only the log of this command.")
@log_options
@with_agent
def logs(agent: Agent, refs: tuple[str, ...], role: str | None, query: LogQuery) -> None:
    """Show and follow logs of services.

    Follows until the services have ended. Ctrl-C ends the following, not the services. Of several, each line
    begins with the reference of its service.

    \b
    Example:
      runner-agent service logs web
      runner-agent service logs web worker --tail 20
      runner-agent service logs web --role ready --no-follow
    """
    sources = [Source(ref, service_log(find_service(agent, ref)["id"]), role=role or "") for ref in refs]
    show(agent, sources, query, prefixed=len(sources) > 1)
