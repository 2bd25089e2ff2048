"""The account of runs as a login at this moment would have it: groups, shell and home change while we run.

The system may ask a server far away for it, so it is asked on a thread and waited for only so long.
"""

import asyncio
import os
import time
from collections.abc import Mapping

from runner_agent.executors.environment import Account, account
from runner_agent.kit.patience import LIMIT, Patience, Reading, TookTooLong
from runner_agent.model.errors import CannotStart

FRESH = 1.0
"""Seconds that an answer holds if no file here has changed: many runs that start together ask once."""
FILES = ("/etc/passwd", "/etc/group", "/etc/nsswitch.conf")

_Stamps = tuple[tuple[int, int, int] | None, ...]


class Accounts:
    """One user's account. What is asked while an answer is under way gets that one."""

    def __init__(
        self, name: str, environ: Mapping[str, str], own_path: str, reading: Reading | None = None
    ) -> None:
        """Of the user `name`, "" for our own, as in `account`. Raises KeyError for an unknown one."""
        self._arguments = (name, environ, own_path)
        self._reading: Reading = reading or Patience()
        self._stamps = _stamps()
        self._asked = time.monotonic()
        self._known = account(*self._arguments)
        self._uid = self._known.uid
        self._asking: asyncio.Task[None] | None = None

    async def now(self) -> Account:
        """As it is. Raises CannotStart where that cannot be said, or would be somebody else."""
        while not self._holds():
            if self._asking is None:
                self._asking = asyncio.get_running_loop().create_task(self._ask(), name="account")
                self._asking.add_done_callback(_heard)  # who waited may have gone
            await asyncio.shield(self._asking)
        return self._known

    def _holds(self) -> bool:
        """Our own groups and rights are those of this process, and only files tell of the rest."""
        fresh = not self._known.switch or time.monotonic() < self._asked + FRESH
        return fresh and self._stamps == _stamps()

    async def _ask(self) -> None:
        name = self._arguments[0]
        stamps, asked = _stamps(), time.monotonic()
        try:
            found = await self._reading(lambda: account(*self._arguments))
        except TookTooLong:
            raise CannotStart(
                f"the account {name or 'of the agent'} cannot be looked up: the system did not answer within"
                f" {LIMIT:g} s; see whether `getent passwd {name}` answers"
            ) from None
        except KeyError:
            raise CannotStart(
                f"there is no user {name!r} on this machine any more; add it, or change `run_as`"
            ) from None
        finally:
            self._asking = None
        if found.uid != self._uid:
            raise CannotStart(
                f"the user {name!r} has uid {found.uid} now, and had {self._uid} when the agent started;"
                " restart the agent (systemctl restart runner-agent, or SIGHUP to it): what runs goes on"
            )
        self._known, self._stamps, self._asked = found, stamps, asked


def _heard(asking: asyncio.Task[None]) -> None:
    if not asking.cancelled():
        asking.exception()


def _stamps() -> _Stamps:
    return tuple(_stamp(path) for path in FILES)


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116  at each start, and a Path takes as long as the rest
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
