"""Identity: the names things go by, as distinct types, so that one cannot be passed for another."""

from typing import NewType

EnvironmentId = NewType("EnvironmentId", str)
ServiceId = NewType("ServiceId", str)
TaskId = NewType("TaskId", str)
ExecutionId = NewType("ExecutionId", str)
PlanStepId = NewType("PlanStepId", str)
"""A step of one execution's plan, as the API shows it."""
StepId = NewType("StepId", str)
"""A step record: one run of one task, which several executions of a firing may share."""
SessionId = NewType("SessionId", str)
FiringId = NewType("FiringId", str)
RunId = NewType("RunId", str)
"""One OS-level attempt of one role of one object. Drawn before it is spawned, never used twice."""
Reference = NewType("Reference", str)
"""The name an automation goes by in its file; unique over services and tasks of the environment."""
BootMark = NewType("BootMark", str)
"""A boot of the machine: the kernel's boot id plus the start time of PID 1 (containers share their host's
boot id)."""
Instant = NewType("Instant", float)
"""CLOCK_MONOTONIC seconds. Means something only together with the BootMark it was taken in."""
Version = NewType("Version", int)
"""A point of the store-wide counter that status_version and spec_version are taken from."""

DefinitionId = ServiceId | TaskId
"""What a task may depend on."""
