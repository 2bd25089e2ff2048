"""Room that is kept on the disk, so that ends and stops can be written when nothing else can be (rule 7.6).

A file beside the database holds it. It is given back when the disk is nearly full or has refused a commit,
and made again when there is plenty. In between nothing new is begun: what is left is for ending what runs.
"""

import errno
import os
from contextlib import suppress
from pathlib import Path

from runner_agent.kit.allocate import KEEP_SIZE, fallocate

MOST = 4 << 20
"""Bytes kept, or an eighth of a disk where that is less. A commit writes some 20 KiB."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Room:
    """The loop thread's. Nothing here raises: without it a full disk is told of all the same."""

    def __init__(self, database: Path) -> None:
        """Makes it, or takes over what an agent before this one has made."""
        self._database = database
        self._path = database.with_name(f"{database.name}-reserve")
        self._size = self._wanted()
        self._held = self._given_up = False
        with suppress(OSError):  # a copy of it may be a file without blocks
            self._held = self._path.lstat().st_blocks * 512 >= self._size // 2
        self.look()

    @property
    def scarce(self) -> bool:
        """Whether nothing is to be begun: there was no room, or hardly any, when that was looked at last."""
        return not self._held and not self._given_up

    def look(self) -> None:
        """Before each commit: give it back if hardly anything is left beside it, make it if it fits twice."""
        if self._given_up:
            return
        free = self._free()
        if self._held and free < self._size // 4:
            self.give_back()
        elif not self._held and free >= 2 * self._size:
            self._make()

    def give_back(self) -> bool:
        """False if there is none. Half of it is for the store's log alone: whoever else fills the disk would
        have it all.
        """
        if not self._held:
            return False
        self._held = False
        try:
            self._path.unlink()
        except OSError:
            return False
        # Not to the database itself: closing another descriptor of it would drop SQLite's locks.
        _promise(self._database.with_name(f"{self._database.name}-wal"), self._size // 2)
        return True

    def give_up(self) -> None:
        """For good, since the agent ends: there is nothing to keep it for."""
        self._given_up = True
        self.give_back()

    def _make(self) -> None:
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                os.ftruncate(file, self._size)
                os.posix_fallocate(file, 0, self._size)
            finally:
                os.close(file)
            self._held = True
        except OSError as error:
            self._given_up = error.errno not in _FULL  # not on this filesystem
            with suppress(OSError):
                self._path.unlink()

    def _wanted(self) -> int:
        try:
            disk = os.statvfs(self._database.parent)
        except OSError:
            return MOST
        return min(MOST, disk.f_blocks * disk.f_frsize // 8)

    def _free(self) -> int:
        """Bytes that we could still write. Some are for root only."""
        try:
            disk = os.statvfs(self._database.parent)
        except OSError:
            return 0
        return (disk.f_bfree if os.geteuid() == 0 else disk.f_bavail) * disk.f_frsize


def _promise(path: Path, size: int) -> None:
    """Take blocks for what the file will grow by."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return
    try:
        fallocate()(file, KEEP_SIZE, os.fstat(file).st_size, size)
    except OSError:
        pass  # it takes its chance with the others
    finally:
        os.close(file)
