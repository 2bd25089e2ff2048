"""What runs leave behind for people and for `core`: log lines and outputs, found by the run they belong
to.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

from runner_agent.kit.bell import Bell
from runner_agent.kit.inotify import Inotify
from runner_agent.logs.cap import LogCap
from runner_agent.logs.files import LogFiles, append_note
from runner_agent.logs.last import last_line, last_lines
from runner_agent.logs.output_watch import OutputNews, OutputWatch, output_name
from runner_agent.logs.outputs import Mark
from runner_agent.model.errors import RunnerError
from runner_agent.model.frozen import dataclass
from runner_agent.model.ids import ExecutionId, Reference, RunId, ServiceId, StepId
from runner_agent.model.phases import RunRole
from runner_agent.model.records import Key, Kind
from runner_agent.model.runs import OutputMark, Outputs

PAUSE = 1.0
"""Seconds before outputs that could not be published are published again."""

UNWATCHED = 0.1
"""Seconds in which most commands that are to end are over: what they wrote is then read once, at the end. Not
for `start`: its outputs are to be there when `ready` says that it is (rule 5.3).
"""

Publish = Callable[[Outputs, OutputMark], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Owner:
    """The user that runs write their output files as."""

    uid: int
    gid: int


class Evidence:
    """Logs and output files. `outputs` is a folder of folders by run id, perhaps that of the runs' records;
    `owner`, who can pass through it, None is our own user.
    """

    def __init__(
        self, logs: LogFiles, cap: LogCap, outputs: Path, inotify: Inotify, owner: Owner | None = None
    ) -> None:
        self._logs, self._cap, self._outputs, self._inotify, self._owner = logs, cap, outputs, inotify, owner

    def log(self, key: Key, role: RunRole) -> Path:
        """The log that the role's output is appended to."""
        if key.kind is Kind.SERVICE:
            return self._logs.service(ServiceId(key.id), role)
        return self._logs.run(StepId(key.id))

    def prepare(self, key: Key, role: RunRole, run_id: RunId, reference: Reference) -> tuple[Path, Path]:
        """The log and the output file of a run that is about to start; both exist. Raises OSError."""
        log = self.log(key, role)
        self._logs.prepare(log)
        folder = Path(f"{self._outputs}/{run_id}")
        output = folder / output_name(role, reference)
        folder.mkdir(mode=0o700)
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            if self._owner is not None:
                os.fchown(file, self._owner.uid, self._owner.gid)
                # Last: from now on he may put a link to anything in the place of anything in it.
                os.chown(folder, self._owner.uid, self._owner.gid)
        finally:
            os.close(file)
        return log, output

    def note(self, key: Key, role: RunRole, text: str) -> None:
        """A line of the agent's own in the log. What cannot be written costs nothing but the line."""
        log = self.log(key, role)
        with suppress(OSError):
            self._logs.prepare(log)
        append_note(log, text)

    def note_once(self, key: Key, role: RunRole, text: str) -> None:
        """The same, unless the executor said so already."""
        if not any(text in line for line in last_lines(self.log(key, role), 3)):
            self.note(key, role, text)

    def last_line(self, key: Key, role: RunRole) -> str:
        """The last line the command wrote, "" if none; the agent's own lines do not count."""
        return last_line(self.log(key, role))

    @asynccontextmanager
    async def following(
        self, key: Key, role: RunRole, run_id: RunId, reference: Reference, publish: Publish, read: OutputMark
    ) -> AsyncGenerator["Reading", None]:
        """Publish what a run writes to its output file, and keep its log below the cap, until it is over."""
        path = Path(f"{self._outputs}/{run_id}/{output_name(role, reference)}")
        log = self.log(key, role)
        after = 0.0 if role is RunRole.START else UNWATCHED
        watch = partial(OutputWatch, path, self._inotify, after=after)
        reading = Reading(watch, publish, lambda text: self.note(key, role, text), read)
        self._cap.watch(log)
        try:
            yield reading
        finally:
            await reading.aclose()
            self._cap.unwatch(log)

    def clean(self, run_id: RunId) -> None:
        """Delete the output file of a run that is gone, and with it the last trace of the run."""
        folder = self._outputs / run_id
        try:
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
        except FileNotFoundError:
            pass
        except OSError:  # the command put more there than files
            shutil.rmtree(folder, ignore_errors=True)

    def traces(self) -> list[RunId]:
        """Runs that were prepared and not cleaned, by this agent or one before."""
        with suppress(FileNotFoundError):
            return [RunId(folder.name) for folder in self._outputs.iterdir() if _ours(folder)]
        return []

    def forget(self, key: Key) -> None:
        """Delete the logs of an object that is gone."""
        match key.kind:
            case Kind.SERVICE:
                self._logs.forget_service(ServiceId(key.id))
            case Kind.STEP:
                self._logs.forget_run(StepId(key.id))
            case Kind.EXECUTION:
                self._logs.forget_execution(ExecutionId(key.id))
            case Kind.TASK | Kind.FIRING:
                pass


def _ours(folder: Path) -> bool:
    """Not merely a record that nobody understands: that is left alone (rule 7.3)."""
    with suppress(OSError):
        files = list(folder.iterdir())
        return not files or any(path.suffix == ".output" for path in files)
    return False


class Reading:
    """One output file being read: entries gather here, and go out in the order written."""

    def __init__(
        self,
        watch: Callable[..., OutputWatch],
        publish: Publish,
        note: Callable[[str], None],
        read: OutputMark,
    ) -> None:
        self._publish, self._note = publish, note
        self._gathered: dict[str, str] = {}
        self._bell = Bell()
        self._pump: asyncio.Task[None] | None = None  # most runs write nothing, and need none
        self._going_out = asyncio.Lock()
        self._read = self._read_and_told = read
        self._watch = watch(self._gather, Mark(read.offset, read.line))

    async def complete(self) -> None:
        """Return when all that was written until now is published: before the phase it belongs to (rule
        5.3).
        """
        await self._watch.look()
        await self._flush()

    async def finish(self) -> None:
        """The same, once nobody can write to it any more: an unfinished statement is a bad line now."""
        await self._watch.finish()
        await self._flush()

    async def aclose(self) -> None:
        """Read no more."""
        self._watch.close()
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)

    def _gather(self, news: OutputNews) -> None:
        for bad in news.bad_lines:
            self._note(f"GITPOD_OUTPUT line {bad.line} is skipped: {bad.reason}")
        if news.trouble:
            self._note(f"GITPOD_OUTPUT {news.trouble}")
        self._gathered |= news.outputs
        self._read = OutputMark(news.mark.offset, news.mark.line)
        self._bell.ring()
        if self._pump is None:
            self._pump = asyncio.get_running_loop().create_task(self._go_on(), name="outputs")

    async def _go_on(self) -> None:
        """Publish as entries come, until cancelled. What cannot be published now, is later."""
        ear = self._bell.listen()
        while True:
            try:
                await self._flush()
            except RunnerError:
                await asyncio.sleep(PAUSE)
                self._bell.ring()
            await ear.wait()

    async def _flush(self) -> None:
        async with self._going_out:
            while self._gathered or self._read != self._read_and_told:
                entries, self._gathered = self._gathered, {}
                read = self._read
                try:
                    await self._publish(entries, read)
                    self._read_and_told = read
                except RunnerError:
                    self._gathered = entries | self._gathered
                    raise
