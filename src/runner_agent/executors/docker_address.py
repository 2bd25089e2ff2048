"""Where the Docker Engine is, found as the docker command does. Standard library only: the CLI asks too."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import cast

from runner_agent.kit.reading import value_of
from runner_agent.launcher.engine import LONGEST_SOCKET
from runner_agent.model.errors import CannotStart
from runner_agent.model.frozen import dataclass

USUAL = "unix:///var/run/docker.sock"
_PORT = "2375"
"""The docker command's, where an address names none."""
_TCP = re.compile(r"(?:tcp|http)://(\[[0-9A-Fa-f:.]+\]|[\w.-]*)(?::([0-9]{0,5}))?/?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Choice:
    """DOCKER_HOST and DOCKER_CONTEXT, "" for unset; `config`: the folder of the docker command's settings.

    `environ` is the environment that they are from.
    """

    host: str = ""
    context: str = ""
    config: Path | None = None
    environ: Mapping[str, str] = field(default_factory=dict[str, str], repr=False, compare=False)

    def address(self) -> str:
        """`unix:///path` or `tcp://host:port`. Read anew at each call.

        Raises CannotStart for one that can never be asked, and for a context that does not exist: another
        Engine is not the one that was meant.
        """
        return _whole(self.named())

    def named(self) -> str:
        """The address as it stands there. Raises CannotStart for a context that does not exist."""
        return self.host.strip() or self._of_context().strip() or USUAL

    def folder(self) -> Path:
        """Of the docker command's settings."""
        try:
            return self.config or Path.home() / ".docker"
        except RuntimeError:  # a user without a home
            return Path("/.docker")

    def _of_context(self) -> str:
        """The address of the docker command's context, "" for the default one. Raises CannotStart."""
        home = self.folder()
        name, named_by = self.context, "DOCKER_CONTEXT"
        if not name:
            name, named_by = _current(home / "config.json"), f"currentContext in {home / 'config.json'}"
        if name in {"", "default"}:
            return ""
        file = home / "contexts/meta" / hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
        file /= "meta.json"
        try:
            meta = cast("dict[str, dict[str, dict[str, object]]]", value_of(file.read_text(encoding="utf-8")))
            return str(meta["Endpoints"]["docker"].get("Host") or "")
        except FileNotFoundError:
            fault = "does not exist"
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            fault = (
                f"cannot be read from {file} ({getattr(error, 'strerror', None) or 'no context of Docker'})"
            )
        raise CannotStart(
            f"the Docker context {name}, which {named_by} names, {fault}: see `docker context ls`, then name"
            " one that exists, or set DOCKER_HOST"
        )


def _current(config: Path) -> str:
    """The context in use, "" where the file names none or cannot be read: the docker command does without."""
    try:
        told = value_of(config.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    name = cast("dict[str, object]", told).get("currentContext") if isinstance(told, dict) else ""
    return name if isinstance(name, str) else ""


def _whole(address: str) -> str:
    """With the host and port that the docker command takes where none is named. Raises CannotStart."""
    kind, _, rest = address.partition("://")
    if kind in {"tcp", "http"}:
        found = _TCP.fullmatch(address)
        host, port = (found[1] or "localhost", found[2] or _PORT) if found else ("", "")
        if 0 < int(port or 0) < 65536:
            return f"{kind}://{host}:{port}"
        fault = "it is not of the kind tcp://host:port, with a port from 1 to 65535 and no path"
    elif kind == "unix":
        if not rest:
            return USUAL
        size = len(rest.encode("utf-8", "surrogateescape"))
        if size <= LONGEST_SOCKET and rest[0] == "/" and rest[-1] != "/" and "\0" not in rest:
            return address
        fault = (
            f"after unix:// comes a socket's path, which begins with / and has at most {LONGEST_SOCKET} bytes"
        )
    else:
        fault = "it must be on this machine, to share the workspace"
    raise CannotStart(
        f"the Docker Engine at {address} cannot be used: {fault}; set DOCKER_HOST to unix:///path or"
        " tcp://localhost:port"
    )


def choice(environ: Mapping[str, str]) -> Choice:
    """As an environment says."""
    config = environ.get("DOCKER_CONFIG", "")
    return Choice(
        environ.get("DOCKER_HOST", ""),
        environ.get("DOCKER_CONTEXT", ""),
        Path(config) if config else None,
        environ,
    )
