"""Addresses: bound whole or not at all; a live agent's socket is never taken."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from runner_agent.api.listeners import CannotListen
from runner_agent.daemon.listening import listen
from runner_agent.model.errors import InvalidArgument


def test_all_addresses_and_where_logs_are(scratch: Path) -> None:
    """Port 0 takes a free one, told as it is; rule 5.5: the address of logs."""
    found = listen((f"unix:{scratch}/sub/api.sock", "tcp:127.0.0.1:0"))
    try:
        unix, tcp = found.addresses
        assert unix == f"unix:{scratch}/sub/api.sock"
        assert not tcp.endswith(":0")
        assert found.log_root == f"http://{tcp.removeprefix('tcp:')}"
        assert found.unix_path == f"{scratch}/sub/api.sock"
        assert Path(found.unix_path).stat().st_mode & 0o777 == 0o600
    finally:
        found.close()


@pytest.mark.parametrize(
    ("external", "root"), [("", "http://localhost"), ("https://x.example/", "https://x.example")]
)
def test_where_logs_are_without_tcp(scratch: Path, external: str, root: str) -> None:
    found = listen((f"unix:{scratch}/api.sock",), external)
    found.close()
    assert found.log_root == root


def test_a_stale_socket_is_replaced_and_a_live_one_refused(scratch: Path) -> None:
    path = scratch / "api.sock"
    first = listen((f"unix:{path}",))
    with pytest.raises(CannotListen, match=f"already running there, pid {os.getpid()}"):
        listen((f"unix:{path}",))
    assert path.exists()
    first.close()
    second = listen((f"unix:{path}",))
    second.close()


def test_what_fails_leaves_nothing_bound(scratch: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(CannotListen, match=str(port)):
            listen((f"unix:{scratch}/api.sock", f"tcp:127.0.0.1:{port}"))
    again = listen((f"unix:{scratch}/api.sock",))
    again.close()


def test_a_file_that_is_no_socket_stays(scratch: Path) -> None:
    (scratch / "file").write_text("precious")
    with pytest.raises(CannotListen, match="no socket"):
        listen((f"unix:{scratch}/file",))
    assert (scratch / "file").read_text() == "precious"


def test_a_directory_that_cannot_be_made_is_told(scratch: Path) -> None:
    (scratch / "file").touch()
    with pytest.raises(CannotListen, match=str(scratch / "file")):
        listen((f"unix:{scratch}/file/api.sock",))


def test_a_path_too_long_is_told() -> None:
    with pytest.raises(InvalidArgument, match="107"):
        listen((f"unix:/{'x' * 200}",))
