"""Processes as /proc shows them: who descends from whom, and signals that reach only who was meant."""

import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator


class Proc:
    """One process at one moment.

    `start` (clock ticks since boot) tells it from a later one with the same number.
    """

    __slots__ = ("command", "group", "parent", "pid", "start", "state", "threads")

    def __init__(self, pid: int, stat: bytes) -> None:
        """Parses /proc/PID/stat; the command may hold spaces and parentheses.

        Raises IndexError or ValueError.
        """
        head, _, tail = stat.rpartition(b") ")
        fields = tail.split()
        self.pid = pid
        self.command = head.partition(b"(")[2].decode("utf-8", "replace")
        self.state = fields[0].decode()
        self.parent = int(fields[1])
        self.group = int(fields[2])
        self.threads = int(fields[17])
        self.start = int(fields[19])

    @property
    def zombie(self) -> bool:
        """Dead, and not yet reaped."""
        return self.state in "ZX"


def _read(path: str) -> bytes:
    """A file of /proc; b"" when the process is gone."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        parts: list[bytes] = []
        while part := os.read(file, 65536):
            parts.append(part)
        return b"".join(parts)
    except OSError:
        return b""
    finally:
        os.close(file)


def look(pid: int) -> Proc | None:
    """The process with this number now, zombies included."""
    try:
        return Proc(pid, _read(f"/proc/{pid}/stat"))
    except (IndexError, ValueError):
        return None


def start_of(pid: int) -> int:
    """Start time of a process that is there for certain, such as a child not yet reaped.

    As `look`, on fewer pages.
    """
    file = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    stat = os.read(file, 1024)
    os.close(file)
    return int(stat[stat.rindex(b")") + 2 :].split(b" ", 20)[19])


def boot_mark() -> str:
    """Names this boot: the kernel's boot id and the start of PID 1 (containers have their host's boot id)."""
    init = look(1)
    return f"{_read('/proc/sys/kernel/random/boot_id').decode().strip()}/{init.start if init else 0}"


def everyone() -> "Iterator[Proc]":
    """All processes this one can see."""
    for name in os.listdir("/proc"):
        if name.isdigit() and (proc := look(int(name))):
            yield proc


def _children(pid: int, threads: int) -> "Iterable[int]":
    """Numbers of the children.

    The list may lack some while they come and go: callers look until they find none.
    """
    if not _LISTED:  # a kernel without CONFIG_PROC_CHILDREN
        return [proc.pid for proc in everyone() if proc.parent == pid]
    tasks = [str(pid)]
    if threads > 1:
        try:
            tasks = os.listdir(f"/proc/{pid}/task")
        except OSError:
            return []
    return [int(child) for task in tasks for child in _read(f"/proc/{pid}/task/{task}/children").split()]


_LISTED = os.access(f"/proc/{os.getpid()}/task/{os.getpid()}/children", os.R_OK)


def descendants(root: int, spare: "Container[int]" = ()) -> list[Proc]:
    """The subtree below `root`, parents first, less the subtrees of `spare`."""
    top = look(root)
    if top is None:
        return []
    found: list[Proc] = []
    members = {root}
    todo = [top]
    while todo:
        parent = todo.pop()
        for pid in _children(parent.pid, parent.threads):
            # Whoever's parent died meanwhile has been given to another member; a stranger with a reused
            # number has not.
            if pid not in spare and pid not in members and (proc := look(pid)) and proc.parent in members:
                members.add(pid)
                found.append(proc)
                todo.append(proc)
    return found


def send(pid: int, start: int, number: int) -> bool:
    """Signal the process that has this number and start time; False if it is gone. Raises PermissionError."""
    try:
        pinned = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        proc = look(pid)
        if proc is None or proc.start != start:  # looked at while pinned: the same process before and after
            return False
        signal.pidfd_send_signal(pinned, number)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(pinned)


def send_all(procs: "Iterable[Proc]", *numbers: int) -> None:
    """Each signal to each live process; those we may not signal (a setuid program) are passed over."""
    for proc in procs:
        for number in numbers:
            if not proc.zombie:
                try:
                    send(proc.pid, proc.start, number)
                except PermissionError:
                    pass


def kill_round(spare: "Container[int]" = ()) -> list[Proc]:
    """SIGKILL all descendants of this process, less the subtrees of `spare`; returns them.

    Call before reaping.

    Whoever forks faster than we walk falls by its process group: the kernel signals a group as one, forks
    under way included. A zombie child of ours pins the number of its group until we reap it, and groups of
    our subtree hold nobody else.
    """
    me = os.getpid()
    family = descendants(me, spare)
    send_all(family, signal.SIGKILL)
    own = os.getpgid(0)
    for group in {proc.group for proc in family if proc.zombie and proc.parent == me}:
        if group != own and group not in spare and group > 1:
            try:
                os.killpg(group, signal.SIGKILL)
            except OSError:
                pass
    return [proc for proc in family if not proc.zombie]
