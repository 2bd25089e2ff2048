"""Whoever reads our output may have had enough while there is nothing to write: `logs web | head -1`."""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager

from runner_agent.cli.exits import DONE, Quit


@contextmanager
def until_unread() -> Generator[None]:
    """The block writes to standard output and changes nothing. When nobody reads that any more the command
    ends well: at once, not when the next line comes.
    """
    try:
        with _watched():
            yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise Quit(DONE) from None


def unread() -> bool:
    """Whether nobody reads standard output any more."""
    poll = select.poll()
    if (fd := _descriptor()) >= 0:
        poll.register(fd, 0)  # that the other end is gone is told unasked
    return bool(poll.poll(0))


@contextmanager
def _watched() -> Generator[None]:
    fd = _descriptor()
    if fd < 0:
        yield
        return
    over, ours = os.pipe()
    thread = threading.Thread(target=_watch, args=(fd, over), name="reader", daemon=True)
    thread.start()
    try:
        yield
    finally:
        os.close(ours)
        thread.join()
        os.close(over)


def _descriptor() -> int:
    """Of standard output, -1 if it has none."""
    try:
        return sys.stdout.fileno()
    except (OSError, ValueError, AttributeError):
        return -1


def _watch(fd: int, over: int) -> None:
    poll = select.poll()
    for each in (fd, over):
        poll.register(each, 0)
    if all(ready == fd for ready, _ in poll.poll()):
        os._exit(DONE)  # the main thread waits for the agent, and what waits there for a reader has none
