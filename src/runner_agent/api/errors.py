"""What the wire says when something cannot be done: our errors, Connect's codes and their HTTP statuses."""

import json
from collections.abc import Mapping
from enum import Enum

from runner_agent.model import errors


class Code(Enum):
    """Connect's codes."""

    CANCELED = "canceled"
    UNKNOWN = "unknown"
    INVALID_ARGUMENT = "invalid_argument"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    NOT_FOUND = "not_found"
    ALREADY_EXISTS = "already_exists"
    PERMISSION_DENIED = "permission_denied"
    RESOURCE_EXHAUSTED = "resource_exhausted"
    FAILED_PRECONDITION = "failed_precondition"
    ABORTED = "aborted"
    OUT_OF_RANGE = "out_of_range"
    UNIMPLEMENTED = "unimplemented"
    INTERNAL = "internal"
    UNAVAILABLE = "unavailable"
    DATA_LOSS = "data_loss"
    UNAUTHENTICATED = "unauthenticated"


STATUS: Mapping[Code, int] = {
    Code.CANCELED: 499,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 500,
    Code.UNAUTHENTICATED: 401,
}

CODES: Mapping[type[errors.RunnerError], Code] = {
    errors.NotFound: Code.NOT_FOUND,
    errors.AlreadyExists: Code.ALREADY_EXISTS,
    errors.FailedPrecondition: Code.FAILED_PRECONDITION,
    errors.PermissionDenied: Code.PERMISSION_DENIED,
    errors.ResourceExhausted: Code.RESOURCE_EXHAUSTED,
    errors.Unavailable: Code.UNAVAILABLE,
    errors.InvalidArgument: Code.INVALID_ARGUMENT,
    errors.CannotStart: Code.FAILED_PRECONDITION,
    errors.StoreUnusable: Code.UNAVAILABLE,
}


class RpcError(Exception):
    """An error as the wire tells it. `status` and `headers`: where HTTP has words of its own for it."""

    def __init__(
        self,
        code: Code,
        message: str,
        *,
        status: int | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """`status` is the code's own unless given."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = STATUS[code] if status is None else status
        self.headers = headers

    def told(self) -> dict[str, object]:
        """As Connect's JSON has it."""
        return {"code": self.code.value, "message": self.message, "details": []}

    def body(self) -> bytes:
        """`told`, as bytes."""
        return json.dumps(self.told()).encode()

    @property
    def retry(self) -> bool:
        """Whether asking again may help. Published clients repeat 409, 429 and 5xx unless told otherwise."""
        return self.code is Code.UNAVAILABLE


def rpc_error(error: Exception) -> RpcError | None:
    """What the wire may say about `error`; None for a defect, whose text is nobody's business."""
    if isinstance(error, RpcError):
        return error
    for kind, code in CODES.items():
        if isinstance(error, kind):
            return RpcError(code, str(error))
    return None
