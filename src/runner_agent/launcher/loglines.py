"""The agent's own lines in a run's log: each a line of its own, whatever the command left unfinished."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner_agent.launcher.procs import Proc

MARK = "runner-agent: "
_NAMED = 20


def open_log(path: str, uid: int | None, gid: int | None) -> int:
    """The log for appending, made if need be, readable for its owner only. Raises OSError.

    It belongs to the user the command runs as, who may look at what it wrote.
    """
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY, 0o600)
    if uid is not None and gid is not None:
        try:
            os.fchown(log, uid, gid)
        except OSError:
            pass
    return log


def line(text: str) -> bytes:
    """A text as a line of ours; b"" for none."""
    return f"{MARK}{' '.join(text.splitlines())}\n".encode("utf-8", "replace") if text else b""


def write(log: int, lines: bytes) -> bool:
    """Add lines of ours, whole or not at all. False if they cannot be written."""
    try:
        end = os.lseek(log, 0, os.SEEK_END)
        made = lines if end == 0 or _at_line_start(log, end) else b"\n" + lines
        if os.write(log, made) == len(made):
            return True
        os.ftruncate(log, end)
    except OSError:
        pass
    return False


def _at_line_start(log: int, end: int) -> bool:
    file = os.open(f"/proc/self/fd/{log}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(file, 1, end - 1) == b"\n"
    finally:
        os.close(file)


def named(procs: "Sequence[Proc]") -> str:
    """`2 processes: 12 (node), 14 (sleep)`. Names only: arguments may hold secrets."""
    shown = ", ".join(f"{proc.pid} ({_plain(proc.command)})" for proc in procs[:_NAMED])
    more = f" and {len(procs) - _NAMED} more" if len(procs) > _NAMED else ""
    return f"{len(procs)} process{'' if len(procs) == 1 else 'es'}: {shown}{more}"


def _plain(command: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in command)
