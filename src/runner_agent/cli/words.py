"""How messages of the API read: short phases, local times, triggers, and the like."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from runner_agent.cli.durations import show_span

if TYPE_CHECKING:
    from runner_agent.client.agent_messages import Skipped
    from runner_agent.client.messages import (
        Execution,
        RunsOn,
        Service,
        ServiceMetadata,
        Task,
        TaskMetadata,
        Trigger,
    )

FINISHED = frozenset({"SUCCEEDED", "FAILED", "STOPPED"})
NOTHING = "-"


def service_phase(service: Service) -> str:
    """RUNNING, and so on."""
    return short(service.get("status", {}).get("phase", "")) or "STOPPED"


def execution_phase(execution: Execution) -> str:
    """SUCCEEDED, and so on."""
    return short(execution.get("status", {}).get("phase", "")) or "PENDING"


def short(name: str) -> str:
    """An enum's name without its type: SERVICE_PHASE_RUNNING is RUNNING."""
    for prefix in ("SERVICE_PHASE_", "TASK_EXECUTION_PHASE_", "SERVICE_ROLE_", "PRINCIPAL_"):
        if name.startswith(prefix):
            rest = name.removeprefix(prefix)
            return "" if rest == "UNSPECIFIED" else rest
    return name


def counted(number: int, noun: str) -> str:
    """`1 attempt`, `2 attempts`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def reference_of(thing: Service | Task) -> str:
    """The reference, or the id where there is none."""
    return thing.get("metadata", {}).get("reference", "") or thing["id"]


def not_started(skipped: Skipped) -> str:
    """Of what lists an event and could not be started."""
    what = f"{skipped.get('kind', 'task')} {skipped.get('reference', '')}"
    return f"{what} could not be started: {skipped.get('reason', '')}"


def runs_previous(reference: str) -> str:
    """The mark of a live run whose definition has changed since it began, with the cure (rule 2.10)."""
    cure = f"runner-agent service restart {reference}"
    return f"{reference} runs the previous definition; for the present one: {cure}"


def task_runs_previous(reference: str, main: str = "") -> str:
    """The same of a task that runs, be it as a step of an execution of `main`."""
    main = main or reference
    what = reference if main == reference else f"{reference}, a step of {main},"
    cure = f"wait for its end and start it again, or: runner-agent restart {main}"
    return f"{what} runs the previous definition; for the present one {cure}"


def triggers(metadata: ServiceMetadata | TaskMetadata) -> str:
    """By their names in a file."""
    return ", ".join(trigger_name(each) for each in metadata.get("triggeredBy", []))


def trigger_name(trigger: Trigger) -> str:
    """The one that is set."""
    return next((name for name, on in trigger.items() if on), "")


def runs_on(where: RunsOn | None) -> str:
    """`machine`, or the image."""
    if not where:
        return ""
    return f"docker: {where['docker'].get('image', '')}" if "docker" in where else "machine"


def moment(text: str | None) -> datetime | None:
    """A time of the API."""
    if not text:
        return None
    whole, _, fraction = text.removesuffix("Z").partition(".")
    try:
        # Python 3.11 reads at most microseconds.
        return datetime.fromisoformat(f"{whole}.{fraction[:6]:0<6}+00:00")
    except ValueError:
        return None


def local_time(text: str | None, now: datetime | None = None) -> str:
    """`14:02:11` today, else `Nov 20 14:02`, else with the year; `-` for none."""
    at = moment(text)
    if at is None:
        return NOTHING
    there, here = at.astimezone(), (now or datetime.now(UTC)).astimezone()
    if there.date() == here.date():
        return there.strftime("%H:%M:%S")
    if here - there < timedelta(days=300):
        return there.strftime("%b %d %H:%M")
    return there.strftime("%Y-%m-%d")


def duration_of(execution: Execution, now: float | None = None) -> str:
    """How long it took, or takes so far; `-` before it began."""
    metadata = execution.get("metadata", {})
    began, ended = moment(metadata.get("startedAt")), moment(metadata.get("completedAt"))
    if began is None:
        return NOTHING
    here = datetime.fromtimestamp(time.time() if now is None else now, UTC)
    return show_span((ended or here) - began)
