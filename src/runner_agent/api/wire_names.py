"""How the wire names what the model enumerates, in both directions."""

from collections.abc import Mapping
from enum import Enum
from typing import TypeVar

from runner_agent.model.phases import ExecutionPhase, ServicePhase, ServiceRole, Trigger

E = TypeVar("E", bound=Enum)

SERVICE_PHASES: Mapping[int, ServicePhase] = {
    1: ServicePhase.STARTING,
    2: ServicePhase.RUNNING,
    3: ServicePhase.STOPPING,
    4: ServicePhase.STOPPED,
    5: ServicePhase.FAILED,
    6: ServicePhase.DELETED,
}
EXECUTION_PHASES: Mapping[int, ExecutionPhase] = {
    1: ExecutionPhase.PENDING,
    2: ExecutionPhase.RUNNING,
    3: ExecutionPhase.SUCCEEDED,
    4: ExecutionPhase.FAILED,
    5: ExecutionPhase.STOPPED,
}
ROLES: Mapping[int, ServiceRole] = {
    0: ServiceRole.UNSPECIFIED,
    1: ServiceRole.DEFAULT,
    2: ServiceRole.EDITOR,
    3: ServiceRole.AI_AGENT,
    4: ServiceRole.SECURITY_AGENT,
}
TRIGGERS: Mapping[str, Trigger] = {
    "manual": Trigger.MANUAL,
    "post_machine_start": Trigger.POST_MACHINE_START,
    "post_environment_start": Trigger.POST_ENVIRONMENT_START,
    "post_devcontainer_start": Trigger.POST_DEVCONTAINER_START,
    "prebuild": Trigger.PREBUILD,
    "before_snapshot": Trigger.BEFORE_SNAPSHOT,
}
"""By the field of AutomationTrigger that is set."""

TRIGGER_FIELDS: Mapping[Trigger, str] = {trigger: field for field, trigger in TRIGGERS.items()}


def service_phase(phase: ServicePhase) -> str:
    """Its name on the wire."""
    return f"SERVICE_PHASE_{phase.name}"


def execution_phase(phase: ExecutionPhase) -> str:
    """Its name on the wire."""
    return f"TASK_EXECUTION_PHASE_{phase.name}"


def role(of: ServiceRole) -> str:
    """Its name on the wire."""
    return f"SERVICE_ROLE_{of.name}"
