"""Rule 5.5 over HTTP: which log, which piece of it, until when."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from runner_agent.api.logs import log_routes
from runner_agent.kit.inotify import Inotify
from runner_agent.logs.files import LogFiles
from runner_agent.logs.logbook import Logbook
from runner_agent.model.ids import ServiceId, StepId
from runner_agent.model.phases import ExecutionPhase, RunRole
from runner_agent.model.plans import TaskWork
from runner_agent.model.records import Execution, ExecutionStatus, Service, Step, StepStatus
from tests.api.requests import bring_up, create_service, create_task
from tests.api.transcript import Conversation, Reply, ask, scope_of, talking
from tests.api.world import ABSENT, World


class LogWorld(World):
    """With log files, written by hand."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.files = LogFiles(root)
        self.inotify = Inotify()
        routes = log_routes(self.store, Logbook(self.files, self.inotify), self.closing)
        self.logs = routes["/logs/"]

    def write(self, path: Path, text: bytes) -> None:
        self.files.prepare(path)
        with path.open("ab") as file:
            file.write(text)

    def service_log(self, id_: str, role: RunRole = RunRole.START) -> Path:
        return self.files.service(ServiceId(id_), role)

    async def get(self, path: str, query: str = "follow=false", **headers: str) -> Reply:
        return await ask(self.logs, path, b"", verb="GET", query=query, **headers)

    async def start_task(self, task: str) -> tuple[Execution, list[StepId]]:
        """A new execution and its runs."""
        id_ = (await self.call("StartTask", {"id": task}))["taskExecution"]["id"]
        execution = self.store.get(Execution, id_)
        assert execution is not None
        return execution, [one.work.step for one in execution.plan.steps() if isinstance(one.work, TaskWork)]

    async def end(self, execution: Execution) -> None:
        """As the reconciler leaves it."""
        for step in execution.plan.steps():
            if isinstance(step.work, TaskWork):
                run = self.store.get(Step, step.work.step)
                assert run is not None
                await self.put(replace(run, status=StepStatus(ExecutionPhase.SUCCEEDED)))
        await self.put(replace(execution, status=ExecutionStatus(ExecutionPhase.SUCCEEDED)))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[LogWorld]:
    world = LogWorld(tmp_path / "logs")
    yield world
    world.inotify.close()
    await world.store.aclose()


@asynccontextmanager
async def following(world: LogWorld, path: str, query: str = "") -> AsyncGenerator[Conversation]:
    """Behind the head of the answer."""
    async with talking(world.logs, path, {}, verb="GET", query=query) as conversation:
        head = await conversation.next()
        assert (head["type"], head["status"]) == ("http.response.start", 200)
        yield conversation


async def text_of(conversation: Conversation, length: int) -> bytes:
    """The next so many bytes."""
    text = bytearray()
    while len(text) < length:
        text += (await conversation.next())["body"]
    return bytes(text)


async def rest_of(conversation: Conversation) -> bytes:
    """Up to the proper end."""
    text = bytearray()
    while True:
        message = await conversation.next()
        text += message["body"]
        if not message.get("more_body", False):
            return bytes(text)


# ---------------------------------------------------------------- pieces


async def test_a_service_has_one_log_a_role(world: LogWorld) -> None:
    id_ = await create_service(world)
    for role in (RunRole.START, RunRole.READY, RunRole.STOP):
        world.write(world.service_log(id_, role), f"{role.value}\n".encode())
    queries = {"": "start", "&role=start": "start", "&role=ready": "ready", "&role=stop": "stop"}
    for query, role_told in queries.items():
        reply = await world.get(f"/logs/services/{id_.upper()}", f"follow=false{query}")
        assert (reply.status, reply.body) == (200, f"{role_told}\n".encode())
        assert reply.headers["content-type"] == "text/plain; charset=utf-8"
        assert reply.headers["x-log-start"] == "0"


async def test_a_log_that_does_not_exist_yet_is_empty(world: LogWorld) -> None:
    id_ = await create_service(world)
    reply = await world.get(f"/logs/services/{id_}")
    assert (reply.status, reply.headers["content-length"], reply.body) == (200, "0", b"")


async def test_pieces_by_offset_and_tail(world: LogWorld) -> None:
    id_ = await create_service(world)
    world.write(world.service_log(id_), b"one\ntwo\nthree\n")
    for query, text, start in (
        ("offset=4", b"two\nthree\n", "4"),
        ("offset=0", b"one\ntwo\nthree\n", "0"),
        ("offset=14", b"", "14"),
        ("tail=1", b"three\n", "8"),
        ("tail=0", b"", "14"),
        ("tail=99", b"one\ntwo\nthree\n", "0"),
    ):
        reply = await world.get(f"/logs/services/{id_}", f"follow=false&{query}")
        assert (reply.body, reply.headers["x-log-start"]) == (text, start)


