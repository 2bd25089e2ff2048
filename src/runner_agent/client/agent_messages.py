"""The messages of runner_agent.v1 as JSON has them. Fields at their default are absent."""

from typing import TypedDict


class AutomationsState(TypedDict, total=False):
    """The automations file the agent applies by itself; `error` says why its contents are not in force,
    `warning` that another default file is passed over.
    """

    path: str
    appliedAt: str
    error: str
    warning: str


class AgentInfo(TypedDict, total=False):
    """The agent itself."""

    version: str
    pid: int
    environmentId: str
    addresses: list[str]
    stateDir: str
    workspace: str
    startedAt: str
    automations: AutomationsState


class AppliedChange(TypedDict, total=False):
    """`change` is created, updated or deleted; `kind` is service or task."""

    change: str
    kind: str
    reference: str
    id: str


class PreviousRun(TypedDict, total=False):
    """A task that runs with an earlier definition, and the task whose execution that is a step of."""

    reference: str
    forTask: str


class ApplyResult(TypedDict, total=False):
    """What an automations file did, or would do; references of what it does not name, and of services that
    run with an earlier definition; and the tasks that do.
    """

    changes: list[AppliedChange]
    notInFile: list[str]
    previousDefinition: list[str]
    previousRuns: list[PreviousRun]


class Started(TypedDict, total=False):
    """What a firing started: a service, or an execution of a task."""

    id: str
    reference: str
    taskId: str


class Firing(TypedDict, total=False):
    """One occurrence of a trigger. A dry run has no ids of its own."""

    id: str
    event: str
    onceKey: str
    firedAt: str
    firedBy: str
    services: list[Started]
    executions: list[Started]


class Skipped(TypedDict, total=False):
    """A service or task that lists the event and could not be started."""

    reference: str
    reason: str
    kind: str


class FireResult(TypedDict, total=False):
    """`repeatedKey`: the event had fired with this key before, and `firing` is that one. `kept`: what was
    left as it is.
    """

    firing: Firing
    repeatedKey: bool
    skipped: list[Skipped]
    kept: list[Started]


class PrebuildItem(TypedDict, total=False):
    """A run of a task, or a service; `kind` is task or service, without a phase it has not begun."""

    kind: str
    event: str
    reference: str
    phase: str
    message: str
    required: bool
    beganAt: str
    endedAt: str
    executionIds: list[str]
    logTail: list[str]


class Prebuild(TypedDict, total=False):
    """`stage` is running, stopping or ended; `exitCode` means something once it has ended."""

    id: str
    stage: str
    ending: str
    exitCode: int
    beganAt: str
    beganBy: str
    endedAt: str
    timeLimit: float
    items: list[PrebuildItem]
    failures: list[str]
    warnings: list[str]


class PlanStep(TypedDict, total=False):
    """A task or a service; `dependsOn` holds references."""

    reference: str
    taskId: str
    serviceId: str
    dependsOn: list[str]


class PlanGroup(TypedDict, total=False):
    """Steps that run concurrently."""

    steps: list[PlanStep]


class Plan(TypedDict, total=False):
    """Groups, run one after the other."""

    groups: list[PlanGroup]


class Usage(TypedDict, total=False):
    """What the processes of a service or a task use, all of them together; the counts of bytes are numbers.

    What is below `ports` is known where runs have cgroups.
    """

    cpuSeconds: float
    memoryBytes: str
    processes: int
    ports: list[int]
    memoryPeakBytes: str
    memoryMaxBytes: str
    processesMax: int
    oomKills: str
    heldBackSeconds: float


class LiveStatus(TypedDict, total=False):
    """What the published messages leave out about a service."""

    serviceId: str
    reference: str
    phaseSince: str
    readyAttempts: int
    usage: Usage
    previousDefinition: bool


class LiveStep(TypedDict, total=False):
    """A task that runs now, the executions that wait for it, and the references of their tasks."""

    reference: str
    executionIds: list[str]
    runningSince: str
    usage: Usage
    previousDefinition: bool
    forTasks: list[str]


class LiveNow(TypedDict):
    """All services, and the tasks that run."""

    services: list[LiveStatus]
    steps: list[LiveStep]


class RunSeen(TypedDict, total=False):
    """One command as the operating system has it; `state` is starting, live, clearing or gone."""

    role: str
    runId: str
    state: str
    pid: int
    since: str
    ending: str
    usage: Usage


class StepSeen(TypedDict, total=False):
    """One step of a plan; without a phase it has not begun."""

    id: str
    reference: str
    phase: str
    text: str
    waitsFor: list[str]
    sharedWith: list[str]
    runs: list[RunSeen]


class Probe(TypedDict, total=False):
    """The runs of `ready` in this session."""

    attempts: int
    ending: str
    lines: list[str]


class LogTail(TypedDict, total=False):
    """The newest lines of one log; `label` is a step's or a role."""

    label: str
    lines: list[str]


class Explanation(TypedDict, total=False):
    """Why a service, a task or an execution is in its phase; `answer` is one sentence without a subject."""

    kind: str
    id: str
    reference: str
    executionId: str
    phase: str
    phaseSince: str
    desiredPhase: str
    wishedBy: str
    wishedAt: str
    answer: str
    reasons: list[str]
    waitsFor: list[str]
    until: str
    runs: list[RunSeen]
    steps: list[StepSeen]
    lastProbe: Probe
    logs: list[LogTail]
    previousDefinition: bool


class TimelineEntry(TypedDict, total=False):
    """Something that happened; `phase` is the one it came into, if any. `place`, a number, counts upwards."""

    at: str
    kind: str
    id: str
    reference: str
    version: str
    phase: str
    text: str
    cause: str
    place: str
