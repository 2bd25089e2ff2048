"""Calls as transcripts: what is asked, what comes back, and what goes wrong."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from runner_agent.client.addresses import Endpoint, parse_address
from runner_agent.client.agent import Agent
from runner_agent.client.errors import AgentUnreachable, ApiError, NoSuchAutomation
from runner_agent.client.references import find_execution, find_service, find_task
from runner_agent.client.transport import Transport
from tests.client.fake_agent import FakeAgent, Message, Refusal, execution, service, task, uuid

if TYPE_CHECKING:
    from pathlib import Path


def test_every_published_method_is_spoken(fake: FakeAgent, agent: Agent) -> None:
    fake.services, fake.tasks = [service(1, "web")], [task(2, "build")]
    fake.executions = [execution(3, uuid(2))]
    fake.on = {
        "CreateService": lambda _: {"service": fake.services[0]},
        "CreateTask": lambda _: {"task": fake.tasks[0]},
    }
    agent.create_service({"reference": "web", "name": "Web"}, {"commands": {"start": "true"}})
    agent.get_service(uuid(1))
    list(agent.services())
    agent.update_service(uuid(1), {"metadata": {"name": "New"}})
    agent.start_service(uuid(1))
    agent.stop_service(uuid(1))
    agent.delete_service(uuid(1), force=True)
    agent.upsert({"services": {}})
    agent.create_task({"reference": "build", "name": "Build"}, {"command": "make"}, [uuid(1)])
    agent.get_task(uuid(2))
    list(agent.tasks())
    agent.update_task(uuid(2), {"spec": {"command": "make all"}})
    assert agent.start_task(uuid(2))["id"] == uuid(3)
    list(agent.executions())
    agent.get_execution(uuid(3))
    agent.stop_execution(uuid(3))
    agent.delete_task(uuid(2))
    assert len(set(fake.methods())) == 17
    assert ("DeleteService", {"id": uuid(1), "force": True}) in fake.asked
    assert ("UpdateService", {"id": uuid(1), "metadata": {"name": "New"}}) in fake.asked


def test_pages_are_asked_for_when_they_are_needed(fake: FakeAgent, agent: Agent) -> None:
    fake.services = [service(at, f"s{at}") for at in range(250)]
    found = agent.services()
    assert next(found)["id"] == uuid(0)
    assert len(fake.asked) == 1
    assert len(list(found)) == 249
    assert [asked["pagination"]["token"] for _, asked in fake.asked] == ["", "100", "200"]


def test_a_refusal_keeps_its_code_and_text(fake: FakeAgent, agent: Agent) -> None:
    def refuse(_: Message) -> Message:
        raise Refusal("failed_precondition", "stop it first")

    fake.on["StartService"] = refuse
    with pytest.raises(ApiError, match="stop it first") as caught:
        agent.start_service(uuid(1))
    assert caught.value.code == "failed_precondition"


def test_the_token_goes_with_every_request() -> None:
    fake = FakeAgent()
    agent = Agent(Transport(Endpoint(parse_address(fake.listen_tcp()), token="secret")))
    list(agent.services())
    fake.close()
    assert fake.headers[0]["authorization"] == "Bearer secret"
    assert fake.headers[0]["host"] == fake.address.removeprefix("tcp:")


def test_nobody_listens(scratch: Path) -> None:
    for address in (f"unix:{scratch}/none", "tcp:127.0.0.1:1"):
        agent = Agent(Transport(Endpoint(parse_address(address), source="--address")))
        with pytest.raises(AgentUnreachable, match=r"Cannot reach the agent at .* \(from --address\)"):
            agent.get_agent()


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (b"", "closed the connection"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", "closed the connection"),
        (b"SSH-2.0-x\r\n", "does not speak http"),
    ],
)
def test_an_answer_that_is_none(scratch: Path, told: bytes, message: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(scratch / "s"))
        listener.listen()

        def answer() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(told)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(AgentUnreachable, match=message):
            Agent(Transport(Endpoint(parse_address(str(scratch / "s"))))).get_agent()
        thread.join()


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [(200, b"<html>", "internal"), (500, b"<html>", "unknown"), (404, b"{}", "unknown")],
)
def test_another_program_listens_there(scratch: Path, status: int, body: bytes, code: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(scratch / "s"))
        listener.listen()

        def answer() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(ApiError, match="another program") as caught:
            Agent(Transport(Endpoint(parse_address(str(scratch / "s"))))).get_agent()
        thread.join()
        assert caught.value.code == code


class TestReferences:
    def test_by_reference_and_by_id(self, fake: FakeAgent, agent: Agent) -> None:
        fake.services, fake.tasks = [service(1, "web")], [task(2, "build")]
        assert find_service(agent, "web")["id"] == uuid(1)
        assert find_service(agent, uuid(1))["id"] == uuid(1)
        assert find_task(agent, "build")["id"] == uuid(2)

    def test_a_reference_may_look_like_an_id(self, fake: FakeAgent, agent: Agent) -> None:
        fake.services = [service(1, uuid(99))]
        assert find_service(agent, uuid(99))["id"] == uuid(1)

    def test_unknown_ones_are_told_with_what_there_is(self, fake: FakeAgent, agent: Agent) -> None:
        fake.services, fake.tasks = [service(1, "web"), service(2, "db")], [task(3, "build")]
        with pytest.raises(
            NoSuchAutomation, match=r"no service 'wep'\. Did you mean 'web'\? There is: db, web"
        ):
            find_service(agent, "wep")
        with pytest.raises(NoSuchAutomation, match="'build' is a task, not a service"):
            find_service(agent, "build")
        with pytest.raises(NoSuchAutomation, match="'web' is a service, not a task"):
            find_task(agent, "web")

    def test_nothing_is_defined(self, agent: Agent) -> None:
        with pytest.raises(NoSuchAutomation, match="runner-agent automations update FILE"):
            find_task(agent, "build")

    def test_executions_by_id_or_the_newest_of_a_task(self, fake: FakeAgent, agent: Agent) -> None:
        fake.tasks = [task(1, "build"), task(2, "idle")]
        fake.executions = [
            execution(12, uuid(1), created="2026-01-01T00:00:00.5Z"),
            execution(11, uuid(1), created="2026-01-01T00:00:00.123456789Z"),
        ]  # rule 4.9: the agent tells of the newest first, whatever the clock said
        assert find_execution(agent, uuid(12))["id"] == uuid(12)
        assert find_execution(agent, "build")["id"] == uuid(11)
        with pytest.raises(NoSuchAutomation, match="never been started"):
            find_execution(agent, "idle")
        with pytest.raises(NoSuchAutomation, match="no task or execution"):
            find_execution(agent, uuid(99))
