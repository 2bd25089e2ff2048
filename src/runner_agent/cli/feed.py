"""What an agent does, as one queue: changes of services and executions, and the lines of their logs.

Threads follow the watch and each log; the queue's reader may be slow, and then they wait for it. An
agent that is restarted keeps its runs, so all is taken up again where it broke.
"""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner_agent.cli.feed_logs import Log, LogLine, Logs
from runner_agent.cli.words import FINISHED, execution_phase, reference_of, service_phase
from runner_agent.client.addresses import read_agent_file
from runner_agent.client.agent import Agent
from runner_agent.client.errors import AgentLeft, AgentUnreachable, ApiError, ClientError
from runner_agent.client.logs import execution_log, log_head, service_log
from runner_agent.client.news import PATIENCE
from runner_agent.client.transport import Transport
from runner_agent.client.watch import RETRY, Watch, watching

if TYPE_CHECKING:
    from pathlib import Path

    from runner_agent.client.messages import Execution, Service

ROOM = 1000
"""Lines read ahead of the screen."""
LEAVING = 1.0
"""Seconds that an agent which said that it goes may be away before that is news."""


@dataclass(frozen=True, slots=True)
class ServiceNow:
    """A service as it is now."""

    service: Service


@dataclass(frozen=True, slots=True)
class ExecutionNow:
    """An execution as it is now; `task` is its task's reference, `run` the same for all that share the run of
    that task (rule 6.2).
    """

    execution: Execution
    task: str
    run: str


@dataclass(frozen=True, slots=True)
class Gone:
    """A service was deleted, or an execution forgotten."""

    id: str


@dataclass(frozen=True, slots=True)
class Interrupt:
    """A signal came: SIGINT of a Ctrl-C, or SIGTERM."""

    number: int


@dataclass(frozen=True, slots=True)
class Away:
    """The agent does not answer. `asked`: it said that it goes, so it is being restarted."""

    asked: bool = False


@dataclass(frozen=True, slots=True)
class Back:
    """The agent answers again."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The agent was told to stop, by whomever, and has brought everything down."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The agent is gone for good."""

    reason: str


Item = ServiceNow | ExecutionNow | Gone | LogLine | Interrupt | Away | Back | Stopped | Lost


