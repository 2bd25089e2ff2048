"""Every method of the API, one row each: its name on the wire, what it does to the world, and who answers.

Request and answer types are the schema's, by the name. Who may call is one rule for all, kept by `auth`: the
owner, known by uid or by token.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import NamedTuple, assert_never

from google.protobuf.message import Message

from runner_agent.api import (
    agent,
    environment,
    explain,
    live,
    prebuild,
    schema,
    services,
    tasks,
    timeline,
    watch,
)
from runner_agent.api.backend import Backend
from runner_agent.api.pieces import Composed
from runner_agent.api.rpc import Call, Method, StreamMethod, UnaryMethod
from runner_agent.api.wire_in import Request
from runner_agent.api.wire_out import Tree

Answers = Callable[[Backend, Request, Call], Awaitable[Tree]]
Streams = Callable[[Backend, Request, Call], Awaitable[AsyncGenerator[Sequence[Tree]]]]


class Read(NamedTuple):
    """Changes nothing; may be asked by GET."""

    service: str
    name: str
    handler: Answers


class Write(NamedTuple):
    """May change something."""

    service: str
    name: str
    handler: Answers


class Watch(NamedTuple):
    """Changes nothing; answers with a stream."""

    service: str
    name: str
    handler: Streams


Row = Read | Write | Watch

_AUTOMATION = "gitpod.v1.EnvironmentAutomationService"
_EVENT = "gitpod.v1.EventService"
_ENVIRONMENT = "gitpod.v1.EnvironmentService"
_AGENT = "runner_agent.v1.RunnerAgentService"

METHODS: tuple[Row, ...] = (
    Write(_AUTOMATION, "CreateService", services.create_service),
    Read(_AUTOMATION, "GetService", services.get_service),
    Read(_AUTOMATION, "ListServices", services.list_all_services),
    Write(_AUTOMATION, "UpdateService", services.update_service),
    Write(_AUTOMATION, "DeleteService", services.delete_service),
    Write(_AUTOMATION, "StartService", services.start_service),
    Write(_AUTOMATION, "StopService", services.stop_service),
    Write(_AUTOMATION, "UpsertAutomationsFile", services.upsert_automations_file),
    Write(_AUTOMATION, "CreateTask", tasks.create_task),
    Read(_AUTOMATION, "GetTask", tasks.get_task),
    Read(_AUTOMATION, "ListTasks", tasks.list_all_tasks),
    Write(_AUTOMATION, "UpdateTask", tasks.update_task),
    Write(_AUTOMATION, "DeleteTask", tasks.delete_task),
    Write(_AUTOMATION, "StartTask", tasks.start_task),
    Read(_AUTOMATION, "ListTaskExecutions", tasks.list_task_executions),
    Read(_AUTOMATION, "GetTaskExecution", tasks.get_task_execution),
    Write(_AUTOMATION, "StopTaskExecution", tasks.stop_task_execution),
    Watch(_EVENT, "WatchEvents", watch.watch_events),
    Read(_ENVIRONMENT, "GetEnvironment", environment.get_environment),
    Write(_ENVIRONMENT, "CreateEnvironmentLogsToken", environment.create_logs_token),
    Read(_AGENT, "GetAgent", agent.get_agent),
    Write(_AGENT, "SetAutomationsFile", agent.set_automations_file),
    Write(_AGENT, "ApplyAutomationsFile", agent.apply_automations_file),
    Write(_AGENT, "FireTrigger", agent.fire_trigger),
    Write(_AGENT, "RestartService", services.restart_service),
    Read(_AGENT, "ListFirings", agent.list_firings),
    Write(_AGENT, "StartPrebuild", prebuild.start_prebuild),
    Read(_AGENT, "GetPrebuild", prebuild.get_prebuild),
    Write(_AGENT, "CancelPrebuild", prebuild.cancel_prebuild),
    Read(_AGENT, "PlanTask", agent.plan_task),
    Read(_AGENT, "ListLiveStatus", live.list_live_status),
    Read(_AGENT, "ExplainAutomation", explain.explain_automation),
    Read(_AGENT, "ListTimeline", timeline.list_timeline),
)


def bound_methods(backend: Backend, admit: Callable[[Row], None] = lambda _: None) -> dict[str, Method]:
    """The table, by path, over one backend. `admit` is asked before each call, and raises to refuse it."""
    return {f"/{row.service}/{row.name}": _bound(row, backend, admit) for row in METHODS}


def _bound(row: Row, backend: Backend, admit: Callable[[Row], None]) -> Method:
    described = schema.service(row.service).methods_by_name[row.name]
    request = schema.message_type(described.input_type.full_name)
    answer = schema.message_type(described.output_type.full_name)
    match row:
        case Read(handler=handler) | Write(handler=handler):

            async def respond(message: Message, call: Call) -> Composed:
                admit(row)
                return Composed(answer, await handler(backend, message, call))

            return UnaryMethod(request, respond, reads=isinstance(row, Read))
        case Watch(handler=open_stream):

            async def stream(message: Message, call: Call) -> AsyncGenerator[Sequence[Composed]]:
                admit(row)
                return _messages(await open_stream(backend, message, call), answer)

            return StreamMethod(request, stream)
        case _:
            assert_never(row)


async def _messages(
    batches: AsyncGenerator[Sequence[Tree]], kind: type[Message]
) -> AsyncGenerator[Sequence[Composed]]:
    async with aclosing(batches):
        async for trees in batches:
            yield [Composed(kind, tree) for tree in trees]
