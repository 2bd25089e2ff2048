"""A watch on one output file: publishes what the command writes there, while it runs (rule 5.3)."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from runner_agent.kit.inotify import Inotify, Subscription
from runner_agent.logs.outputs import Assign, BadLine, Finding, Mark, OutputParser
from runner_agent.model.frozen import dataclass
from runner_agent.model.ids import Reference
from runner_agent.model.phases import RunRole

_TURN = 65536
"""Bytes read before others get their turn: 20 ms if all of it are the shortest of lines."""
_QUIET = 0.2
"""Seconds after which a last line without an end is taken for whole, for the time being."""
_KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISFIFO, "a pipe (FIFO)"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_MEMORY = 64
"""Bytes before the place we read up to, by which we know the file again."""


@dataclass(frozen=True, slots=True)
class OutputNews:
    """To be merged into the outputs: last write wins, "" unsets. `mark` is where to go on after a restart.
    `trouble` says why the file is not read, "" if it is.
    """

    outputs: Mapping[str, str]
    bad_lines: tuple[BadLine, ...]
    mark: Mark
    trouble: str = ""


def output_name(role: RunRole, reference: Reference) -> str:
    """What the name of a run's output file is; real scripts look at it."""
    if role is RunRole.TASK:
        return f"gitpod-task-{reference}.output"
    return f"gitpod-service-{role.value}-{reference}.output"


class OutputWatch:
    """Calls `publish` with what was written, at most 250 ms after the writing."""

    def __init__(
        self,
        path: Path,
        inotify: Inotify,
        publish: Callable[[OutputNews], None],
        mark: Mark | None = None,
        *,
        after: float = 0.0,
    ) -> None:
        """Begin to watch at `mark`, `after` seconds. The file need not exist yet."""
        self._path = path
        self._publish = publish
        self._parser = OutputParser(mark)
        self._position = self._parser.mark.offset
        self._memory = b""
        self._peeked: list[Finding] = []
        self._troubles: set[str] = set()
        self._subscription: Subscription | None = None
        self._timer: asyncio.TimerHandle | None = asyncio.get_running_loop().call_later(
            after, self._begin, inotify
        )

    async def look(self) -> None:
        """Return once all that was written until now is published: before a phase is that may rest on it."""
        await self._catch_up()
        self._peek()

    async def finish(self) -> None:
        """The command has ended: watch no more, and return once the rest is published."""
        self.close()
        await self._catch_up()
        self._tell_new(self._parser.finish())
        self._tell_trouble(_trouble_at(self._path))

    def close(self) -> None:
        """Watch no more; what was not published yet is for the next one to find."""
        if self._subscription is not None:
            self._subscription.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _begin(self, inotify: Inotify) -> None:
        self._subscription = inotify.subscribe(self._path, self._changed)
        self._changed()

    async def _catch_up(self) -> None:
        """Read up to the present end: a command that never rests does not hold this up."""
        try:
            end = self._path.lstat().st_size
        except OSError:
            return
        more = True
        while more:
            more = self._read() and self._position < end
            await asyncio.sleep(0)

    def _changed(self) -> None:
        more = self._read()
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = (
            loop.call_later(0, self._changed) if more else loop.call_later(_QUIET, self._look_at_rest)
        )

    def _look_at_rest(self) -> None:
        self._timer = None
        self._peek()
        self._tell_trouble(_trouble_at(self._path))

    def _read(self) -> bool:
        """Publish what is new in whole lines. True: this was a turn's worth, and there may be more."""
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError:
            return False
        try:
            if _trouble(os.fstat(fd)):
                return False
            if not self._knows(fd):
                self._parser, self._position, self._memory = OutputParser(), 0, b""
                self._peeked = []
            data = os.pread(fd, _TURN, self._position)
        except OSError:
            return False
        finally:
            os.close(fd)
        self._position += len(data)
        self._memory = (self._memory + data)[-_MEMORY:]
        self._tell_new(self._parser.feed(data))
        return len(data) == _TURN

    def _knows(self, fd: int) -> bool:
        """Whether this is the file we read, longer at most. One that shrank or was replaced is read anew."""
        if os.fstat(fd).st_size < self._position:
            return False
        return os.pread(fd, len(self._memory), self._position - len(self._memory)) == self._memory

    def _peek(self) -> None:
        """Take the last line for whole, once: what is told again would win over what came in between."""
        found = self._parser.peek()
        if found != self._peeked:
            self._peeked = found
            self._tell(found)

    def _tell_trouble(self, trouble: str) -> None:
        """Once for each kind, and when it stays: a file is away for a moment while a program replaces it."""
        if trouble and trouble not in self._troubles:
            self._troubles.add(trouble)
            self._publish(OutputNews({}, (), self._parser.mark, trouble))

    def _tell_new(self, found: list[Finding]) -> None:
        if found:
            told, self._peeked = int(found[:1] == self._peeked), []
            self._tell(found, told)

    def _tell(self, found: list[Finding], told: int = 0) -> None:
        outputs: dict[str, str] = {}
        for finding in found[told:]:
            if isinstance(finding, Assign):
                outputs[finding.key] = finding.value
        bad = tuple(finding for finding in found if isinstance(finding, BadLine))
        if found:
            self._publish(OutputNews(outputs, bad, self._parser.mark))


def _trouble_at(path: Path) -> str:
    """Why what stands there is not read; "" if it is."""
    try:
        trouble = _trouble(path.lstat())
        if not trouble and not os.access(path, os.R_OK):
            return "cannot be read by the agent; leave its mode as it is"
        return trouble
    except FileNotFoundError:
        return "was removed; what the agent had read of it by then counts, so leave it where it is"
    except OSError as error:
        return f"cannot be looked at: {(error.strerror or str(error)).lower()}"


def _trouble(found: os.stat_result) -> str:
    """The command may put anything there, in a folder of its own user: a link is not followed and a pipe not
    waited for, nor is read what has another name, which may be that of somebody else's file.
    """
    for is_one, name in _KINDS:
        if is_one(found.st_mode):
            return f"is {name} now, which is not read; append lines to the file that was there"
    if found.st_nlink > 1:
        return "has a second name (a hard link), and is not read; append lines to it and leave it where it is"
    return ""
