"""An answer that is not understood is no Engine that is away: the next would be the same (rule 5.7)."""

from __future__ import annotations

import asyncio
import json
import os
from hashlib import sha256
from pathlib import Path

import pytest

from runner_agent.cli.docker_engine import dev_container
from runner_agent.cli.docker_engine import engine as engine_finding
from runner_agent.cli.finding import Verdict
from runner_agent.executors.base import RunRequest
from runner_agent.executors.devcontainer_place import METADATA, Selector
from runner_agent.executors.devcontainer_watch import DevContainerWatch, look
from runner_agent.executors.docker_address import USUAL, Choice
from runner_agent.executors.docker_engine import DockerEngine
from runner_agent.launcher import engine as client
from runner_agent.launcher.engine import Away, Engine, Refusal
from runner_agent.model.errors import CannotStart, Unavailable
from runner_agent.model.ids import Reference, RunId
from runner_agent.model.phases import RunRole
from runner_agent.model.specs import Anywhere
from tests.support.strange_engine import after_version, answering, http

DEEP = b"[" * 5000 + b"]" * 5000
STRANGE = {
    "redirection": http("301 Moved Permanently", b"", "text/html", "Location: /v1.41/images/x/json"),
    "redirection far away": http("307 Temporary", b"", "text/html", "Location: http://127.0.0.1:1/"),
    "no content": http("204 No Content"),
    "page": http("200 OK", b"<html>a proxy</html>", "text/html"),
    "page as JSON": http("200 OK", b"<html>a proxy</html>"),
    "list": http("200 OK", b"[1, 2]"),
    "number": http("200 OK", b"7"),
    "refused by a page": http("403 Forbidden", b"<html>no</html>", "text/html"),
    "refused without words": http("400 Bad Request", b"{}"),
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "a status of its own": http("299 Fine", b"\xff\xfe"),
    "refused by an object": http("500 Oops", b'{"message":{"a":1}}'),
    "refused by null": http("500 Oops", b'{"message":null}'),
    "refused by a number": http("400 Bad Request", b'{"message":7}'),
    "refused by what is no JSON": http("409 Conflict", b"busy"),
    "deep": http("200 OK", DEEP),
    "deep without an end": http("200 OK", DEEP[:5000]),
    "refused deeply": http("500 Oops", DEEP),
}
LATER = {
    "hung up": b"",
    "hung up in the head": b"HTTP/1.1 200 OK\r\nContent-",
    "hung up in the middle": http("200 OK", b'{"Id": "x"}')[:-4],
    "bad gateway": http("502 Bad Gateway", b"<html>later</html>", "text/html"),
    "unavailable in other words": http("503 Service Unavailable", b'{"error":"overloaded"}'),
    "unavailable without words": http("503 Service Unavailable", b"busy"),
    "unavailable deeply": http("503 Service Unavailable", DEEP),
    "asked too often": http("429 Too Many Requests", b'{"message":"not so fast"}'),
    "unavailable": http("503 Service Unavailable", b"", "text/plain"),
    "containerd is away": http(
        "500 Oops", b'{"message":"connection error: desc = \\"transport: Error while dialing dial unix\\""}'
    ),
}


@pytest.mark.parametrize("told", STRANGE.values(), ids=STRANGE)
async def test_what_the_daemon_asks_fails_at_once(told: bytes, scratch: Path) -> None:
    with answering(scratch, after_version(told)) as address:
        engine = DockerEngine(Choice(address))
        try:
            for ask in (engine.has_image("busybox"), engine.inspect("x"), engine.create("x", {"Image": "y"})):
                with pytest.raises(CannotStart) as caught:
                    await ask
                assert len(str(caught.value)) < 600
                assert "is not understood" in str(caught.value)
            with pytest.raises(CannotStart):
                await engine.containers("a=b")
            with pytest.raises(CannotStart):
                async for _ in engine.pull("busybox"):
                    pass
        finally:
            await engine.aclose()


@pytest.mark.parametrize("told", LATER.values(), ids=LATER)
async def test_what_the_daemon_asks_is_tried_again(told: bytes, scratch: Path) -> None:
    with answering(scratch, after_version(told)) as address:
        engine = DockerEngine(Choice(address))
        try:
            for ask in (engine.has_image("busybox"), engine.create("x", {"Image": "y"})):
                with pytest.raises(Unavailable):
                    await ask
        finally:
            await engine.aclose()


async def test_a_page_instead_of_a_version_fails_at_once(scratch: Path) -> None:
    with answering(scratch, lambda _: STRANGE["page"]) as address:
        engine = DockerEngine(Choice(address))
        try:
            with pytest.raises(CannotStart, match=r"is not understood .*; is it a Docker Engine"):
                await engine.has_image("busybox")
        finally:
            await engine.aclose()


