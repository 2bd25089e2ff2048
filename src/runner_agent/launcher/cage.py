"""All processes of one run inside a container that is not the run's: nothing of it gets away.

In a cgroup of its own below the container's, where one can be made; else they are known by the run's id in
their environment, and by descent.
"""

import os
import signal

from runner_agent.launcher import cgroup, freezer, procs

NAME = "runner-agent-"


class Cage:
    """Made around the run's first process, before that may go on."""

    def __init__(self, run_id: str, path: str = "") -> None:
        """`path`: the cgroup, where it is made already."""
        self.run_id = run_id
        self.path = path

    def close_around(self, pid: int) -> None:
        """Move the process into a cgroup of its own, if that can be."""
        above = _cgroup_of(pid)
        path = f"{above}/{NAME}{self.run_id}"
        if not above or not cgroup.make(path, {}):
            return
        try:
            with open(f"{path}/cgroup.procs", "wb", buffering=0) as file:
                file.write(b"%d" % pid)
            self.path = path
        except OSError:
            cgroup.remove(path)

    def members(self) -> "list[procs.Proc]":
        """Those that live now."""
        if self.path:
            found = [procs.look(pid) for pid in cgroup.members(self.path) if pid]
            return [proc for proc in found if proc is not None and not proc.zombie]
        mark = f"RUNNER_AGENT_RUN_ID={self.run_id}".encode()
        kin = _kin()
        everyone = {proc.pid: proc for proc in procs.everyone() if proc.pid not in kin}
        marked = {pid for pid in everyone if _carries(pid, mark)}
        while more := {pid for pid, proc in everyone.items() if proc.parent in marked} - marked:
            marked |= more
        return [proc for pid, proc in everyone.items() if pid in marked and not proc.zombie]

    def empty(self) -> bool:
        """Is none left?"""
        return not cgroup.populated(self.path) if self.path else not self.members()

    def kill(self) -> None:
        """SIGKILL to all, frozen or not; look again whether there are any."""
        if self.path:
            cgroup.kill(self.path)
        else:
            procs.send_all(self.members(), signal.SIGKILL)
        for proc in self.members():
            freezer.release(proc.pid)

    def open_events(self) -> int:
        """A descriptor that poll has something exceptional to tell of when the last goes; -1 for none."""
        try:
            return os.open(f"{self.path}/cgroup.events", os.O_RDONLY | os.O_CLOEXEC) if self.path else -1
        except OSError:
            return -1

    def remove(self) -> None:
        """Take the cgroup away."""
        if self.path:
            cgroup.remove(self.path)


def _cgroup_of(pid: int) -> str:
    """The folder of a process's version 2 cgroup; "" if there is none that we can name."""
    try:
        with open(f"/proc/{pid}/cgroup", "rb") as file:
            lines = file.read().decode("utf-8", "surrogateescape").splitlines()
        with open("/proc/self/mountinfo", "rb") as file:
            mounts = file.read().decode("utf-8", "surrogateescape").splitlines()
    except OSError:
        return ""
    own = next((line[3:] for line in lines if line.startswith("0::")), "")
    if not own.startswith("/") or own == "/" or "/.." in own:
        return ""
    for line in mounts:
        fields, _, rest = line.partition(" - ")
        if rest.startswith("cgroup2 ") and fields.split()[3] == "/":
            return fields.split()[4] + own
    return ""


def _carries(pid: int, mark: bytes) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return mark in file.read().split(b"\0")
    except OSError:
        return False


def _kin() -> set[int]:
    """This process and those it comes from: they carry the run's id too, and are none of it."""
    found: set[int] = set()
    pid = os.getpid()
    while pid > 1 and pid not in found and (proc := procs.look(pid)) is not None:
        found.add(pid)
        pid = proc.parent
    return found
