"""Runs in the dev container: each a command that the Engine starts there, attended from outside.

The holder reads the command's output from a FIFO in the container, and an attendant (launcher.attend_exec)
stays by the command. Nothing here is remembered: the run's folder tells the rest to a later agent.
"""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol, cast
from weakref import WeakValueDictionary

import structlog

import runner_agent
from runner_agent.executors.base import RunRequest
from runner_agent.executors.devcontainer_entered import Entered
from runner_agent.executors.devcontainer_place import DevContainer
from runner_agent.executors.environment import FALLBACK_SHELL, SHELLS
from runner_agent.executors.held import HeldRuns
from runner_agent.executors.holders import Holder, holder_of, readable, wait_gone
from runner_agent.executors.launcher_link import LauncherLink
from runner_agent.executors.scripts import from_file, way
from runner_agent.executors.table import DEVCONTAINER
from runner_agent.kit.reading import value_of
from runner_agent.launcher import attend, loglines, procs
from runner_agent.launcher.attend_exec import HELD, WORD
from runner_agent.launcher.cage import Cage
from runner_agent.launcher.gate import PREFIX, SCRIPT, TASK
from runner_agent.launcher.inside import Inside
from runner_agent.launcher.watched import Watched
from runner_agent.model.errors import CannotStart
from runner_agent.model.frozen import dataclass
from runner_agent.model.ids import RunId
from runner_agent.model.phases import RunRole
from runner_agent.model.runs import Ending, Handle, Lost, NotStarted

LEFTOVER_GRACE = 10
"""Seconds between SIGTERM and SIGKILL for what a command left behind (rule 3.5)."""
_PAUSE, _LONGEST = 0.02, 2.0
log = structlog.get_logger("devcontainer")


class Locator(Protocol):
    """Who knows the dev container."""

    async def running(self, request: RunRequest) -> DevContainer:
        """It, once it runs; says in the request what it waits for. May be cancelled."""
        ...


@dataclass(frozen=True, slots=True)
class DevContainerSettings:
    """`engine` tells the Engine's address as of now. "" as `shell`: bash, or sh where there is none."""

    state_dir: Path
    engine: Callable[[], str]
    shell: str = ""


