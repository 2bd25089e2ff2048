"""An SDK as the tests use it: one driver process, asked by JSON lines, any number of calls at a time."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.conformance.environments import Command

ANSWER = 40.0
"""Seconds any answer may take, on a machine that is busy."""

AUTOMATION = "EnvironmentAutomationService"
EVENT = "EventService"
ENVIRONMENT = "EnvironmentService"

METHODS: dict[str, str] = {
    f"{AUTOMATION}/CreateService": "environments.automations.services.create",
    f"{AUTOMATION}/GetService": "environments.automations.services.retrieve",
    f"{AUTOMATION}/ListServices": "environments.automations.services.list",
    f"{AUTOMATION}/UpdateService": "environments.automations.services.update",
    f"{AUTOMATION}/DeleteService": "environments.automations.services.delete",
    f"{AUTOMATION}/StartService": "environments.automations.services.start",
    f"{AUTOMATION}/StopService": "environments.automations.services.stop",
    f"{AUTOMATION}/UpsertAutomationsFile": "environments.automations.upsert",
    f"{AUTOMATION}/CreateTask": "environments.automations.tasks.create",
    f"{AUTOMATION}/GetTask": "environments.automations.tasks.retrieve",
    f"{AUTOMATION}/ListTasks": "environments.automations.tasks.list",
    f"{AUTOMATION}/UpdateTask": "environments.automations.tasks.update",
    f"{AUTOMATION}/DeleteTask": "environments.automations.tasks.delete",
    f"{AUTOMATION}/StartTask": "environments.automations.tasks.start",
    f"{AUTOMATION}/ListTaskExecutions": "environments.automations.tasks.executions.list",
    f"{AUTOMATION}/GetTaskExecution": "environments.automations.tasks.executions.retrieve",
    f"{AUTOMATION}/StopTaskExecution": "environments.automations.tasks.executions.stop",
    f"{EVENT}/WatchEvents": "events.watch",
    f"{ENVIRONMENT}/GetEnvironment": "environments.retrieve",
    f"{ENVIRONMENT}/CreateEnvironmentLogsToken": "environments.create_logs_token",
}
"""Ours, and what the 0.x SDKs call it. The 1.x SDK keeps the names."""

ELSEWHERE = {f"{EVENT}/ListAuditLogs": "events.list"}
"""Methods of the same services that no agent serves."""

FULL_NAMES = {name.partition("/")[2]: name for name in (*METHODS, *ELSEWHERE)}

Json = dict[str, Any]
"""What SDKs send and answer, as proto's JSON has it. Only assertions look inside."""


class DriverFailed(AssertionError):
    """The driver ended or said nothing within the bound."""


class Refused(Exception):
    """What the SDK raised: the name of its exception class, and what it makes of the answer."""

    def __init__(self, type_: str, code: str | None, status: int | None, message: str) -> None:
        super().__init__(type_, code, status, message)
        self.type, self.code, self.status, self.message = type_, code, status, message


class Driver:
    """One process that speaks for one SDK."""

    def __init__(self, command: Command) -> None:
        environ = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        )
        self._ids = count(1)
        self._answers: dict[int, queue.SimpleQueue[Json]] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def ask(self, **request: object) -> Pending:
        """Send a request; its answer is awaited by `Pending.result`."""
        id_ = next(self._ids)
        answer = self._answers[id_] = queue.SimpleQueue()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": id_, **request}) + "\n")
        self._process.stdin.flush()
        return Pending(id_, answer)

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(60)
        self._reader.join(60)
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer: Json = json.loads(line)
            self._answers.pop(answer["id"]).put(answer)
        for waiting in list(self._answers.values()):
            waiting.put({"error": {"type": "DriverFailed", "message": "the driver ended"}})


@dataclass(frozen=True, slots=True)
class Pending:
    """A request under way."""

    id: int
    _answer: queue.SimpleQueue[Json]

    def result(self, timeout: float = ANSWER) -> Any:
        """Raises Refused; DriverFailed after `timeout` seconds."""
        try:
            answer = self._answer.get(timeout=timeout)
        except queue.Empty:
            raise DriverFailed(f"the SDK gave no answer within {timeout} s") from None
        error = answer.get("error")
        if error is None:
            return answer["result"]
        if error["type"] == "DriverFailed":
            raise DriverFailed(error["message"])
        raise Refused(
            error["type"], error.get("code"), error.get("status"), error.get("told") or error["message"]
        )


