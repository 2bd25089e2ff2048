"""Spawning a command: by vfork (posix_spawn), so that neither page tables are copied nor memory touched.

What posix_spawn cannot set for the child alone, the holder takes on for that moment: OOM score, working
directory, umask. What it had better not be for a moment even, a fork becomes (see child).
"""

import os

from runner_agent.launcher import child, handing
from runner_agent.launcher.reasons import NotStarted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runner_agent.launcher.order import Order


_NOTHING = (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)


def spawn(order: "Order", sink: int) -> int:
    """The pid, once the command executes: in a session of its own, stdout and stderr `sink`, stdin empty, or
    its script.

    Raises NotStarted.
    """
    if order.cgroup or order.uid is not None:
        return child.start(order, sink)
    back: list[Callable[[], None]] = []
    stdin: tuple[int, ...] | tuple[int, int, str, int, int] = _NOTHING
    stage = "exec"
    try:
        if order.script:
            stage = "script"
            memory = handing.open_script(order)
            back.append(lambda: os.close(memory))
            stdin = (os.POSIX_SPAWN_DUP2, memory, 0)
        if order.oom_score_adj is not None:
            stage = "oom"
            back.append(_take_oom_score(order.oom_score_adj))
        stage = "cwd"
        os.chdir(order.cwd)
        stage = "exec"
        os.umask(order.umask)
        return os.posix_spawn(
            order.argv[0],
            order.argv,
            order.env,
            file_actions=(stdin, (os.POSIX_SPAWN_DUP2, sink, 1), (os.POSIX_SPAWN_DUP2, sink, 2)),
            setsid=True,
            setsigmask=(),  # their actions are at the defaults then, for the launcher ignores none
        )  # all other descriptors close at exec
    except OSError as error:
        raise NotStarted(stage, error) from None
    finally:
        while back:
            back.pop()()
        os.umask(0o077)
        os.chdir("/")


def _take_oom_score(score: int) -> "Callable[[], None]":
    """The command has it from its first moment. Where lowering is not allowed it stays as it is."""
    file = os.open("/proc/self/oom_score_adj", os.O_RDWR | os.O_CLOEXEC)
    own = os.read(file, 16)

    def leave() -> None:
        _write(file, own)
        os.close(file)

    _write(file, b"%d" % score)
    return leave


def _write(file: int, text: bytes) -> None:
    try:
        os.pwrite(file, text, 0)
    except PermissionError:
        pass