@pytest.mark.parametrize(
    "told", [http("404 Not Found", b"<html/>", "text/html"), http("404 Not Found", b"{}")]
)
async def test_a_container_is_gone_only_in_the_words_of_an_engine(told: bytes, scratch: Path) -> None:
    """Rule 3.9: a proxy that knows no such page is no proof."""
    with answering(scratch, after_version(told)) as address:
        engine = DockerEngine(Choice(address))
        try:
            with pytest.raises(CannotStart):
                await engine.kill("x")
            with pytest.raises(CannotStart):
                await engine.remove("x")
        finally:
            await engine.aclose()
        with pytest.raises(Refusal) as caught:
            Engine(address).ask("GET", "/containers/x/json")
        assert caught.value.status != 404


@pytest.mark.parametrize("told", STRANGE.values(), ids=STRANGE)
def test_what_an_attendant_asks_is_refused(told: bytes, scratch: Path) -> None:
    with answering(scratch, lambda _: told) as address:
        with pytest.raises(Refusal) as caught:
            client.state_of(Engine(address).ask("GET", "/containers/x/json"))
        assert len(str(caught.value)) < 600
        with pytest.raises(Refusal):
            look(address, Selector("dev"), Path("/w"), {})
        with pytest.raises(Refusal):
            look(address, Selector("label=a=b"), Path("/w"), {})


@pytest.mark.parametrize("state", [7, {"ExitCode": None}, {"ExitCode": "0"}])
def test_a_state_that_is_none_is_refused(state: object) -> None:
    with pytest.raises(Refusal, match="is not understood"):
        client.state_of({"State": state})


@pytest.mark.parametrize("told", LATER.values(), ids=LATER)
def test_what_an_attendant_asks_is_away(told: bytes, scratch: Path) -> None:
    with answering(scratch, lambda _: told) as address, pytest.raises(Away):
        Engine(address).ask("GET", "/containers/x/json")


@pytest.mark.parametrize("told", [b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 304 Not Modified\r\n\r\n"])
def test_a_container_that_is_started_already_is_started(told: bytes, scratch: Path) -> None:
    with answering(scratch, lambda _: told) as address:
        assert Engine(address).ask("POST", "/containers/x/start") == {}


def test_an_answer_that_never_comes_is_no_answer_in_time(scratch: Path) -> None:
    with answering(scratch, lambda _: None) as address, pytest.raises(Away, match="no answer in time"):
        Engine(address).fetch("GET", "/containers/x/json", within=0.2)


@pytest.mark.parametrize(
    "address", ["tcp://host", "ftp://x:1", "tcp://localhost:99999", f"unix:///{'x' * 200}", "", "nonsense"]
)
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(Refusal, match="cannot be asked"):
        Engine(address).ask("GET", "/_ping")


@pytest.mark.parametrize("told", [*STRANGE.values(), *LATER.values()], ids=[*STRANGE, *LATER])
def test_doctor_says_so_too(told: bytes, scratch: Path) -> None:
    with answering(scratch, lambda _: told) as address:
        findings = [dev_container(Choice(address), "dev", scratch), engine_finding(Choice(address))]
    for finding in findings:
        assert finding.verdict is not Verdict.OK
        assert finding.advice


# --- addresses


@pytest.mark.parametrize(
    ("named", "address"),
    [
        ("tcp://localhost", "tcp://localhost:2375"),
        ("tcp://127.0.0.1/", "tcp://127.0.0.1:2375"),
        ("tcp://localhost:", "tcp://localhost:2375"),
        ("tcp://[::1]", "tcp://[::1]:2375"),
        ("tcp://[::1]:99/", "tcp://[::1]:99"),
        ("tcp://", "tcp://localhost:2375"),
        ("tcp://:99", "tcp://localhost:99"),
        ("http://localhost:99", "http://localhost:99"),
        ("unix://", USUAL),
        (" unix:///a/b ", "unix:///a/b"),
    ],
)
def test_an_address_is_made_whole_as_the_docker_command_does(named: str, address: str) -> None:
    assert Choice(named).address() == address


@pytest.mark.parametrize(
    "address",
    [
        *("tcp://localhost:0", "tcp://localhost:65536", f"tcp://localhost:{'9' * 5000}", "tcp://localhost:x"),
        *("tcp://localhost:99/path", "tcp://::1:99", "tcp://me@localhost:99", "http://localhost:99/?a"),
        *("unix://relative", "unix://@abstract", "unix:///a/", "unix:///a\0b", f"unix:///{'x' * 200}"),
        *("ssh://localhost", "fd://", "nonsense", "TCP://localhost"),
    ],
)
async def test_an_address_that_can_never_be_asked_fails_at_once(address: str) -> None:
    engine = DockerEngine(Choice(address))
    with pytest.raises(CannotStart, match=r"cannot be used: .*; set DOCKER_HOST to unix:///path or tcp://"):
        await engine.has_image("busybox")


# --- contexts of the docker command


def test_a_context_that_does_not_exist_is_no_other_engine(scratch: Path) -> None:
    """Named by the environment or by the docker command's settings: told, in runs and by doctor."""
    named = Choice(context="gone", config=scratch)
    with pytest.raises(
        CannotStart, match="the Docker context gone, which DOCKER_CONTEXT names, does not exist"
    ):
        named.address()
    finding = engine_finding(named)
    assert finding.verdict is Verdict.BROKEN
    assert "docker context ls" in finding.found
    assert dev_container(named, "dev", scratch).verdict is not Verdict.OK
    (scratch / "config.json").write_text('{"currentContext": "gone"}')
    with pytest.raises(CannotStart, match=r"which currentContext in .*/config.json names, does not exist"):
        Choice(config=scratch).address()
    assert Choice(context="default", config=scratch).address() == USUAL
    assert Choice("unix:///x", "gone", scratch).address() == "unix:///x"


@pytest.mark.parametrize(
    "text", ["", "[]", "nonsense", DEEP.decode(), '{"currentContext": 7}', '{"currentContext": ""}']
)
def test_settings_that_name_no_context_mean_the_usual_engine(scratch: Path, text: str) -> None:
    (scratch / "config.json").write_text(text)
    assert Choice(config=scratch).address() == USUAL


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ('{"Endpoints": {"docker": {"Host": "tcp://h:1"}}}', "tcp://h:1"),
        ('{"Endpoints": {"docker": {}}}', USUAL),
        ("[]", ""),
        ("{}", ""),
        (DEEP.decode(), ""),
    ],
)
def test_a_context_names_its_engine(scratch: Path, text: str, address: str) -> None:
    folder = scratch / "contexts/meta" / sha256(b"mine").hexdigest()
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text(text)
    choice = Choice(context="mine", config=scratch)
    if address:
        assert choice.address() == address
    else:
        with pytest.raises(CannotStart, match="cannot be read from"):
            choice.address()


