"""Addresses: bound whole or not at all; a live agent's socket is never taken."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from runner_agent.api.listeners import CannotListen
from runner_agent.daemon.inherited import Inherited
from runner_agent.daemon.listening import Listening, listen
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


def test_of_several_ports_the_first_that_is_free_is_taken() -> None:
    """Two agents begun at once do not stumble over each other: it is bound, not looked for before."""
    first = listen(("tcp:127.0.0.1:21780-21799",))
    second = listen(("tcp:127.0.0.1:21780-21799",))
    taken = [int(one.addresses[0].rpartition(":")[2]) for one in (first, second)]
    assert 21780 <= taken[0] < taken[1] <= 21799
    with pytest.raises(CannotListen, match=f"{taken[1]}: the address is in use"):
        listen((f"tcp:127.0.0.1:{taken[1]}-{taken[1]}",))
    first.close()
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


ECHO = """
import os, socket
from runner_agent.daemon.inherited import Inherited
from runner_agent.daemon.listening import Listening, listen
found = listen(("unix:{path}", "tcp:127.0.0.1:0"), inherited=Inherited(os.environ))
print(found.addresses[1], "LISTEN_FDS" in os.environ, flush=True)
for one in found.sockets:
    one.accept()[0].sendall(b"served")
"""
HAND_OVER = """
import os, sys
from runner_agent.daemon.inherited import hand_over
from runner_agent.daemon.listening import Listening, listen
found = listen(("unix:{path}", "tcp:127.0.0.1:0"))
kept = found.keep()
found.close()
print(found.addresses[1], flush=True)
sys.stdin.readline()
hand_over(kept, os.environ)
os.execv(sys.executable, [sys.executable, "-c", sys.argv[1]])
"""


def test_who_connects_between_two_programs_waits(scratch: Path) -> None:
    """Rule 7.2: executed anew, the agent listens on the same sockets; none who came meanwhile is refused."""
    path = scratch / "api.sock"
    with subprocess.Popen(
        [sys.executable, "-c", HAND_OVER.format(path=path), ECHO.format(path=path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        with socket.socket(socket.AF_UNIX) as unix, socket.socket() as tcp:
            unix.connect(str(path))
            tcp.connect(("127.0.0.1", int(address.rpartition(":")[2])))
            process.stdin.write("now\n")
            process.stdin.flush()
            assert process.stdout.readline().split() == [address, "False"]
            for one in (unix, tcp):
                one.settimeout(60)
                assert one.recv(100) == b"served"
    assert process.returncode == 0


def test_a_socket_handed_over_but_not_asked_for_is_closed(scratch: Path) -> None:
    """Nor is one used whose file was taken away: nobody could reach it."""
    gone, kept = scratch / "gone.sock", scratch / "kept.sock"
    first = listen((f"unix:{gone}", f"unix:{kept}"))
    inherited = Inherited({})
    inherited._sockets = list(first.keep())
    gone.unlink()
    again = listen((f"unix:{gone}",), inherited=inherited)
    assert gone.exists()
    assert inherited._sockets == []
    first.close()
    again.close()


def test_sockets_handed_to_another_process_are_not_ours() -> None:
    environ = {"LISTEN_FDS": "5", "LISTEN_PID": str(os.getpid() + 1), "LISTEN_FDNAMES": "a", "HOME": "/"}
    assert Inherited(environ)._sockets == []
    assert environ == {"HOME": "/"}


@pytest.mark.parametrize(
    ("addresses", "external", "pages", "names"),
    [
        (("unix:/run/api.sock",), "", (), {"localhost"}),
        (
            ("tcp:127.0.0.1:7780", "tcp:0.0.0.0:80", "tcp:[::]:81"),
            "",
            ("http://127.0.0.1:7780/", "http://127.0.0.1:80/", "http://[::1]:81/"),
            {"localhost"},
        ),
        (
            ("tcp:127.0.0.1:7780",),
            "https://Agent.Example/sub",
            ("https://Agent.Example/sub/", "http://127.0.0.1:7780/"),
            {"localhost", "agent.example"},
        ),
    ],
)
def test_where_a_browser_finds_the_dashboard(
    addresses: tuple[str, ...], external: str, pages: tuple[str, ...], names: set[str]
) -> None:
    """What listens everywhere is found here; a name that was given from outside may be used."""
    found = Listening((), addresses, "", "", external)
    assert found.pages == pages
    assert set(found.names) == names
