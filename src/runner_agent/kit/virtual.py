"""Virtual time for tests: a clock set by hand, and an asyncio loop that jumps to its next timer when idle.

Shipped, as trio ships its MockClock: whoever builds on these parts tests with them. Only for code whose
waiting is all timers and futures: threads, subprocesses and sockets live in real time, and the loop would
jump on without them.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_PATIENCE = 10.0
"""Real seconds to wait for threads and the like when no timer is set, before it is called a deadlock."""
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class VirtualClock:
    """A clock that moves only when told to, or when the loop that runs on it is idle."""

    __slots__ = ("_boots", "_now", "_wall")

    def __init__(self, now: float = 1000.0, wall: datetime = _EPOCH) -> None:
        self._now = now
        self._wall = wall
        self._boots = 1

    def now(self) -> float:
        return self._now

    def wall(self) -> datetime:
        return self._wall

    def boot_id(self) -> str:
        return f"virtual-boot-{self._boots}"

    def boot_mark(self) -> str:
        return f"{self.boot_id()}:{self._boots}"

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        if seconds < 0:
            raise ValueError(
                f"cannot advance a monotonic clock by {seconds} s; use set_wall to move the date back"
            )
        self._now += seconds
        self._wall += timedelta(seconds=seconds)

    def set_wall(self, wall: datetime) -> None:
        """Move the date alone, as an administrator or NTP does."""
        self._wall = wall

    def reboot(self, now: float = 5.0) -> None:
        """Begin another boot: the monotonic clock starts low again, and the boot has another mark."""
        self._boots += 1
        self._now = now


class _JumpingSelector(selectors.DefaultSelector):
    """Where a real selector would sleep until the next timer, this one moves the clock there."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            ready = super().select(_PATIENCE)
            if not ready:
                raise RuntimeError(
                    f"cannot go on in virtual time: every task waits, no timer is set, "
                    f"and nothing came from outside within {_PATIENCE} s"
                )
            return ready
        ready = super().select(0)
        if not ready and timeout > 0:
            self._clock.advance(timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is a VirtualClock."""

    def __init__(self, clock: VirtualClock | None = None) -> None:
        self.clock = VirtualClock() if clock is None else clock
        super().__init__(_JumpingSelector(self.clock))

    def time(self) -> float:
        return self.clock.now()

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ARG002
        """Without the limit that Python 3.12 brought: threads run in real time, and ours would jump to it."""
        await super().shutdown_default_executor()


def run(main: Coroutine[object, object, T], clock: VirtualClock | None = None) -> T:
    """Run a coroutine to its end in virtual time, as `asyncio.run` does in real time."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        return runner.run(main)


def virtual_time(test: Callable[P, Coroutine[object, object, T]]) -> Callable[P, T]:
    """Make an ordinary function of an async test: it runs in virtual time, on a clock of its own."""

    @functools.wraps(test)
    def in_virtual_time(*args: P.args, **kwargs: P.kwargs) -> T:
        return run(test(*args, **kwargs))

    return in_virtual_time


def running_clock() -> VirtualClock:
    """The clock of the running VirtualLoop. TypeError elsewhere."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, VirtualLoop):
        raise TypeError(
            "cannot give the virtual clock: this code does not run under virtual_time or virtual.run"
        )
    return loop.clock
