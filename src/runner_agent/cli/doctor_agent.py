"""What `doctor` looks at of the agent: its directory and disk, its lock and socket, itself, and its file."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from runner_agent.cli.figures import show_bytes
from runner_agent.cli.finding import Finding, broken, ok, remark
from runner_agent.client.addresses import UnixAddress, find_agent, read_agent_file

if TYPE_CHECKING:
    from runner_agent.client.agent_messages import AgentInfo
    from runner_agent.daemon.settings import Settings

Look = Callable[[], Finding]

LITTLE_SPACE, NO_SPACE = 1 << 30, 64 << 20
PATIENCE = 3.0
"""Seconds the agent has to answer."""


def looks(settings: Settings) -> Sequence[Look]:
    """In the order to be told."""
    state = settings.state_dir
    return [
        partial(_state, state),
        partial(_disk, state),
        partial(_holes, state),
        partial(_agent, state),
        partial(_socket, state),
        partial(_file, settings),
    ]


def _nearest(path: Path) -> Path:
    """The first of it and its parents that exists."""
    return next(each for each in (path, *path.parents) if each.exists())


def _state(state: Path) -> Finding:
    there = _nearest(state)
    if not there.is_dir():
        return broken("state", f"{there} is not a directory", "name another one with --state-dir")
    if there == state and _of_another(state):
        return ok("state", f"{state}, of uid {state.stat().st_uid}, whose agent answers")
    if not os.access(there, os.W_OK | os.X_OK):
        return broken(
            "state",
            f"{state}: not writable for uid {os.getuid()}",
            "make it writable, run as its owner, or name another one with --state-dir",
        )
    if there != state:
        return ok("state", f"{state}, will be made")
    mode = stat.S_IMODE(state.stat().st_mode)
    if mode & 0o022:
        return broken("state", f"{state} has mode {mode:03o}", f"close it to others: chmod go-w {state}")
    return ok("state", f"{state}, mode {mode:03o}")


def _of_another(state: Path) -> bool:
    """A system's agent, which others may use: its state is not theirs to write."""
    return state.stat().st_uid != os.getuid() and bool(running(None, state))


def _disk(state: Path) -> Finding:
    disk = os.statvfs(_nearest(state))
    free = disk.f_bavail * disk.f_frsize
    told = f"{show_bytes(free)} free"
    if disk.f_files and not disk.f_favail:
        return broken("disk", "no inodes free", "delete files, or name another --state-dir")
    if free < NO_SPACE:
        return broken("disk", told, "free some: wishes cannot be kept on a full disk")
    if free < LITTLE_SPACE:
        return remark("disk", told, "logs may take 64 MiB for each service and step")
    return ok("disk", told)


def _holes(state: Path) -> Finding:
    import tempfile

    from runner_agent.logs.holes import GRAIN, UNSUPPORTED, first_kept, punch

    there = _nearest(state)
    if not os.access(there, os.W_OK):
        return remark("log cap", f"{there} is not ours to try", "ask as its owner: sudo runner-agent doctor")
    with tempfile.TemporaryFile(dir=there) as file:
        file.write(b"x" * (2 * GRAIN))
        file.flush()
        try:
            punch(file.fileno(), GRAIN)
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
            return remark(
                "log cap",
                "this filesystem cannot punch holes",
                "logs are not capped here: put the state directory on ext4, xfs, btrfs or tmpfs",
            )
        if first_kept(file.fileno()) != GRAIN:
            return remark("log cap", "this filesystem forgets holes", "logs may keep more than their cap")
    return ok("log cap", "old log lines can be given back to the disk")


def running(address: str | None, state: Path | None) -> AgentInfo:
    """The agent that a command would talk to, if it answers and is on this machine; else nothing of it."""
    from runner_agent.client.agent import Agent
    from runner_agent.client.errors import ClientError
    from runner_agent.client.transport import Transport

    nothing: AgentInfo = {}
    try:
        info = Agent(Transport(find_agent(address, state), PATIENCE)).get_agent()
    except ClientError:
        return nothing
    return info if Path(info.get("stateDir", "/nowhere")).is_dir() else nothing


def _ask(state: Path) -> AgentInfo:
    """Raises ClientError."""
    from runner_agent.client.agent import Agent
    from runner_agent.client.transport import Transport

    return Agent(Transport(find_agent(state_dir=state), PATIENCE)).get_agent()


def _agent(state: Path) -> Finding:
    from runner_agent import __version__
    from runner_agent.client.errors import AgentUnreachable, ClientError

    try:
        info = _ask(state)
    except AgentUnreachable as error:
        return _silent(state, str(error))
    except ClientError as error:
        return broken("agent", str(error), "use the agent's own user, or RUNNER_AGENT_TOKEN")
    told = f"version {info.get('version', '')}, pid {info.get('pid', '')}"
    if info.get("version") != __version__:
        return remark("agent", told, f"restart it to have version {__version__}; what runs goes on")
    return ok("agent", told)


def _silent(state: Path, reason: str) -> Finding:
    holder = _lock_holder(state / "agent.lock")
    if holder:
        found = f"pid {holder} holds {state / 'agent.lock'} and does not answer: {reason}"
        return broken("agent", found, "wait if it has just been started; else end that process")
    killed = "; the last one was killed" if read_agent_file(state) is not None else ""
    return remark("agent", f"not running{killed}", "start it: `runner-agent up`, or `serve`")


def _lock_holder(path: Path) -> str:
    """The pid in a lock that is held, "" for one that is free."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
    finally:
        os.close(fd)
    return ""


def _socket(state: Path) -> Finding:
    found = read_agent_file(state)
    paths = [Path(each.path) for each in found.addresses if isinstance(each, UnixAddress)] if found else []
    if not paths:
        return ok("socket", "none yet")
    path = paths[0]
    if not path.exists():
        return remark("socket", f"{path} is gone", "restart the agent: something has removed it")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        return broken("socket", f"{path} has mode {mode:03o}", f"chmod 600 {path}")
    return ok("socket", f"{path}, mode {mode:03o}")


def _file(settings: Settings) -> Finding:
    from runner_agent.control.automations import find_default, passed_over, read_file
    from runner_agent.control.file_errors import FileErrors

    path = settings.automations or find_default(settings.workspace)
    if path is None:
        return remark(
            "automations", f"no file in {settings.workspace}", "write one: `runner-agent automations init`"
        )
    try:
        found = read_file(path)
    except FileErrors as faults:
        return broken(
            "automations",
            f"{path}: {len(faults.errors)} error{'s' if len(faults.errors) != 1 else ''}",
            f"runner-agent automations validate {path}",
        )
    told = f"{path}: services: {len(found.services)}, tasks: {len(found.tasks)}"
    warning = "" if settings.automations else passed_over(settings.workspace)
    return remark("automations", told, warning) if warning else ok("automations", told)
