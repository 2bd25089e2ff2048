"""Holders seen from outside: pinned by pidfd and verified, waited for without polling, told what to do by
signal (rule 7.3).
"""

import asyncio
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from runner_agent.launcher import procs, records, wire
from runner_agent.model.errors import Unavailable
from runner_agent.model.runs import Ending, Exited, Handle, NotStarted, Signaled

TERMINATE = signal.SIGRTMIN + wire.TERMINATE
KILL = signal.SIGRTMIN + wire.KILL
LINGER = signal.SIGRTMIN + wire.LINGER
UNLINGER = signal.SIGRTMIN + wire.UNLINGER


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

    def pin(self, boot: str) -> int | None:
        """A pidfd of the live holder, which the caller closes; None if it is gone or cannot be verified."""
        if self.boot != boot:
            return None
        try:
            pinned = os.pidfd_open(self.pid)
        except OSError:
            return None
        found = procs.look(self.pid)
        if found is None or found.start != self.start or found.zombie:
            os.close(pinned)
            return None
        return pinned

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
    )


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
    """How the command ended, once that is on record; None if the holder is gone and never wrote it."""
    ending = read_ending(holder.folder)
    if ending is not None:
        return ending
    latch = _open_latch(holder.folder)
    pinned = holder.pin(boot)
    try:
        # Looked at with both open: from here on neither the record nor the holder's end can be missed.
        ending = read_ending(holder.folder)
        if ending is None and pinned is not None:
            await readable(pinned, *latch)
            ending = read_ending(holder.folder)
            if ending is None:  # let go of without a record: it is being killed
                await readable(pinned)
                ending = read_ending(holder.folder)
    finally:
        for descriptor in (*latch, *([] if pinned is None else [pinned])):
            os.close(descriptor)
    return ending


def read_ending(folder: Path) -> Ending | None:
    """The `ended` record in our terms, or None if there is none yet. Raises Unavailable for one of another
    version.
    """
    try:
        record = records.read(str(folder), records.ENDED)
    except wire.Refused as refused:
        raise Unavailable(f"how a run ended cannot be understood: {refused.text}") from None
    if record is None:
        return None
    match record.get("how"):
        case "exited":
            return Exited(int(str(record["code"])))
        case "signaled":
            return Signaled(int(str(record["signal"])), oom=bool(record.get("oom")))
        case _:
            return NotStarted(str(record.get("reason", "")))


def _open_latch(folder: Path) -> list[int]:
    try:
        return [os.open(folder / records.LATCH, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)]
    except OSError:
        return []


async def readable(*descriptors: int) -> None:
    """Wait for one of them: a pidfd, whose process ended, or a FIFO, whose last writer has let go of it."""
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
