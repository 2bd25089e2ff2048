"""Telling systemd: datagrams on a real socket (rule 7.5)."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner_agent.daemon.notify import Notifier


@pytest.fixture
def systemd(scratch: Path) -> Iterator[tuple[socket.socket, dict[str, str]]]:
    """A listener, and the environment that leads to it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(scratch / "notify"))
        listener.settimeout(60)
        yield listener, {"NOTIFY_SOCKET": str(scratch / "notify")}


def test_every_message(systemd: tuple[socket.socket, dict[str, str]]) -> None:
    listener, environ = systemd
    notifier = Notifier(environ)
    notifier.ready("ready on unix:/s")
    assert listener.recv(4096) == b"READY=1\nSTATUS=ready on unix:/s"
    notifier.status("busy")
    assert listener.recv(4096) == b"STATUS=busy"
    notifier.alive("busy")
    assert listener.recv(4096) == b"WATCHDOG=1\nSTATUS=busy"
    notifier.not_reloaded("log_cap is none")
    assert listener.recv(4096) == b"STATUS=not reloaded: log_cap is none"
    notifier.alive("busy")
    assert listener.recv(4096) == b"WATCHDOG=1\nSTATUS=not reloaded (log_cap is none); busy"
    notifier.reloading()
    assert listener.recv(4096).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    notifier.alive("amid a reload")
    assert listener.recv(4096) == b"WATCHDOG=1"
    notifier.stopping("going", 180.5)
    assert listener.recv(4096) == b"STOPPING=1\nEXTEND_TIMEOUT_USEC=180500000\nSTATUS=going"


def test_an_abstract_address() -> None:
    name = f"runner-agent-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        listener.settimeout(60)
        Notifier({"NOTIFY_SOCKET": f"@{name}"}).alive()
        assert listener.recv(4096) == b"WATCHDOG=1"


def test_nobody_listens(tmp_path: Path) -> None:
    """Silence, not an error."""
    Notifier({}).ready("x")
    gone = Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    gone.ready("x")
    assert gone.watchdog_seconds == 0


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, 0),
        ({"WATCHDOG_USEC": "nonsense"}, 0),
    ],
)
def test_the_watchdog_is_for_us(environ: dict[str, str], seconds: float) -> None:
    """WATCHDOG_PID may name another process."""
    assert Notifier(environ).watchdog_seconds == seconds
