"""Telling systemd how things stand (sd_notify): READY, STATUS, STOPPING, RELOADING, WATCHDOG. Silent where
nobody listens.
"""

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress

_PATIENCE = 1.0
"""Seconds that systemd has to take a message. An agent does not hang because its supervisor does."""


class Notifier:
    """One datagram per message to the socket named by NOTIFY_SOCKET, which commands must not inherit."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        self._is_ready, self._remark = False, ""
        microseconds = environ.get("WATCHDOG_USEC", "0")
        mine = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.watchdog_seconds = int(microseconds) / 1e6 if mine and microseconds.isdecimal() else 0.0

    def ready(self, status: str) -> None:
        """The API answers and recovery is complete (rule 7.5)."""
        self._is_ready = True
        self._send(f"READY=1\nSTATUS={self._remark}{status}")

    def status(self, text: str) -> None:
        """A line for `systemctl status`."""
        self._send(f"STATUS={text}")

    def not_reloaded(self, reason: str) -> None:
        """This program stays, and says so as long as it does."""
        self._remark = f"not reloaded ({reason}); "
        self.status(f"not reloaded: {reason}")

    def reloading(self) -> None:
        """The program is about to be executed anew (rule 7.2)."""
        self._is_ready = False
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}\nSTATUS=reloading")

    def stopping(self, status: str, within: float) -> None:
        """The end has begun, and may take this many seconds, whatever systemd would have granted."""
        self._is_ready = False
        self._send(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={round(within * 1e6)}\nSTATUS={status}")

    def alive(self, status: str = "") -> None:
        """The watchdog's proof of life; how things stand, unless that is starting or ending."""
        told = f"\nSTATUS={self._remark}{status}" if status and self._is_ready else ""
        self._send(f"WATCHDOG=1{told}")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        path = self._address
        address = "\0" + path[1:] if path.startswith("@") else path
        with (
            suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock,
        ):
            sock.settimeout(_PATIENCE)
            sock.sendto(message.encode(), address)
