"""Where logs live under the state directory, and the agent's own lines in them (rules 5.4, 5.5).

services/<service id>/<role>.log      one per command of a service, appended across sessions
runs/<step id>.log                    one per run of a task, however many executions share it
executions/<execution id>.order       in what order the merged text of an execution was first seen
"""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

from runner_agent.model.ids import ExecutionId, ServiceId, StepId
from runner_agent.model.phases import RunRole

MARK = "runner-agent: "
"""Begins each line of a log that no command wrote; the launcher's lines begin with it too."""

_log = logging.getLogger(__name__)


class LogFiles:
    """The folder of logs: paths by id, creation, deletion. Keeps nothing in memory."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def service(self, service: ServiceId, role: RunRole) -> Path:
        """The log of one command of a service."""
        return Path(f"{self.root}/services/{_plain(service)}/{role.value}.log")

    def run(self, step: StepId) -> Path:
        """The log of one run of a task."""
        return Path(f"{self.root}/runs/{_plain(step)}.log")

    def order(self, execution: ExecutionId) -> Path:
        """The index of an execution's merged text."""
        return self.root / "executions" / f"{_plain(execution)}.order"

    def prepare(self, path: Path) -> None:
        """Make a log, and the folders it is in, if need be: folders 0700, files 0600. Raises OSError."""
        try:
            log = _open(path, os.O_WRONLY)
        except (
            FileNotFoundError
        ):  # seldom: the folders are there, and asking for each costs more than the log
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in reversed(path.relative_to(self.root).parents):
                (self.root / folder).mkdir(mode=0o700, exist_ok=True)
            log = _open(path, os.O_WRONLY)
        os.close(log)

    def forget_service(self, service: ServiceId) -> None:
        """Delete all logs of a service; nothing if there are none."""
        shutil.rmtree(self._services / _plain(service), ignore_errors=True)

    def forget_run(self, step: StepId) -> None:
        """Delete the log of a run; nothing if there is none."""
        _remove(self.run(step))

    def forget_execution(self, execution: ExecutionId) -> None:
        """Delete what an execution has of its own; the logs of its runs go with the runs, which it shares."""
        _remove(self.order(execution))

    @property
    def _services(self) -> Path:
        return self.root / "services"


def append_note(path: Path, text: str) -> bool:
    """Add the agent's own line to a log; gives whether it stands there, whole.

    A line by itself, also after output that did not end its own (half a line written in the same microsecond
    cannot be helped); line breaks within become spaces. A disk that is full, or folders that are gone, cost
    the line and nothing else: runs matter more than their notes.
    """
    line = f"{MARK}{' '.join(text.splitlines())}\n".encode("utf-8", "replace")
    try:
        log = _open(path, os.O_RDWR)
        try:
            end = os.fstat(log).st_size
            if end and os.pread(log, 1, end - 1) != b"\n":
                line = b"\n" + line
            whole = os.write(log, line) == len(line)
        finally:
            os.close(log)
    except OSError as error:
        _log.warning("cannot write a note to %s (%s): %s", path, error.strerror, text)
        return False
    if not whole:
        _log.warning("cannot write a note to %s in whole, the disk is full: %s", path, text)
    return whole


def _remove(path: Path) -> None:
    """What cannot be removed stays: nobody is to wait for that, or to fail by it (rule 7.6)."""
    try:
        path.unlink()
    except FileNotFoundError:
        pass
    except OSError as error:
        _log.warning("cannot remove %s (%s); it stays", path, error.strerror)


def _open(path: Path, flags: int) -> int:
    return os.open(path, flags | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY, 0o600)


def _plain(name: str) -> str:
    """An id that is to be part of a path. Ids are UUIDs; one that could leave its folder is a defect."""
    if not name or name.startswith(".") or "/" in name or "\0" in name:
        raise ValueError(f"cannot make a log path of the id {name!r}: it is not the name of a file")
    return name
