"""The state directory: made, held by one agent only, and small files in it written so that nobody ever reads
half of one.
"""

import errno
import fcntl
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from runner_agent.model.errors import StoreUnusable

LOCK, AGENT_FILE, TOKEN, DATABASE, LOGS, RUNS, OUTPUTS, SIGNED_OUT, NOT_RELOADED = (
    "agent.lock",
    "agent.json",
    "token",
    "agent.db",
    "logs",
    "runs",
    "outputs",
    "signed-out",
    "not-reloaded",
)
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def make_state_dir(path: Path) -> None:
    """Make it if need be. Runs of other users pass through it to their output files, but cannot list it.
    Raises StoreUnusable.
    """
    try:
        path.mkdir(mode=0o711, parents=True, exist_ok=True)
        probe = path / f".write-test.{os.getpid()}"
        probe.touch(mode=0o600)
        probe.unlink()
    except OSError as error:
        if error.errno in _FULL and path.is_dir():  # an agent is needed all the same, to stop what runs
            return
        why = "it is no directory" if isinstance(error, FileExistsError) else error.strerror
        raise StoreUnusable(
            f"the state directory {path} cannot be written ({why}); "
            f"make it writable for uid {os.getuid()}, or name another one with --state-dir"
        ) from None


class StateLock:
    """One agent per state directory. The lock dies with its process, so a killed agent leaves none behind."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / LOCK
        self._fd = -1

    def acquire(self) -> None:
        """Raises StoreUnusable naming the agent that holds it."""
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnusable(
                f"{self._path} cannot be opened ({error.strerror}): it may belong to another user's agent; "
                "name another --state-dir"
            ) from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(fd)
            raise StoreUnusable(
                f"an agent is already running on {self._path.parent}, pid {pid}; "
                "stop it first, or name another --state-dir"
            ) from None
        self._fd = fd
        with suppress(OSError):  # the number is for messages; a full disk does not take the lock away
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """A second time does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def write_atomically(path: Path, text: str, *, mode: int) -> None:
    """Replace a small file: whole, with this mode from the first moment, and on disk. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with suppress(FileNotFoundError):
        temporary.unlink()
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def write_agent_file(state_dir: Path, addresses: Sequence[str], environment_id: str, version: str) -> None:
    """STATE/agent.json: where clients find this agent. Written when it is ready."""
    with suppress(OSError):
        (state_dir / NOT_RELOADED).unlink()
    content = {
        "pid": os.getpid(),
        "addresses": list(addresses),
        "environmentId": environment_id,
        "version": version,
    }
    write_atomically(state_dir / AGENT_FILE, json.dumps(content) + "\n", mode=0o644)


def write_not_reloaded(state_dir: Path, reason: str) -> None:
    """STATE/not-reloaded: what `systemctl reload` fails with (systemd/reload waits for it)."""
    with suppress(OSError):  # the log says it, too
        write_atomically(state_dir / NOT_RELOADED, f"{reason}\n", mode=0o600)


def remove_agent_file(state_dir: Path) -> None:
    """There is no agent any more."""
    with suppress(OSError):
        (state_dir / AGENT_FILE).unlink()
