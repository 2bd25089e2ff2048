"""Change notification for paths: one kernel instance, one watch a path, and a call that says "look again".

Why not a package: they hand out every event as an object, so a busy writer pays for an event a write and the
reader for the parsing of each. Here a kernel watch is good for one event (IN_ONESHOT) and is renewed after a
rest: a writer of a million lines a second pays for twenty, and any number of subscribers share them.
"""

from __future__ import annotations

import asyncio
import logging
import os
import struct
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Self, cast

_log = logging.getLogger(__name__)

_EVENT = struct.Struct("iIII")  # wd, mask, cookie, length of the name that follows

_MODIFY, _ATTRIB = 0x2, 0x4
_MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x40, 0x80, 0x100, 0x200
_DELETE_SELF, _MOVE_SELF = 0x400, 0x800
_IGNORED, _MASK_ADD, _ONESHOT = 0x8000, 0x2000_0000, 0x8000_0000

_ENTRIES = _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF
_CONTENT = _ENTRIES | _MODIFY | _ATTRIB
# Two subscribed paths may be one inode, or one the directory of the other: their masks add up.
_MODE = _MASK_ADD | _ONESHOT

_REST = 0.05
"""Seconds between an event and the renewal of its watch: how fast a steady stream of changes is told."""
_POLL = 0.25
"""Seconds between looks where the kernel refuses a watch (its limits are shared with the user's editors)."""


