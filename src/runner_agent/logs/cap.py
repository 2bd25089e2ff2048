"""The size cap of logs: the oldest bytes of one that grew too large go back to the disk (rule 5.4)."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

from runner_agent.kit.inotify import Inotify, Subscription
from runner_agent.logs.holes import GRAIN, UNSUPPORTED, first_kept, punch

DEFAULT_CAP = 64 * 1024 * 1024
"""Bytes kept of each log."""
_PACE = 1.0
"""Seconds from one look at a growing log to the next."""

_log = logging.getLogger(__name__)


class LogCap:
    """Keeps the logs that are being written to below the cap: told of changes, at most once a second each.

    Between two looks a log may exceed the cap by what its writer manages in a second.
    """

    def __init__(self, inotify: Inotify, cap: int = DEFAULT_CAP) -> None:
        """`cap` in bytes, at least 64 KiB. Holes are cut in steps of that size: a step less may be kept."""
        if cap < GRAIN:
            # A smaller cap could ask for a hole that ends in the block being written to.
            raise ValueError(f"cannot bound logs to {cap} bytes: the least cap is {GRAIN}")
        self._inotify = inotify
        self._cap = cap
        self._watched: dict[Path, _Watched] = {}
        self._impossible = False

    def watch(self, path: Path) -> None:
        """A command writes to this log from now on; it need not exist yet. Asked again, nothing changes."""
        if path not in self._watched:
            watched = self._watched[path] = _Watched()
            self._soon(path, watched)

    def unwatch(self, path: Path) -> None:
        """Nobody writes to it any more: trim it a last time."""
        watched = self._watched.pop(path, None)
        if watched is not None:
            watched.end()
            self.trim(path)

    def close(self) -> None:
        """Stop watching; the logs stay as they are."""
        for watched in self._watched.values():
            watched.end()
        self._watched.clear()

    def trim(self, path: Path) -> None:
        """Give back what lies over the cap, now. Nothing happens to a file that is small or gone."""
        if self._impossible:
            return
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError:
            return
        try:
            # Up to the next step: with the cap reached, what is kept is never more than the cap.
            end = -(-(os.fstat(fd).st_size - self._cap) // GRAIN) * GRAIN
            if end > 0 and first_kept(fd) < end:
                punch(fd, end)
        except OSError as error:
            self._failed(path, error)
        finally:
            os.close(fd)

    def _soon(self, path: Path, watched: _Watched) -> None:
        if watched.timer is None:
            watched.timer = asyncio.get_running_loop().call_later(_PACE, self._look, path, watched)

    def _look(self, path: Path, watched: _Watched) -> None:
        watched.timer = None
        if watched.subscription is None:  # not before: most tasks are over by now
            watched.subscription = self._inotify.subscribe(path, lambda: self._soon(path, watched))
        self.trim(path)

    def _failed(self, path: Path, error: OSError) -> None:
        if error.errno in UNSUPPORTED:
            self._impossible = True
            _log.warning(
                "cannot bound logs: the filesystem of %s cannot give back parts of a file (%s). "
                "They grow without limit; a state directory on ext4, xfs, btrfs or tmpfs would bound them.",
                path,
                error.strerror,
            )
        else:
            _log.warning("cannot give back the oldest bytes of %s: %s", path, error.strerror)


class _Watched:
    __slots__ = ("subscription", "timer")

    def __init__(self) -> None:
        self.subscription: Subscription | None = None
        self.timer: asyncio.TimerHandle | None = None

    def end(self) -> None:
        if self.subscription is not None:
            self.subscription.close()
        if self.timer is not None:
            self.timer.cancel()
