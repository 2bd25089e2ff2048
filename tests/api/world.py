"""The whole API over a memory store: calls in, answers out, and the reconciler's part played by hand."""

import asyncio
import json
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

from google.protobuf import json_format
from google.protobuf.message import Message

from runner_agent.api.app import Health, build_app
from runner_agent.api.auth import Guard
from runner_agent.api.backend import AgentInfo, AutomationsState, Backend
from runner_agent.api.codec import Sendable
from runner_agent.api.log_tokens import LogTokens
from runner_agent.api.methods import bound_methods
from runner_agent.api.pieces import Composed, Shown
from runner_agent.api.rpc import Call, Method, StreamMethod
from runner_agent.api.rulebook import check
from runner_agent.api.schema import message_type, service
from runner_agent.api.wire_out import Outward
from runner_agent.control.base import Control
from runner_agent.control.commands import Commands
from runner_agent.control.prebuild import PrebuildControl
from runner_agent.core.timing import Timing
from runner_agent.kit.virtual import VirtualClock
from runner_agent.logs.files import LogFiles
from runner_agent.model.errors import InvalidArgument, RunnerError, Violation
from runner_agent.model.records import Record
from runner_agent.store.base import Transaction
from runner_agent.store.memory import MemoryStore
from tests.api.transcript import Reply, ask_json

ENVIRONMENT = "0199e000-0000-7000-8000-0000000000ee"
ABSENT = "0199a000-0000-7000-8000-0000000000aa"
LOG_ROOT = "http://127.0.0.1:7780"
TOKEN = "t0ken"

AUTOMATION = "gitpod.v1.EnvironmentAutomationService"
AGENT = "runner_agent.v1.RunnerAgentService"


async def some_metrics() -> bytes:
    """What the page shows where nobody looks closer."""
    return b"# metrics\n"


def judged(method: Method) -> Method:
    """The same, and what it answers is in JSON what json_format makes of the message (its word is law)."""
    if isinstance(method, StreamMethod):
        return method

    async def respond(message: Message, call: Call) -> Sendable:
        answer = await method.handler(message, call)
        assert isinstance(answer, Composed)
        assert json.loads(answer.json()) == json_format.MessageToDict(answer.message())
        return answer

    return method._replace(handler=respond)


def counted_ids() -> Callable[[], str]:
    """1, 2, 3 in the form of UUIDs."""
    numbers = count(1)
    return lambda: str(UUID(int=next(numbers)))


class World:
    """An agent without processes."""

    def __init__(self, logs: Path = Path("/nonexistent")) -> None:
        self.clock = VirtualClock()
        self.store = MemoryStore(self.clock.wall)
        self.commands = Commands(self.store, self.clock, counted_ids())
        self.closing = asyncio.Event()
        self.ready = True
        self.info = AgentInfo(
            version="1.2.3",
            pid=4711,
            addresses=("unix:/run/api.sock",),
            state_dir="/var/lib/runner-agent",
            workspace="/workspace",
            started_at=self.clock.wall(),
            automations=AutomationsState(),
        )
        self.default_files: list[str] = []
        self.applied_files: list[str] = []
        self.refused_files: list[tuple[str, str]] = []
        self.log_files = LogFiles(logs)
        self.log_tokens = LogTokens(TOKEN, self.clock.wall)
        outward = Outward(ENVIRONMENT, LOG_ROOT)
        self.backend = Backend(
            store=self.store,
            commands=self.commands,
            prebuild=PrebuildControl(
                Control(self.store, self.clock, counted_ids()), self.log_files, least=300.0
            ),
            outward=outward,
            shown=Shown(outward),
            info=lambda: self.info,
            new_id=counted_ids(),
            set_automations_file=self._set_automations_file,
            automations_applied=self._automations_applied,
            new_logs_token=self.log_tokens.issue,
            clock=self.clock,
            timing=Timing(),
            logs=self.log_files,
        )
        self.app = build_app(
            {path: judged(method) for path, method in bound_methods(self.backend).items()},
            Guard(TOKEN, frozenset({0, 1000}), self.clock.now, log_tokens=self.log_tokens),
            Health(lambda: self.ready, some_metrics),
            self.closing,
            {},
        )

    async def call(self, method: str, request: object = None, *, of: str = AUTOMATION) -> Any:
        """A call that succeeds; what it answers obeys the published rules too (rule 1.3)."""
        reply = await self.try_call(method, request, of=of)
        assert reply.status == 200, reply.body
        _check_answer(of, method, reply.body)
        return reply.json()

    async def refused(self, method: str, request: object, *, of: str = AUTOMATION) -> tuple[str, str]:
        """A call that fails: code and message."""
        reply = await self.try_call(method, request, of=of)
        assert reply.status != 200, reply.body
        return reply.code, str(reply.json()["message"])

    async def try_call(self, method: str, request: object, *, of: str = AUTOMATION) -> Reply:
        """A call."""
        return await ask_json(self.app, f"/{of}/{method}", {} if request is None else request)

    def _automations_applied(self, path: str, error: RunnerError | None) -> None:
        if error is None:
            self.applied_files.append(path)
        else:
            self.refused_files.append((path, str(error)))

    async def _set_automations_file(self, path: str) -> None:
        if not path.startswith("/"):
            raise InvalidArgument(Violation("path", f"{path} is not absolute"))
        self.default_files.append(path)

    async def put(self, *records: Record) -> None:
        """Write as they are."""

        def change(tx: Transaction) -> None:
            for record in records:
                tx.put(record)

        await self.store.write(change, durable=False)


def _check_answer(of: str, method: str, body: bytes) -> None:
    described = service(of).methods_by_name[method]
    answer = message_type(described.output_type.full_name)()
    json_format.ParseDict(json.loads(body), answer)
    check(answer)
