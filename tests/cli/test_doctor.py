"""`doctor`: what it looks at, what it says of what is amiss, and its exit code."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from runner_agent import __version__
from runner_agent.cli.docker_engine import engine
from runner_agent.cli.finding import Verdict
from runner_agent.executors.docker_address import Choice

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Cli
    from tests.client.fake_agent import FakeAgent

VERDICTS = {"ok", "note", "broken"}


@pytest.fixture
def place(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory and a workspace with a good file; no Docker but the one a test names."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{scratch}/docker.sock")
    (scratch / "state").mkdir(mode=0o711)
    (scratch / "work").mkdir()
    (scratch / "work/.ona").mkdir()
    (scratch / "work/.ona/automations.yaml").write_text("tasks: {a: {name: A, command: 'true'}}\n")
    return scratch


def findings(cli: Cli, place: Path) -> tuple[int, dict[str, dict[str, str]]]:
    told = cli("doctor", "--state-dir", f"{place}/state", "--workspace", f"{place}/work", "--json")
    shown = json.loads(told.out)
    assert shown["usable"] is (told.code == 0)
    found = {each["check"]: each for each in shown["findings"]}
    assert {each["verdict"] for each in found.values()} <= VERDICTS
    assert all(each["advice"] for each in found.values() if each["verdict"] != "ok")
    return told.code, found


def test_a_machine_that_will_do(cli: Cli, place: Path) -> None:
    code, found = findings(cli, place)
    assert code == 0, found
    for check in ("version", "python", "kernel", "shell", "inotify", "state", "automations"):
        assert found[check]["verdict"] == "ok", found[check]
    assert found["agent"] == {
        "check": "agent",
        "verdict": "note",
        "found": "not running",
        "advice": "start it: `runner-agent up`, or `serve`",
    }
    assert {"cgroup", "systemd", "docker", "open files", "clock", "disk", "log cap", "socket"} <= set(found)
    assert list((place / "state").iterdir()) == [], "it leaves no trace"


def test_the_table_says_what_to_do(cli: Cli, place: Path) -> None:
    told = cli("doctor", "--state-dir", f"{place}/state", "--workspace", f"{place}/work")
    assert told.code == 0
    assert "start it: `runner-agent up`" in told.out
    assert told.err == "The agent can be used here.\n"


@pytest.mark.parametrize(
    ("harm", "check", "text"),
    [
        ("chmod", "state", "chmod go-w"),
        ("file", "state", "--state-dir"),
        ("yaml", "automations", "automations validate"),
        ("lock", "agent", "end that process"),
    ],
)
def test_what_must_be_mended(cli: Cli, place: Path, harm: str, check: str, text: str) -> None:
    state = place / "state"
    held = -1
    match harm:
        case "chmod":
            state.chmod(0o777)
        case "file":
            state.rmdir()
            state.write_text("")
        case "yaml":
            (place / "work/.ona/automations.yaml").write_text("tasks: [\n")
        case _:
            held = os.open(state / "agent.lock", os.O_RDWR | os.O_CREAT)
            os.write(held, b"4711\n")
            fcntl.flock(held, fcntl.LOCK_EX)
    code, found = findings(cli, place)
    if held >= 0:
        os.close(held)
    assert code == 1
    assert found[check]["verdict"] == "broken"
    assert text in found[check]["advice"]


def test_an_agent_of_another_version(cli: Cli, place: Path, fake: FakeAgent) -> None:
    content = {"pid": 1, "addresses": [fake.address], "environmentId": "e", "version": "1"}
    (place / "state/agent.json").write_text(json.dumps(content))
    (place / "s").chmod(0o600)
    code, found = findings(cli, place)
    assert code == 0
    assert found["agent"]["found"] == "version 1.2.3, pid 42"
    assert __version__ in found["agent"]["advice"]
    assert found["socket"]["verdict"] == "ok"
    (place / "s").chmod(0o666)
    assert findings(cli, place)[1]["socket"]["verdict"] == "broken"


def test_an_agent_that_was_killed(cli: Cli, place: Path) -> None:
    content = {"pid": 1, "addresses": [f"unix:{place}/gone"], "environmentId": "e", "version": "1"}
    (place / "state/agent.json").write_text(json.dumps(content))
    code, found = findings(cli, place)
    assert code == 0
    assert "killed" in found["agent"]["found"]


class TestDocker:
    @staticmethod
    def answering(path: Path, answer: bytes) -> threading.Thread:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            with listener, listener.accept()[0] as connection:
                connection.recv(4096)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        return thread

    @pytest.mark.parametrize(
        ("answer", "verdict", "text"),
        [
            (b"HTTP/1.1 200 OK\r\nApi-Version: 1.47\r\nContent-Length: 2\r\n\r\nOK", Verdict.OK, "API 1.47"),
            (b"HTTP/1.1 500 Oops\r\n\r\n", Verdict.NOTE, "status 500"),
            (b"SSH-2.0-OpenSSH\r\n\r\n", Verdict.NOTE, "does not speak http"),
            (b"", Verdict.NOTE, "does not speak http"),
        ],
    )
    def test_an_engine_is_asked(self, scratch: Path, answer: bytes, verdict: Verdict, text: str) -> None:
        thread = self.answering(scratch / "d.sock", answer)
        found = engine(Choice(f"unix://{scratch}/d.sock", ""))
        thread.join()
        assert found.verdict is verdict
        assert text in found.found

    @pytest.mark.parametrize(
        "address", ["ssh://me@there", "tcp://127.0.0.1:1", "nonsense", "unix:///no/such"]
    )
    def test_none_is_no_defect(self, address: str) -> None:
        assert engine(Choice(address, "")).verdict is Verdict.NOTE

    def test_the_context_of_the_docker_command(self, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(scratch))
        folder = scratch / ".docker/contexts/meta" / hashlib.sha256(b"mine").hexdigest()
        folder.mkdir(parents=True)
        (scratch / ".docker/config.json").write_text('{"currentContext": "mine"}')
        meta = {"Name": "mine", "Endpoints": {"docker": {"Host": "unix:///of/the/context"}}}
        (folder / "meta.json").write_text(json.dumps(meta))
        assert "/of/the/context" in engine(Choice("", "")).found
        assert "/of/the/context" not in engine(Choice("unix:///named", "")).found


def test_an_agent_that_runs_is_looked_at_where_it_is(
    cli: Cli, place: Path, fake: FakeAgent, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its workspace, state and file; the folder that the question is asked from has none of them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".ona").mkdir()
    (tmp_path / ".ona/automations.yaml").write_text("tasks: [\n")
    content = {"pid": 1, "addresses": [fake.address], "environmentId": "e", "version": "1"}
    (place / "state/agent.json").write_text(json.dumps(content))
    (place / "s").chmod(0o600)
    info: dict[str, Any] = {
        "version": "1",
        "pid": 42,
        "workspace": f"{place}/work",
        "stateDir": f"{place}/state",
    }
    fake.on["GetAgent"] = lambda _: {"agent": info}
    found = {each["check"]: each for each in json.loads(cli("doctor", "--json").out)["findings"]}
    assert f"{place}/state," in found["state"]["found"]
    assert f"{place}/work/.ona/automations.yaml" in found["automations"]["found"]
    own = place / "own.yaml"
    own.write_text("services: {}\n")
    info["automations"] = {"path": str(own)}
    found = {each["check"]: each for each in json.loads(cli("doctor", "--json").out)["findings"]}
    assert str(own) in found["automations"]["found"]
    named = cli("doctor", "--workspace", str(tmp_path), "--json")
    assert named.code == 1, "what is named wins"
    fake.on["GetAgent"] = lambda _: {"agent": {**info, "stateDir": f"{place}/elsewhere"}}
    assert cli("doctor", "--json").code == 1, "an agent of another machine says nothing about this one"


def test_rule_2_8_a_second_default_file_is_remarked(cli: Cli, place: Path) -> None:
    (place / "work/.ona/config.yaml").write_text("tasks: {}\n")
    code, found = findings(cli, place)
    assert (code, found["automations"]["verdict"]) == (0, "note")
    assert f"{place}/work/.ona/automations.yaml is passed over" in found["automations"]["advice"]
