"""What a run leaves in its folder: `spawned` (it exists), `ended` (how), `latch` (is that due yet).

`spawned` is made once, by link(2): by the holder, before it spawns the command, or by a finder as a
tombstone. Whoever comes second sees the first one's. So a run either exists or never will, whichever process
died in between. A second line of it, added when the command executes, tells the command's pid. `latch` is a
FIFO whose write end the holder drops when `ended` is there: readers wait on it and need not poll.
"""

import errno
import json
import os

from runner_agent.launcher.procs import start_of
from runner_agent.launcher.wire import Message, Refused, parse

SPAWNED = "spawned"
ENDED = "ended"
LATCH = "latch"
VERSION = 1


def read(folder: str, name: str) -> Message | None:
    """The record, or None if there is none. Raises Refused when it cannot be understood."""
    try:
        with open(f"{folder}/{name}", "rb") as file:
            lines = file.read().splitlines(keepends=True)
    except (FileNotFoundError, NotADirectoryError):
        return None
    record: Message = {}
    for line in lines:
        if line.endswith(b"\n"):  # else still being written, or cut short by a full disk
            record |= parse(line)
    if record.get("v") != VERSION:
        raise Refused("version", f"{folder}/{name} is of version {record.get('v')!r}; this is {VERSION}")
    return record


def open_latch(folder: str) -> int:
    """Make the latch and hold its write end. Raises OSError."""
    path = f"{folder}/{LATCH}"
    try:
        os.mkfifo(path, 0o600)
    except FileExistsError:
        pass
    return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


def write(folder: str, name: str, record: Message) -> None:
    """Make or replace the record, whole or not at all.

    Not synced: no run outlives a power loss. Raises OSError.
    """
    temporary = f"{folder}/.{name}.{os.getpid()}"
    try:
        os.close(_make(temporary, json.dumps(record).encode()))
        os.rename(temporary, f"{folder}/{name}")
    except OSError:
        _remove(temporary)
        raise


def opening(run_id: str, folder: str, cgroup: str, boot: str) -> bytes:
    """The `spawned` record as far as it is known before there is a holder, who adds its part.

    Built early and by hand, for what the holder itself does costs pages of its own (see system).
    """
    known = {"v": VERSION, "run_id": run_id, "dir": folder, "cgroup": cgroup, "boot": boot}
    return json.dumps(known).encode()[:-1]


def holder_part(pid: int) -> bytes:
    """What the holder adds to that, as soon as it lives."""
    return b',"holder_pid":%d,"holder_start":%d' % (pid, start_of(pid))


def claim(folder: str, record: bytes) -> int:
    """Make `spawned` of a record less its last brace, open for `add`; -1 if somebody was first."""
    temporary = f"{folder}/.{SPAWNED}.{os.getpid()}"
    made = -1
    try:
        made = _make(temporary, record + b"}")
        os.link(temporary, f"{folder}/{SPAWNED}")
    except OSError as error:
        if made >= 0:
            os.close(made)
        if isinstance(error, FileExistsError):
            return -1
        raise
    finally:
        _remove(temporary)
    return made


def add(claimed: int, rest: bytes) -> None:
    """Add a line, less its first brace. The record says enough without it to signal and await the run."""
    try:
        os.write(claimed, b"{%b\n" % rest)
    except OSError:
        pass
    os.close(claimed)


def _make(path: str, body: bytes) -> int:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        if os.write(file, body + b"\n") <= len(body):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
    except OSError:
        os.close(file)
        raise
    return file


def tombstone(folder: str, run_id: str) -> Message | None:
    """Make sure that the run never comes to be; returns its record if it is there already.

    Raises OSError, Refused.
    """
    try:
        made = claim(folder, json.dumps({"v": VERSION, "run_id": run_id, "void": 1}).encode()[:-1])
        if made >= 0:
            os.close(made)
            return None
    except FileNotFoundError:  # no folder: no holder can claim it either
        return None
    first = read(folder, SPAWNED)
    return None if first is None or first.get("void") else first


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
