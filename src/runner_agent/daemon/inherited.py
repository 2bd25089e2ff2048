"""Listening sockets handed from one program to the next, so that nobody who connects meanwhile is refused.

The convention is systemd's (sd_listen_fds(3)): descriptors from 3 on, LISTEN_FDS their number, LISTEN_PID
whose they are. A daemon that executes itself anew speaks it to its successor; a socket unit may speak it too.
"""

import fcntl
import os
import socket
from collections.abc import Callable, MutableMapping, Sequence
from pathlib import Path

_FIRST = 3


class Inherited:
    """What was handed to this process. Each socket is taken once, by the address it is bound to."""

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        """Takes the variables out of `environ`: they are nobody else's."""
        count, pid = environ.pop("LISTEN_FDS", ""), environ.pop("LISTEN_PID", "")
        environ.pop("LISTEN_FDNAMES", None)
        mine = pid == str(os.getpid()) and count.isdecimal()
        self._sockets = [_adopt(_FIRST + number) for number in range(int(count))] if mine else []

    def unix(self, path: str) -> socket.socket | None:
        """The one bound to `path`, if it was handed over and can still be reached there."""
        if not Path(path).exists():
            return None
        return self._take(lambda one: one.family == socket.AF_UNIX and one.getsockname() == path)

    def tcp(self, host: str, ports: Sequence[int]) -> socket.socket | None:
        """The one bound there, if it was handed over; port 0 is any: an address once found is kept."""
        return self._take(
            lambda one: (
                one.family in {socket.AF_INET, socket.AF_INET6}
                and one.getsockname()[0] == host
                and (0 in ports or one.getsockname()[1] in ports)
            )
        )

    def close_rest(self) -> None:
        """Nobody asked for what is left."""
        for one in self._sockets:
            one.close()
        self._sockets = []

    def _take(self, fits: Callable[[socket.socket], bool]) -> socket.socket | None:
        for one in self._sockets:
            if fits(one):
                self._sockets.remove(one)
                return one
        return None


def _adopt(fd: int) -> socket.socket:
    os.set_inheritable(fd, False)  # noqa: FBT003 - it takes no keyword
    return socket.socket(fileno=fd)


def hand_over(sockets: Sequence[socket.socket], environ: MutableMapping[str, str]) -> None:
    """Make `sockets` the next program's. To be followed by exec: what had their numbers is overwritten."""
    above = _FIRST + len(sockets)
    copies = [_copy_above(one, above) for one in sockets]
    for number, copy in enumerate(copies):
        os.dup2(copy, _FIRST + number, inheritable=True)
    environ["LISTEN_FDS"], environ["LISTEN_PID"] = str(len(sockets)), str(os.getpid())


def _copy_above(one: socket.socket, least: int) -> int:
    """A copy whose number is out of the way of those to be handed over."""
    return fcntl.fcntl(one.fileno(), fcntl.F_DUPFD_CLOEXEC, least)