MALFORMED = (
    *("tail=-1", "tail=x", "offset=", "offset=1.5", f"offset={'9' * 30}", "tail=1&offset=1"),
    *("follow=maybe", "role=task", "role=x", "step=x"),
)


@pytest.mark.parametrize("query", MALFORMED)
async def test_a_malformed_query_is_refused(world: LogWorld, query: str) -> None:
    id_ = await create_service(world)
    reply = await world.get(f"/logs/services/{id_}", query)
    assert (reply.status, reply.code) == (400, "invalid_argument")


async def test_what_is_not_there_has_no_log(world: LogWorld) -> None:
    for path in (
        f"/logs/services/{ABSENT}",
        f"/logs/executions/{ABSENT}",
        f"/logs/executions/{ABSENT}?step=x",
        "/logs/services/",
        "/logs/services/../../etc/passwd",
        "/logs/tasks/x",
        "/logs/",
    ):
        reply = await world.get(path)
        assert (reply.status, reply.code) == (404, "not_found")


async def test_logs_are_for_get(world: LogWorld) -> None:
    reply = await ask(world.logs, f"/logs/services/{ABSENT}")
    assert (reply.status, reply.headers["allow"]) == (405, "GET")


async def test_ranges(world: LogWorld) -> None:
    id_ = await create_service(world)
    world.write(world.service_log(id_), b"0123456789")
    for asked, told, body in (
        ("bytes=0-3", "bytes 0-3/10", b"0123"),
        ("bytes=4-", "bytes 4-9/10", b"456789"),
        ("bytes=-2", "bytes 8-9/10", b"89"),
        ("bytes=-99", "bytes 0-9/10", b"0123456789"),
        ("bytes=8-99", "bytes 8-9/10", b"89"),
    ):
        reply = await world.get(f"/logs/services/{id_}", "", range=asked)
        assert (reply.status, reply.headers["content-range"], reply.body) == (206, told, body)
        assert reply.headers["content-length"] == str(len(body))
    for asked in ("bytes=10-", "bytes=5-4", "bytes=-0"):
        reply = await world.get(f"/logs/services/{id_}", "", range=asked)
        assert (reply.status, reply.headers["content-range"]) == (416, "bytes */10")
    for asked in ("bytes=0-1,3-4", "lines=1-2", "bytes=x-"):
        reply = await world.get(f"/logs/services/{id_}", range=asked)
        assert (reply.status, reply.body) == (200, b"0123456789")


async def test_an_answer_of_fixed_length_is_cut_never_filled(world: LogWorld) -> None:
    """Trap 9: bytes that went between the head and the body break the connection off."""
    id_ = await create_service(world)
    path = world.service_log(id_)
    world.write(path, b"x" * 200_000)
    scope = scope_of("GET", f"/logs/services/{id_}", {}, query="follow=false")
    aborted: list[bool] = []
    conversation = Conversation(world.logs, scope, b"")

    def abort() -> None:
        aborted.append(True)
        conversation.leave()

    scope["state"]["abort"] = abort
    conversation.reading.clear()
    await conversation.started()
    path.write_bytes(b"")
    conversation.reading.set()
    await conversation.done()
    head, *parts = conversation.sent()
    assert dict(head["headers"])[b"content-length"] == b"200000"
    assert sum(len(part["body"]) for part in parts) < 200_000
    assert all(part["more_body"] for part in parts)
    assert aborted == [True]


async def test_a_log_that_grows_meanwhile_keeps_its_announced_length(world: LogWorld) -> None:
    """Trap 9."""
    id_ = await create_service(world)
    world.write(world.service_log(id_), b"before\n")
    conversation = Conversation(
        world.logs, scope_of("GET", f"/logs/services/{id_}", {}, query="follow=false"), b""
    )
    conversation.reading.clear()
    await conversation.started()
    world.write(world.service_log(id_), b"after\n")
    conversation.reading.set()
    assert (await conversation.next())["type"] == "http.response.start"
    assert await rest_of(conversation) == b"before\n"
    await conversation.done()


# ---------------------------------------------------------------- following


async def test_a_service_is_followed_until_it_rests(world: LogWorld) -> None:
    id_ = await create_service(world, desiredPhase="SERVICE_PHASE_RUNNING")
    await bring_up(world, id_)
    world.write(world.service_log(id_), b"up\n")
    async with following(world, f"/logs/services/{id_}") as conversation:
        assert await text_of(conversation, 3) == b"up\n"
        world.write(world.service_log(id_), b"more\n")
        assert await text_of(conversation, 5) == b"more\n"
        world.write(world.service_log(id_), b"last")
        await world.call("StopService", {"id": id_})
        service = world.store.get(Service, id_)
        assert service is not None
        await world.put(replace(service, run=None, status=type(service.status)()))
        assert await rest_of(conversation) == b"last"


