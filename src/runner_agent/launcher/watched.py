"""A process that is not our child, pinned: waited for, signalled with its group, and asked how it ended."""

import errno
import fcntl
import os
import select
import signal
import struct
import time

from runner_agent.launcher import procs

_GET_INFO = 0xC040FF0B  # PIDFD_GET_INFO: _IOWR(0xFF, 11, 64 bytes)
_EXIT = 1 << 3  # PIDFD_INFO_EXIT, known from Linux 6.15 on
_GROUP = 1 << 2  # PIDFD_SIGNAL_PROCESS_GROUP, from Linux 6.9 on
_EXITING = 0x4  # PF_EXITING
_REAPED_WITHIN, _PAUSE = 5.0, 0.002


class Watched:
    """One process, verified by start time while pinned. `descriptor` is readable once it has ended."""

    __slots__ = ("descriptor", "pid", "start")

    def __init__(self, pid: int, start: int | None = None) -> None:
        """With no start time, the process that has the number now. Raises ProcessLookupError."""
        self.pid = pid
        self.descriptor = os.pidfd_open(pid)
        found = procs.look(pid)
        if found is None or found.zombie or start not in (None, found.start):
            os.close(self.descriptor)
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
        self.start = found.start

    def over(self) -> bool:
        """Has it ended? To wait for that, poll the descriptor."""
        watch = select.poll()
        watch.register(self.descriptor, select.POLLIN)
        return bool(watch.poll(0))

    def going(self) -> bool:
        """Is it gone, or about to be: does it do nothing any more but wait for those it takes with it?"""
        try:
            with open(f"/proc/{self.pid}/stat", "rb") as file:
                fields = file.read().rpartition(b") ")[2].split()
        except OSError:
            return True
        return int(fields[19]) != self.start or fields[0] in b"ZX" or bool(int(fields[6]) & _EXITING)

    def carries(self, mark: bytes) -> bool:
        """Is `mark` a variable of its environment?"""
        try:
            with open(f"/proc/{self.pid}/environ", "rb") as file:
                return mark in file.read().split(b"\0")
        except OSError:
            return False

    def signal_group(self, *numbers: int) -> None:
        """Each signal to its whole process group; nothing if it is gone."""
        for number in numbers:
            try:
                signal.pidfd_send_signal(self.descriptor, number, None, _GROUP)
                continue
            except ProcessLookupError:
                pass
            except OSError:  # an older kernel
                pass
            leader = procs.look(self.pid)
            if leader is not None and leader.start == self.start:
                procs.send_all([one for one in procs.everyone() if one.group == leader.group], number)

    def status(self) -> int | None:
        """As waitpid gives it to a parent, once it is over; None where the kernel does not tell others.

        It tells when the parent has been told, so wait for that: a moment, from the end on.
        """
        end = time.monotonic() + (_REAPED_WITHIN if self.over() else 0.0)
        while True:
            asked = bytearray(struct.pack("=Q56x", _EXIT))
            try:
                fcntl.ioctl(self.descriptor, _GET_INFO, asked)
            except OSError:
                return None
            told, status = struct.unpack("=Q52xi", asked)
            if told & _EXIT:
                return int(status)
            if time.monotonic() > end:
                return None
            time.sleep(_PAUSE)

    def close(self) -> None:
        """Let go of it."""
        os.close(self.descriptor)
