"""A run's own cgroup (version 2), where one can be made: nothing forked in it gets away.

The holder stays outside.
"""

import os


def _home() -> str:
    """The cgroup of this process; "" if there is no such hierarchy, or none that we can name."""
    own = next(
        (line[3:] for line in _get("/proc/self/cgroup").decode().splitlines() if line.startswith("0::")), None
    )
    for line in _get("/proc/self/mountinfo").decode("utf-8", "surrogateescape").splitlines():
        fields, _, rest = line.partition(" - ")
        if own is not None and rest.startswith("cgroup2 ") and fields.split()[3] == "/":
            return fields.split()[4] + own.rstrip("/")
    return ""


def make(path: str) -> bool:
    """Create it in a parent that exists.

    False if that is not possible here; then the subtree walk must do.
    """
    try:
        if not os.path.isdir(path):
            os.mkdir(path)
        return os.access(f"{path}/cgroup.kill", os.W_OK)
    except OSError:
        return False


def join(path: str) -> None:
    """Move the calling process in. Raises OSError."""
    _put(f"{path}/cgroup.procs", b"0")


def kill(path: str) -> None:
    """SIGKILL to everything in it, forks under way included."""
    try:
        _put(f"{path}/cgroup.kill", b"1")
    except OSError:
        pass


def populated(path: str) -> bool:
    """Is a process, zombies aside, left in it or below it?"""
    return b"populated 1" in _get(f"{path}/cgroup.events")


def out_of_memory(path: str) -> bool:
    """Has the kernel killed in it for lack of memory? Known only under a memory controller."""
    return bool(path) and any(
        line.startswith(b"oom_kill ") and int(line.split()[1])
        for line in _get(f"{path}/memory.events").splitlines()
    )


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


HOME = _home()
"""Where launcher and holders live."""
