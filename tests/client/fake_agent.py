"""An agent with canned state: Connect JSON, the watch and logs, and a record of what was asked."""

from __future__ import annotations

import json
import queue
import socketserver
import threading
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ENVIRONMENT = "00000000-0000-4000-8000-0000000000ee"
Message = dict[str, Any]


def uuid(number: int) -> str:
    """Ids that can be told apart at a glance."""
    return f"00000000-0000-4000-8000-{number:012}"


@dataclass
class Refusal(Exception):
    """Raised by a handler: the answer is an error."""

    code: str
    message: str = ""
    status: int = 400


@dataclass
class LogPart:
    """One answer to a log request; `cut` breaks the connection off after it, `hold` first waits to be set."""

    data: bytes
    start: int = 0
    cut: bool = False
    hold: threading.Event | None = None


@dataclass
class FakeAgent:
    """Set its fields; a handler put into `on` wins over canned state."""

    services: list[Message] = field(default_factory=list[Message])
    tasks: list[Message] = field(default_factory=list[Message])
    executions: list[Message] = field(default_factory=list[Message])
    live: list[Message] = field(default_factory=list[Message])
    on: dict[str, Callable[[Message], Message]] = field(
        default_factory=dict[str, "Callable[[Message], Message]"]
    )
    logs: dict[str, list[LogPart]] = field(default_factory=lambda: defaultdict(list[LogPart]))
    asked: list[tuple[str, Message]] = field(default_factory=list[tuple[str, Message]])
    log_queries: list[str] = field(default_factory=list[str])
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    watchers: list[queue.SimpleQueue[Message | None]] = field(
        default_factory=list["queue.SimpleQueue[Message | None]"]
    )
    watched: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    log_ids: dict[str, str] = field(default_factory=dict[str, str])
    """By the ids of steps; others are not told, as by agents of before. Below such an id in `logs` stands all
    of that log, which begins to be new at `start`; the last part is served ever again.
    """
    log_awaited: str = ""
    log_asked: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    address: str = ""
    _server: socketserver.BaseServer | None = None

    # ------------------------------------------------------------ life

    def listen_unix(self, path: Path) -> str:
        """The address."""
        self.address = f"unix:{path}"
        return self._serve(_UnixServer(str(path), self))

    def listen_tcp(self) -> str:
        """The address, on a free port."""
        server = _TcpServer(self)
        self.address = f"tcp:127.0.0.1:{server.server_address[1]}"
        return self._serve(server)

    def close(self) -> None:
        """Ends all streams, and takes nothing any more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        self.end_watches()

    def end_watches(self) -> None:
        for watcher in self.watchers:
            watcher.put(None)
        self.watchers.clear()

    def publish(self, kind: str, key: str) -> None:
        """Tell all who watch that something changed."""
        event = {
            "operation": "RESOURCE_OPERATION_UPDATE_STATUS",
            "resourceType": f"RESOURCE_TYPE_{kind}",
            "resourceId": key,
        }
        for watcher in list(self.watchers):
            watcher.put(event)

    def methods(self) -> list[str]:
        """What was asked, in order."""
        return [method for method, _ in self.asked]

    def _serve(self, server: socketserver.BaseServer) -> str:
        self._server = server
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self.address

    # ------------------------------------------------------------ answers

    def answer(self, method: str, message: Message) -> Message:
        self.asked.append((method, message))
        if method in self.on:
            return self.on[method](message)
        match method:
            case "ListServices":
                return self._page(message, "services", self._chosen(message, self.services, "serviceIds"))
            case "ListTasks":
                return self._page(message, "tasks", self._chosen(message, self.tasks, "taskIds"))
            case "ListTaskExecutions":
                wanted = message.get("filter", {}).get("taskIds")
                found = [
                    each for each in self.executions if not wanted or each["metadata"]["taskId"] in wanted
                ]
                return self._page(message, "taskExecutions", found[::-1])  # the newest first
            case "ListLiveStatus":
                return self._page(message, "services", self.live)
            case "GetService":
                return {"service": self._by_id(self.services, message)}
            case "GetTask":
                return {"task": self._by_id(self.tasks, message)}
            case "GetTaskExecution":
                return {"taskExecution": self._by_id(self.executions, message)}
            case "StartTask":
                return {"taskExecution": self.executions[-1]}
            case "GetAgent":
                return {
                    "agent": {"version": "1.2.3", "pid": 42, "environmentId": ENVIRONMENT, "workspace": "/w"}
                }
            case "code":
                return {"code": "opensesame", "expiresIn": 300, "urls": ["http://127.0.0.1:7780/"]}
            case _:
                return {}

    @staticmethod
    def _by_id(things: list[Message], message: Message) -> Message:
        for each in things:
            if each["id"] == message["id"]:
                return each
        raise Refusal("not_found", f"there is no {message['id']}", 404)

    @staticmethod
    def _chosen(message: Message, things: list[Message], ids: str) -> list[Message]:
        wanted = message.get("filter", {})
        references, keys = wanted.get("references"), wanted.get(ids)
        return [
            each
            for each in things
            if (not references or each["metadata"]["reference"] in references)
            and (not keys or each["id"] in keys)
        ]

    @staticmethod
    def _page(message: Message, name: str, found: list[Message]) -> Message:
        page = message.get("pagination", {})
        first, size = int(page.get("token") or 0), page.get("pageSize") or 25
        told: Message = {name: found[first : first + size]} if found else {}
        if first + size < len(found):
            told["pagination"] = {"nextToken": str(first + size)}
        return told


class _Threads(socketserver.ThreadingMixIn):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that leaves is none; what a handler raises is seen by the missing answer."""


