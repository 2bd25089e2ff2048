"""Clients that mean ill, or sleep, or vanish, before the real agent: over TCP and over its unix socket."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.api.arbitrary import Sent, requests
from tests.api.bomb import gzip_bomb
from tests.api.line import Line
from tests.api.transcript import envelope, envelopes
from tests.e2e.conftest import staged
from tests.e2e.stage import automations, service_path, service_yaml, task_yaml

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from tests.api.line import Streams
    from tests.e2e.stage import Stage

AUTOMATION = "/gitpod.v1.EnvironmentAutomationService"
WATCH = "/gitpod.v1.EventService/WatchEvents"
JSON = {"content-type": "application/json"}
CREATES = frozenset(
    {
        *("CreateService", "CreateTask", "UpdateService", "UpdateTask", "UpsertAutomationsFile", "StartTask"),
        *(
            "StartService",
            "FireTrigger",
            "SetAutomationsFile",
            "StartPrebuild",
            "DeleteService",
            "DeleteTask",
        ),
    }
)
"""What makes the agent keep something, as it should."""


class Door:
    """One of the agent's listeners."""

    def __init__(self, stage: Stage, *, tcp: bool) -> None:
        info = stage.daemon.info()
        self.stage, self.path = stage, info.socket
        self.port = next(int(one.rpartition(":")[2]) for one in info.addresses if one.startswith("tcp:"))
        token = (stage.state / "token").read_text().strip()
        self.headers = {"authorization": f"Bearer {token}"} if tcp else {}
        self._tcp = tcp
        self._writers: list[asyncio.StreamWriter] = []

    async def connect(self, limit: int = 1 << 16) -> Streams:
        """A new connection."""
        if self._tcp:
            streams = await asyncio.open_connection("127.0.0.1", self.port, limit=limit)
        else:
            streams = await asyncio.open_unix_connection(str(self.path), limit=limit)
        self._writers.append(streams[1])
        return streams

    def hang_up(self) -> None:
        """On all connections."""
        for writer in self._writers:
            writer.close()

    def request(self, target: str, body: bytes = b"{}", verb: str = "POST", **more: str) -> bytes:
        """On the wire."""
        headers = {name.replace("_", "-"): text for name, text in more.items()}
        return Sent(verb, target, {**JSON, **self.headers, **headers}, body).on_the_wire()

    async def ask(self, target: str, body: bytes = b"{}", verb: str = "POST", **more: str) -> tuple[int, Any]:
        """One call on a connection of its own: status, and the JSON answered."""
        reader, writer = await self.connect()
        writer.write(self.request(target, body, verb, **more))
        status, length = await head_of(reader)
        answer = await reader.readexactly(length)
        writer.close()
        return status, json.loads(answer)

    @asynccontextmanager
    async def watching(self) -> AsyncGenerator[asyncio.StreamReader]:
        """JSON Lines, behind the first sign of life."""
        reader, writer = await self.connect()
        writer.write(self.request(WATCH))
        await reader.readuntil(b"\r\n\r\n")
        await event_of(reader)
        try:
            yield reader
        finally:
            writer.close()

    def memory(self) -> float:
        """MiB resident."""
        status = Path(f"/proc/{self.stage.daemon.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024


async def head_of(reader: asyncio.StreamReader) -> tuple[int, int]:
    """Status and length of an answer whose length is known."""
    async with asyncio.timeout(60):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = re.search(r"content-length: (\d+)", head)
    assert length is not None, head
    return int(head.split()[1]), int(length[1])


async def event_of(reader: asyncio.StreamReader, about: str = "") -> Any:
    """The next line of a chunked stream of lines; with `about`, the next about that object."""
    async with asyncio.timeout(60):
        while True:
            size = int(await reader.readline(), 16)
            event = json.loads((await reader.readexactly(size + 2))[:-2])
            if not about or event.get("resourceId") == about:
                return event


@pytest.fixture(scope="module")
def agent() -> Generator[Stage]:
    """One for all these tests; it must be sound after each."""
    with staged() as stage:
        stage.start("--listen", "tcp:127.0.0.1:0", "--listen", f"unix:{stage.state.parent}/api.sock")
        stage.apply(automations(services=(service_yaml("web", "echo up; sleep 1000"),)))
        yield stage


@pytest.fixture(params=[pytest.param("tcp", marks=pytest.mark.heavy), "unix"])
async def door(agent: Stage, request: pytest.FixtureRequest) -> AsyncGenerator[Door]:
    door = Door(agent, tcp=request.param == "tcp")
    yield door
    door.hang_up()


async def test_bombs_and_great_bodies_cost_nothing(door: Door) -> None:
    """Trap 5: refused, and what they were is not kept, nor the connection lost."""
    bombs: list[tuple[bytes, dict[str, str]]] = [
        (gzip_bomb(), {"content_encoding": "gzip"}),
        (bytes(20 << 20), {}),
    ]
    before: list[float] = []
    reader, writer = await door.connect()
    for _ in range(5):
        before.append(door.memory())
        for body, headers in bombs:
            writer.write(door.request(f"{AUTOMATION}/ListServices", body, **headers))
            status, length = await head_of(reader)
            told = json.loads(await reader.readexactly(length))
            assert (status, told["code"]) == (429, "resource_exhausted")
            await writer.drain()
    writer.write(door.request(f"{AUTOMATION}/ListServices"))
    assert (await head_of(reader))[0] == 200
    writer.close()
    first, second, *_ = before
    assert door.memory() < first + 64, "some times the limit of one message"
    assert door.memory() < second + 16, "and no more for the next"


async def test_a_thousand_idle_connections_take_nothing_from_others(door: Door) -> None:
    """Half of them have asked once, a quarter have begun to ask."""
    before = door.memory()
    idle = [await door.connect() for _ in range(1000)]
    for reader, writer in idle[:500]:
        writer.write(door.request(f"{AUTOMATION}/ListServices"))
        assert (await head_of(reader))[0] == 200
    for _, writer in idle[500:750]:
        writer.write(b"POST / HT")
    grown = door.memory() - before
    async with door.watching() as events:
        status, told = await door.ask(f"{AUTOMATION}/ListServices")
        assert status == 200
        service = web(told["services"])
        await door.ask(f"{AUTOMATION}/UpdateService", json.dumps(renamed(service)).encode())
        assert (await event_of(events, about=service["id"]))["resourceType"] == "RESOURCE_TYPE_SERVICE"
    print(f"1,000 idle connections: {grown:.1f} MiB")
    assert grown < 48


def web(services: list[Any]) -> Any:
    """The oldest, and so on the first page, whatever other tests have made."""
    return next(one for one in services if one["metadata"]["reference"] == "web")


def renamed(service: Any) -> Any:
    """A request that changes something."""
    return {"id": service["id"], "metadata": {"name": f"Web {time.monotonic_ns()}"}}


async def test_a_stream_ends_at_its_deadline(door: Door) -> None:
    """Enforced by nobody but the server."""
    reader, writer = await door.connect()
    body = envelope(b"{}")
    kind = {"content_type": "application/connect+json", "connect_timeout_ms": "300"}
    writer.write(door.request(WATCH, body, **kind, connection="close"))
    async with asyncio.timeout(60):
        answer = await reader.read()
    writer.close()
    _, end = envelopes(answer[answer.index(b"\x02\0\0\0") :].partition(b"\r\n")[0])[-1]
    assert json.loads(end)["error"]["code"] == "deadline_exceeded"


async def test_two_hundred_watchers_see_each_change_and_one_that_sleeps_holds_up_none(door: Door) -> None:
    """Of twenty; the sleeper reads nothing meanwhile, and then learns what is newest."""
    service = web((await door.ask(f"{AUTOMATION}/ListServices"))[1]["services"])
    sleeper, writer = await door.connect(limit=1024)
    writer.write(door.request(WATCH))
    watchers = [door.watching() for _ in range(200)]
    readers = [await one.__aenter__() for one in watchers]
    for _ in range(20):
        assert (await door.ask(f"{AUTOMATION}/UpdateService", json.dumps(renamed(service)).encode()))[
            0
        ] == 200
        await asyncio.gather(*(event_of(reader, about=service["id"]) for reader in readers))
    await sleeper.readuntil(b"\r\n\r\n")
    await event_of(sleeper, about=service["id"])
    writer.close()
    for one in watchers:
        await one.__aexit__(None, None, None)


@pytest.mark.heavy
@pytest.mark.timeout(120)
@pytest.mark.parametrize("door", ["unix"], indirect=True)
async def test_a_slow_loris_loses_its_place(door: Door) -> None:
    """Fifty heads and fifty bodies, a byte a second: others are served, and the bound ends them all."""
    heads = [await door.connect() for _ in range(50)]
    bodies = [await door.connect() for _ in range(50)]
    whole = door.request(f"{AUTOMATION}/ListServices", b"{" + b" " * 1000 + b"}")
    at = whole.index(b"\r\n\r\n") + 4
    for _, writer in bodies:
        writer.write(whole[:at])

    async def trickle(streams: Streams, rest: bytes) -> bytes:
        reader, writer = streams
        reading = asyncio.ensure_future(reader.read())
        for byte in rest[:90]:
            with suppress(ConnectionError):
                writer.write(bytes([byte]))
            if (await asyncio.wait({reading}, timeout=1))[0]:
                break
        writer.close()
        return await reading

    async with asyncio.timeout(90), asyncio.TaskGroup() as group:
        trickling = [
            *(group.create_task(trickle(one, whole)) for one in heads),
            *(group.create_task(trickle(one, whole[at:])) for one in bodies),
        ]
        while not all(one.done() for one in trickling):
            assert (await door.ask(f"{AUTOMATION}/ListServices"))[0] == 200
            await asyncio.sleep(1)
    assert {one.result().split()[1] for one in trickling} == {b"408"}


@pytest.mark.heavy
@pytest.mark.timeout(180)
@pytest.mark.parametrize("door", ["tcp"], indirect=True)
async def test_a_hundred_followers_get_every_byte_and_so_do_ten_that_sleep(door: Door) -> None:
    """The writer is done while they sleep, and when they wake, as in a pager, all is there for them."""
    stage = door.stage
    reference = "fast"
    go = stage.workspace / "go"
    size = 5_000_000
    write = f"until [ -e {go} ]; do sleep 0.1; done; yes 0123456789 | head -c {size}; echo; echo done"
    stage.apply(automations(services=(service_yaml(reference, write),)))
    stage.agent.start_service(stage.id_of(reference))
    service = stage.await_phase(reference, "RUNNING")
    get = door.request(service_path(service), b"", "GET", connection="close")
    sleepers = [await door.connect(limit=1024) for _ in range(10)]
    for _, writer in sleepers:
        writer.write(get)

    async def follow(asked: Streams | None = None) -> tuple[int, str]:
        reader, writer = asked or await door.connect()
        if asked is None:
            writer.write(get)
        await reader.readuntil(b"\r\n\r\n")
        digest, length = hashlib.sha256(), 0
        while chunk_size := int(await reader.readline(), 16):
            chunk = (await reader.readexactly(chunk_size + 2))[:-2]
            digest.update(chunk)
            length += len(chunk)
        writer.close()
        return length, digest.hexdigest()

    async with asyncio.timeout(150), asyncio.TaskGroup() as group:
        following = [group.create_task(follow()) for _ in range(100)]
        await asyncio.sleep(1)
        go.touch()
        await asyncio.to_thread(stage.await_phase, reference, "STOPPED", timeout=60)
    async with asyncio.timeout(60):
        seen = {one.result() for one in following} | {await follow(one) for one in sleepers}
    log = stage.state / "logs" / "services" / service["id"]
    (written,) = [path for path in log.parent.rglob("*start*") if service["id"] in str(path)]
    text = written.read_bytes()
    assert seen == {(len(text), hashlib.sha256(text).hexdigest())}
    assert len(text) > size


@pytest.mark.heavy
@pytest.mark.timeout(300)
def test_what_is_asked_at_random_gets_an_answer_and_leaves_nothing_behind(agent: Stage) -> None:
    """Thousands of requests of every kind on one line; then those that make nothing, over and over again."""
    stage = agent
    stage.apply(automations(tasks=(task_yaml("job", "true"),)))
    door = Door(stage, tcp=False)
    ids = (stage.id_of("web"), stage.id_of("job"), stage.run("job")["id"])
    line = Line(door.connect)
    kept: list[Sent] = []

    with asyncio.Runner() as runner:

        @settings(
            max_examples=2000,
            phases=[Phase.generate],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            database=None,
        )
        @given(sent=requests(ids, without=frozenset({"StartPrebuild", "DeleteService", "DeleteTask"})))
        def ask(sent: Sent) -> None:
            runner.run(line.ask(sent))
            if not any(f"/{name}" in sent.target for name in (*CREATES, "WatchEvents")):
                kept.append(sent)

        ask()
        assert {200, 400, 404, 415, 429} >= set(line.statuses) - {206, 401, 403, 405, 409, 416, 431, 501, 504}
        runner.run(repeat(line, kept))
        before = door.memory()
        for _ in range(5):
            runner.run(repeat(line, kept))
        grown = door.memory() - before
        runner.run(line.close())
    print(f"{5 * len(kept)} requests: {grown:.2f} MiB")
    assert len(kept) > 500
    assert grown < 4, "memory grows with requests"


async def repeat(line: Line, requests: list[Sent]) -> None:
    for sent in requests:
        await line.ask(sent)
