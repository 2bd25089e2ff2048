"""Whether the Docker Engine answers: found as the docker command finds it, asked by one plain request."""

from __future__ import annotations

import hashlib
import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from runner_agent.cli.finding import Finding, ok, remark

USUAL = "unix:///var/run/docker.sock"
PATIENCE = 2.0
"""Seconds for an answer."""
_CHECK = "docker"
_NEED = "only needed for `runsOn.docker`"


@dataclass(frozen=True, slots=True)
class Choice:
    """DOCKER_HOST and DOCKER_CONTEXT, "" for unset."""

    host: str
    context: str


def engine(choice: Choice) -> Finding:
    """Reachable or not."""
    address = choice.host or _of_context(choice.context) or USUAL
    if address.startswith("ssh:"):
        return remark(_CHECK, f"{address}: not asked", f"{_NEED}; over ssh only the docker command can ask")
    try:
        status, version = _ping(address)
    except PermissionError:
        return remark(
            _CHECK, f"{address}: permission denied", f"{_NEED}; add this user to the group of the socket"
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error) or "no answer"
        return remark(_CHECK, f"{address}: {reason.lower()}", f"{_NEED}; start Docker or set DOCKER_HOST")
    if status != 200:
        return remark(_CHECK, f"{address}: status {status}", f"{_NEED}; look at the Engine's own log")
    return ok(_CHECK, f"{address}, API {version}")


def _of_context(name: str) -> str:
    """The address of the docker command's context, "" for the default one or an unreadable one."""
    home = Path.home() / ".docker"
    try:
        if not name:
            told = cast("dict[str, object]", json.loads((home / "config.json").read_text(encoding="utf-8")))
            name = str(told.get("currentContext", ""))
        if name in {"", "default"}:
            return ""
        folder = hashlib.sha256(name.encode()).hexdigest()
        meta = json.loads((home / "contexts/meta" / folder / "meta.json").read_text(encoding="utf-8"))
        return str(meta["Endpoints"]["docker"]["Host"])
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):
        return ""


def _ping(address: str) -> tuple[int, str]:
    """The status and the API's version. Raises OSError, ValueError."""
    with _connected(address) as connection:
        connection.sendall(b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n")
        answer = b""
        while b"\r\n\r\n" not in answer and len(answer) < 65536 and (part := connection.recv(4096)):
            answer += part
    head, *headers = answer.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    fields = head.split()
    if len(fields) < 2 or not fields[0].startswith("HTTP/") or not fields[1].isdigit():
        raise ValueError("what answers there does not speak HTTP")
    versions = [line.partition(":")[2].strip() for line in headers if line.lower().startswith("api-version:")]
    return int(fields[1]), versions[0] if versions else "unknown"


def _connected(address: str) -> socket.socket:
    kind, _, rest = address.partition("://")
    if kind == "unix":
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(PATIENCE)
        try:
            connection.connect(rest)
        except OSError:
            connection.close()
            raise
        return connection
    host, _, port = rest.rstrip("/").rpartition(":")
    if kind not in {"tcp", "http"} or not port.isdigit():
        raise ValueError("not an address that can be asked")
    return socket.create_connection((host.strip("[]"), int(port)), PATIENCE)
