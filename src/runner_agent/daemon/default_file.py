"""The automations file the agent applies by itself at start; a broken one never stops it (rules 2.8, 2.9).

Which: the one that settings name, else the one a user has made the default, else the first of the usual
places.
"""

import os
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import structlog

from runner_agent.control.base import Caller
from runner_agent.control.commands import Commands
from runner_agent.control.file_errors import FileError, FileErrors
from runner_agent.daemon.reader import Reader
from runner_agent.kit.clock import Clock
from runner_agent.model.errors import FailedPrecondition, InvalidArgument, RunnerError, Violation
from runner_agent.model.frozen import dataclass
from runner_agent.model.specs import AutomationsFile
from runner_agent.store.base import Store

_META = "automations_file"

log = structlog.get_logger("automations")


@dataclass(frozen=True, slots=True)
class FileState:
    """`path` is None where there is no file; `error` is "" while its contents are in force. `warning` tells
    of a second default file.
    """

    path: Path | None = None
    applied_at: datetime | None = None
    error: str = ""
    warning: str = ""


class DefaultFile:
    """Finds it, applies it, and remembers how that went."""

    def __init__(
        self,
        store: Store,
        commands: Commands,
        clock: Clock,
        workspace: Path,
        named: Path | None,
        reader: Reader | None = None,
    ) -> None:
        """`named` is the settings' choice. `reader`: who the file is read for, if not our own user."""
        self._store, self._commands, self._clock = store, commands, clock
        self._reader = reader
        self._workspace, self._named = workspace, named
        self._state = FileState()
        self._seen: _Sight = None
        self._broken_since = ""

    @property
    def state(self) -> FileState:
        """How it stands now. One that somebody has broken since it was put in force is broken already."""
        known, path = self._state, self._ours()
        if path is None or known.error:
            return known
        seen = _look(path)
        if seen != self._seen:
            self._seen, self._broken_since = seen, ""
            try:
                if seen is not None:
                    self._judge(path)
            except RunnerError as error:
                self._broken_since = _told(path, error)
        return replace(known, path=path, error=self._broken_since) if self._broken_since else known

    async def make_default(self, path: Path) -> None:
        """From now on, and at every start, this is the file; it is put in force now.

        Raises InvalidArgument for one that is not absolute or not right, FailedPrecondition where settings
        name another.
        """
        if not path.is_absolute():
            raise InvalidArgument(Violation("path", f"{path} is not absolute; give the whole path"))
        if self._named not in (None, path):
            raise FailedPrecondition(
                f"{path} cannot be made the default: this agent was started with --automations {self._named}"
            )
        await self._put_in_force(path)
        await self._store.set_meta(_META, str(path))

    async def apply(self) -> None:
        """Put the file in force if there is one. What is wrong is told, and the last good definitions
        stay.
        """
        from runner_agent.control.automations import passed_over

        path = self._found()
        if path is None:
            return
        warning = "" if self._named or self._store.get_meta(_META) else passed_over(self._workspace)
        if warning:
            log.warning(warning)
        try:
            await self._put_in_force(path, warning)
        except RunnerError as error:
            told = _told(path, error)
            self._state = FileState(path, error=told, warning=warning)
            log.error(  # noqa: TRY400  the sentence says it all
                "automations file is not in force", file=str(path), error=told
            )

    def applied(self, path: Path) -> None:
        """A client has put in force what this file says now: if it is ours, its report is out of date."""
        ours = self._ours()
        if ours is not None and _same(path, ours):
            self._in_force(ours, self._state.warning)

    def refused(self, path: Path, error: RunnerError) -> None:
        """A client could not put in force what this file says: if it is ours, that is told until it is."""
        ours = self._ours()
        if ours is not None and _same(path, ours):
            self._state = replace(self._state, path=ours, error=_told(ours, error))

    def _ours(self) -> Path | None:
        """As found at our start; one that nobody named may have been written, or renamed, since."""
        known = self._state.path
        if known is not None and (self._named or self._store.get_meta(_META) or os.path.lexists(known)):
            return known
        return self._found() or known

    def _found(self) -> Path | None:
        from runner_agent.control.automations import find_default

        chosen = self._store.get_meta(_META)
        return self._named or (Path(chosen) if chosen else find_default(self._workspace))

    async def _put_in_force(self, path: Path, warning: str = "") -> None:
        from runner_agent.control.automations import identity

        file = self._read(path)
        result = await self._commands.file.apply(file, _caller(path), path=identity(path), patience=0)
        self._in_force(path, warning)
        log.info(
            "automations file applied",
            file=str(path),
            created=len(result.created),
            changed=len(result.changed),
        )

    def _in_force(self, path: Path, warning: str) -> None:
        self._state = FileState(path, self._clock.wall(), warning=warning)
        self._seen, self._broken_since = _look(path), ""

    def _judge(self, path: Path) -> None:
        """Raises RunnerError for what could not be put in force, be it for what is defined here."""
        from runner_agent.control.automations import identity

        self._commands.file.would(self._read(path), _caller(path), path=identity(path))

    def _read(self, path: Path) -> AutomationsFile:
        """Raises RunnerError."""
        from runner_agent.control.automations import read_file, trusting

        if path.exists() and not path.is_file():  # opening a pipe would wait for its writer
            raise FileErrors((FileError(str(path), 0, 0, "", "is no file; name one"),))
        services, tasks = self._store.services(), self._store.tasks()
        known = {one.metadata.reference for one in services} | {one.metadata.reference for one in tasks}
        judge = trusting if self._reader is None else self._reader.judge(trusted=self._named)
        return read_file(path, known=known, judge=judge)


def _caller(path: Path) -> Caller:
    return Caller(f"automations file {path}")


def _told(path: Path, error: RunnerError) -> str:
    """One fault a line, each with the name of the file."""
    match error:
        case FileErrors():
            return str(error)
        case InvalidArgument(violations=violations):
            within = ((one.path.removeprefix("automations_file."), one.message) for one in violations)
            return "\n".join(str(FileError(str(path), 0, 0, *fault)) for fault in within)
        case _:
            return f"{path}: {error}"


_Sight = tuple[int, ...] | None


def _look(path: Path) -> _Sight:
    """What changes when a file does; None where there is none."""
    try:
        seen = path.stat()
    except OSError:
        return None
    return (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns)


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # gone since
        return one == other
