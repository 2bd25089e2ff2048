"""Signals as something to wait for: blocked in every thread, and read from a descriptor (signalfd(2)).

One that nobody has read yet stays pending, over an exec too: the program that comes next has it. A handler's
would be lost between two programs, or end the second before it has set its own.
"""

from __future__ import annotations

import asyncio
import os
import signal

_RECORD = 128  # bytes of a struct signalfd_siginfo; the first four are the number
_SIGSET = 128


class Signals:
    """To be made before any thread is: a thread begins with the mask of the one that started it."""

    def __init__(self, *wanted: signal.Signals) -> None:
        """They do nothing by themselves from now on. Children begin with them blocked, see `unblock`."""
        signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
        self._fd = _descriptor(wanted)

    async def next(self) -> signal.Signals:
        """The next one. One caller at a time. Cancelled while it waits, it has taken none."""
        loop = asyncio.get_running_loop()
        told: asyncio.Future[signal.Signals] = loop.create_future()
        loop.add_reader(self._fd, self._take, told)
        try:
            return await told
        finally:
            loop.remove_reader(self._fd)

    def _take(self, told: asyncio.Future[signal.Signals]) -> None:
        if told.done():
            return
        try:
            record = os.read(self._fd, _RECORD)
        except BlockingIOError:
            return
        told.set_result(signal.Signals(int.from_bytes(record[:4], "little")))


def unblock() -> None:
    """In a child before it executes (`preexec_fn`): it and what it starts would keep what we have blocked."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _descriptor(wanted: tuple[signal.Signals, ...]) -> int:
    import ctypes  # late, as in `inotify`

    libc = ctypes.CDLL(None, use_errno=True)
    libc.signalfd.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int)
    mask = sum(1 << (number - 1) for number in wanted).to_bytes(_SIGSET, "little")
    descriptor: int = libc.signalfd(-1, mask, os.O_CLOEXEC | os.O_NONBLOCK)
    if descriptor < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), "signalfd")
    return descriptor
