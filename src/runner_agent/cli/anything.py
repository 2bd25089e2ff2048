"""`start`, `stop` and `restart` of services and tasks alike, and `down`, which stops all of them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING

import click

from runner_agent.cli.broken_file import tell_broken
from runner_agent.cli.completing import complete_automation, complete_log
from runner_agent.cli.options import WaitCommand, limit, with_agent, with_wait
from runner_agent.cli.services import tell_previous, told, wish
from runner_agent.cli.several import for_each, sought
from runner_agent.cli.streams import outlive_reader
from runner_agent.cli.tasks import stop_named, unfinished
from runner_agent.cli.terminal import note, out
from runner_agent.cli.words import FINISHED, counted, execution_phase, service_phase, short
from runner_agent.client.agent import Agent
from runner_agent.client.references import (
    Named,
    NamedExecution,
    NamedService,
    NamedTask,
    find,
    id_of,
    id_or_reference,
    name_of,
    task_of,
)

if TYPE_CHECKING:
    from runner_agent.cli.awaited import Awaited
    from runner_agent.client.messages import Execution, Service, Task
    from runner_agent.client.requests import ExecutionFilter

_REFS = click.argument("refs", metavar="REF...", nargs=-1, required=True, shell_complete=complete_automation)
_UNFINISHED: ExecutionFilter = {"phases": ["TASK_EXECUTION_PHASE_PENDING", "TASK_EXECUTION_PHASE_RUNNING"]}
_DONT_WAIT = click.option("--dont-wait", is_flag=True, help="Do not wait for tasks either.")
_QUIET = click.option("-q", "--quiet", is_flag=True, help="Do not show what tasks write.")
_WAIT = with_wait("Wait until services are RUNNING, too; for all at most this long (30, 2m).")


@click.command(cls=WaitCommand)
@_REFS
@_WAIT
@_DONT_WAIT
@_QUIET
@with_agent
def start(agent: Agent, refs: tuple[str, ...], wait: float | None, dont_wait: bool, quiet: bool) -> None:
    """Start services and tasks.

    Each as its own command does: a service is asked to start, and with --wait waited for; a task is shown and
    waited for, and the id of its execution stands on standard output.

    \b
    Example:
      runner-agent start web worker
      runner-agent start build
      runner-agent start web build --wait=5m
    """
    _not_both(wait, dont_wait=dont_wait)
    tell_broken(agent)
    with _named(agent, refs) as found:
        services, tasks = _parted(found)
        wish(services, agent.start_service, told("start", wait))
        tell_previous(agent, services)
        _follow(agent, services, tasks, wait, dont_wait=dont_wait, quiet=quiet)


@click.command(cls=WaitCommand)
@_REFS
@_WAIT
@_DONT_WAIT
@_QUIET
@with_agent
def restart(agent: Agent, refs: tuple[str, ...], wait: float | None, dont_wait: bool, quiet: bool) -> None:
    """Stop services and tasks, then start them anew.

    Of a task all executions are stopped; when they have ended it is started again, as by `start`.

    \b
    Example:
      runner-agent restart web
      runner-agent restart web build --wait
    """
    _not_both(wait, dont_wait=dont_wait)
    tell_broken(agent)
    with _named(agent, refs) as found:
        services, tasks = _parted(found)
        wish(services, agent.restart_service, told("restart", wait))
        running = [each for task in tasks for each in unfinished(agent, task)]
        if running:
            _stop_executions(agent, running)
            _wait(agent, [_ended(agent, each) for each in running], None, "have not ended.")
        _follow(agent, services, tasks, wait, dont_wait=dont_wait, quiet=quiet)


@click.command(cls=WaitCommand)
@click.argument("refs", metavar="REF|EXECUTION-ID...", nargs=-1, required=True, shell_complete=complete_log)
@with_wait("Wait until nothing of them runs, for ever or at most this long (30, 2m).")
@with_agent
def stop(agent: Agent, refs: tuple[str, ...], wait: float | None) -> None:
    """Stop services, tasks and executions in order, all at the same time.

    To stop all there is, use `runner-agent down`.

    \b
    Example:
      runner-agent stop web worker --wait
      runner-agent stop build
    """
    with sought(refs, partial(find, agent), id_of) as found:
        awaited = [each for named in found for each in _awaited(agent, named)]
        for_each((name_of(named), partial(_stop, agent, named, told("stop", wait))) for named in found)
        if wait is not None:
            _wait(agent, awaited, limit(wait), "did not stop well.")


def _awaited(agent: Agent, named: Named) -> list[Awaited]:
    """What ends when it is stopped."""
    from runner_agent.cli.awaited import Stopped

    match named:
        case NamedService(service):
            return [Stopped(agent, service)]
        case NamedTask(task):
            return [_ended(agent, each) for each in unfinished(agent, task)]
        case NamedExecution(execution):
            return [_ended(agent, execution)]


def _stop(agent: Agent, named: Named, told_so: str) -> None:
    if isinstance(named, NamedService):
        wish([named.service], agent.stop_service, told_so)
    else:
        stop_named(agent, named)


@click.command(cls=WaitCommand)
@with_wait("Wait at most this long (30, 2m); then end with 3, and the stopping goes on.")
@click.option("--dont-wait", is_flag=True, help="Return at once; the stopping goes on.")
@with_agent
def down(agent: Agent, wait: float | None, dont_wait: bool) -> None:
    """Stop all services and tasks in order; the agent stays.

    All at the same time, each with its own stop command or SIGTERM; what is left after two minutes is killed.
    Waits until nothing runs. The exit code is 1 if the stop command of a service failed. `runner-agent start`
    and `trigger` start things again.

    \b
    Example:
      runner-agent down
      runner-agent down --wait=30
    """
    from runner_agent.cli.awaited import Stopped
    from runner_agent.cli.waiting import STOPPING, detaching
    from runner_agent.cli.waiting import wait as waiting_for

    _not_both(wait, dont_wait=dont_wait)
    # Executions first: one that waits for a service would else fail because that is stopped.
    executions = [each for each in agent.executions(_UNFINISHED) if execution_phase(each) not in FINISHED]
    services = [each for each in agent.services() if _up(each)]
    if not services and not executions:
        note("Nothing runs.")
        return
    with detaching("runner-agent status", STOPPING):
        _stop_executions(agent, executions)
        wish(services, agent.stop_service)
        if dont_wait:
            note(f"Stop requested: {counted(len(services), 'service')}, {counted(len(executions), 'task')}.")
            return
        awaited = [
            *(_ended(agent, each) for each in executions),
            *(Stopped(agent, each) for each in services),
        ]
        waiting_for(agent, awaited, limit(wait) if wait is not None else None, "did not stop well.")
    note("Nothing runs any more; the agent stays.")


def _not_both(wait: float | None, *, dont_wait: bool) -> None:
    if dont_wait and wait is not None:
        raise click.UsageError("Give --wait or --dont-wait, not both.")


def _named(agent: Agent, refs: Sequence[str]) -> AbstractContextManager[list[Named]]:
    """As `sought`."""
    return sought(refs, lambda ref: find(agent, ref, (NamedService, NamedTask)), id_of)


def _parted(found: Sequence[Named]) -> tuple[list[Service], list[Task]]:
    services = [named.service for named in found if isinstance(named, NamedService)]
    return services, [named.task for named in found if isinstance(named, NamedTask)]


def _follow(
    agent: Agent,
    services: Sequence[Service],
    tasks: Sequence[Task],
    wait: float | None,
    *,
    dont_wait: bool,
    quiet: bool,
) -> None:
    from runner_agent.cli.awaited import Running
    from runner_agent.cli.task_start import follow

    outlive_reader()
    started = [(agent.start_task(task["id"]), id_or_reference(task)) for task in tasks]
    if dont_wait:
        for execution, _ in started:
            out(execution["id"])
        return
    awaited = [] if wait is None else [Running(agent, each) for each in services]
    if started or awaited:
        follow(agent, started, None if wait is None else limit(wait), quiet=quiet, services=awaited)


def _stop_executions(agent: Agent, executions: Sequence[Execution]) -> None:
    for_each((f"Task {task_of(each)}", partial(agent.stop_execution, each["id"])) for each in executions)


def _ended(agent: Agent, execution: Execution) -> Awaited:
    from runner_agent.cli.awaited import Done

    return Done(agent, execution, task_of(execution), anyhow=True)


def _wait(agent: Agent, awaited: Sequence[Awaited], timeout: float | None, summary: str) -> None:
    from runner_agent.cli.waiting import STOPPING, detaching, wait

    with detaching("runner-agent status", STOPPING):
        wait(agent, awaited, timeout, summary)


def _up(service: Service) -> bool:
    """Something of it runs, or will."""
    spec, status = service.get("spec", {}), service.get("status", {})
    wished = short(spec.get("desiredPhase", "")) == "RUNNING"
    return service_phase(service) not in FINISHED or (wished and spec.get("session") != status.get("session"))
