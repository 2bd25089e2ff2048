"""Runs that holders own: a folder of records each; found, waited for and signalled all in one way.

A run's folder is all that a later agent needs to take it up again. Nothing here is remembered.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import cast

import structlog

from runner_agent.executors.hiding import Hiding
from runner_agent.executors.holders import (
    KILL,
    LINGER,
    TERMINATE,
    UNLINGER,
    Holder,
    holder_of,
    read_ended_at,
    read_ending,
    wait_gone,
    wait_record,
)
from runner_agent.executors.launcher_link import LauncherLink
from runner_agent.executors.remains import end_remains, remains_of
from runner_agent.executors.sweeper import Sweeper
from runner_agent.launcher import procs, records
from runner_agent.launcher.wire import UNSHARED, Message, Refused
from runner_agent.model.errors import CannotStart, Unavailable
from runner_agent.model.ids import Instant, RunId
from runner_agent.model.runs import Ending, Handle, Lost, Survivor

SUPERVISOR_LOST = "supervisor lost"
log = structlog.get_logger("held")

_REFUSALS = frozenset({"not_started", "invalid", "void", "too_large"})


class HeldRuns:
    """An `Executor` less `prepare` and `start`: a kind adds what it starts, and what else it looks after."""

    def __init__(self, name: str, link: LauncherLink, runs: Path) -> None:
        """`runs` is the kind's own folder. All kinds share their agent's one `link`: to the launcher a second
        would be another agent.
        """
        self._name, self.link, self.runs = name, link, runs
        self.runs.mkdir(mode=0o700, exist_ok=True)
        self.boot = procs.boot_mark()
        self._sweeper = Sweeper()
        self._hiding = Hiding()

    @property
    def name(self) -> str:
        return self._name

    async def warm_up(self) -> None:
        """Have a launcher ready before it is needed: starting one takes longer than starting a run."""
        try:
            await self.link.ask("ping")
        except (Unavailable, Refused) as error:
            log.warning("no launcher yet; the first run will try again", error=str(error))

    def make_folder(self, run_id: RunId) -> Path:
        """The run's folder, made. Raises CannotStart."""
        folder = self.folder(run_id)
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            pass
        except OSError as error:
            raise CannotStart(f"its folder {folder} cannot be made: {error.strerror}") from None
        return folder

    async def order(self, run_id: RunId, order: Mapping[str, object]) -> Handle:
        """Have the launcher start it; its folder exists. Raises CannotStart, Unavailable."""
        try:
            record = await self._ordered({**order, "run_id": run_id, "dir": str(self.folder(run_id))})
        except Refused as refused:
            if refused.code in _REFUSALS:
                raise CannotStart(refused.text) from None
            raise Unavailable(f"the launcher cannot start {run_id}: {refused.text}") from None
        return self._handle(record)

    async def _ordered(self, order: Mapping[str, object]) -> Message:
        """With what is to be hidden where all runs share it, if it is much and the launcher can read that."""
        shared = await self._hiding.shared(cast("list[str]", order.get("secrets", [])))
        if shared is not None:
            try:
                return await self.link.ask("start", {**order, "secrets": [], "secrets_in": shared.path})
            except Refused as refused:
                if refused.code != UNSHARED:
                    raise
        return await self.link.ask("start", order)

    async def wait_ended(self, handle: Handle) -> Ending:
        ending = await wait_record(holder_of(handle), self.boot)
        if ending is not None:
            return ending
        # Killed together with its record: what it held goes before its end is told (rule 7.4).
        await end_remains(holder_of(handle), handle.run_id, self.boot)
        return read_ending(holder_of(handle).folder) or Lost(SUPERVISOR_LOST)

    async def wait_empty(self, handle: Handle) -> None:
        holder = holder_of(handle)
        await wait_gone(holder, self.boot)
        if read_ending(holder.folder) is None:
            await end_remains(holder, handle.run_id, self.boot)

    async def ended_at(self, handle: Handle) -> Instant | None:
        holder = holder_of(handle)
        return read_ended_at(holder.folder) if holder.boot == self.boot else None

    async def terminate(self, handle: Handle) -> None:
        holder_of(handle).signal(TERMINATE, self.boot)

    async def kill(self, handle: Handle) -> None:
        holder_of(handle).signal(KILL, self.boot)

    async def linger(self, handle: Handle, *, on: bool) -> None:
        holder_of(handle).signal(LINGER if on else UNLINGER, self.boot)

    async def survivors(self, handle: Handle) -> tuple[Survivor, ...]:
        holder = holder_of(handle)
        if holder.boot != self.boot:
            return ()
        if holder.lives(self.boot):
            found = self.processes(holder)
        elif read_ending(holder.folder) is None:
            found = remains_of(holder, handle.run_id)
        else:
            found = []
        return tuple(Survivor(proc.pid, proc.command) for proc in found)

    def processes(self, holder: Holder) -> list[procs.Proc]:
        """Those of the run whose holder lives."""
        return [proc for proc in procs.descendants(holder.pid) if not proc.zombie]

    async def find(self, run_id: RunId) -> Handle | None:
        folder = self.folder(run_id)
        folder.mkdir(mode=0o700, exist_ok=True)  # a tombstone needs a place
        try:
            answer = await self.link.ask("find", {"run_id": run_id, "dir": str(folder)})
        except Refused as refused:
            raise Unavailable(f"the launcher cannot look for {run_id}: {refused.text}") from None
        found = cast("Message | None", answer.get("found"))
        if found is None or found.get("dir") != str(folder):  # the launcher knows runs of every kind
            return None
        return self._handle(found)

    async def survey(self) -> tuple[Handle, ...]:
        seen = (self._look(folder) for folder in sorted(self.runs.iterdir()))
        return tuple(handle for handle in seen if handle is not None)

    async def traces(self) -> Collection[RunId]:
        return {RunId(folder.name) for folder in self.runs.iterdir() if _understood(folder)}

    async def clean(self, run_id: RunId) -> None:
        folder = self.folder(run_id)
        if folder.exists():
            await self._sweeper.clear(str(folder))

    async def stop_launcher(self) -> None:
        """End the launcher this agent uses; what still runs goes on."""
        await self.link.shutdown()

    async def aclose(self) -> None:
        await self.link.aclose()

    def folder(self, run_id: RunId) -> Path:
        """Where a run's records are, if it exists."""
        return Path(f"{self.runs}/{run_id}")

    def _handle(self, record: Message) -> Handle:
        data = {
            name: value for name, value in record.items() if name != "v" and isinstance(value, (str, int))
        }
        return Handle(self.name, RunId(str(record["run_id"])), data)

    def _look(self, folder: Path) -> Handle | None:
        """The run in a folder, if something of it is left."""
        try:
            record = records.read(str(folder))
        except Refused as error:  # what cannot be verified is never signalled (rule 7.3)
            log.warning("cannot take up a run", reason=str(error))
            return None
        if record is None or record.get("void") or record.get("boot") != self.boot:
            return None
        handle = self._handle(record)
        holder = holder_of(handle)
        if holder.lives(self.boot):
            return handle
        lost = records.ENDED not in record and remains_of(holder, handle.run_id)
        return handle if lost else None


def _understood(folder: Path) -> bool:
    """Or else it may be another version's, and is left alone."""
    try:
        records.read(str(folder))
    except Refused:
        return False
    return True
