"""A line that is looked for in a log: in what a service has written since its start, and in what comes."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from runner_agent.client.errors import ClientError
from runner_agent.client.logs import LogQuery, log_head, read_log

if TYPE_CHECKING:
    from runner_agent.client.agent import Agent

LONGEST = 1 << 16
"""Bytes of a line that are looked at."""
NOTE = "runner-agent: "
"""What lines of the agent's own begin with: a command has not written them."""
_DRESSING = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[P\]X^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])|\r$")
"""Control sequences of terminals: colours must not hide a word."""


class LogSearch:
    """Begins at once, in a thread. `found` is the line, "" for none yet; `over`: no more will come."""

    def __init__(
        self, agent: Agent, path: str, pattern: re.Pattern[str], service: str = "", step: str = ""
    ) -> None:
        """`service`: a reference, of whose log only what the last start has written counts."""
        self._transport = agent.transport
        self._path, self._step = path, step
        self._pattern = pattern
        self._opening = f"{NOTE}{service}: start" if service else ""
        self.found = ""
        self.over = False
        threading.Thread(target=self._run, name="log search", daemon=True).start()

    def _run(self) -> None:
        try:
            end = log_head(self._transport, self._path, self._step).end
            found = ""
            for line in self._lines(LogQuery(follow=False, step=self._step)):
                if self._opening and line == self._opening:
                    found = ""
                found = found or self._match(line)
            if not found:
                lines = self._lines(LogQuery(offset=end, step=self._step))
                found = next((text for line in lines if (text := self._match(line))), "")
            self.found = found
        except ClientError:
            pass  # the look at the service or execution says that the agent is gone
        finally:
            self.over = True

    def _match(self, line: str) -> str:
        own = line.startswith(NOTE) or f" | {NOTE}" in line
        return line if not own and self._pattern.search(line) else ""

    def _lines(self, query: LogQuery) -> Iterator[str]:
        """Each once its end has come; and what there is of the last one, that may never end."""
        rest = b""
        for chunk in read_log(self._transport, self._path, query):
            *lines, rest = (rest + chunk).split(b"\n")
            yield from map(_plain, lines)
            rest = rest[-LONGEST:]
            if rest:
                yield _plain(rest)


def _plain(line: bytes) -> str:
    return _DRESSING.sub("", line.decode(errors="replace"))
