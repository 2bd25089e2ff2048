"""The addresses the agent answers on: a socket left over by a dead agent is replaced, a live agent's
never.
"""

import os
import socket
import stat
import struct
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from runner_agent.api.listeners import CannotListen, bind_tcp, bind_unix
from runner_agent.client.addresses import TcpAddress, UnixAddress
from runner_agent.daemon.inherited import Inherited
from runner_agent.daemon.settings import parse_listen, ports_of
from runner_agent.daemon.user import User
from runner_agent.model.frozen import dataclass

_LOOPBACK = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104  # listens nowhere, only names it


@dataclass(frozen=True, slots=True)
class Listening:
    """Bound sockets, and their addresses as clients take them."""

    sockets: tuple[socket.socket, ...]
    addresses: tuple[str, ...]
    log_root: str
    unix_path: str
    external_url: str = ""

    @property
    def names(self) -> frozenset[str]:
        """What a browser may call us by, besides an address."""
        from urllib.parse import urlsplit

        return frozenset({"localhost", (urlsplit(self.external_url).hostname or "localhost").lower()})

    @property
    def pages(self) -> tuple[str, ...]:
        """Where a browser finds the dashboard, the best first; none where nothing listens on TCP."""
        tcp = [text.removeprefix("tcp:") for text in self.addresses if text.startswith("tcp:")]
        here = [f"http://{_reachable(each)}/" for each in tcp]
        return tuple([f"{self.external_url}/", *here] if self.external_url else here)

    def remove_sockets(self) -> None:
        """Remove the files of unix sockets. Who is connected stays so."""
        for address in self.addresses:
            if address.startswith("unix:"):
                with suppress(OSError):  # the next agent that listens there replaces it
                    Path(address.removeprefix("unix:")).unlink()

    def close(self) -> None:
        """Close them. Socket files stay until the next agent binds: another process may hold the same
        socket.
        """
        for one in self.sockets:
            one.close()

    def keep(self) -> tuple[socket.socket, ...]:
        """Copies that stay open, for the program that takes over."""
        return tuple(one.dup() for one in self.sockets)


def listen(
    texts: Sequence[str],
    external_url: str = "",
    owner: User | None = None,
    inherited: Inherited | None = None,
) -> Listening:
    """Bind all that was not handed to us bound; unix sockets are given to `owner`, whose commands ask there.
    Raises CannotListen, with none left bound.
    """
    inherited = inherited or Inherited({})
    bound: list[socket.socket] = []
    addresses: list[str] = []
    tcp_root, unix_path = "", ""
    try:
        for text in texts:
            match parse_listen(text):
                case UnixAddress(path=path):
                    bound.append(inherited.unix(path) or _unix(Path(path)))
                    if owner is not None and owner.other:
                        _give(path, owner)
                    addresses.append(f"unix:{path}")
                    unix_path = unix_path or path
                case TcpAddress(host=host):
                    ports = ports_of(text)
                    bound.append(inherited.tcp(host, ports) or _first_free(host, ports))
                    port = bound[-1].getsockname()[1]
                    name = f"[{host}]" if ":" in host else host
                    addresses.append(f"tcp:{name}:{port}")
                    tcp_root = tcp_root or f"http://{name}:{port}"
    except BaseException:
        for one in bound:
            one.close()
        raise
    finally:
        inherited.close_rest()
    external_url = external_url.rstrip("/")
    root = external_url or tcp_root or "http://localhost"
    return Listening(tuple(bound), tuple(addresses), root, unix_path, external_url)


def _reachable(address: str) -> str:
    """`host:port` as a browser of this machine takes it: an agent that listens everywhere listens here."""
    host, _, port = address.rpartition(":")
    return f"{_LOOPBACK.get(host, host)}:{port}"


def _first_free(host: str, ports: Sequence[int]) -> socket.socket:
    """Bound here and not looked for before: what is free may be another's a moment later."""
    for port in ports[:-1]:
        with suppress(CannotListen):
            return bind_tcp(host, port)
    return bind_tcp(host, ports[-1])


def _unix(path: Path) -> socket.socket:
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise CannotListen(
            f"cannot listen on {path}: its directory cannot be made ({error.strerror}); choose another path"
        ) from None
    if path.exists():
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise CannotListen(
                f"cannot listen on {path}: a file that is no socket is there; move it or choose another path"
            )
        if (pid := _who_answers(path)) is not None:
            raise CannotListen(
                f"cannot listen on {path}: an agent is already running there, pid {pid}; stop it first"
            )
        path.unlink()
    return bind_unix(path)


def _give(path: str, owner: User) -> None:
    """What stands there now may be another thing, put there by him in a folder of his: a link, say."""
    file = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if stat.S_ISSOCK(os.fstat(file).st_mode):
            os.chown(f"/proc/self/fd/{file}", owner.uid, owner.gid)
    finally:
        os.close(file)


def _who_answers(path: Path) -> int | None:
    """The process that listens there, or None: the file is left over."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2)
        try:
            probe.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return None
        except OSError:
            pass  # it is busy, so it lives
        pid, _, _ = struct.unpack("3i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return int(pid)
