"""Who listens on a TCP port of this machine, ours or not. Read when somebody asks, never kept."""

import os
import pwd
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from runner_agent.model.frozen import dataclass

_LISTENING = b"0A"
_LONGEST = 100
"""Characters of a command line."""


@dataclass(frozen=True, slots=True)
class Socket:
    """`name` is what /proc/PID/fd calls it."""

    name: str
    port: int
    uid: int


@dataclass(frozen=True, slots=True)
class Listener:
    """`pid` 0: a process that is not ours to look into; its user is known all the same."""

    port: int
    pid: int
    command: str
    user: str


def listening() -> Iterator[Socket]:
    """Each listening TCP socket of this network namespace."""
    for name in ("tcp", "tcp6"):
        try:
            with Path(f"/proc/self/net/{name}").open("rb") as file:
                for line in file:
                    fields = line.split()
                    if len(fields) > 9 and fields[3] == _LISTENING:
                        port = int(fields[1].rpartition(b":")[2], 16)
                        yield Socket(f"socket:[{fields[9].decode()}]", port, int(fields[7]))
        except OSError:  # a kernel without IPv6
            continue


def listeners(ports: Collection[int]) -> Sequence[Listener]:
    """Who listens on these, by port. Blocks for some microseconds a descriptor open on this machine."""
    wanted = {socket.name: socket for socket in listening() if socket.port in ports}
    if not wanted:
        return []
    found: dict[tuple[int, int], Listener] = {}
    missing = dict(wanted)
    for pid in _pids():
        for name in _sockets_of(pid, wanted):
            socket = wanted[name]
            missing.pop(name, None)
            found[socket.port, pid] = Listener(socket.port, pid, _command(pid), _user(socket.uid))
    for socket in missing.values():
        found[socket.port, 0] = Listener(socket.port, 0, "", _user(socket.uid))
    return [found[key] for key in sorted(found)]


def _pids() -> Iterator[int]:
    return (int(entry) for entry in os.listdir("/proc") if entry.isdecimal())  # noqa: PTH208


def _sockets_of(pid: int, wanted: Mapping[str, object]) -> set[str]:
    names: set[str] = set()
    with suppress(OSError):  # it is gone, or not ours to look into
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                name = str(descriptor.readlink())
                if name in wanted:
                    names.add(name)
    return names


def _command(pid: int) -> str:
    text = ""
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        text = b" ".join(words).decode(errors="replace").strip()
        text = text or Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    shown = "".join(each if each.isprintable() else "?" for each in text)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
