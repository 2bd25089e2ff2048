"""The border over handlers made up for a test: they answer, are slow, fail or stream as told."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from google.protobuf.message import Message

from runner_agent.api.rpc import Call, Events, Rpc, StreamMethod, UnaryMethod
from runner_agent.api.rulebook import check
from runner_agent.api.schema import message_type

GET = "/gitpod.v1.EnvironmentAutomationService/GetService"
LIST = "/gitpod.v1.EnvironmentAutomationService/ListServices"
CREATE = "/gitpod.v1.EnvironmentAutomationService/CreateService"
WATCH = "/gitpod.v1.EventService/WatchEvents"

UUID = "0199a000-0000-7000-8000-000000000001"

Service = message_type("gitpod.v1.Service")
GetServiceRequest = message_type("gitpod.v1.GetServiceRequest")
GetServiceResponse = message_type("gitpod.v1.GetServiceResponse")
ListServicesRequest = message_type("gitpod.v1.ListServicesRequest")
ListServicesResponse = message_type("gitpod.v1.ListServicesResponse")
CreateServiceRequest = message_type("gitpod.v1.CreateServiceRequest")
CreateServiceResponse = message_type("gitpod.v1.CreateServiceResponse")
WatchEventsRequest = message_type("gitpod.v1.WatchEventsRequest")
WatchEventsResponse = message_type("gitpod.v1.WatchEventsResponse")

Respond = Callable[[Message, Call], Awaitable[Message]]


class Stub:
    """What the handlers were asked, and how they answer."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.calls: list[Call] = []
        self.closing = asyncio.Event()
        self.closed_streams = 0
        self.service_name = "Web"
        self.fail: Exception | None = None
        self.delay = 0.0
        self.refuse_stream: Exception | None = None
        self.events: Sequence[str | Exception] = (UUID,)
        self.more = asyncio.Event()
        self.app = Rpc(
            {
                GET: UnaryMethod(GetServiceRequest, self._get, reads=True),
                LIST: UnaryMethod(ListServicesRequest, self._list, reads=True),
                CREATE: UnaryMethod(CreateServiceRequest, self._create, reads=False),
                WATCH: StreamMethod(WatchEventsRequest, self._watch),
            },
            check,
            self.closing,
        )

    async def _heard(self, request: Message, call: Call) -> None:
        self.asked.append(request)
        self.calls.append(call)
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.fail is not None:
            raise self.fail

    async def _get(self, request: Message, call: Call) -> Message:
        await self._heard(request, call)
        metadata = {"name": self.service_name, "reference": "web"}
        return GetServiceResponse(service={"id": UUID, "environment_id": UUID, "metadata": metadata})

    async def _list(self, request: Message, call: Call) -> Message:
        await self._heard(request, call)
        return ListServicesResponse()

    async def _create(self, request: Message, call: Call) -> Message:
        await self._heard(request, call)
        return CreateServiceResponse(service={"id": UUID, "environment_id": UUID})

    async def _watch(self, request: Message, call: Call) -> Events:
        await self._heard(request, call)
        if self.refuse_stream is not None:
            raise self.refuse_stream
        return self._events()

    async def _events(self) -> Events:
        """Those there are; then none until `more` is set."""
        try:
            for event in self.events:
                if isinstance(event, Exception):
                    raise event
                yield [
                    WatchEventsResponse(
                        operation="RESOURCE_OPERATION_UPDATE",
                        resource_type="RESOURCE_TYPE_SERVICE",
                        resource_id=event,
                    )
                ]
            await self.more.wait()
        finally:
            self.closed_streams += 1