class Subscription:
    """One subscriber of one path, until closed; a context manager, too."""

    __slots__ = ("_end", "on_change")

    def __init__(self, on_change: Callable[[], None], end: Callable[[Subscription], None]) -> None:
        self.on_change = on_change
        self._end = end

    def close(self) -> None:
        """Be told no more. Closing again does nothing."""
        self._end(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Inotify:
    """Tells subscribers that a path may have changed. Belongs to the event loop it is first used on.

    The promise is a level: after any change to a path's content, or to what stands at the path, every
    subscriber is called at least once, at once if the path was quiet and within 50 ms if not. It may be
    called for nothing. A path that does not exist yet is watched for by the nearest directory that does.
    """

    def __init__(self) -> None:
        self._fd = -1
        self._places: dict[Path, _Place] = {}
        self._armed: dict[int, set[_Place]] = {}
        self._complained = False

    def subscribe(self, path: Path, on_change: Callable[[], None]) -> Subscription:
        """Call `on_change` on the event loop after changes to `path` that happen from now on.

        For a directory: entries that come, go and change (not those of directories below).
        """
        place = self._places.get(path)
        if place is None:
            place = _Place(path)
            self._arm(place)
            self._places[path] = place
        subscription = Subscription(on_change, partial(self._unsubscribe, place))
        place.subscribers.add(subscription)
        return subscription

    def __len__(self) -> int:
        """How many paths are watched."""
        return len(self._places)

    def close(self) -> None:
        """Close the kernel's instance and forget every subscriber."""
        for place in list(self._places.values()):
            place.subscribers.clear()
            self._drop(place)
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _arm(self, place: _Place) -> None:
        """Have the kernel tell the next change at a place, or at the nearest directory above it."""
        try:
            place.wd = self._add_watch(place.path, _CONTENT)
            place.present = True
        except (FileNotFoundError, NotADirectoryError):
            place.present = False
            self._arm_above(place)
        except OSError as error:
            self._poll(place, error)
        if place.wd >= 0:
            self._armed.setdefault(place.wd, set()).add(place)

    def _arm_above(self, place: _Place) -> None:
        for directory in place.path.parents:
            try:
                place.wd = self._add_watch(directory, _ENTRIES)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                self._poll(place, error)
                return
            below = place.path.relative_to(directory).parts[0]
            if (directory / below).exists():
                # It came between the two looks: no event will tell.
                self._rest(place)
            return

    def _poll(self, place: _Place, error: OSError) -> None:
        if not self._complained:
            self._complained = True
            _log.warning(
                "cannot watch %s for changes (%s); looking every %s s instead. "
                "Raise fs.inotify.max_user_watches and fs.inotify.max_user_instances.",
                place.path,
                error.strerror,
                _POLL,
            )
        place.present = True  # or not: nobody would tell, so it is told of in any case
        place.timer = asyncio.get_running_loop().call_later(_POLL, self._renew, place)

    def _add_watch(self, path: Path, mask: int) -> int:
        if self._fd < 0:
            self._fd = _system().init()
            asyncio.get_running_loop().add_reader(self._fd, self._read_events)
        return _system().add_watch(self._fd, path, mask | _MODE)

    def _read_events(self) -> None:
        try:
            self._hear(os.read(self._fd, 65536))
        except BlockingIOError:
            pass

    def _hear(self, events: bytes) -> None:
        """Act on what was read from the kernel: whole events, one after the other."""
        told: set[_Place] = set()
        position = 0
        while position < len(events):
            wd, mask, _, length = cast("tuple[int, int, int, int]", _EVENT.unpack_from(events, position))
            position += _EVENT.size + length
            if wd < 0:  # the queue overflowed: anything may have changed
                told.update(*self._armed.values())
            elif mask & _IGNORED:
                # The end of a watch, after its one event. If places still count on it, they renewed it in the
                # moment before it ended, and nobody watches for them.
                told.update(self._armed.pop(wd, ()))
            else:
                told.update(self._armed.get(wd, ()))
        for place in told:
            self._disarm(place)
            if place.present:
                self._rest(place)
                place.tell()
            elif place.path.exists():
                self._renew(place)
            else:
                self._rest(place)

    def _rest(self, place: _Place) -> None:
        if place.timer is None:
            place.timer = asyncio.get_running_loop().call_later(_REST, self._renew, place)

    def _renew(self, place: _Place) -> None:
        """Watch again, then tell once more: what happened during the rest made no event."""
        self._disarm(place)
        was_present = place.present
        self._arm(place)
        if place.present or was_present:
            place.tell()

    def _disarm(self, place: _Place) -> None:
        if place.timer is not None:
            place.timer.cancel()
            place.timer = None
        if place.wd >= 0:
            sharers = self._armed.get(place.wd)
            if sharers is not None:
                sharers.discard(place)
                if not sharers:
                    del self._armed[place.wd]
            place.wd = -1

    def _drop(self, place: _Place) -> None:
        wd = place.wd
        self._disarm(place)
        del self._places[place.path]
        if wd >= 0 and wd not in self._armed:
            _system().rm_watch(self._fd, wd)

    def _unsubscribe(self, place: _Place, subscription: Subscription) -> None:
        place.subscribers.discard(subscription)
        if not place.subscribers and self._places.get(place.path) is place:
            self._drop(place)


class _Place:
    """A subscribed path: armed (wd), resting or polled (timer), and who wants to hear of it."""

    __slots__ = ("path", "present", "subscribers", "timer", "wd")

    def __init__(self, path: Path) -> None:
        self.path = path
        self.wd = -1
        self.timer: asyncio.TimerHandle | None = None
        self.present = False
        self.subscribers: set[Subscription] = set()

    def tell(self) -> None:
        for subscription in list(self.subscribers):
            if subscription in self.subscribers:
                subscription.on_change()


class _System:
    """The three system calls, which Python has no names for."""

    def __init__(self) -> None:
        import ctypes  # late: it costs 5 ms, and the command line never watches anything

        self._errno = ctypes.get_errno
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.inotify_add_watch.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)

    def init(self) -> int:
        return self._checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify")

    def add_watch(self, fd: int, path: Path, mask: int) -> int:
        return self._checked(self._libc.inotify_add_watch(fd, os.fsencode(path), mask), str(path))

    def rm_watch(self, fd: int, wd: int) -> None:
        # Fails when the kernel ended the watch a moment ago: as good.
        self._libc.inotify_rm_watch(fd, wd)

    def _checked(self, result: int, what: str) -> int:
        if result < 0:
            code = self._errno()
            raise OSError(code, os.strerror(code), what)
        return result


@cache
def _system() -> _System:
    return _System()