class _UnixServer(_Threads, socketserver.UnixStreamServer):
    request_queue_size = 64

    def __init__(self, path: str, agent: FakeAgent) -> None:
        super().__init__(path, _Handler)
        self.agent = agent


class _TcpServer(_Threads, socketserver.TCPServer):
    def __init__(self, agent: FakeAgent) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.agent = agent


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def agent(self) -> FakeAgent:
        assert isinstance(self.server, _UnixServer | _TcpServer)
        return self.server.agent

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def do_POST(self) -> None:
        self.agent.headers.append({name.lower(): value for name, value in self.headers.items()})
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        method = self.path.rpartition("/")[2]
        if method == "WatchEvents":
            self._watch()
            return
        try:
            self._answer(200, json.dumps(self.agent.answer(method, body)).encode())
        except Refusal as refusal:
            told = {"code": refusal.code, "message": refusal.message}
            self._answer(refusal.status, json.dumps(told).encode())

    def do_GET(self) -> None:
        split = urlsplit(self.path)
        self.agent.log_queries.append(split.query)
        asked = parse_qs(split.query)
        only_end = asked.get("tail") == ["0"]
        log_id = self.agent.log_ids.get(asked.get("step", [""])[0], "")
        parts = self.agent.logs[log_id or split.path]
        if log_id:
            at = parts[0].start if only_end else int(asked.get("offset", ["0"])[0])
            whole = parts.pop(0) if len(parts) > 1 and not only_end else parts[0]
            part = LogPart(b"" if only_end else whole.data[at:], at)
        elif parts and parts[0].data and only_end:
            part = LogPart(b"", parts[0].start)  # only where it begins was asked
        else:
            part = parts.pop(0) if parts else LogPart(b"", int(asked.get("offset", ["0"])[0]))
        self._begin({"X-Log-Start": str(part.start)} | ({"X-Log-Id": log_id} if log_id else {}))
        if part.data:
            self._chunk(part.data)
        if split.path == self.agent.log_awaited and not only_end:
            self.agent.log_asked.release()
        if part.hold is not None:
            part.hold.wait(20)
        if not part.cut:
            with suppress(OSError):  # the client had enough
                self._chunk(b"")
        self.close_connection = True

    def _watch(self) -> None:
        events: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self.agent.watchers.append(events)
        self._begin({})
        event: Message | None = {"resourceType": "RESOURCE_TYPE_ENVIRONMENT", "resourceId": ENVIRONMENT}
        try:
            while event is not None:
                line = json.dumps(event).encode()
                self._chunk(line + b" " * (-(len(line) + 1) % 64) + b"\n")
                self.agent.watched.release()
                event = events.get()
            self._chunk(b"")
        except OSError:
            pass  # the client has what it wanted
        self.close_connection = True

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def _begin(self, headers: dict[str, str]) -> None:
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()


def service(number: int, reference: str, phase: str = "STOPPED", **more: Any) -> Message:
    """A service; `failure`, `session`, `desired`, `ready`, `triggers` as needed."""
    desired = more.get("desired", "RUNNING" if phase in {"RUNNING", "STARTING", "FAILED"} else "STOPPED")
    commands = {"start": "sleep inf"} | ({"ready": more["ready"]} if "ready" in more else {})
    return {
        "id": uuid(number),
        "environmentId": ENVIRONMENT,
        "metadata": {
            "reference": reference,
            "name": f"The {reference}",
            "createdAt": "2026-01-01T00:00:00Z",
            "triggeredBy": [{each: True} for each in more.get("triggers", [])],
        },
        "spec": {
            "desiredPhase": f"SERVICE_PHASE_{desired}",
            "commands": commands,
            "session": more.get("session", "s1"),
        },
        "status": {
            "phase": f"SERVICE_PHASE_{phase}",
            "session": more.get("session", "s1"),
            **({"failureMessage": more["failure"]} if "failure" in more else {}),
        },
    }


def task(number: int, reference: str, **more: Any) -> Message:
    """A task; `triggers`, `depends_on` as needed."""
    return {
        "id": uuid(number),
        "metadata": {
            "reference": reference,
            "name": f"The {reference}",
            "createdAt": "2026-01-01T00:00:00Z",
            "triggeredBy": [{each: True} for each in more.get("triggers", [])],
        },
        "spec": {"command": "true"},
        **({"dependsOn": more["depends_on"]} if "depends_on" in more else {}),
    }


def execution(number: int, task_id: str, phase: str = "PENDING", **more: Any) -> Message:
    """An execution; `failure`, `steps` (label to phase, None for one not started), `created` as needed."""
    steps: dict[str, str | None] = more.get("steps", {})
    ids = {label: uuid(number * 1000 + at) for at, label in enumerate(steps)}
    started = {} if phase == "PENDING" else {"startedAt": "2026-01-01T00:00:01Z"}
    ended = {"completedAt": "2026-01-01T00:00:03.5Z"} if phase in {"SUCCEEDED", "FAILED", "STOPPED"} else {}
    return {
        "id": uuid(number),
        "metadata": {
            "taskId": task_id,
            "createdAt": more.get("created", "2026-01-01T00:00:00Z"),
            "startedBy": "manual",
            **started,
            **ended,
        },
        "spec": {
            "plan": [
                {"steps": [{"id": key, "label": label, "task": {"id": task_id}}]}
                for label, key in ids.items()
            ]
        },
        "status": {
            "phase": f"TASK_EXECUTION_PHASE_{phase}",
            "steps": [
                {"id": ids[label], "phase": f"TASK_EXECUTION_PHASE_{step}"}
                for label, step in steps.items()
                if step
            ],
            **({"failureMessage": more["failure"]} if "failure" in more else {}),
        },
    }
