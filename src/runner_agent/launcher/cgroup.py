"""A run's own cgroup (version 2), where one can be made: nothing forked in it gets away.

The holder stays outside.
"""

import os


def make(path: str, limits: "dict[str, str]") -> bool:
    """Create it in a parent that exists, with what to write to which of its files.

    False if that is not possible here; then the subtree walk must do. A limit whose controller is missing is
    none: whoever ordered it knows.
    """
    try:
        if not os.path.isdir(path):
            os.mkdir(path, 0o755)
        if not os.access(f"{path}/cgroup.kill", os.W_OK):
            return False
    except OSError:
        return False
    for name, value in limits.items():
        try:
            _put(f"{path}/{name}", value.encode())
        except OSError:
            pass
    return True


def kill(path: str) -> None:
    """SIGKILL to everything in it, forks under way included."""
    try:
        _put(f"{path}/cgroup.kill", b"1")
    except OSError:
        pass


def populated(path: str) -> bool:
    """Is a process, zombies aside, left in it or below it?"""
    return b"populated 1" in _get(f"{path}/cgroup.events")


def verdict(path: str) -> str:
    """Which limit the kernel has held against it, in words; "" if none, or if nobody counts."""
    memory = counts(f"{path}/memory.events")
    if memory.get("oom_kill"):
        own = number(f"{path}/memory.max") if memory.get("oom") else 0
        return f"out of memory, limit {_size(own)}" if own else "out of memory"
    if counts(f"{path}/pids.events").get("max"):
        most = number(f"{path}/pids.max")
        return f"more processes than its limit of {most}" if most else "more processes than allowed"
    return ""


def counts(path: str) -> "dict[str, int]":
    """A file of names and numbers; empty if it is not there."""
    pairs = [line.split() for line in _get(path).decode().splitlines()]
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}


def number(path: str) -> int:
    """A file of one number; 0 for `max`, or if it is not there."""
    text = _get(path).strip()
    return int(text) if text.isdigit() else 0


def _size(count: int) -> str:
    """`512 MiB`: in the largest unit that leaves it whole, as somebody wrote it."""
    for shift, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if count and count % (1 << shift) == 0:
            return f"{count >> shift} {unit}"
    return f"{count} bytes"


def remove(path: str) -> bool:
    """Take it away with all below it; False while something is in it."""
    for folder, _, _ in os.walk(path, topdown=False):
        try:
            os.rmdir(folder)
        except FileNotFoundError:
            pass
        except OSError:
            return False
    return True


def members(path: str) -> list[int]:
    """The numbers of the processes in it and below it."""
    return [int(pid) for folder, _, _ in os.walk(path) for pid in _get(f"{folder}/cgroup.procs").split()]


def _get(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except OSError:
        return b""


def _put(path: str, data: bytes) -> None:
    with open(path, "wb", buffering=0) as file:
        file.write(data)
