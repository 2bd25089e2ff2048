"""Listening sockets: bound by us, so that their rights are right from the first moment on."""

import os
import socket
from pathlib import Path

from runner_agent.model.errors import RunnerError

_BACKLOG = 1024
_LONGEST_PATH = 107
"""Bytes of a unix socket's path that the kernel takes."""


class CannotListen(RunnerError):
    """An address cannot be bound; says which, why, and what to do."""


def bind_unix(path: Path) -> socket.socket:
    """A listening unix socket, mode 0600. Raises CannotListen.

    A file that is there already is left alone: whether it is a live agent's is the caller's question.
    """
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise CannotListen(
            f"cannot listen on {path}: the path is longer than {_LONGEST_PATH} bytes; choose a shorter one"
        )
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(os.fspath(path))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise CannotListen(f"cannot listen on {path}: {_advice(error)}") from None
    finally:
        os.umask(mask)
    return listener


def bind_tcp(host: str, port: int) -> socket.socket:
    """A listening TCP socket; port 0 takes a free one. Raises CannotListen."""
    where = f"{host}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise CannotListen(
            f"cannot listen on {where}: {error.strerror}; name an address of this machine"
        ) from None
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    _notice_dead_peers(listener)
    try:
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise CannotListen(f"cannot listen on {where}: {_advice(error)}") from None
    return listener


def _notice_dead_peers(listener: socket.socket) -> None:
    """Accepted connections inherit this: a watcher whose machine vanished is dropped after two minutes, be it
    silent or has it bytes outstanding, which the kernel would else repeat for a quarter of an hour.
    """
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 120_000)


def _advice(error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return "its directory does not exist; create it or choose another path"
        case PermissionError():
            return "permission denied; choose an address this user may use"
        case _ if error.errno == 98:  # EADDRINUSE
            return "the address is in use; stop what listens there or choose another"
        case _:
            return (error.strerror or str(error)).lower()
