"""Why a command could not be started, in words for its user: what failed, on what, what to do about it."""

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runner_agent.launcher.order import Order

NOT_FOUND = 127
NOT_EXECUTABLE = 126
LONGEST = 131_071
"""Bytes that the kernel takes in one argument or variable."""


class NotStarted(Exception):
    """The command could not be started, and nothing of it is left."""

    def __init__(self, stage: str, error: OSError) -> None:
        """For `explain`."""
        super().__init__(stage)
        self.stage = stage
        self.error = error


def explain(stage: str, error: OSError, order: "Order") -> tuple[int, str]:
    """Exit code, as a shell would give it, and sentence, for an error at a stage of the start.

    Stages: log, record, pipe, fork, oom, user, cwd, script, exec.
    """
    missing = stage == "exec" and error.errno == errno.ENOENT and not os.path.lexists(order.argv[0])
    return NOT_FOUND if missing else NOT_EXECUTABLE, _sentence(stage, error, order)


def _sentence(stage: str, error: OSError, order: "Order") -> str:
    words = os.strerror(error.errno or 0)
    program = order.argv[0]
    who = "the agent's user" if order.uid is None else f"uid {order.uid}"
    match stage, error.errno:
        case "exec", errno.ENOENT if os.path.lexists(order.argv[0]):
            return f"cannot run {program}: the interpreter that it names, or its loader, does not exist"
        case "exec", errno.ENOENT:
            return f"cannot run {program}: not found"
        case "exec", errno.EACCES:
            return f"cannot run {program}: permission denied (is it executable for {who}?)"
        case "exec", errno.ENOEXEC:
            return f"cannot run {program}: not a program (a script needs a first line such as #!/bin/sh)"
        case "exec", errno.E2BIG:
            return f"cannot run {program}: {_too_long(order)}"
        case (("fork" | "exec"), errno.EAGAIN):
            return f"cannot start a process: {who} or the container has too many (ulimit -u, pids.max)"
        case (("fork" | "exec"), errno.ENOMEM):
            return "cannot start a process: out of memory"
        case "cwd", errno.ENOENT:
            return f"cannot enter the working directory {order.cwd}: it does not exist"
        case "cwd", errno.ENOTDIR:
            return f"cannot enter the working directory {order.cwd}: it is not a directory"
        case "cwd", errno.EACCES:
            return f"cannot enter the working directory {order.cwd}: permission denied for {who}"
        case "user", errno.EPERM:
            return f"cannot run as {who}: the agent is not root"
        case "log", _:
            return f"cannot open the log {order.log}: {words.lower()}"
        case "record", _:
            return f"cannot write to the run's folder {order.folder}: {words.lower()}"
        case _:
            return f"cannot start {program} ({stage}): {words.lower()}"


def _too_long(order: "Order") -> str:
    """Names of variables only: values may be secrets."""
    parts = {f"variable {name}": f"{name}={value}" for name, value in order.env.items()}
    parts |= {f"argument {number}": text for number, text in enumerate(order.argv)}
    sizes = {name: len(os.fsencode(text)) for name, text in parts.items()}
    longest = max(sizes, key=sizes.__getitem__)
    if sizes[longest] > LONGEST:
        return (
            f"{longest} is too long: it has {sizes[longest]} bytes, and the kernel takes {LONGEST:,} in one"
            " argument or variable; put it into a file, and give the file's name"
        )
    return (
        f"arguments and environment are too long together: {sum(sizes.values())} bytes in {len(sizes)} parts"
        f" (the longest is {longest}, {sizes[longest]} bytes), and the kernel takes a quarter of the limit of"
        " the stack (ulimit -s); put long values into files"
    )
