"""Who is asked first for the agent's address, and what an address may look like."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner_agent.client.addresses import (
    Address,
    TcpAddress,
    UnixAddress,
    default_state_dir,
    find_agent,
    parse_address,
    read_agent_file,
)
from runner_agent.client.errors import AgentUnreachable, BadAddress

SOMEBODY = 1000


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix:/run/a.sock", UnixAddress("/run/a.sock")),
        ("unix:///run/a.sock", UnixAddress("/run/a.sock")),
        ("/run/a.sock", UnixAddress("/run/a.sock")),
        ("tcp:127.0.0.1:7780", TcpAddress("127.0.0.1", 7780)),
        ("tcp:[::1]:7780", TcpAddress("::1", 7780)),
        ("http://localhost:80/", TcpAddress("localhost", 80)),
    ],
)
def test_addresses_are_read(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    "text", ["", "unix:", "tcp:7780", "tcp:host:port", "tcp:host:99999", "a.sock", "https://x:1"]
)
def test_other_texts_are_refused_with_what_is_accepted(text: str) -> None:
    with pytest.raises(BadAddress, match=r"unix:/path/to/api\.sock or tcp:HOST:PORT"):
        parse_address(text)


def _agent_file(state: Path, *addresses: str, pid: int = 7) -> None:
    state.mkdir(parents=True, exist_ok=True)
    content = {"pid": pid, "addresses": addresses, "environmentId": "e", "version": "1"}
    (state / "agent.json").write_text(json.dumps(content))


def test_precedence(tmp_path: Path) -> None:
    """--address, --state-dir, RUNNER_AGENT_ADDRESS, RUNNER_AGENT_SOCKET, then the default state directory."""
    _agent_file(tmp_path / "named", "unix:/named")
    _agent_file(tmp_path / "default", "unix:/default")
    environ = {
        "RUNNER_AGENT_ADDRESS": "unix:/address",
        "RUNNER_AGENT_SOCKET": "/socket",
        "RUNNER_AGENT_STATE_DIR": str(tmp_path / "default"),
    }

    def found(address: str | None = None, state: Path | None = None) -> str:
        return str(find_agent(address, state, environ, SOMEBODY).address)

    assert found("unix:/flag", tmp_path / "named") == "unix:/flag"
    assert found(state=tmp_path / "named") == "unix:/named"
    assert found() == "unix:/address"
    del environ["RUNNER_AGENT_ADDRESS"]
    assert found() == "unix:/socket"
    del environ["RUNNER_AGENT_SOCKET"]
    assert found() == "unix:/default"


def test_the_unix_socket_is_preferred(tmp_path: Path) -> None:
    _agent_file(tmp_path, "tcp:127.0.0.1:7780", "unix:/a")
    assert find_agent(state_dir=tmp_path, environ={}, uid=SOMEBODY).address == UnixAddress("/a")


def test_the_token_is_for_tcp_and_the_environment_overrides_it(tmp_path: Path) -> None:
    _agent_file(tmp_path, "tcp:127.0.0.1:7780")
    (tmp_path / "token").write_text("from-file\n")
    assert find_agent(state_dir=tmp_path, environ={}, uid=SOMEBODY).token == "from-file"
    environ = {"RUNNER_AGENT_TOKEN": "from-environment"}
    assert find_agent(state_dir=tmp_path, environ=environ, uid=SOMEBODY).token == "from-environment"
    assert find_agent("unix:/a", tmp_path, {}, SOMEBODY).token == ""


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid":1}', '{"pid":1,"addresses":["nonsense"]}'])
def test_a_broken_agent_file_is_no_agent(tmp_path: Path, content: str) -> None:
    (tmp_path / "agent.json").write_text(content)
    assert read_agent_file(tmp_path) is None
    with pytest.raises(AgentUnreachable, match=r"runner-agent up"):
        find_agent(state_dir=tmp_path, environ={}, uid=SOMEBODY)


def test_default_state_directories() -> None:
    assert default_state_dir({}, 0) == Path("/var/lib/runner-agent")
    assert default_state_dir({"HOME": "/home/u"}, SOMEBODY) == Path("/home/u/.local/state/runner-agent")
    assert default_state_dir({"HOME": "/home/u", "XDG_STATE_HOME": "/x"}, SOMEBODY) == Path("/x/runner-agent")
    assert default_state_dir({"RUNNER_AGENT_STATE_DIR": "/y"}, 0) == Path("/y")
