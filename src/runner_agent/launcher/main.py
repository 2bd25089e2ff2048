"""The launcher process: detach, lock, listen, and one poll loop until told to go. Idle, it never wakes."""

import _socket as sockets  # see `system`
import fcntl
import gc
import os
import select
import signal
import sys

import runner_agent
from runner_agent.launcher import system, wire
from runner_agent.launcher.nursery import Line
from runner_agent.launcher.runs import Runs
from runner_agent.launcher.server import Server

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_OOM_SCORE = -900


class CannotServe(Exception):
    """Why this process cannot be the launcher."""


def main() -> None:
    """`SOURCE STATE [--foreground]`.

    Detached by default, and then ends once the socket is served: 0, or 1 and a reason.
    """
    state = sys.argv[2]
    if "--foreground" in sys.argv:
        try:
            serve(state, lambda: None, lambda: notify(b"READY=1"))
        except CannotServe as error:
            sys.exit(f"launcher: {error}")
        return
    told, tell = os.pipe()
    if os.fork():
        os.close(tell)
        reason = os.read(told, 4096).decode()
        sys.exit(
            None if reason == "ok" else f"launcher: {reason or f'died at start, see {state}/{wire.LOG}'}"
        )
    os.close(told)
    os.setsid()
    try:
        serve(state, lambda: _leave_terminal(state), lambda: _tell(tell, b"ok"))
    except CannotServe as error:
        _tell(tell, str(error).encode())


def _tell(pipe: int, text: bytes) -> None:
    os.write(pipe, text)
    os.close(pipe)


def serve(state: str, leave: "Callable[[], None]", ready: "Callable[[], None]") -> None:
    """Own the state folder's socket until SIGTERM or a shutdown request; runs go on without us.

    Raises CannotServe.
    """
    os.umask(0o177)  # the socket is for its owner; nothing else is made by this process
    lock = _lock(state)
    listener = _listen(state)
    oom_score = _lower_oom_score()
    with open("/proc/self/comm", "wb") as name:  # what `ps` shows
        name.write(b"ra-launcher")
    signals = system.take_signals(signal.SIGTERM)
    gc.collect()
    gc.freeze()
    gc.disable()  # neither we nor what we fork make cycles; a collection would only write to shared pages
    leave()
    line = Line(state)
    nursery = os.pidfd_open(line.pid)
    ready()
    poll = select.poll()
    runs = Runs(line, poll, oom_score)
    server = Server(listener, poll, runs, runner_agent.__version__)
    poll.register(signals, select.POLLIN)
    poll.register(nursery, select.POLLIN)
    pause: float | None = None
    while not server.shut:
        for descriptor, events in poll.poll(pause):
            if descriptor in (signals, nursery):  # of no use without its nursery: another will be started
                server.shut = True
            elif not runs.hear(descriptor, events):
                server.serve(descriptor, events)
        pause = runs.tend()
    try:
        os.unlink(f"{state}/{wire.SOCKET}")
    except FileNotFoundError:  # the whole folder was taken away
        pass
    os.close(lock)


def _lock(state: str) -> int:
    """One launcher per state folder.

    A POSIX lock, for holders would inherit an flock and keep it after our death.
    """
    try:
        lock = os.open(f"{state}/{wire.LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return lock
    except BlockingIOError:
        raise CannotServe(f"another launcher serves {state}") from None
    except OSError as error:
        raise CannotServe(f"cannot lock {error.filename or state}: {error.strerror}") from None


def _listen(state: str) -> sockets.socket:
    listener = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
    try:
        try:
            os.unlink(f"{state}/{wire.SOCKET}")
        except FileNotFoundError:
            pass
        wire.reach(listener.bind, state)
        listener.listen(16)
    except OSError as error:
        raise CannotServe(f"cannot listen on {state}/{wire.SOCKET}: {error.strerror}") from None
    listener.settimeout(0)
    return listener


def _lower_oom_score() -> int | None:
    """Be the last to go when memory runs out, where that is allowed.

    Returns the score the runs are to have, if it is another.
    """
    try:
        with open("/proc/self/oom_score_adj", "r+b", buffering=0) as file:
            given = int(file.read())
            file.write(b"%d" % min(given, _OOM_SCORE))
            return given
    except PermissionError:
        return None


def _leave_terminal(state: str) -> None:
    """Let go of the starter's terminal; what we have to say about ourselves goes to a log of our own."""
    null = os.open(os.devnull, os.O_RDWR)
    log = os.open(f"{state}/{wire.LOG}", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for number, target in ((0, null), (1, null), (2, log)):
        os.dup2(target, number)
    os.close(null)
    os.close(log)


def notify(state: bytes) -> None:
    """Tell systemd, if it asked to be told."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        sock = sockets.socket(sockets.AF_UNIX, sockets.SOCK_DGRAM)
        try:
            sock.sendto(state, "\0" + address[1:] if address.startswith("@") else address)
        finally:
            sock.close()
