"""Starting light: what costs a start much time and memory and gives the daemon nothing."""

from __future__ import annotations

import gc
import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from runner_agent.daemon.settings import ServeOptions

SWITCH = 0.0005
"""Seconds a busy thread keeps the interpreter from the store's writer, which asks for it at every statement.
At Python's 5 ms a commit of four statements waits 20 ms while the loop is busy.
"""


def serve(options: ServeOptions) -> int:
    """As `run.serve`. Looking for garbage among the modules it brings is a quarter of its start."""
    gc.disable()
    _import_structlog()
    from runner_agent.daemon.run import serve

    return serve(options)


def settle() -> None:
    """Once all is there: it stays, so it is never looked through again. Collecting begins."""
    gc.freeze()
    gc.enable()
    sys.setswitchinterval(SWITCH)


def _import_structlog() -> None:
    """Without `rich`, which it takes along where it finds it, for tracebacks in colour: 5 MiB and 50 ms."""
    if "rich" in sys.modules:
        return
    sys.modules["rich"] = cast("ModuleType", None)
    try:
        import_module("structlog")
    finally:
        del sys.modules["rich"]
