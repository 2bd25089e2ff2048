"""What a command tries against the agent that runs it as another user; prints one JSON object of outcomes.

    python3 run_as_probe.py FACTS      a JSON file: pids, state, socket, secret, ...

Standard library only: it runs as that user, with whatever Python the machine has. An outcome is "denied", or
what could be done.
"""

from __future__ import annotations

import ctypes
import http.client
import json
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LIBC = ctypes.CDLL(None, use_errno=True)
PTRACE_ATTACH, PIDFD_GETFD = 16, 438
READABLE = ("environ", "mem", "maps", "auxv", "syscall", "fd", "root", "cwd", "exe", "io", "stack")


def tried(attempt: Callable[[], object]) -> str:
    """`denied`, or what it gave."""
    try:
        return f"done: {attempt()!r}"[:200]
    except (PermissionError, FileNotFoundError) as error:
        return "denied" if isinstance(error, PermissionError) else "not there"
    except OSError as error:
        return f"failed: {error}"


def look_into(pid: int, name: str) -> object:
    """As much as shows that it can be read."""
    path = f"/proc/{pid}/{name}"
    if name == "fd":
        return [str(each.readlink()) for each in Path(path).iterdir()]
    if name in ("root", "cwd", "exe"):
        return str(Path(path).readlink())
    with Path(path).open("rb", buffering=0) as file:
        return file.read(64)


def checked(result: int) -> int:
    """Raises OSError for what a system call refuses."""
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def take_descriptor(pid: int) -> int:
    """Somebody else's standard output."""
    pinned = os.pidfd_open(pid)
    try:
        return checked(LIBC.syscall(PIDFD_GETFD, pinned, 1, 0))
    finally:
        os.close(pinned)


def write(path: str) -> str:
    """Add to it, or make it."""
    with Path(path).open("a", encoding="utf-8") as file:
        file.write("x")
    return "written"


def of_processes(pids: dict[str, int]) -> dict[str, str]:
    """The agent's, the launcher's, holders of other runs and its own."""
    found: dict[str, str] = {}
    for name, pid in pids.items():
        found[f"signal {name}"] = tried(lambda pid=pid: os.kill(pid, 0))  # type: ignore[misc]
        found[f"ptrace {name}"] = tried(lambda pid=pid: checked(LIBC.ptrace(PTRACE_ATTACH, pid, 0, 0)))  # type: ignore[misc]
        found[f"descriptor of {name}"] = tried(lambda pid=pid: take_descriptor(pid))  # type: ignore[misc]
        for entry in READABLE:
            found[f"{entry} of {name}"] = tried(lambda pid=pid, entry=entry: look_into(pid, entry))  # type: ignore[misc]
    return found


def of_files(state: Path, secret: str, own_run: str) -> dict[str, str]:
    """All that the agent keeps."""
    found = {"list the state directory": tried(lambda: list(state.iterdir()))}
    for name in ("logs", "runs", "outputs", f"runs/{own_run}"):
        found[f"list {name}"] = tried(lambda name=name: list((state / name).iterdir()))  # type: ignore[misc]
    files = (
        "token",
        "agent.db",
        "agent.db-wal",
        "agent.db-shm",
        "agent.lock",
        "launcher.log",
        "launcher.lock",
    )
    for name in (*files, f"runs/{own_run}/spawned"):
        found[f"read {name}"] = tried(lambda name=name: (state / name).read_bytes()[:40])  # type: ignore[misc]
        found[f"write {name}"] = tried(lambda name=name: write(str(state / name)))  # type: ignore[misc]
    for name in (
        "planted",
        "bin/planted",
        "runs/planted",
        "logs/planted",
        "outputs/planted",
        "bin/gitpod",
        "agent.json",
    ):
        found[f"write {name}"] = tried(lambda name=name: write(str(state / name)))  # type: ignore[misc]
    for name in ("api.sock", "agent.json", "token", "bin"):
        found[f"move {name}"] = tried(lambda name=name: (state / name).rename(state / f"{name}.moved"))  # type: ignore[misc]
    found["read the secret"] = tried(lambda: Path(secret).read_text(encoding="utf-8"))
    found["connect to the launcher"] = tried(lambda: connect(str(state / "launcher.sock")))
    return found


def connect(path: str) -> str:
    """To a unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.connect(path)
    return "connected"


def ask(path: str, method: str, message: dict[str, object]) -> str:
    """What the agent answers, errors included."""
    connection = http.client.HTTPConnection("localhost", timeout=60)
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.sock.connect(path)
    body = json.dumps(message)
    connection.request(
        "POST", f"/runner_agent.v1.RunnerAgentService/{method}", body, {"content-type": "application/json"}
    )
    answer = connection.getresponse()
    return f"{answer.status} {answer.read().decode()}"


def of_itself() -> dict[str, object]:
    """What it was started with."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    status = dict(line.split(":", 1) for line in lines)
    names = (
        "Uid",
        "Gid",
        "Groups",
        "Umask",
        "NoNewPrivs",
        "CapInh",
        "CapPrm",
        "CapEff",
        "CapBnd",
        "CapAmb",
        "Seccomp",
    )
    shown: dict[str, object] = {name: status[name].split() for name in names if name in status}
    return shown | {
        "limits": Path("/proc/self/limits").read_text(encoding="utf-8"),
        "oom_score_adj": Path("/proc/self/oom_score_adj").read_text(encoding="utf-8").strip(),
        "oom lowered": tried(lambda: Path("/proc/self/oom_score_adj").write_text("-500", encoding="utf-8")),
        "environment": dict(os.environ),
        "descriptors": sorted(int(each.name) for each in Path("/proc/self/fd").iterdir()),
    }


def main() -> None:
    """All of it."""
    facts = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    link = Path("linked.yaml")
    if not link.is_symlink():
        link.symlink_to(facts["private"])
    told = {
        "itself": of_itself(),
        "attempts": of_processes(facts["pids"])
        | of_files(Path(facts["state"]), facts["secret"], os.environ["RUNNER_AGENT_RUN_ID"]),
        "agent": ask(os.environ["RUNNER_AGENT_SOCKET"], "GetAgent", {}),
        "through a link": ask(
            os.environ["RUNNER_AGENT_SOCKET"], "SetAutomationsFile", {"path": str(link.absolute())}
        ),
        "by name": ask(os.environ["RUNNER_AGENT_SOCKET"], "SetAutomationsFile", {"path": facts["private"]}),
    }
    Path("told.json").write_text(json.dumps(told), encoding="utf-8")


main()
