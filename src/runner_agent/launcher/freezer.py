"""Frozen processes: with cgroups of version 1 a SIGKILL waits for the thaw, however long that takes.

So who is to die is taken out of the freezer; the others in there stay frozen. Version 2 lets the frozen die.
"""

import os


def frozen(pid: int) -> bool:
    """Is its cgroup frozen, of either version?"""
    return _first_frozen(pid) != "" or _frozen_v2(pid)


def release(pid: int) -> None:
    """Have a process that was sent SIGKILL die of it, if a freezer of version 1 keeps it from that."""
    path = _first_frozen(pid)
    while path and _state(path) != b"THAWED":  # that of the hierarchy's root is none
        path = os.path.dirname(path)
        if not os.path.exists(f"{path}/freezer.state"):
            break
    if path:
        try:
            with open(f"{path}/cgroup.procs", "wb", buffering=0) as file:
                file.write(b"%d" % pid)
        except OSError:  # gone, or not for us: then whoever froze it must be asked
            pass


def release_all(pid: int) -> None:
    """The same for all that are frozen together with it."""
    top = _first_frozen(pid)
    if top:
        for folder, _, _ in os.walk(top):
            for one in _read(f"{folder}/cgroup.procs").split():
                release(int(one))


def _first_frozen(pid: int) -> str:
    """The folder of its version 1 freezer, if that is frozen; else ""."""
    for line in _read(f"/proc/{pid}/cgroup").decode("utf-8", "surrogateescape").splitlines():
        _, kinds, path = line.split(":", 2)
        if "freezer" in kinds.split(",") and path != "/":
            place = _mounted("cgroup", "freezer") + path
            return place if _state(place) in (b"FROZEN", b"FREEZING") else ""
    return ""


def _frozen_v2(pid: int) -> bool:
    for line in _read(f"/proc/{pid}/cgroup").decode("utf-8", "surrogateescape").splitlines():
        if line.startswith("0::"):
            return b"frozen 1" in _read(f"{_mounted('cgroup2', '')}{line[3:]}/cgroup.events")
    return False


def _state(folder: str) -> bytes:
    return _read(f"{folder}/freezer.state").strip()


def _mounted(kind: str, controller: str) -> str:
    """Where the hierarchy is mounted whole; a path that does not exist if it is not."""
    for line in _read("/proc/self/mountinfo").decode("utf-8", "surrogateescape").splitlines():
        fields, _, rest = line.partition(" - ")
        options = rest.split()
        whole = options[0] == kind and fields.split()[3] == "/"
        if whole and (not controller or controller in options[2].split(",")):
            return fields.split()[4]
    return "/dev/null"


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