async def test_a_service_about_to_start_is_followed(world: LogWorld) -> None:
    """STOPPED, but not at rest: a session is pending."""
    id_ = await create_service(world, desiredPhase="SERVICE_PHASE_RUNNING")
    async with following(world, f"/logs/services/{id_}") as conversation:
        world.write(world.service_log(id_), b"up\n")
        assert await text_of(conversation, 3) == b"up\n"


async def test_a_service_at_rest_has_said_all(world: LogWorld) -> None:
    id_ = await create_service(world)
    world.write(world.service_log(id_), b"old\n")
    async with following(world, f"/logs/services/{id_}", "offset=1") as conversation:
        assert await rest_of(conversation) == b"ld\n"


async def test_a_follower_that_leaves_is_let_go(world: LogWorld) -> None:
    id_ = await create_service(world, desiredPhase="SERVICE_PHASE_RUNNING")
    async with following(world, f"/logs/services/{id_}") as conversation:
        conversation.leave()
        await conversation.done()


async def test_a_stopping_agent_cuts_its_followers_off(world: LogWorld) -> None:
    """A proper end would say: this was all."""
    id_ = await create_service(world, desiredPhase="SERVICE_PHASE_RUNNING")
    async with following(world, f"/logs/services/{id_}") as conversation:
        world.closing.set()
        await conversation.done()
        assert conversation.sent() == []


# ---------------------------------------------------------------- executions


async def test_an_execution_of_one_step_is_its_log(world: LogWorld) -> None:
    execution, (run,) = await world.start_task(await create_task(world))
    world.write(world.files.run(run), b"made\n")
    async with following(world, f"/logs/executions/{execution.id}") as conversation:
        assert await text_of(conversation, 5) == b"made\n"
        await world.end(execution)
        assert await rest_of(conversation) == b""
    reply = await world.get(f"/logs/executions/{execution.id}", "", range="bytes=0-1")
    assert (reply.status, reply.body) == (206, b"ma")


async def test_steps_are_told_apart_by_their_labels(world: LogWorld) -> None:
    first = await create_task(world, "first")
    execution, runs = await world.start_task(await create_task(world, "second", dependsOn=[first]))
    world.write(world.files.run(runs[0]), b"a\n")
    path = f"/logs/executions/{execution.id}"
    async with following(world, path) as conversation:
        assert await text_of(conversation, 10) == b"first | a\n"
        world.write(world.files.run(runs[1]), b"no end")
        await world.end(execution)
        assert await rest_of(conversation) == b"second | no end\n"
    whole = b"first | a\nsecond | no end\n"
    assert (await world.get(path)).body == whole
    assert (await world.get(path, "follow=false&offset=10")).body == whole[10:]
    assert (await world.get(path, "follow=false&tail=1")).body == whole[10:]
    assert (await world.get(path, range="bytes=0-1")).body == whole
    step = execution.plan.steps()[1].id
    assert (await world.get(path, f"follow=false&step={step.upper()}")).body == b"no end"
    assert (await world.get(path, f"follow=false&step={ABSENT}")).status == 404
    assert (await world.get(path, "follow=false&role=start")).status == 400


async def test_rule_6_2_a_log_is_named_by_its_run(world: LogWorld) -> None:
    """The same in every execution that shows this run."""
    database = await create_service(world, "db")
    first = await create_task(world, "first", dependsOn=[database])
    whole, runs = await world.start_task(await create_task(world, "second", dependsOn=[first]))
    names = [
        (await world.get(f"/logs/executions/{whole.id}", f"follow=false&step={step.id}")).headers["x-log-id"]
        for step in whole.plan.steps()
    ]
    assert names == [f"{database}/start", *runs]
    assert (await world.get(f"/logs/services/{database}")).headers["x-log-id"] == names[0]
    assert (await world.get(f"/logs/executions/{whole.id}", "follow=false")).headers["x-log-id"] == whole.id
    alone, (run,) = await world.start_task(await create_task(world, "third"))
    world.write(world.files.run(run), b"made\n")
    for piece in ({}, {"range": "bytes=0-1"}):
        reply = await world.get(f"/logs/executions/{alone.id}", "follow=false", **piece)
        assert reply.headers["x-log-id"] == run


async def test_a_service_step_shows_the_services_log(world: LogWorld) -> None:
    database = await create_service(world, "db")
    world.write(world.service_log(database), b"ready\n")
    execution, _ = await world.start_task(await create_task(world, dependsOn=[database]))
    step = execution.plan.steps()[0].id
    reply = await world.get(f"/logs/executions/{execution.id}", f"follow=false&step={step}")
    assert (reply.status, reply.body) == (200, b"ready\n")
