"""Every kind of error as a row: what is asked, and what the SDK's user must be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.conformance.sdk import Json, Refused, Sdk

ABSENT = "0199a000-0000-7000-8000-0000000000aa"
FOREIGN = "0199a000-0000-7000-8000-0000000000ee"

STATUSES = {
    "canceled": 499,
    "unknown": 500,
    "invalid_argument": 400,
    "deadline_exceeded": 504,
    "not_found": 404,
    "already_exists": 409,
    "permission_denied": 403,
    "resource_exhausted": 429,
    "failed_precondition": 400,
    "aborted": 409,
    "out_of_range": 400,
    "unimplemented": 501,
    "internal": 500,
    "unavailable": 503,
    "data_loss": 500,
    "unauthenticated": 401,
}
"""Trap 6: HTTP's word for each code."""

EXCEPTIONS = {
    400: "BadRequestError",
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    409: "ConflictError",
    429: "RateLimitError",
    499: "APIStatusError",
}
"""The 0.x SDKs' exception for each status; from 500 on it is InternalServerError."""


@dataclass(frozen=True, slots=True)
class Row:
    """A call that is refused. `status`: where it is not the code's own; `json_only`: no proto can say it."""

    name: str
    code: str
    method: str
    body: Json
    words: tuple[str, ...] = ()
    status: int | None = None
    settings: Json = field(default_factory=dict[str, Any])
    json_only: bool = False

    @property
    def told(self) -> int:
        """The HTTP status."""
        return self.status or STATUSES[self.code]


def exception_of(sdk: Sdk, status: int) -> str:
    """The name of the class that the SDK raises for it."""
    if sdk.connect:
        return "ConnectError"
    if status >= 500:
        return "InternalServerError"
    name = EXCEPTIONS[status]
    return "APIError" if name == "APIStatusError" and sdk.node else name


def check(sdk: Sdk, error: Refused, code: str, status: int) -> None:
    """It is the SDK's own exception for this code. The generated clients do not tell the status."""
    expected = (exception_of(sdk, status), code, None if sdk.connect else status)
    assert (error.type, error.code, error.status) == expected, error


def _bad(name: str, method: str, body: Json, *words: str, json_only: bool = False) -> Row:
    return Row(name, "invalid_argument", method, body, words, json_only=json_only)


def _service(**spec: object) -> Json:
    metadata = {"reference": "never-made", "name": "Never made"}
    return {"metadata": metadata, "spec": {"commands": {"start": "true"}, **spec}}


def _task(metadata: Json | None = None, **more: object) -> Json:
    named = {"reference": "never-made", "name": "Never made", **(metadata or {})}
    return {"metadata": named, "spec": {"command": ":"}, **more}


def _file(**entries: object) -> Json:
    return {"automationsFile": entries}


BY_ID = (
    *("GetService", "UpdateService", "DeleteService", "StartService", "StopService"),
    *("GetTask", "UpdateTask", "DeleteTask", "StartTask"),
    *("GetTaskExecution", "StopTaskExecution"),
)

NOT_FOUND = (
    *(Row(f"absent {method}", "not_found", method, {"id": ABSENT}, (ABSENT,)) for method in BY_ID),
    *(
        Row(f"foreign {method}", "not_found", method, {**body, "environmentId": FOREIGN}, (FOREIGN,))
        for method, body in (
            ("CreateService", _service()),
            ("CreateTask", _task()),
            ("UpsertAutomationsFile", _file(tasks={})),
        )
    ),
)

UUID, MIN_LEN, PATTERN = "string.uuid", "string.min_len", "string.pattern"

