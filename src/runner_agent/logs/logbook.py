"""Where readers get their logs: a file, or the merged text of an execution; shared while in use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from weakref import WeakValueDictionary

from runner_agent.kit.inotify import Inotify
from runner_agent.logs.files import LogFiles
from runner_agent.logs.merged import MergedLog, Part
from runner_agent.logs.reader import FileLog
from runner_agent.model.ids import ExecutionId, ServiceId, StepId
from runner_agent.model.phases import RunRole


class Logbook:
    """Opens logs for reading. Opening is cheap, nothing needs closing; readers of one log get one object."""

    def __init__(self, files: LogFiles, inotify: Inotify) -> None:
        self._files = files
        self._inotify = inotify
        self._single: WeakValueDictionary[Path, FileLog] = WeakValueDictionary()
        self._merged: WeakValueDictionary[ExecutionId, MergedLog] = WeakValueDictionary()

    def service(self, service: ServiceId, role: RunRole) -> FileLog:
        """The log of one command of a service."""
        return self._file(self._files.service(service, role))

    def run(self, step: StepId) -> FileLog:
        """The log of one run of a task."""
        return self._file(self._files.run(step))

    def execution(
        self, execution: ExecutionId, steps: Sequence[tuple[StepId, str]], ended: Callable[[str], bool]
    ) -> MergedLog:
        """The merged text of an execution.

        `steps`: its runs and their labels, in the order of the plan, the same each time. `ended` tells of a
        run whether it is over. Raises OSError.
        """
        merged = self._merged.get(execution)
        if merged is None:
            parts = [Part(step, label, self._files.run(step)) for step, label in steps]
            merged = MergedLog(self._files.order(execution), parts, self._inotify, ended)
            self._merged[execution] = merged
        return merged

    def _file(self, path: Path) -> FileLog:
        log = self._single.get(path)
        if log is None:
            log = self._single[path] = FileLog(path, self._inotify)
        return log
