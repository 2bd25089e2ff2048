"""What a process inherits from whoever started it, undone: it is to do the same however it was started.

Masks and ignored signals outlive exec, and so do missing descriptors: a starter that closed standard error
would have us write our log into whatever file is opened next. The limits of resources, the nice value and
descriptors beyond the first three are left: they are a starter's to choose, and no command of a run gets the
last (rule 5.1).
"""

import os
import signal
import sys

OF_PYTHON = frozenset({signal.SIGPIPE, signal.SIGXFSZ})
"""Ignored by the interpreter itself, which makes errors of them."""


def begin() -> None:
    """Before anything else is opened, started or promised."""
    open_standard_streams()
    for number in signal.valid_signals() - OF_PYTHON:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.umask(0o022)


def open_standard_streams() -> None:
    """Have /dev/null be those that are closed, so that nothing else gets their numbers."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
            os.set_inheritable(number, True)  # noqa: FBT003 - it takes no keyword
    if sys.stdout is None:
        sys.stdout = sys.__stdout__ = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = sys.__stderr__ = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
