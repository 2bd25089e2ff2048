"""What tests do with an agent through an SDK besides the calls they are about."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from tests.conformance.sdk import Refused
from tests.support.processes import wait_until

if TYPE_CHECKING:
    from tests.conformance.sdk import Json, Sdk


def new(name: str) -> str:
    """A reference nobody else uses."""
    return f"{name}-{uuid.uuid4().hex[:12]}"


def await_phase(sdk: Sdk, id_: str, phase: str) -> Json:
    """The service once it is there."""
    found: list[Json] = []

    def there() -> bool:
        found.append(sdk.call("GetService", {"id": id_})["service"])
        return bool(found[-1]["status"]["phase"] == f"SERVICE_PHASE_{phase}")

    wait_until(there, 30, f"service {phase}; {found[-1:]}")
    return found[-1]


def await_execution(sdk: Sdk, id_: str, phase: str) -> Json:
    """The execution once it is there."""
    found: list[Json] = []

    def there() -> bool:
        found.append(sdk.call("GetTaskExecution", {"id": id_})["taskExecution"])
        return bool(found[-1]["status"]["phase"] == f"TASK_EXECUTION_PHASE_{phase}")

    wait_until(there, 30, f"execution {phase}; {found[-1:]}")
    return found[-1]


def ids(items: list[Any]) -> list[str]:
    """In their order."""
    return [str(item["id"]) for item in items]


def await_gone(sdk: Sdk, method: str, id_: str) -> None:
    """Until it is not found any more."""

    def gone() -> bool:
        try:
            sdk.call(method, {"id": id_})
        except Refused as error:
            if error.code == "not_found":
                return True
            raise
        return False

    wait_until(gone, 30, f"{method} {id_} is not found")