async def test_a_run_for_the_dev_container_fails_where_no_engine_answers(scratch: Path) -> None:
    """Rule 6.3 is for a dev container that is absent: nobody will come who answers here."""
    with answering(scratch, lambda _: STRANGE["page"]) as address:
        for choice in (Choice(context="gone", config=scratch), Choice(address)):
            watch = DevContainerWatch(Selector("dev"), choice.address, scratch, {})
            task = asyncio.create_task(watch.run())
            try:
                async with asyncio.timeout(30):
                    with pytest.raises(CannotStart, match=r"does not exist|is not understood"):
                        await watch.running(request(scratch))
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


async def test_a_run_fails_by_no_answer_from_before_it(scratch: Path) -> None:
    """One answer of a container's restart, say: the Engine is asked anew, however long it is to be left."""
    told = [STRANGE["redirection"]]
    with answering(scratch, lambda _: told[0]) as address:
        watch = DevContainerWatch(Selector("dev"), lambda: address, scratch, {})
        task = asyncio.create_task(watch.run())
        try:
            async with asyncio.timeout(30):
                with pytest.raises(CannotStart, match=r"status 301|301 Moved"):
                    await watch.running(request(scratch))
                told[0] = running_container("")
                assert (await watch.running(request(scratch))).name == "dev"
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("label", ["[" * 3000, DEEP.decode(), '[{"remoteEnv":' * 3000])
async def test_a_label_that_nests_too_deeply_says_nothing(scratch: Path, label: str) -> None:
    with answering(scratch, lambda _: running_container(label)) as address:
        found, _ = look(address, Selector("dev"), scratch, {})
    assert found is not None
    assert (found.name, found.user) == ("dev", "app")


def running_container(label: str) -> bytes:
    """The inspection of one, and the answer to all else as well."""
    told = {
        "Id": "1",
        "Name": "/dev",
        "State": {"Running": True, "Pid": os.getpid()},
        "Config": {"User": "app", "Labels": {METADATA: label}},
    }
    return http("200 OK", json.dumps(told).encode())


def request(folder: Path) -> RunRequest:
    return RunRequest(
        run_id=RunId("r"),
        role=RunRole.TASK,
        reference=Reference("r"),
        script="true",
        runs_on=Anywhere(),
        env={},
        log=folder / "log",
        output=folder / "output",
    )
