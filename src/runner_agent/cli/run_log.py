"""The logs of executions on standard error, beside the progress of a command that waits for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING

from runner_agent.cli.interleaved import interleaved
from runner_agent.cli.prefixes import Prefixes
from runner_agent.cli.progress import Progress
from runner_agent.client.errors import ClientError
from runner_agent.client.logs import LogQuery, execution_log, read_log
from runner_agent.kit.prefixes import Weaver

if TYPE_CHECKING:
    from runner_agent.client.agent import Agent

LAST_LINES = 10.0
"""Seconds that a log has to come to its end once its execution has ended."""


class RunLogs:
    """One is shown as it is, of several each line begins with the name of its task."""

    def __init__(self, agent: Agent, progress: Progress, names: Mapping[str, str]) -> None:
        """`names`: references of tasks by the ids of their executions. Begins to read."""
        self._agent = agent
        self._progress = progress
        self._prefixes = Prefixes(names.values()) if len(names) > 1 else None
        self._over = False
        self._turn = threading.Lock()
        self._woven = Weaver()
        self._threads = {
            id_: threading.Thread(target=self._read, args=(id_, name), name=f"log {name}", daemon=True)
            for id_, name in names.items()
        }
        for thread in self._threads.values():
            thread.start()

    def finish(self, executions: Collection[str]) -> None:
        """What they still hold of these, that have ended; nothing more of the others."""
        deadline = time.monotonic() + LAST_LINES
        for id_ in executions:
            self._threads[id_].join(max(deadline - time.monotonic(), 0))
        self._over = True

    def _read(self, execution: str, name: str) -> None:
        try:
            read = partial(read_log, self._agent.transport, execution_log(execution), LogQuery())
            if self._prefixes is None:
                for chunk in read():
                    self._show(chunk)
                return
            prefix = self._prefixes.of(name).encode()
            for _, data in interleaved([read], at_once=True):
                with self._turn:
                    self._show(self._woven.add(execution, prefix, data))
        except (ClientError, OSError):
            pass  # the watch tells when the agent is gone; who closed standard error wants no log

    def _show(self, data: bytes) -> None:
        if not self._over:
            self._progress.show(data)
