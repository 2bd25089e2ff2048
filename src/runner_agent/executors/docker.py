"""Runs in containers: each a container of its own, which a holder's attendant starts and looks after.

What needs the Engine here is its making and its removal. All else is as with any held run.
"""

import asyncio
import os
import shutil
import stat
import sys
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import cast
from weakref import WeakValueDictionary

import structlog

import runner_agent
from runner_agent.core.images import wrong_with_image
from runner_agent.executors.base import Executor, RunRequest
from runner_agent.executors.docker_config import (
    box_texts,
    container_config,
    container_name,
)
from runner_agent.executors.docker_engine import DockerEngine
from runner_agent.executors.docker_own import LONGEST, PAUSE, OwnContainers
from runner_agent.executors.docker_pull import Progress
from runner_agent.executors.docker_words import explained
from runner_agent.executors.held import SUPERVISOR_LOST, HeldRuns
from runner_agent.executors.holders import Holder, holder_of, readable, wait_gone
from runner_agent.executors.launcher_link import LauncherLink
from runner_agent.kit.reading import value_of
from runner_agent.launcher import attend, box, inmate, procs, records
from runner_agent.launcher.attend_container import AWAY, BEGUN, PLAN, WORD
from runner_agent.model.errors import CannotStart, Unavailable
from runner_agent.model.frozen import dataclass
from runner_agent.model.ids import RunId
from runner_agent.model.phases import RunRole
from runner_agent.model.runs import Ending, Exited, Handle, Lost, NotStarted, Signaled
from runner_agent.model.specs import InDocker

LEFTOVER_GRACE = 10
"""Seconds between SIGTERM and SIGKILL for what a command left behind (rule 3.5)."""
OOM_SCORE = -900
"""When memory runs out, who looks after a container goes after what is in it."""
_INSIDE = (RunRole.READY, RunRole.STOP)
log = structlog.get_logger("docker")


@dataclass(frozen=True, slots=True)
class DockerSettings:
    """`environ` is the agent's own environment: it names the Engine, and values of variables passed on."""

    state_dir: Path
    workspace: Path
    environment_id: str
    environ: Mapping[str, str]