class Stream:
    """An iterator in the driver. It is asked for each item; meanwhile it takes none from the agent."""

    def __init__(self, driver: Driver, id_: int) -> None:
        self._driver, self._id = driver, id_

    def ask(self, count: int = 1) -> Pending:
        """For so many items; fewer come if it ends."""
        return self._driver.ask(do="next", of=self._id, count=count)

    def next(self) -> Any:
        """One item, and there must be one. Raises Refused."""
        items = self.ask().result()
        assert items, "it has ended"
        return items[0]

    def rest(self) -> list[Any]:
        """All until it ends."""
        return list(self.ask(1_000_000).result())

    def close(self) -> None:
        """As its user leaves it."""
        self._driver.ask(do="close", of=self._id).result()


@dataclass(frozen=True)
class Sdk:
    """One SDK with the settings its user would give it."""

    name: str
    driver: Driver
    base: str
    token: str
    environment_id: str
    retries: int = 2
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    called: set[str] = field(default_factory=set[str])

    @property
    def connect(self) -> bool:
        """Whether it is made of generated Connect clients (1.x), or speaks plain JSON (0.x)."""
        return self.name.startswith("python-1")

    @property
    def node(self) -> bool:
        """Whether it runs under Node.js."""
        return self.name.startswith("node")

    def with_(self, **settings: Any) -> Sdk:
        """The same with other settings."""
        return replace(self, **settings)

    def ask(
        self, method: str, body: Json | None = None, *, timeout: float | None = None, by_get: bool = False
    ) -> Pending:
        """Send a call. `timeout`: seconds the client gives it."""
        return self.driver.ask(do="call", **{**self._asked(method, body, timeout), "by_get": by_get})

    def call(self, method: str, body: Json | None = None, **options: Any) -> Any:
        """What it answers, as JSON. Raises Refused."""
        return self.ask(method, body, **options).result()

    def refused(self, method: str, body: Json | None = None, **options: Any) -> Refused:
        """The error it ends with."""
        try:
            told = self.call(method, body, **options)
        except Refused as error:
            return error
        raise AssertionError(f"{method} was not refused: {told}")

    @contextmanager
    def list(self, method: str, body: Json | None = None) -> Generator[Stream]:
        """Every item, page after page, by the SDK's own means. Raises Refused."""
        with self._opened("list", self._asked(method, body, None)) as stream:
            yield stream

    @contextmanager
    def watch(self, body: Json | None = None, *, timeout: float | None = None) -> Generator[Stream]:
        """Events of the environment, or of another scope. Raises Refused."""
        scope = {"environmentId": self.environment_id} if body is None else body
        with self._opened("watch", self._asked("WatchEvents", scope, timeout)) as stream:
            yield stream

    @contextmanager
    def log(self, url: str) -> Generator[Stream]:
        """A log's lines, as the 1.x SDK leaves it to its user."""
        with self._opened("log", {"path": url, "client": self._client()}) as stream:
            yield stream

    @contextmanager
    def commands(self, function: str, body: Json) -> Generator[Stream]:
        """A log's lines, by a function that the 0.x SDKs have for running something."""
        with self._opened("commands", {"path": function, "body": body, "client": self._client()}) as stream:
            yield stream

    def wait_until_running(self) -> None:
        """For the environment, by the function that the 0.x SDKs have for it. Raises Refused."""
        with self._opened("running", {"environment_id": self.environment_id, "client": self._client()}):
            pass

    @contextmanager
    def _opened(self, what: str, request: Json) -> Generator[Stream]:
        opening = self.driver.ask(do="open", what=what, **request)
        opening.result()
        stream = Stream(self.driver, opening.id)
        try:
            yield stream
        finally:
            stream.close()

    def _client(self) -> Json:
        return {
            "base": self.base,
            "token": self.token,
            "retries": self.retries,
            "headers": dict(self.headers),
        }

    def _asked(self, method: str, body: Json | None, timeout: float | None) -> Json:
        name = FULL_NAMES[method]
        self.called.add(name)
        return {
            "method": name,
            "path": {**METHODS, **ELSEWHERE}[name],
            "body": body or {},
            "timeout": timeout,
            "by_get": False,
            "client": self._client(),
        }
