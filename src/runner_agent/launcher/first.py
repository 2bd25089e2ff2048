"""The first process of a container: reaps orphans, passes signals on, and starts a crashed agent again.

`python -I -S first.py COMMAND...`. Process 1 inherits every orphan, gets no signal that it does not handle,
and takes everything along when it ends: an agent in its place would leave zombies, and lose its runs by a
crash.
"""

import os
import signal
import sys
import time

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
AWAITED = frozenset((*ENDING, signal.SIGHUP, signal.SIGCHLD))
SI_KERNEL = 0x80
"""The terminal sent it, and to every process in the foreground."""

# Seconds. An agent that fails sooner than SETTLED cannot start here, and its exit code says why.
SETTLED = 60.0
QUICK, LONGEST_PAUSE = 10.0, 30.0


def main() -> None:
    """Ends with the exit code of COMMAND, 128 and the number for a signal."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # Blocked, they are kept for us, also for process 1, which has no default actions.
    signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED)
    command = sys.argv[1:]
    pause = 0.0
    while True:
        began = time.monotonic()
        child = os.posix_spawn(
            command[0],
            command,
            os.environ,
            setsigmask=(),
            setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),  # Python ignores them
        )
        code, told = attend(child)
        lived = time.monotonic() - began
        if told or not crashed(command, code, lived):
            sys.exit(code if code >= 0 else 128 - code)
        pause = min(LONGEST_PAUSE, 2 * pause or 1.0) if lived < QUICK else 0.0
        say(f"the agent ended with {code}; starting it again in {pause:.0f} s, what runs goes on")
        rest(pause)


def attend(child: int) -> tuple[int, bool]:
    """Until `child` has ended: its exit code, negative for a signal, and whether it was told to end."""
    told = False
    while True:
        news = signal.sigwaitinfo(AWAITED)
        if news.si_signo == signal.SIGCHLD:
            ends = reap()
            if child in ends:
                return os.waitstatus_to_exitcode(ends[child]), told
            continue
        told = told or news.si_signo in ENDING
        if news.si_code != SI_KERNEL:
            os.kill(child, news.si_signo)  # not reaped yet, so the number is its own


def reap() -> dict[int, int]:
    """The statuses of all that have ended, by pid. One SIGCHLD may stand for many."""
    ends: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ends
        if not pid:
            return ends
        ends[pid] = status


def crashed(command: list[str], code: int, lived: float) -> bool:
    """Whether it was an agent at work that came to an end nobody asked for: what it started runs on."""
    return "serve" in command and (code < 0 or (code > 0 and lived > SETTLED))


def rest(seconds: float) -> None:
    """A pause in which orphans are reaped. Told to end, this process ends: there is no agent to tell."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        news = signal.sigtimedwait(AWAITED, left)
        if news is not None and news.si_signo == signal.SIGCHLD:
            reap()
        elif news is not None and news.si_signo in ENDING:
            sys.exit(128 + news.si_signo)


def say(text: str) -> None:
    """To whoever reads the container's log."""
    os.write(2, f"runner-agent: {text}\n".encode())


if __name__ == "__main__":
    main()
