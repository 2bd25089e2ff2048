"""Starting light: what costs a start much time and memory and gives the daemon nothing."""

from __future__ import annotations

import gc
import sys
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from runner_agent.daemon.beginning import begin

if TYPE_CHECKING:
    from runner_agent.daemon.settings import ServeOptions

SWITCH = 0.0005
"""Seconds a busy loop keeps the interpreter from the store's syncer, which asks for it to say what is synced.
At Python's 5 ms an acknowledgement waits 10 ms while the loop is busy.
"""

GARBAGE = 10_000
"""Objects more than before at which to look for cycles. Hardly any are made, so at Python's 700 it is a
twentieth of all the daemon does.
"""


def serve(options: ServeOptions) -> int:
    """As `run.serve`. Looking for garbage among the modules it brings is a quarter of its start."""
    gc.disable()
    begin()
    _import_structlog()
    _import_uvicorn()
    from runner_agent.daemon.run import serve

    return serve(options)


def settle() -> None:
    """Once all is there: it stays, so it is never looked through again. Collecting begins."""
    gc.freeze()
    gc.set_threshold(GARBAGE)
    gc.enable()
    sys.setswitchinterval(SWITCH)


def _import_structlog() -> None:
    """Without `rich`, which it takes along where it finds it, for tracebacks in colour: 5 MiB and 50 ms."""
    with _standing_in("rich", None):
        import_module("structlog")


def _import_uvicorn() -> None:
    """Without its command line and the processes that would supervise it: 2 MiB and 20 ms."""
    stand_in: Any = ModuleType("uvicorn.main")
    stand_in.Server = stand_in.main = stand_in.run = None
    with _standing_in("uvicorn.main", stand_in):
        import_module("uvicorn")


@contextmanager
def _standing_in(name: str, module: ModuleType | None) -> Generator[None]:
    """Whoever imports it meanwhile gets `module`, or is told that there is none."""
    modules: dict[str, Any] = sys.modules
    if name in modules:
        yield
        return
    modules[name] = module
    try:
        yield
    finally:
        del modules[name]
