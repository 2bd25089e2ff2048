"""What attendants have in common: a holder starts one for a run whose processes are elsewhere.

It tells how the command ended, in RUN/outcome, and dies when the command has ended; a fork of it stays for as
long as something of the run is left. SIGTERM, KILL and UNLINGER (see `wire`) are from the holder: end the
command, end everything, end what was left behind.
"""

import os
import signal
import sys
import time

from runner_agent.launcher import loglines, records, wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runner_agent.launcher.wire import Message

KILL = signal.SIGRTMIN + wire.KILL
CLEAR = signal.SIGRTMIN + wire.UNLINGER
TERMINATE = signal.SIGTERM
HEARD = (TERMINATE, KILL, CLEAR)

_LONGEST_PAUSE = 5.0


class Pause:
    """Seconds to the next try: doubled from `first` up to `longest`, and begun anew by `reset`."""

    def __init__(self, first: float = 0.05, longest: float = _LONGEST_PAUSE) -> None:
        """Due at once."""
        self._first = self._seconds = first
        self._longest = longest

    def next(self) -> float:
        """How long to wait now."""
        seconds, self._seconds = self._seconds, min(2 * self._seconds, self._longest)
        return seconds


class Wishes:
    """What the holder has asked for so far. `ear` is readable when there may be something new."""

    def __init__(self) -> None:
        """From here on none is missed, and none kills us."""
        self.ear, self._tongue = os.pipe()
        os.set_blocking(self.ear, False)
        os.set_blocking(self._tongue, False)
        self.terminate = self.kill = self.clear = False
        for number in HEARD:
            signal.signal(number, self._take)
        signal.set_wakeup_fd(self._tongue, warn_on_full_buffer=False)

    def _take(self, number: int, _: object) -> None:
        if number == TERMINATE:
            self.terminate = True
        elif number == KILL:
            self.kill = True
        else:
            self.clear = True

    def heard(self) -> None:
        """Be woken no more for what was there."""
        try:
            os.read(self.ear, 4096)
        except BlockingIOError:
            pass


def say(text: str) -> None:
    """A line of the agent's in the log."""
    try:
        os.write(1, loglines.line(text))
    except OSError:  # nobody reads: the holder is gone
        pass


def tell_outcome(folder: str, outcome: "Message") -> None:
    """Put on record how the command ended, for as long as it takes: a full disk may be emptied."""
    pause = Pause()
    while True:
        try:
            records.write(folder, records.OUTCOME, outcome)
            return
        except (FileNotFoundError, NotADirectoryError):
            return  # the folder was taken away: nobody asks any more
        except OSError:
            time.sleep(pause.next())


def ended_by(code: int) -> "Message":
    """The outcome that a shell's exit code stands for: it has 128 and more for a signal."""
    if 128 < code <= 128 + signal.NSIG - 1:
        return {"how": "signaled", "signal": code - 128}
    return {"how": "exited", "code": code}


def command(python: str, source: str, module: str, folder: str) -> list[str]:
    """The argv that starts an attendant of the package for the run's folder."""
    code = (
        f"import sys; sys.path.append(sys.argv[1]); from runner_agent.launcher.{module} import main;"
        " main(sys.argv[2])"
    )
    return [python, "-I", "-S", "-X", "utf8", "-c", code, source, folder]


def until_over(until_ended: "Callable[[], Message]", until_empty: "Callable[[], None]", folder: str) -> None:
    """Live an attendant's life. What goes wrong with itself is told in the log, and its run is lost."""
    try:
        tell_outcome(folder, until_ended())
        # A fork forgets what Python was told and has not handled yet; the kernel keeps what is blocked.
        signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
        if os.fork():
            os._exit(0)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
        until_empty()
    except Exception as error:  # noqa: BLE001 - its stderr is the user's log, which is to have no traceback
        say(f"what looks after the container failed: {type(error).__name__}: {error}")
        os._exit(70)
    sys.exit(0)
