"""A launcher of another version of the wire, left by an upgrade: it goes once it holds nothing (rule 7.2).

One that still holds runs is left alone: it is their reaper, and what it holds goes on until its end. Its
successor is started by whoever asks next.
"""

import asyncio
import os
import signal
import socket
import struct

import structlog

from runner_agent.executors.holders import readable
from runner_agent.launcher import procs

NAME = "ra-launcher"
GIVE_UP = 10.0
"""Seconds that it may take to end; it takes milliseconds."""

log = structlog.get_logger("launcher")


def peer_of(sock: socket.socket) -> int:
    """Who listens at the other end of a unix socket: its pid."""
    return int(struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0])


async def ended(pid: int) -> bool:
    """True once it is gone. False, and no signal sent, if it holds a run or is no launcher of ours."""
    try:
        pinned = os.pidfd_open(pid)
    except (ProcessLookupError, ValueError):
        return True
    try:
        found = procs.look(pid)
        if found is None or found.command != NAME or _holds(pid):
            return False
        log.info("a launcher of another version holds nothing; another takes its place", pid=pid)
        signal.pidfd_send_signal(pinned, signal.SIGTERM)
        async with asyncio.timeout(GIVE_UP):
            await readable(pinned)
    except (ProcessLookupError, TimeoutError, PermissionError) as error:
        log.warning("a launcher of another version does not go", pid=pid, error=str(error))
        return False
    finally:
        os.close(pinned)
    return True


def _holds(pid: int) -> bool:
    """Anything but what it is made of itself: a nursery, and holders that wait for an order."""
    return any(not one.zombie and not one.command.startswith("ra-") for one in procs.descendants(pid))