class DockerExecutor(HeldRuns):
    """An `Executor`."""

    def __init__(
        self, settings: DockerSettings, link: LauncherLink, engine: DockerEngine, inside: Executor
    ) -> None:
        """Asks no Engine before the first run. `inside` runs what is to be run in a service's container."""
        super().__init__("docker", link, settings.state_dir / "docker-runs")
        self._settings = settings
        self._engine = engine
        self._own = OwnContainers(engine, settings.environment_id, self.folder)
        self.inside = inside
        self._removing: dict[RunId, asyncio.Task[None]] = {}
        self._strays: set[RunId] = set()
        self._starting: WeakValueDictionary[RunId, asyncio.Lock] = WeakValueDictionary()

    async def prepare(self, request: RunRequest) -> None:
        """Have the image."""
        if request.role in _INSIDE:
            await self.inside.prepare(request)
            return
        image = _image(request)
        if wrong := wrong_with_image(image):  # of a definition that was stored before such names were refused
            raise CannotStart(wrong)
        if await self._engine.has_image(image):
            return
        with Progress(image, request) as progress:
            async for layer in self._engine.pull(image):
                progress.note(layer)

    async def start(self, request: RunRequest) -> Handle:
        if request.role in _INSIDE:
            return await self.inside.start(request)
        workspace = self._settings.workspace
        if not workspace.is_dir():
            raise CannotStart(f"cannot enter the working directory {workspace}: it is not there")
        folder = self.make_folder(request.run_id)
        lock = self._starting.setdefault(request.run_id, asyncio.Lock())
        try:
            async with lock:
                return await self._start(request, folder)
        except CannotStart:
            with suppress(CannotStart, Unavailable):  # cleaning up will try again
                await self._own.remove(request.run_id)
            raise

    async def _start(self, request: RunRequest, folder: Path) -> Handle:
        await self.prepare_box(request, folder)
        # Opened before anybody can hang up, so that it cannot be missed.
        word = os.open(folder / WORD, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            handle = await self.order(request.run_id, self._order(request, folder))
            await self._until_begun(holder_of(handle), word)
        finally:
            os.close(word)
        why = _away(folder)  # looked at first: it goes once the other is there
        if not (folder / BEGUN).exists():
            if why:
                raise Unavailable(why)
            await self._over_already(handle, _image(request))
        return handle

    async def prepare_box(self, request: RunRequest, folder: Path) -> None:
        """Have a container that can be started, and the plan for who starts it."""
        if (folder / PLAN).exists():  # asked for before
            return
        try:
            box.make(str(folder / "box"), box_texts(request, self._settings.environ))
            _open_to_all(request.output)
            with suppress(FileExistsError):
                os.mkfifo(folder / WORD, 0o600)
        except OSError as error:
            raise CannotStart(f"its folder {folder} cannot be filled: {error.strerror}") from None
        settings = self._settings
        config = container_config(
            request, settings.environment_id, settings.workspace, folder / "box", settings.environ
        )
        id_ = await self._engine.create(container_name(request.run_id), config)
        plan: dict[str, object] = {
            "engine": self._engine.address,
            "id": id_,
            "title": request.role.value,
            "grace": LEFTOVER_GRACE,
        }
        try:
            records.write(str(folder), PLAN, plan)
        except OSError as error:
            raise CannotStart(f"its folder {folder} cannot be written: {error.strerror}") from None

    def _order(self, request: RunRequest, folder: Path) -> dict[str, object]:
        source = str(Path(runner_agent.__file__).parent.parent)
        return {
            "argv": attend.command(sys.executable, source, "attend_container", str(folder)),
            "env": {"RUNNER_AGENT_RUN_ID": request.run_id},
            "cwd": "/",
            "log": str(request.log),
            "title": request.role.value,
            "note": request.note,
            "outlet": str(folder / "box" / box.OUTLET),
            "tended": True,
            "oom_score_adj": OOM_SCORE,
            "secrets": list(request.secrets),
        }

    async def _until_begun(self, holder: Holder, word: int) -> None:
        """Until the attendant has hung up, or is gone: it had no word to hang up if it died too soon.

        One that has found the Engine away has hung up, too, before somebody asked again.
        """
        pinned = holder.pin(self.boot)
        if pinned is None:
            return
        if _away(holder.folder) or (holder.folder / BEGUN).exists():
            os.close(pinned)
            return
        try:
            await readable(word, pinned)
        finally:
            os.close(pinned)

    async def _over_already(self, handle: Handle, image: str) -> None:
        """Raises CannotStart if it never began, and then nothing of it is left."""
        ending = await self.wait_ended(handle)
        if isinstance(ending, NotStarted):
            await wait_gone(holder_of(handle), self.boot)
            raise CannotStart(explained(ending.reason, image))

    async def wait_ended(self, handle: Handle) -> Ending:
        ending = await super().wait_ended(handle)
        if ending != Lost(SUPERVISOR_LOST) or holder_of(handle).boot != self.boot:
            return ending
        # Whoever looked after it was killed. What it wrote down by itself counts all the same.
        await self._own.end(handle.run_id)
        code = box.code_of(str(self.folder(handle.run_id) / "box"))
        return ending if code is None else _ending_of(code)

    async def wait_empty(self, handle: Handle) -> None:
        await super().wait_empty(handle)
        if holder_of(handle).boot == self.boot and self._inmates(self.folder(handle.run_id)) is not None:
            await self._own.end(handle.run_id)

    def processes(self, holder: Holder) -> list[procs.Proc]:
        init = self._inmates(holder.folder)
        if init is None:
            return []
        return inmate.inhabitants(init.pid) or [init]

    async def traces(self) -> Collection[RunId]:
        """Containers of a state that was lost, too. Asked without loading what most agents never need."""
        self._strays = await asyncio.to_thread(self._own.seen)
        return {*await super().traces(), *self._strays}

    async def clean(self, run_id: RunId) -> None:
        if run_id not in self._strays and not (self.folder(run_id) / "box").exists():  # it has no container
            await super().clean(run_id)
            return
        try:
            await self._remove(run_id)
        except (Unavailable, CannotStart) as error:
            log.warning("cannot remove a container yet; trying again", run=run_id, error=str(error))
            self._remove_soon(run_id)

    async def aclose(self) -> None:
        for task in self._removing.values():
            task.cancel()
        await asyncio.gather(*self._removing.values(), return_exceptions=True)

    def _inmates(self, folder: Path) -> procs.Proc | None:
        """The container's init, if it lives and can be seen."""
        try:
            told = cast("Mapping[str, object]", value_of((folder / BEGUN).read_bytes()))
            init = procs.look(int(str(told["init"])))
        except (OSError, ValueError, LookupError, TypeError):
            return None
        return init if init is not None and init.start == told["start"] and not init.zombie else None

    async def _remove(self, run_id: RunId) -> None:
        await self._own.remove(run_id)
        self._strays.discard(run_id)
        shutil.rmtree(self.folder(run_id), ignore_errors=True)

    def _remove_soon(self, run_id: RunId) -> None:
        if run_id not in self._removing:
            task = asyncio.get_running_loop().create_task(
                self._until_removed(run_id), name=f"remove {run_id}"
            )
            self._removing[run_id] = task
            task.add_done_callback(lambda _: self._removing.pop(run_id, None))

    async def _until_removed(self, run_id: RunId) -> None:
        pause = PAUSE
        while True:
            try:
                return await self._remove(run_id)
            except (Unavailable, CannotStart):
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST)


def _away(folder: Path) -> str:
    """Why the attendant cannot start the container yet; "" if it does not wait for the Engine."""
    try:
        return str(cast("Mapping[str, object]", value_of((folder / AWAY).read_bytes()))["why"])
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def _image(request: RunRequest) -> str:
    return request.runs_on.image if isinstance(request.runs_on, InDocker) else ""


def _open_to_all(output: Path) -> None:
    """The image's user, whoever it is, writes there; on the machine nobody else gets past its folder."""
    with suppress(FileNotFoundError):
        output.touch()
        output.chmod(stat.S_IMODE(output.stat().st_mode) | 0o666)


def _ending_of(code: int) -> Ending:
    told = attend.ended_by(code)
    return Signaled(code - 128) if told["how"] == "signaled" else Exited(code)
