"""What a process inherits from whoever started it, undone: it is to do the same however it was started.

Masks and ignored signals outlive exec. What the agent awaits is blocked until it listens: told while it
starts, or to the program that it was before a reload, it ends neither. Standard streams that came closed are
opened before, by whatever command this is. The limits of resources, the nice value and descriptors beyond the
first three are left: they are a starter's to choose, and no command of a run gets the last (rule 5.1).
"""

import os
import signal

OF_PYTHON = frozenset({signal.SIGPIPE, signal.SIGXFSZ})
"""Ignored by the interpreter itself, which makes errors of them."""

AWAITED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2)
"""Heard by the agent itself, once it listens."""


def begin() -> None:
    """Before anything is started or promised."""
    for number in signal.valid_signals() - OF_PYTHON:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, AWAITED)
    os.umask(0o022)
