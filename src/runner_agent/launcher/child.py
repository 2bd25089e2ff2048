"""Starting a command in a cgroup or as another user: by a fork that becomes what it is to be, then executes.

The holder itself never is in the run's cgroup, which it may have to kill, nor the run's user, whose processes
could stop it then.
"""

import errno
import os
import select
import signal

from runner_agent.launcher import cgroup, handing, system
from runner_agent.launcher.reasons import NotStarted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from runner_agent.launcher.order import Order

_PATIENCE = 1000  # milliseconds
_STAGES = ("exec", "oom", "user", "cwd", "script")


def start(order: "Order", sink: int) -> int:
    """The pid, once the command executes. Raises NotStarted. Without a cgroup where none can be made."""
    told, tell = os.pipe()
    try:
        pid = _fork(order)
        if pid == 0:
            _become(order, sink, tell)
        os.close(tell)
        tell = -1
        said = _hear(told, pid)
    except OSError as error:
        raise NotStarted("fork", error) from None
    finally:
        os.close(told)
        if tell >= 0:
            os.close(tell)
    if said:
        os.waitpid(pid, 0)
        raise NotStarted(_STAGES[said[0]], OSError(said[1], os.strerror(said[1])))
    return pid


def _fork(order: "Order") -> int:
    """Into the run's cgroup. Where that cannot be, the order is one without."""
    if order.cgroup and cgroup.make(order.cgroup, order.limits):
        folder = os.open(order.cgroup, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return system.fork_into(folder)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.ENOMEM):
                raise
        finally:
            os.close(folder)
    if order.cgroup:
        cgroup.remove(order.cgroup)
    order.cgroup = ""
    return os.fork()


def _hear(told: int, pid: int) -> bytes:
    """What the child says; nothing once it executes. One that its user has stopped meanwhile is woken."""
    poll = select.poll()
    poll.register(told, select.POLLIN)
    while not poll.poll(_PATIENCE):
        os.kill(pid, signal.SIGCONT)  # not reaped: the number is its own
    return os.read(told, 2)


def _become(order: "Order", sink: int, tell: int) -> "NoReturn":
    """In the child. All other descriptors close at exec."""
    stage = 0
    try:
        os.setsid()
        if order.script:
            stage = 4
            stdin = handing.open_script(order)
            stage = 0
        else:
            stdin = os.open("/dev/null", os.O_RDONLY)
        for number, source in ((0, stdin), (1, sink), (2, sink)):
            os.dup2(source, number)
        if order.oom_score_adj is not None:
            stage = 1
            _take_oom_score(order.oom_score_adj)
        if order.uid is not None and order.gid is not None:
            stage = 2
            os.setgroups(order.groups)
            os.setresgid(order.gid, order.gid, order.gid)
            os.setresuid(order.uid, order.uid, order.uid)
            system.drop_capabilities()
        stage = 3
        os.chdir(order.cwd)
        stage = 0
        os.umask(order.umask)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())  # actions are at the defaults
        os.execve(order.argv[0], order.argv, order.env)
    except BaseException as error:  # noqa: BLE001 - a forked process must not return into its parent's code
        os.write(tell, bytes((stage, min(getattr(error, "errno", 0) or errno.EIO, 255))))
    finally:
        os._exit(127)


def _take_oom_score(score: int) -> None:
    """Where lowering it is not allowed, it stays as it is."""
    try:
        with open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
            file.write(b"%d" % score)
    except PermissionError:
        pass
