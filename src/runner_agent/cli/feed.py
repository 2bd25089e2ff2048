"""What an agent does, as one queue: changes of services and executions, and the lines of their logs.

Threads follow the watch and each log; the queue's reader may be slow, and then they wait for it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner_agent.cli.words import execution_phase, reference_of, service_phase
from runner_agent.client.agent import Agent
from runner_agent.client.errors import ApiError, ClientError
from runner_agent.client.logs import LogQuery, execution_log, log_end, read_log, service_log
from runner_agent.client.transport import Transport
from runner_agent.client.watch import Watch, watching

if TYPE_CHECKING:
    from runner_agent.client.agent_messages import FireResult
    from runner_agent.client.messages import Execution, Service

ROOM = 1000
"""Lines read ahead of the screen."""
LINE_LIMIT = 1 << 16
"""Bytes of a line that are shown as one."""


@dataclass(frozen=True, slots=True)
class ServiceNow:
    """A service as it is now."""

    service: Service


@dataclass(frozen=True, slots=True)
class ExecutionNow:
    """An execution as it is now; `task` is its task's reference."""

    execution: Execution
    task: str


@dataclass(frozen=True, slots=True)
class Gone:
    """A service was deleted, or an execution forgotten."""

    id: str


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of the log of `label`."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Interrupt:
    """A signal came: SIGINT of a Ctrl-C, or SIGTERM."""

    number: int


@dataclass(frozen=True, slots=True)
class Lost:
    """The agent is gone."""

    reason: str


Item = ServiceNow | ExecutionNow | Gone | LogLine | Interrupt | Lost


class Feed:
    """Items since `start`, until the agent ends or `close`."""

    def __init__(self, transport: Transport) -> None:
        """Connects to nothing yet."""
        self._transport = transport
        self._agent = Agent(transport)
        self._items: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._room = threading.BoundedSemaphore(ROOM)
        self._watch: Watch | None = None
        self._closed = False
        self._tasks: dict[str, str] = {}
        self._offsets: dict[str, int] = {}
        self._following: dict[str, threading.Thread] = {}
        self._seen_steps: set[tuple[str, str]] = set()
        self._firings: dict[str, str] = {}
        self._turn = threading.Lock()
        self._subscribed = threading.Event()

    def start(self) -> None:
        """Begin: everything there is now, then what changes. Logs begin at their present ends."""
        for service in self._agent.services():
            self._offsets[service["id"]] = log_end(self._transport, service_log(service["id"]))
        self._spawn(self._follow_changes, "watch")
        self._subscribed.wait()

    def fire(self, event: str) -> FireResult:
        """Fires it. Its executions share their steps (rule 6.2), so each step's log is shown once."""
        with self._turn:
            result = self._agent.fire(event)
            firing = result.get("firing", {})
            for started in firing.get("executions", []):
                self._firings[started.get("id", "")] = firing.get("id", "")
        return result

    def next(self, timeout: float) -> Item | None:
        """The next item, None if there is none within `timeout` seconds."""
        try:
            item = self._items.get(timeout=timeout)
        except queue.Empty:
            return None
        if not isinstance(item, Interrupt):
            self._room.release()
        return item

    def interrupt(self, number: int) -> None:
        """To be called from a signal handler: this queue's put may be."""
        self._items.put(Interrupt(number))

    def close(self) -> None:
        """No further items but those that are there. The threads die with the process."""
        self._closed = True
        if self._watch is not None:
            self._watch.abort()

    @property
    def following(self) -> bool:
        """Whether a log has not come to its end."""
        return any(thread.is_alive() for thread in list(self._following.values()))

    # ------------------------------------------------------------ threads

    def _spawn(self, work: Callable[[], None], name: str) -> threading.Thread:
        thread = threading.Thread(target=work, name=name, daemon=True)
        thread.start()
        return thread

    def _put(self, item: Item) -> None:
        self._room.acquire()
        self._items.put(item)

    def _follow_changes(self) -> None:
        try:
            with watching(self._transport) as watch:
                self._watch = watch
                present = list(self._agent.executions({"phases": _UNFINISHED}))
                self._subscribed.set()
                for service in self._agent.services():
                    self._tell_service(service)
                for execution in present:
                    self._skip_old_lines(execution)
                    self._tell_execution(execution)
                while not self._closed:
                    event = watch.next()
                    with self._turn:
                        self._tell(event.get("resourceType", ""), event.get("resourceId", ""))
        except ClientError as error:
            if not self._closed:
                self._put(Lost(str(error)))
        finally:
            self._subscribed.set()

    def _skip_old_lines(self, execution: Execution) -> None:
        for step in execution.get("status", {}).get("steps", []):
            path = execution_log(execution["id"])
            self._offsets[step["id"]] = log_end(self._transport, path, step["id"])

    def _tell(self, kind: str, key: str) -> None:
        try:
            if kind == "RESOURCE_TYPE_SERVICE":
                self._tell_service(self._agent.get_service(key))
            elif kind == "RESOURCE_TYPE_TASK_EXECUTION":
                self._tell_execution(self._agent.get_execution(key))
        except ApiError as error:
            if error.code != "not_found":
                raise
            self._put(Gone(key))

    def _tell_service(self, service: Service) -> None:
        self._put(ServiceNow(service))
        if service_phase(service) != "STOPPED":
            self._follow_log(service["id"], service_log(service["id"]), reference_of(service), "")

    def _tell_execution(self, execution: Execution) -> None:
        self._put(ExecutionNow(execution, self._task(execution)))
        if execution_phase(execution) == "PENDING":
            return
        labels = {
            step["id"]: step.get("label", "")
            for group in execution.get("spec", {}).get("plan", [])
            for step in group.get("steps", [])
            if "serviceId" not in step
        }
        for step in execution.get("status", {}).get("steps", []):
            label = labels.get(step["id"])
            once = self._firings.get(execution["id"], execution["id"]), label or ""
            if label is not None and once not in self._seen_steps:
                self._seen_steps.add(once)
                self._follow_log(step["id"], execution_log(execution["id"]), label, step["id"])

    def _task(self, execution: Execution) -> str:
        task_id = execution.get("metadata", {}).get("taskId", "")
        if task_id not in self._tasks:
            try:
                self._tasks[task_id] = reference_of(self._agent.get_task(task_id))
            except ApiError:
                return task_id
        return self._tasks[task_id]

    def _follow_log(self, key: str, path: str, label: str, step: str) -> None:
        present = self._following.get(key)
        if present is None or not present.is_alive():
            self._following[key] = self._spawn(lambda: self._read_log(key, path, label, step), f"log {label}")

    def _read_log(self, key: str, path: str, label: str, step: str) -> None:
        query = LogQuery(offset=self._offsets.get(key, 0), step=step)
        rest = b""
        try:
            for chunk in read_log(self._transport, path, query):
                self._offsets[key] = self._offsets.get(key, 0) + len(chunk)
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._put(LogLine(label, _shown(line)))
                if len(rest) > LINE_LIMIT:
                    self._put(LogLine(label, _shown(rest)))
                    rest = b""
        except ClientError:
            pass  # the watch tells when the agent is gone
        if rest:
            self._put(LogLine(label, _shown(rest)))


_UNFINISHED = ["TASK_EXECUTION_PHASE_PENDING", "TASK_EXECUTION_PHASE_RUNNING"]


def _shown(line: bytes) -> str:
    """What a terminal would show of it in the end: a progress bar's last state."""
    return line.rstrip(b"\r").rpartition(b"\r")[2].decode(errors="replace")
