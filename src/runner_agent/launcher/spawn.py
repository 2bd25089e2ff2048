"""Spawning a command: by vfork (posix_spawn), so that neither page tables are copied nor memory touched.

What posix_spawn cannot set for the child alone, the holder takes on for that moment: cgroup, OOM score, user
and groups, working directory, umask.
"""

import os

from runner_agent.launcher import cgroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runner_agent.launcher.order import Order


_STDIN = (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)


class NotStarted(Exception):
    """The command could not be started, and nothing of it is left."""

    def __init__(self, stage: str, error: OSError) -> None:
        """For `reasons.explain`."""
        super().__init__(stage)
        self.stage = stage
        self.error = error


def spawn(order: "Order", sink: int) -> int:
    """The pid, once the command executes: in a session of its own, stdin empty, stdout and stderr `sink`.

    Raises NotStarted.
    """
    back: list[Callable[[], None]] = []
    stage = "exec"
    try:
        if order.cgroup:
            stage = "cgroup"
            back.append(_enter_cgroup(order))
        if order.oom_score_adj is not None:
            stage = "oom"
            back.append(_take_oom_score(order.oom_score_adj))
        if order.uid is not None and order.gid is not None:
            stage = "user"
            back.append(_become(order.uid, order.gid, order.groups))
        stage = "cwd"
        os.chdir(order.cwd)
        stage = "exec"
        os.umask(order.umask)
        return os.posix_spawn(
            order.argv[0],
            order.argv,
            order.env,
            file_actions=(_STDIN, (os.POSIX_SPAWN_DUP2, sink, 1), (os.POSIX_SPAWN_DUP2, sink, 2)),
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


def _enter_cgroup(order: "Order") -> "Callable[[], None]":
    """Join the run's cgroup, where one can be made.

    Whoever cannot leave it again must never kill it: he would be in it.
    """
    if not cgroup.HOME or not cgroup.make(order.cgroup):
        order.cgroup = ""
        return lambda: None
    cgroup.join(order.cgroup)

    def leave() -> None:
        try:
            cgroup.join(cgroup.HOME)
        except OSError:
            order.cgroup = ""

    return leave


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


def _become(uid: int, gid: int, groups: list[int]) -> "Callable[[], None]":
    """Real and effective user; the saved one stays root until exec, which drops it.

    So paths are judged by the user's rights.
    """
    own, own_gid, own_groups = os.getuid(), os.getgid(), os.getgroups()

    def leave() -> None:
        os.setresuid(own, own, own)
        os.setresgid(own_gid, own_gid, own_gid)
        os.setgroups(own_groups)

    try:
        os.setgroups(groups)
        os.setresgid(gid, gid, own_gid)
        os.setresuid(uid, uid, own)
    except OSError:
        leave()
        raise
    return leave