class DevContainerExecutor(HeldRuns):
    """An `Executor`."""

    def __init__(self, settings: DevContainerSettings, link: LauncherLink, locator: Locator) -> None:
        """Asks nobody yet."""
        super().__init__(DEVCONTAINER, link, settings.state_dir / "execs")
        self._settings = settings
        self._locator = locator
        self._found: dict[RunId, DevContainer] = {}
        self._starting: WeakValueDictionary[RunId, asyncio.Lock] = WeakValueDictionary()

    async def prepare(self, request: RunRequest) -> None:
        """Wait for the dev container (rule 6.3)."""
        self._found[request.run_id] = await self._locator.running(request)

    async def start(self, request: RunRequest) -> Handle:
        lock = self._starting.setdefault(request.run_id, asyncio.Lock())
        async with lock:
            folder = self.make_folder(request.run_id)
            if (folder / TASK).exists():  # asked for before: the launcher knows what became of it
                return await self.order(request.run_id, self._order(request, {}, ""))
            there = self._found.pop(request.run_id, None) or await self._locator.running(request)
            with Entered(there) as inside:
                return await self._start(request, folder, there, inside)

    async def _start(self, request: RunRequest, folder: Path, there: DevContainer, inside: Entered) -> Handle:
        shell = self._shell(there, inside)
        if not inside.root.is_folder(there.folder):
            raise CannotStart(
                f"cannot enter the working directory {there.folder} in {there.called}: it is not there"
            )
        engine = self._settings.engine()  # before anything is made
        if there.refusal:
            raise CannotStart(there.refusal)
        if request.role is not RunRole.READY:  # which is tried each second
            _say(request.log, there.warnings)
        place, pipe = inside.make_place(
            f".runner-agent-{request.run_id}", request.output.name, request.script
        )
        by_file = from_file(f"{place}/{SCRIPT}", shell)
        try:
            env = _environment(request, there, inside, place)
            told: dict[str, object] = {
                "engine": engine,
                "container": there.id,
                "name": there.called,
                "init": there.pid,
                "init_start": inside.init.start,
                "user": there.user,
                "cwd": there.folder,
                "shell": shell,
                "script": by_file if way(request.script, shell, request.role) else request.script,
                "unset": [name for name in there.unset if name not in request.env],
                "place": place,
                "output": request.output.name,
                "target": str(request.output),
                "run_id": request.run_id,
                "title": request.role.value,
                "grace": LEFTOVER_GRACE,
            }
            _write(folder / TASK, json.dumps(told))
            order = self._order(request, env, f"/proc/{os.getpid()}/fd/{pipe}")
            return await self._begun(request.run_id, order, folder / WORD)
        finally:
            os.close(pipe)

    async def _begun(self, run_id: RunId, order: Mapping[str, object], word: Path) -> Handle:
        """Once the command runs. Raises CannotStart, and then nothing of it is left."""
        with suppress(FileExistsError):
            os.mkfifo(word, 0o600)
        ear = os.open(word, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # before anybody can hang up
        try:
            handle = await self.order(run_id, order)
            pinned = holder_of(handle).pin(self.boot)
            if pinned is not None:
                try:
                    await readable(ear, pinned)
                finally:
                    os.close(pinned)
        finally:
            os.close(ear)
        if not (word.parent / HELD).exists():
            ending = await self.wait_ended(handle)
            if isinstance(ending, NotStarted):
                await wait_gone(holder_of(handle), self.boot)
                raise CannotStart(ending.reason)
        return handle

    def _order(self, request: RunRequest, env: Mapping[str, str], outlet: str) -> dict[str, object]:
        source = str(Path(runner_agent.__file__).parents[1])
        folder = str(self.folder(request.run_id))
        return {
            "argv": attend.command(sys.executable, source, "attend_exec", folder),
            "env": {"RUNNER_AGENT_RUN_ID": request.run_id}
            | {f"{PREFIX}{name}": value for name, value in env.items()},
            "cwd": "/",
            "log": str(request.log),
            "title": request.role.value,
            "note": request.note,
            "secrets": list(request.secrets),
            "outlet": outlet,
            "tended": True,
        }

    def _shell(self, there: DevContainer, inside: Entered) -> str:
        wanted = self._settings.shell
        if wanted:
            names = [wanted] if "/" in wanted else [f"{one}/{wanted}" for one in there.path.split(":") if one]
        else:
            names = [*SHELLS, *(f"{one}/bash" for one in there.path.split(":") if one), FALLBACK_SHELL]
        shell = next((name for name in names if inside.root.is_program(name)), None)
        if shell is None or not inside.root.is_program(FALLBACK_SHELL):
            missing = FALLBACK_SHELL if shell is not None else wanted or "bash or sh"
            raise CannotStart(f"{there.called} lacks the shell {missing}; install it there")
        if shell == FALLBACK_SHELL and not wanted:
            log.warning("bash is missing in the dev container, so sh runs what was written for it")
        return shell

    # ------------------------------------------------------------ what the holder does not hold

    async def wait_ended(self, handle: Handle) -> Ending:
        ending = await super().wait_ended(handle)
        if isinstance(ending, Lost):  # its attendant was killed, say: nobody but us ends what it attended
            await self._end(handle)
        return ending

    async def wait_empty(self, handle: Handle) -> None:
        await super().wait_empty(handle)
        await self._end(handle)

    def processes(self, holder: Holder) -> list[procs.Proc]:
        ours = {proc.pid for proc in procs.descendants(holder.pid)}
        cage = self._cage(holder)
        return [proc for proc in cage.members() if proc.pid not in ours] if cage is not None else []

    async def clean(self, run_id: RunId) -> None:
        self._found.pop(run_id, None)
        await super().clean(run_id)

    async def _end(self, handle: Handle) -> None:
        holder = holder_of(handle)
        cage = self._cage(holder) if holder.boot == self.boot else None
        if cage is None:
            return
        pause = _PAUSE
        while not cage.empty():
            cage.kill()
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST)
        cage.remove()
        self._clear_away(holder.folder)

    def _cage(self, holder: Holder) -> Cage | None:
        held = _read(holder.folder / HELD)
        return None if held is None else Cage(holder.folder.name, str(held.get("cgroup", "")))

    def _clear_away(self, folder: Path) -> None:
        """The run's folder in the container, which the attendant removes if it can."""
        plan = _read(folder / TASK)
        with suppress(OSError, KeyError, TypeError, ValueError):
            if plan is not None:
                Watched(int(str(plan["init"])), int(str(plan["init_start"]))).close()
                inside = Inside(int(str(plan["init"])))
                try:
                    inside.remove_folder(str(plan["place"]))
                finally:
                    inside.close()


def _environment(request: RunRequest, there: DevContainer, inside: Entered, place: str) -> Mapping[str, str]:
    """Later wins (rule 5.2); below all of it is the container's own."""
    env = {**inside.account(), **there.env, **request.env, "RUNNER_AGENT_RUN_ID": request.run_id}
    env["GITPOD_OUTPUT"] = f"{place}/{request.output.name}"
    return env


def _say(path: Path, warnings: Sequence[str]) -> None:
    """In the run's log: what it does not have may be why it fails."""
    if warnings:
        file = loglines.open_log(str(path), None, None)
        try:
            for text in warnings:
                loglines.write(file, loglines.line(text))
        finally:
            os.close(file)


def _write(path: Path, text: str) -> None:
    fresh = path.with_name(f".{path.name}")
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        raise CannotStart(f"its folder {path.parent} cannot be written to: {error.strerror}") from None


def _read(path: Path) -> Mapping[str, object] | None:
    try:
        told = value_of(path.read_bytes())
    except (OSError, ValueError):
        return None
    return cast("Mapping[str, object]", told) if isinstance(told, dict) else None
