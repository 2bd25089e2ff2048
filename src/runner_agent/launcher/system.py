"""What Linux offers and Python's standard library does not. Loaded once, before anything is forked.

A forked process shares memory until it writes, and in Python all use is writing (reference counts). So what
runs between fork and the holder's long wait is kept short: each page touched costs 4 KiB and microseconds.
"""

import ctypes
import os
import signal

_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)
_prctl = _libc.prctl
_prctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)
_signalfd = _libc.signalfd
_signalfd.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int)
_SIGSET = 128
_MOST_FILES = os.sysconf("SC_OPEN_MAX")


def become_subreaper() -> None:
    """From now on orphans of the whole subtree become children of this process.

    Not inherited by fork. Raises OSError.
    """
    if _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        error = ctypes.get_errno()
        raise OSError(error, "prctl(PR_SET_CHILD_SUBREAPER)")


def take_signals(*wanted: int) -> int:
    """Block all signals, for our forks too; returns the descriptor to read the `wanted` ones from.

    No handlers: what arrives between a fork and the first line of the child waits. Nothing ignored: that
    would outlive exec, in every command; so would what Python or our starter ignored. With SIGPIPE blocked,
    writing to the dead is EPIPE.
    """
    for number in signal.valid_signals():
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
    mask = sum(1 << (number - 1) for number in wanted).to_bytes(_SIGSET, "little")
    descriptor: int = _signalfd(-1, mask, os.O_CLOEXEC | os.O_NONBLOCK)
    if descriptor < 0:
        error = ctypes.get_errno()
        raise OSError(error, "signalfd")
    return descriptor


def close_all_but(*kept: int) -> None:
    """Close every descriptor above 2 that is not one of these."""
    first = 3
    for descriptor in (*sorted(kept), _MOST_FILES):
        os.closerange(first, descriptor)
        first = descriptor + 1
