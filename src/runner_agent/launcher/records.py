"""What a run leaves in its folder: one record, `spawned`, which says that it exists, and later how it ended.

It is made once, by link(2): by the holder, before it spawns the command, or by a finder as a tombstone.
Whoever comes second sees the first one's. So a run either exists or never will, whichever process died in
between. A second line, added when the command executes, tells the command's pid; a third, how it ended. They
are lines of one file because a file is what costs most: to make one more takes longer than the rest of a
record.
"""

import errno
import json
import os

from runner_agent.launcher.procs import start_of
from runner_agent.launcher.wire import Message, Refused, parse

SPAWNED = "spawned"
ENDED = "ended"
"""The name under which the third line tells of the end."""
OUTCOME = "outcome"
LOST = "supervisor lost"
VERSION = 1
_MOST = 1 << 16


def read(folder: str) -> Message | None:
    """The record, or None if there is none. Raises Refused when it cannot be understood."""
    try:
        file = os.open(f"{folder}/{SPAWNED}", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        lines = os.read(file, _MOST).splitlines(keepends=True)
    finally:
        os.close(file)
    record: Message = {}
    for line in lines:
        if line.endswith(b"\n"):  # else still being written, or cut short by a full disk
            record |= parse(line)
    if record.get("v") != VERSION:
        raise Refused("version", f"{folder}/{SPAWNED} is of version {record.get('v')!r}; this is {VERSION}")
    return record


def handle(folder: str) -> Message | None:
    """As `read`, less the end: what was known of the run as soon as it was there."""
    record = read(folder)
    if record is not None:
        record.pop(ENDED, None)
    return record


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


def add(claimed: int, rest: bytes) -> bool:
    """Add a line, less its first brace, whole or not at all; False if the disk does not take it.

    Not synced: no run outlives a power loss. Without the second line the record says enough to signal and
    await the run.
    """
    line = b"{%b\n" % rest
    try:
        written = os.write(claimed, line)
        if written == len(line):
            return True
        os.ftruncate(claimed, os.lseek(claimed, 0, os.SEEK_CUR) - written)
    except OSError:
        pass
    return False


def end(claimed: int, ended: Message) -> bool:
    """Add how it ended, as `add` does."""
    return add(claimed, json.dumps({ENDED: ended}).encode()[1:])


def outcome(folder: str) -> Message:
    """How a tended run ended, as its leader told before it died; {} if it could not."""
    try:
        with open(f"{folder}/{OUTCOME}", "rb") as file:
            return parse(file.read())
    except (OSError, Refused):
        return {}


def _make(path: str, body: bytes) -> int:
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
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
    first = handle(folder)
    return None if first is None or first.get("void") else first


def clear(folder: str) -> None:
    """Remove a folder with what a run leaves in it; nothing if it is not there. Raises OSError."""
    try:
        for name in os.listdir(folder):
            os.unlink(f"{folder}/{name}")
        os.rmdir(folder)
    except FileNotFoundError:
        pass


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