class Feed:
    """Items since `start`, until the agent ends or `close`."""

    def __init__(self, transport: Transport, state: Path | None = None) -> None:
        """Connects to nothing yet. In `state` stands where the agent is, for as long as it was not stopped
        in order.
        """
        self._transport = transport
        self._state = state if state is not None and read_agent_file(state) is not None else None
        self._agent = Agent(transport)
        self._items: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._room = threading.BoundedSemaphore(ROOM)
        self._watch: Watch | None = None
        self._closed = False
        self._tasks: dict[str, str] = {}
        self._unfinished: set[str] = set()
        self._logs = Logs(transport, self._put)
        self._seen_steps: set[str] = set()
        self._runs: dict[str, str] = {}  # ids of logs by those of steps
        self._subscribed = threading.Event()

    def start(self) -> None:
        """Begin: everything there is now, then what changes. Logs begin at their present ends."""
        for service in self._agent.services():
            self._logs.skip(_log_of(service))
        threading.Thread(target=self._follow_changes, name="watch", daemon=True).start()
        self._subscribed.wait()

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
        return self._logs.following

    # ------------------------------------------------------------ threads

    def _put(self, item: Item) -> None:
        self._room.acquire()
        self._items.put(item)

    def _follow_changes(self) -> None:
        absence = _Absence()
        try:
            while True:
                try:
                    with watching(self._transport) as watch:
                        self._watch = watch
                        if absence.told:
                            self._put(Back())
                        absence = _Absence()
                        self._watch_changes(watch)
                except AgentUnreachable as error:
                    absence.note(time.monotonic(), asked=isinstance(error, AgentLeft))
                    if self._closed or not self._subscribed.is_set() or absence.lasts > PATIENCE:
                        raise
                    if self._stopped():
                        self._put(Stopped())
                        return
                    if absence.is_news:
                        absence.told = True
                        self._put(Away(absence.asked))
                    time.sleep(RETRY)
        except ClientError as error:
            if not self._closed:
                self._put(Lost(str(error)))
        finally:
            self._subscribed.set()

    def _stopped(self) -> bool:
        """Who stops in order takes away its own agent.json; who crashes or is restarted does not."""
        return self._state is not None and not (self._state / "agent.json").exists()

    def _watch_changes(self, watch: Watch) -> None:
        """What there is now, then what changes."""
        present = list(self._agent.executions({"phases": _UNFINISHED}))
        first = not self._subscribed.is_set()
        self._subscribed.set()
        for service in self._agent.services():
            self._tell_service(service)
        for execution in present:
            if first:
                self._skip_old_lines(execution)
            self._tell_execution(execution)
        for known in () if first else self._unfinished - {execution["id"] for execution in present}:
            self._tell("RESOURCE_TYPE_TASK_EXECUTION", known)  # it ended meanwhile
        while not self._closed:
            event = watch.next()
            self._tell(event.get("resourceType", ""), event.get("resourceId", ""))

    def _skip_old_lines(self, execution: Execution) -> None:
        for step in execution.get("status", {}).get("steps", []):
            path = execution_log(execution["id"])
            self._logs.skip(Log(self._run_of(path, step["id"]), path, step=step["id"]))

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
            self._logs.follow(_log_of(service))

    def _tell_execution(self, execution: Execution) -> None:
        tasks = [
            step
            for group in execution.get("spec", {}).get("plan", [])
            for step in group.get("steps", [])
            if "serviceId" not in step
        ]
        path, task = execution_log(execution["id"]), execution.get("metadata", {}).get("taskId", "")
        own = next((step["id"] for step in tasks if step.get("task", {}).get("id") == task), "")
        run = self._run_of(path, own) if own else execution["id"]
        self._put(ExecutionNow(execution, self._task(execution), run))
        if execution_phase(execution) in FINISHED:
            self._unfinished.discard(execution["id"])
        else:
            self._unfinished.add(execution["id"])
        if execution_phase(execution) == "PENDING":
            return
        labels = {step["id"]: step.get("label", "") for step in tasks}
        for id_ in (step["id"] for step in execution.get("status", {}).get("steps", [])):
            if id_ in labels and id_ not in self._seen_steps:
                self._logs.follow(Log(self._run_of(path, id_), path, labels[id_], id_))
                self._seen_steps.add(id_)

    def _run_of(self, path: str, step: str) -> str:
        """The id of the log of this step, which steps of several executions may have together (rule 6.2)."""
        if step not in self._runs:
            try:
                self._runs[step] = log_head(self._transport, path, step).id
            except ApiError:
                return step  # it has been pruned
        return self._runs[step]

    def _task(self, execution: Execution) -> str:
        task_id = execution.get("metadata", {}).get("taskId", "")
        if task_id not in self._tasks:
            try:
                self._tasks[task_id] = reference_of(self._agent.get_task(task_id))
            except ApiError:
                return task_id
        return self._tasks[task_id]


@dataclass(slots=True)
class _Absence:
    """Since when the agent cannot be reached, in monotonic seconds, and whether that was told."""

    since: float = 0.0
    lasts: float = 0.0
    asked: bool = False
    told: bool = False

    def note(self, now: float, *, asked: bool) -> None:
        """It cannot be reached now; `asked`: it has just said that it goes."""
        if not self.since:
            self.since, self.asked = now, asked
        self.lasts = now - self.since

    @property
    def is_news(self) -> bool:
        """Whether to tell of it now."""
        return not self.told and (not self.asked or self.lasts > LEAVING)


_UNFINISHED = ["TASK_EXECUTION_PHASE_PENDING", "TASK_EXECUTION_PHASE_RUNNING"]


def _log_of(service: Service) -> Log:
    return Log(service["id"], service_log(service["id"]), reference_of(service))
