"""Where a thing stands: phases, triggers and roles, by the names of the published API."""

from enum import Enum


class ServicePhase(Enum):
    """Rule 3.1. As a wish only RUNNING and STOPPED occur."""

    STARTING = "STARTING"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    FAILED = "FAILED"
    DELETED = "DELETED"


class ExecutionPhase(Enum):
    """Rule 4.3, for steps and whole executions. As a wish only RUNNING and STOPPED occur."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    STOPPED = "STOPPED"

    @property
    def terminal(self) -> bool:
        """Nothing changes any more."""
        return self in _TERMINAL


_TERMINAL = (ExecutionPhase.SUCCEEDED, ExecutionPhase.FAILED, ExecutionPhase.STOPPED)


class Trigger(Enum):
    """What makes an automation start by itself; the value is its name in an automations file (rule 2.3)."""

    MANUAL = "manual"
    POST_MACHINE_START = "postMachineStart"
    POST_DEVCONTAINER_START = "postDevcontainerStart"
    POST_ENVIRONMENT_START = "postEnvironmentStart"
    PREBUILD = "prebuild"
    BEFORE_SNAPSHOT = "beforeSnapshot"


class ServiceRole(Enum):
    """What a service is for; the value is its name in an automations file."""

    UNSPECIFIED = ""
    DEFAULT = "default"
    EDITOR = "editor"
    AI_AGENT = "ai-agent"
    SECURITY_AGENT = "security-agent"


class RunRole(Enum):
    """Which command of an object a run executes. The value names the run's log."""

    START = "start"
    READY = "ready"
    STOP = "stop"
    TASK = "task"
