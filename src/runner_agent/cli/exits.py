"""Exit codes, and which failure ends with which."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner_agent.client.errors import (
    AgentUnreachable,
    ApiError,
    BadAddress,
    ClientError,
    NoSuchAutomation,
    WaitTimedOut,
)

if TYPE_CHECKING:
    from runner_agent.model.errors import InvalidArgument

DONE = 0
FAILED = 1
INVALID = 2
TIMED_OUT = 3
UNREACHABLE = 4
INTERRUPTED = 130

_CODES = {
    "invalid_argument": INVALID,
    "out_of_range": INVALID,
    "not_found": INVALID,
    "deadline_exceeded": TIMED_OUT,
    "unavailable": UNREACHABLE,
    "unauthenticated": UNREACHABLE,
}


class Quit(Exception):
    """Ends the command with this code, and this message on standard error ("" for none)."""

    def __init__(self, code: int, message: str = "") -> None:
        """`message` says what, where and what to do."""
        super().__init__(message)
        self.code = code


def all_wrong(error: InvalidArgument) -> Quit:
    """Every setting that cannot be used, a line each."""
    return Quit(INVALID, "\n".join(map(str, error.violations)))


def code_of(error: ClientError) -> int:
    """The exit code for what went wrong at the agent's side."""
    match error:
        case AgentUnreachable():
            return UNREACHABLE
        case BadAddress() | NoSuchAutomation():
            return INVALID
        case WaitTimedOut():
            return TIMED_OUT
        case ApiError(code=code):
            return _CODES.get(code, FAILED)
        case _:
            return FAILED


def message_of(error: ClientError) -> str:
    """One sentence more where the agent cannot know what the caller could do."""
    if isinstance(error, ApiError) and error.code == "unauthenticated":
        return (
            f"{error}. Over TCP the agent wants its token: set RUNNER_AGENT_TOKEN to the text of STATE/token."
        )
    return str(error)
