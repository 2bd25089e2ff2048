"""Holders seen from outside: pinned by pidfd and verified, waited for without polling, told what to do by
signal (rule 7.3).
"""

import asyncio
import os
import signal
from pathlib import Path
from typing import cast

from runner_agent.launcher import procs, records, wire
from runner_agent.model.errors import Unavailable
from runner_agent.model.frozen import dataclass
from runner_agent.model.ids import Instant
from runner_agent.model.runs import Ending, Exited, Handle, Lost, NotStarted, Signaled

TERMINATE = signal.SIGRTMIN + wire.TERMINATE
KILL = signal.SIGRTMIN + wire.KILL
LINGER = signal.SIGRTMIN + wire.LINGER
UNLINGER = signal.SIGRTMIN + wire.UNLINGER

_PAUSE, _LONGEST = 0.005, 1.0
"""Seconds between two looks at the record of a holder that outlives its command: doubled, up to the last."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a run, as its record tells: only with the right boot and start time is a pid the process it
    was.
    """

    folder: Path
    boot: str
    pid: int
    start: int
    cgroup: str = ""
    leader: int = 0
    leader_start: int = 0
    """Of the command; 0 where the record does not tell."""

    def pin(self, boot: str) -> int | None:
        """A pidfd of the live holder, which the caller closes; None if it is gone or cannot be verified."""
        return _pinned(self.pid, self.start) if self.boot == boot else None

    def pin_leader(self) -> int | None:
        """The same of its command."""
        return _pinned(self.leader, self.leader_start) if self.leader else None

    def lives(self, boot: str) -> bool:
        """Is it there, as far as can be verified?"""
        pinned = self.pin(boot)
        if pinned is None:
            return False
        os.close(pinned)
        return True

    def signal(self, number: int, boot: str) -> bool:
        """Tell the holder; False if it is gone."""
        pinned = self.pin(boot)
        if pinned is None:
            return False
        try:
            signal.pidfd_send_signal(pinned, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(pinned)
        return True


def holder_of(handle: Handle) -> Holder:
    """What a handle's data say."""
    data = handle.data
    return Holder(
        Path(str(data["dir"])),
        str(data["boot"]),
        int(data["holder_pid"]),
        int(data["holder_start"]),
        str(data.get("cgroup", "")),
        int(data.get("leader_pid", 0)),
        int(data.get("leader_start", 0)),
    )


def _pinned(pid: int, start: int) -> int | None:
    try:
        pinned = os.pidfd_open(pid)
    except OSError:
        return None
    found = procs.look(pid)
    if found is None or found.start != start or found.zombie:
        os.close(pinned)
        return None
    return pinned


async def wait_gone(holder: Holder, boot: str) -> None:
    """Return when the holder is gone, and with it every process of the run."""
    pinned = holder.pin(boot)
    if pinned is None:
        return
    try:
        await readable(pinned)
    finally:
        os.close(pinned)


async def wait_record(holder: Holder, boot: str) -> Ending | None:
    """How the command ended, once that is on record; None if the holder is gone and never wrote it.

    When a command ends, its holder mostly has nothing left to hold: so what is waited for then is the
    holder's own end, with a look at the record now and then.
    """
    pinned = holder.pin(boot)
    if pinned is None:
        return read_ending(holder.folder)
    try:
        leader = holder.pin_leader()
        if leader is None:
            ending = read_ending(holder.folder)
        else:  # it lives, so its end is not on record
            ending = None
            try:
                await readable(pinned, leader)
            finally:
                os.close(leader)
        pause = _PAUSE
        while ending is None:
            gone = await _gone_within(pinned, pause)
            ending = read_ending(holder.folder)
            if gone:
                break
            pause = min(2 * pause, _LONGEST)
    finally:
        os.close(pinned)
    return ending


async def _gone_within(pinned: int, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await readable(pinned)
    except TimeoutError:
        return False
    return True


def read_ending(folder: Path) -> Ending | None:
    """What the record says of the end, in our terms, or None if it does not yet. Raises Unavailable for one
    that cannot be understood.
    """
    ended = _read_end(folder)
    if ended is None:
        return None
    match ended.get("how"):
        case "exited":
            return Exited(int(str(ended["code"])), _why(ended))
        case "signaled":
            return Signaled(int(str(ended["signal"])), bool(ended.get("oom")), _why(ended))
        case "lost":
            return Lost(str(ended.get("reason", "")))
        case _:
            return NotStarted(str(ended.get("reason", "")))


def read_ended_at(folder: Path) -> Instant | None:
    """When that was, if the record tells it. Raises Unavailable as `read_ending` does."""
    told = (_read_end(folder) or {}).get("ended_ns")
    return Instant(told / 1e9) if isinstance(told, int) else None


def _read_end(folder: Path) -> wire.Message | None:
    try:
        record = records.read(str(folder))
    except wire.Refused as refused:
        raise Unavailable(f"how a run ended cannot be understood: {refused.text}") from None
    return cast("wire.Message | None", record and record.get(records.ENDED))


def _why(ended: wire.Message) -> str:
    return str(ended.get("why", ""))


async def readable(*descriptors: int) -> None:
    """Wait for one of these pidfds: its process has ended."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    for descriptor in descriptors:
        loop.add_reader(descriptor, _settle, ready)
    try:
        await ready
    finally:
        for descriptor in descriptors:
            loop.remove_reader(descriptor)


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
