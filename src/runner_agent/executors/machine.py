"""Runs on the machine itself: the launcher starts them, their holders own them, and this side asks, waits and
signals.

A run's folder below `runs` is all that a later agent needs to take it up again. Nothing here is remembered.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import structlog

from runner_agent.executors.base import RunRequest
from runner_agent.executors.environment import FALLBACK_SHELL, Account, account, find_shell
from runner_agent.executors.holders import (
    KILL,
    LINGER,
    TERMINATE,
    UNLINGER,
    holder_of,
    read_ending,
    wait_gone,
    wait_record,
)
from runner_agent.executors.launcher_link import LauncherLink
from runner_agent.executors.remains import end_remains, remains_of
from runner_agent.launcher import procs, records
from runner_agent.launcher.wire import Message, Refused
from runner_agent.model.errors import CannotStart, Unavailable
from runner_agent.model.ids import RunId
from runner_agent.model.runs import Ending, Handle, Lost, Survivor

LEFTOVER_GRACE = 10
"""Seconds between SIGTERM and SIGKILL for what a command left behind (rule 3.5)."""
OOM_SCORE = 300
"""When memory runs out, commands go before the agent."""
SUPERVISOR_LOST = "supervisor lost"
log = structlog.get_logger("machine")

_REFUSALS = frozenset({"not_started", "invalid", "void", "too_large"})


@dataclass(frozen=True, slots=True)
class MachineSettings:
    """`state_dir` holds the launcher's socket and the folder `runs`. "" as `shell` or `run_as`: the
    default.
    """

    state_dir: Path
    workspace: Path
    shell: str = ""
    run_as: str = ""
    cgroup: str = ""
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    own_path: str = ""


class MachineExecutor:
    """An `Executor`."""

    def __init__(self, settings: MachineSettings) -> None:
        """Nothing is started before the first run. Raises KeyError for a user that does not exist."""
        self._settings = settings
        self._link = LauncherLink(settings.state_dir)
        self._runs = settings.state_dir / "runs"
        self._runs.mkdir(mode=0o700, exist_ok=True)
        self._boot = procs.boot_mark()
        self._account: Account = account(settings.run_as, settings.environ, settings.own_path)

    @property
    def name(self) -> str:
        return "machine"

    async def warm_up(self) -> None:
        """Have a launcher ready before it is needed: starting one takes longer than starting a run."""
        try:
            await self._link.ask("ping")
        except (Unavailable, Refused) as error:
            log.warning("no launcher yet; the first run will try again", error=str(error))

    async def prepare(self, request: RunRequest) -> None:
        """Nothing is slow here."""

    async def start(self, request: RunRequest) -> Handle:
        shell = find_shell(self._settings.shell, self._account.env["PATH"])
        if shell is None:
            wanted = self._settings.shell or "bash or sh"
            raise CannotStart(f"the shell {wanted} is missing or not executable; install it or set `shell`")
        if shell == FALLBACK_SHELL and not self._settings.shell:
            log.warning("bash is missing, so sh runs what was written for it", reference=request.reference)
        folder = self._folder(request.run_id)
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise CannotStart(f"its folder {folder} cannot be made: {error.strerror}") from None
        try:
            record = await self._link.ask("start", self._order(request, shell, folder))
        except Refused as refused:
            if refused.code in _REFUSALS:
                raise CannotStart(refused.text) from None
            raise Unavailable(f"the launcher cannot start {request.run_id}: {refused.text}") from None
        return self._handle(record)

    async def wait_ended(self, handle: Handle) -> Ending:
        ending = await wait_record(holder_of(handle), self._boot)
        if ending is not None:
            return ending
        # Killed together with its record: what it held goes before its end is told (rule 7.4).
        await end_remains(holder_of(handle), handle.run_id, self._boot)
        return read_ending(holder_of(handle).folder) or Lost(SUPERVISOR_LOST)

    async def wait_empty(self, handle: Handle) -> None:
        holder = holder_of(handle)
        await wait_gone(holder, self._boot)
        if read_ending(holder.folder) is None:
            await end_remains(holder, handle.run_id, self._boot)

    async def terminate(self, handle: Handle) -> None:
        holder_of(handle).signal(TERMINATE, self._boot)

    async def kill(self, handle: Handle) -> None:
        holder_of(handle).signal(KILL, self._boot)

    async def linger(self, handle: Handle, *, on: bool) -> None:
        holder_of(handle).signal(LINGER if on else UNLINGER, self._boot)

    async def survivors(self, handle: Handle) -> tuple[Survivor, ...]:
        holder = holder_of(handle)
        if holder.boot != self._boot:
            return ()
        if holder.lives(self._boot):
            found = [proc for proc in procs.descendants(holder.pid) if not proc.zombie]
        elif read_ending(holder.folder) is None:
            found = remains_of(holder, handle.run_id)
        else:
            found = []
        return tuple(Survivor(proc.pid, proc.command) for proc in found)

    async def find(self, run_id: RunId) -> Handle | None:
        folder = self._folder(run_id)
        folder.mkdir(mode=0o700, exist_ok=True)  # a tombstone needs a place
        try:
            answer = await self._link.ask("find", {"run_id": run_id, "dir": str(folder)})
        except Refused as refused:
            raise Unavailable(f"the launcher cannot look for {run_id}: {refused.text}") from None
        found = cast("Message | None", answer.get("found"))
        return None if found is None else self._handle(found)

    async def survey(self) -> tuple[Handle, ...]:
        seen = (self._look(folder) for folder in sorted(self._runs.iterdir()))
        return tuple(handle for handle in seen if handle is not None)

    async def clean(self, run_id: RunId) -> None:
        shutil.rmtree(self._folder(run_id), ignore_errors=True)

    async def stop_launcher(self) -> None:
        """End the launcher this agent uses; what still runs goes on."""
        await self._link.shutdown()

    async def aclose(self) -> None:
        await self._link.aclose()

    def _order(self, request: RunRequest, shell: str, folder: Path) -> dict[str, object]:
        user = self._account
        order: dict[str, object] = {
            "run_id": request.run_id,
            "dir": str(folder),
            "argv": [shell, "-c", request.script],
            "env": {**user.env, **request.env, "RUNNER_AGENT_RUN_ID": request.run_id},
            "cwd": str(self._settings.workspace),
            "log": str(request.log),
            "title": request.role.value,
            "note": request.note,
            "leftover_grace": LEFTOVER_GRACE,
            "oom_score_adj": OOM_SCORE,
            "secrets": list(request.secrets),
        }
        if user.switch:
            order |= {"uid": user.uid, "gid": user.gid, "groups": list(user.groups)}
        if self._settings.cgroup:
            order["cgroup"] = f"{self._settings.cgroup}/{request.run_id}"
        return order

    def _handle(self, record: Message) -> Handle:
        data = {
            name: value for name, value in record.items() if name != "v" and isinstance(value, (str, int))
        }
        return Handle(self.name, RunId(str(record["run_id"])), data)

    def _look(self, folder: Path) -> Handle | None:
        """The run in a folder, if something of it is left."""
        try:
            record = records.read(str(folder), records.SPAWNED)
            ended = read_ending(folder) is not None
        except (Refused, Unavailable) as error:  # what cannot be verified is never signalled (rule 7.3)
            log.warning("cannot take up a run", reason=str(error))
            return None
        if record is None or record.get("void") or record.get("boot") != self._boot:
            return None
        handle = self._handle(record)
        holder = holder_of(handle)
        if holder.lives(self._boot):
            return handle
        lost = not ended and remains_of(holder, handle.run_id)
        return handle if lost else None

    def _folder(self, run_id: RunId) -> Path:
        return self._runs / run_id
