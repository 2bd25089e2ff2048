"""When no file descriptor is left to accept a connection with: told in one line, and asyncio tries again."""

import asyncio
from typing import Any

import structlog

PAUSE = 1.0
"""Seconds between two such lines: asyncio tries each listener once a second, and complains of one failure as
often as the listener's queue is long.
"""

log = structlog.get_logger("listener")


class Trouble:
    """What the loop does with errors that nobody waits for."""

    def __init__(self) -> None:
        self._told = float("-inf")

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A `loop.set_exception_handler`."""
        message = str(context.get("message"))
        if message.startswith("socket.accept() out of system resource"):
            now = loop.time()
            if now >= self._told + PAUSE:
                self._told = now
                log.warning(
                    "cannot accept a connection; raise the limit (LimitNOFILE=) or have clients hang up",
                    error=getattr(context.get("exception"), "strerror", ""),
                )
        elif "._start_serving(" in message and isinstance(context.get("exception"), ValueError):
            pass  # such a second try, whose listener was closed meanwhile
        else:
            loop.default_exception_handler(context)
