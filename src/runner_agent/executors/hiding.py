"""The secrets that a run's holder is to hide, written down once for all runs where they are many or long."""

import asyncio
import os
from collections.abc import Sequence

from runner_agent.launcher import spread
from runner_agent.launcher.redactor import MANY


class Shared:
    """A file without a name that tells what is to be hidden, for as long as somebody holds this."""

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self.path = f"/proc/{os.getpid()}/fd/{memory}"

    def __del__(self) -> None:
        os.close(self._memory)


class Hiding:
    """The latest set of secrets, which is mostly that of the run before."""

    def __init__(self) -> None:
        self._secrets: tuple[str, ...] = ()
        self._shared: Shared | None = None
        self._turn = asyncio.Lock()

    async def shared(self, secrets: Sequence[str]) -> Shared | None:
        """To be held until the launcher has answered; None for secrets that an order can carry itself, or
        where there is no memory for it.
        """
        if sum(map(len, secrets)) <= MANY:
            return None
        async with self._turn:
            if self._shared is None or self._secrets != tuple(secrets):
                values = tuple(secret.encode("utf-8", "surrogateescape") for secret in secrets)
                try:
                    # Long ones take tens of milliseconds each, the first time.
                    self._shared = Shared(await asyncio.to_thread(spread.share, values))
                except OSError:
                    return None
                self._secrets = tuple(secrets)
            return self._shared
