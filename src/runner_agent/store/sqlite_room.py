"""Room that is kept on the disk, so that ends and stops can be written when nothing else can be (rule 7.6).

Half of it is blocks at the end of SQLite's log, taken before they are needed: whoever else fills the disk
cannot have them. The other half is a file beside the database, given back when the disk is nearly full or has
refused a commit, and made again when there is plenty. In between nothing new is begun: what is left is for
ending what runs.
"""

import errno
import os
from contextlib import suppress
from pathlib import Path

from runner_agent.kit.allocate import KEEP_SIZE, fallocate
from runner_agent.store.sqlite_errors import files_left

MOST = 4 << 20
"""Bytes kept, in both halves, or an eighth of a disk where that is less. A commit writes some 20 KiB."""
FILES = 32
"""Files that can still be made, below which nothing is begun: a run has some six."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Room:
    """The loop thread's. Nothing here raises: without it a full disk is told of all the same."""

    def __init__(self, database: Path) -> None:
        """Makes it, or takes over what an agent before this one has made."""
        self._database = database
        self._path = database.with_name(f"{database.name}-reserve")
        self._log = database.with_name(f"{database.name}-wal")
        self._size = self._wanted()
        self._half = self._size // 2
        self._held = self._given_up = False
        self._logs_take_blocks = True
        with suppress(OSError):  # a copy of it may be a file without blocks
            self._held = self._path.lstat().st_blocks * 512 >= self._half // 2
        self.look()

    @property
    def scarce(self) -> bool:
        """Whether nothing is to be begun: there was no room, or hardly any, when that was looked at last."""
        return not self._held and not self._given_up

    @property
    def few_files(self) -> bool:
        """As `scarce`, of files (inodes), as of now."""
        left = files_left(self._database.parent)
        return left is not None and left < FILES

    def look(self) -> None:
        """Before each commit: give it back if hardly anything is left beside it, make it if it fits twice."""
        if self._given_up:
            return
        free = self._free()
        if self._held:
            self._keep_the_log_s_half()
            if free < self._size // 4:
                self.give_back()
        elif free >= 2 * self._size:
            self._make()

    def give_back(self) -> bool:
        """The file's half, to whoever is first. False if there is none."""
        if not self._held:
            return False
        self._held = False
        try:
            self._path.unlink()
        except OSError:
            return False
        return True

    def give_up(self) -> None:
        """For good, since the agent ends: there is nothing to keep it for."""
        self._given_up = True
        self.give_back()

    def _make(self) -> None:
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                os.ftruncate(file, self._half)
                os.posix_fallocate(file, 0, self._half)
            finally:
                os.close(file)
            self._held = True
            self._keep_the_log_s_half()
        except OSError as error:
            self._given_up = error.errno not in _FULL  # not on this filesystem
            with suppress(OSError):
                self._path.unlink()

    def _keep_the_log_s_half(self) -> None:
        """Blocks for what the log will grow by; again whenever it has grown into them, or was cut off.

        Not for the database itself: closing another descriptor of it would drop SQLite's locks.
        """
        with suppress(OSError):  # no log yet
            log = self._log.stat()
            if self._logs_take_blocks and log.st_blocks * 512 < log.st_size + self._half // 2:
                self._logs_take_blocks = _allocate(self._log, log.st_size + self._half)

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


def _allocate(path: Path, size: int) -> bool:
    """Up to there, without changing the file's size. False if files here cannot have blocks ahead."""
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fallocate()(file, KEEP_SIZE, 0, size)
    except OSError as error:
        return error.errno in _FULL
    finally:
        os.close(file)
    return True
