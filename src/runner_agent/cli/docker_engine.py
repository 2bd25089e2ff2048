"""Whether the Docker Engine answers: found as the docker command finds it, asked by one plain request."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from runner_agent.cli.finding import Finding, broken, ok, remark
from runner_agent.executors.docker_address import Choice
from runner_agent.model.errors import CannotStart

PATIENCE = 2.0
"""Seconds for an answer."""
_CHECK = "docker"
_NEED = "only needed for `runsOn.docker` and the dev container"


def engine(choice: Choice) -> Finding:
    """Reachable or not."""
    try:
        named = choice.named()
    except CannotStart as error:
        return broken(_CHECK, str(error), "until then runs in containers fail; other runs do not need it")
    if named.startswith("ssh:"):
        return remark(_CHECK, f"{named}: not asked", f"{_NEED}; over ssh only the docker command can ask")
    try:
        address = choice.address()
    except CannotStart as error:
        return remark(_CHECK, str(error), _NEED)
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
    if not version:
        what = f"{address}: what answers there is no Docker Engine"
        return remark(_CHECK, what, f"{_NEED}; set DOCKER_HOST to one")
    return ok(_CHECK, f"{address}, API {version}")


def dev_container(choice: Choice, selector: str, workspace: Path) -> Finding:
    """Whether the one that the settings name runs, and can be looked into."""
    from runner_agent.executors.devcontainer_place import Selector
    from runner_agent.executors.devcontainer_watch import Away, Refusal, look

    check = "dev container"
    try:
        found, absence = look(choice.address(), Selector(selector), workspace, choice.environ)
    except (Away, Refusal, CannotStart) as error:
        return remark(check, str(error), "start Docker: until then automations without `runsOn` wait")
    if found is None:
        return remark(check, absence, "start it: until then automations without `runsOn` wait")
    if found.refusal:
        return broken(check, found.refusal, "until then automations without `runsOn` fail")
    if found.warnings:
        return remark(
            check,
            "; ".join(found.warnings),
            "give the agent what `localEnv` names; write the others themselves, or take them out",
        )
    if not os.access(f"/proc/{found.pid}/root", os.R_OK):
        return remark(
            check,
            f"{found.name} runs, and its processes cannot be seen from here",
            "run the agent as root, on the machine that the Docker Engine runs on",
        )
    return ok(check, f"{found.name}, as {found.user or 'root'} in {found.folder}")


def _ping(address: str) -> tuple[int, str]:
    """The status and the API's version, "" if it tells none. Raises OSError, ValueError."""
    with _connected(address) as connection:
        connection.sendall(b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n")
        answer = b""
        end = time.monotonic() + PATIENCE
        while b"\r\n\r\n" not in answer and len(answer) < 65536 and (part := connection.recv(4096)):
            answer += part
            connection.settimeout(max(end - time.monotonic(), 0.001))  # some answer drop by drop
    head, *headers = answer.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    fields = head.split()
    if len(fields) < 2 or not fields[0].startswith("HTTP/") or not fields[1].isdigit():
        raise ValueError("what answers there does not speak HTTP")
    versions = [line.partition(":")[2].strip() for line in headers if line.lower().startswith("api-version:")]
    return int(fields[1]), versions[0] if versions else ""


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
    host, _, port = rest.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), PATIENCE)