INVALID = (
    *(_bad(f"no id {method}", method, {"id": "web"}, "id: ", UUID) for method in BY_ID),
    _bad("reference", "CreateTask", _task({"reference": "a b"}), "metadata.reference: ", PATTERN),
    _bad("name", "CreateTask", _task({"name": ""}), "metadata.name: ", MIN_LEN),
    _bad("environment", "CreateTask", _task(environmentId="here"), "environment_id: ", UUID),
    _bad("depends on", "CreateTask", _task(dependsOn=["web"]), "depends_on[0]: ", UUID),
    _bad("depends on nothing", "CreateTask", _task(dependsOn=[ABSENT]), "depends_on", ABSENT),
    _bad("start", "CreateService", _service(commands={"start": ""}), "spec.commands.start: ", MIN_LEN),
    _bad("too patient", "CreateService", _service(readinessTimeout="86401s"), "spec.readiness_timeout: "),
    _bad("negative", "CreateService", _service(readinessTimeout="-1s"), "spec.readiness_timeout: "),
    _bad("phase", "CreateService", _service(desiredPhase="SERVICE_PHASE_STARTING"), "spec.desired_phase"),
    _bad(
        "env name", "CreateService", _service(env=[{"name": "", "value": "x"}]), "spec.env[0].name: ", MIN_LEN
    ),
    _bad("image", "CreateService", _service(runsOn={"docker": {"image": ""}}), "spec.runs_on.docker.image: "),
    _bad(
        "secret",
        "CreateService",
        _service(env=[{"name": "A", "valueFrom": {"secretRef": {"id": "x"}}}]),
        *("spec.env[0].value_from.secret_ref.id: ", UUID),
    ),
    _bad("page", "ListServices", {"pagination": {"pageSize": 101}}, "pagination.page_size: "),
    _bad("filter", "ListTasks", {"filter": {"references": [""]}}, "filter.references[0]: ", MIN_LEN),
    _bad(
        "long filter",
        "ListTaskExecutions",
        {"filter": {"taskIds": [ABSENT] * 26}},
        *("filter.task_ids: ", "repeated.max_items"),
    ),
    _bad(
        "file reference",
        "UpsertAutomationsFile",
        _file(tasks={"a b": {"name": "A", "command": ":"}}),
        PATTERN,
    ),
    _bad(
        "file trigger",
        "UpsertAutomationsFile",
        _file(tasks={"a": {"name": "A", "command": ":", "triggeredBy": ["sometimes"]}}),
        *('automations_file.tasks["a"].triggered_by[0]: ', "string.in"),
    ),
    _bad(
        "file cycle",
        "UpsertAutomationsFile",
        _file(
            tasks={
                "never-a": {"name": "A", "command": ":", "dependsOn": ["never-b"]},
                "never-b": {"name": "B", "command": ":", "dependsOn": ["never-a"]},
            }
        ),
        *("never-a", "never-b"),
    ),
    _bad(
        "file snapshot",
        "UpsertAutomationsFile",
        _file(services={"a": {"name": "A", "commands": {"start": ":"}, "triggeredBy": ["beforeSnapshot"]}}),
        "beforeSnapshot",
    ),
    _bad("enum name", "CreateService", _service(desiredPhase="RUNNING_AWAY"), "RUNNING_AWAY", json_only=True),
    _bad("type", "CreateService", _service(commands={"start": 5}), "start", json_only=True),
    _bad(
        "both of a oneof",
        "CreateService",
        _service(runsOn={"machine": {}, "docker": {"image": "x"}}),
        "oneof",
        json_only=True,
    ),
    _bad(
        "several at once",
        "CreateTask",
        {"metadata": {"reference": "", "name": ""}, "dependsOn": ["x"]},
        *("metadata.reference: ", "metadata.name: ", "depends_on[0]: "),
    ),
)

OTHERS = (
    Row("wrong token", "unauthenticated", "ListTasks", {}, ("bearer token",), settings={"token": "guess"}),
    Row(
        "page of another",
        "permission_denied",
        "ListTasks",
        {},
        ("http://elsewhere.example",),
        settings={"headers": {"origin": "http://elsewhere.example"}},
    ),
    Row("large", "resource_exhausted", "CreateTask", _task({"description": "x" * (5 << 20)}), ("4194304",)),
    Row("not served", "unimplemented", "ListAuditLogs", {}, ("ListAuditLogs",), status=404),
)

ROWS = (*NOT_FOUND, *INVALID, *OTHERS)
