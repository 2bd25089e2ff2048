"""The scripted executor: commands that only pretend, on the event loop's clock. Shipped, for all who test.

The state is the world's (`scripted_world`); the language of commands is told in `scripted_language`.
"""

import asyncio
from collections.abc import Collection

from runner_agent.executors.base import BEGAN, RunRequest
from runner_agent.executors.scripted_language import parse
from runner_agent.executors.scripted_world import Run, World
from runner_agent.model.errors import CannotStart, Unavailable
from runner_agent.model.ids import Instant, RunId
from runner_agent.model.runs import Ending, Handle, Lost, Survivor


class ScriptedExecutor:
    """An executor over a world, which other executors may share with it or inherit from it.

    `refuses`: every start fails for this reason, as it does for a working directory that is not there.
    """

    def __init__(self, world: World, name: str = "machine", *, refuses: str = "") -> None:
        """Stands in for the machine executor, unless named otherwise."""
        self._world, self._name, self._refuses = world, name, refuses

    @property
    def name(self) -> str:
        """See `base.Executor`, here and below."""
        return self._name

    async def prepare(self, request: RunRequest) -> None:
        """As the script's remarks say."""
        script = parse(request.script)
        if script.prepare:
            self._world.say(f"prepare {_name(request)}")
        await asyncio.sleep(script.prepare)
        if script.cannot_prepare:
            raise CannotStart(script.cannot_prepare)

    async def start(self, request: RunRequest) -> Handle:
        """Sent at once; takes effect after `World.start_takes`, whatever became of the sender."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Handle] = loop.create_future()
        self._world.say(f"start {_name(request)}")
        loop.call_later(self._world.start_takes, self._arrive, request, answer, self._world.boots)
        return await answer

    def _arrive(self, request: RunRequest, answer: "asyncio.Future[Handle]", boot: int) -> None:
        if boot != self._world.boots:
            return
        try:
            handle = self._begin(request)
        except (CannotStart, Unavailable) as error:
            if not answer.done():
                answer.set_exception(error)
        else:
            if not answer.done():
                answer.set_result(handle)

    def _begin(self, request: RunRequest) -> Handle:
        if request.run_id in self._world.tombstones:
            raise Unavailable(
                f"run {request.run_id} cannot be started: it was given up before; start it anew by another id"
            )
        run = self._world.runs.get(request.run_id)
        if run is None:
            reason = self._refuses or parse(request.script).cannot_start
            if reason:
                raise CannotStart(reason)
            run = self._world.begin(request)
        return self._handle(run)

    async def wait_ended(self, handle: Handle) -> Ending:
        """Of a run that nobody remembers: it is lost."""
        run = self._world.runs.get(handle.run_id)
        if run is None:
            return Lost("nothing is known of this run")
        await run.ended.wait()
        return run.ending or Lost("nothing is known of its end")

    async def wait_empty(self, handle: Handle) -> None:
        """At once for a run that nobody remembers."""
        run = self._world.runs.get(handle.run_id)
        if run is not None:
            await run.empty.wait()

    async def ended_at(self, handle: Handle) -> Instant | None:
        """Of a run whose holder was not lost."""
        run = self._world.runs.get(handle.run_id)
        return None if run is None else run.ended_at

    async def terminate(self, handle: Handle) -> None:
        """The group."""
        if run := self._signalled("terminate", handle):
            run.terminate()

    async def kill(self, handle: Handle) -> None:
        """The tree."""
        if run := self._signalled("kill", handle):
            run.kill()

    async def linger(self, handle: Handle, *, on: bool) -> None:
        """On or off."""
        if run := self._signalled("linger" if on else "unlinger", handle):
            run.linger(on=on)

    async def survivors(self, handle: Handle) -> tuple[Survivor, ...]:
        """By the names of their scripts."""
        run = self._world.runs.get(handle.run_id)
        return tuple(Survivor(process.pid, process.command) for process in run.survivors()) if run else ()

    async def find(self, run_id: RunId) -> Handle | None:
        """What is unknown is buried, so that a request under way finds its grave."""
        run = self._world.runs.get(run_id)
        if run is None:
            self._world.tombstones.add(run_id)
            self._world.say(f"find {run_id}: unknown")
            return None
        self._world.say(f"find {run.name}: known")
        return self._handle(run)

    async def survey(self) -> tuple[Handle, ...]:
        """All that are not gone."""
        return tuple(self._handle(run) for run in self._world.runs.values() if not run.empty.is_set())

    async def traces(self) -> Collection[RunId]:
        """No more than that."""
        return [handle.run_id for handle in await self.survey()]

    async def clean(self, run_id: RunId) -> None:
        """Forget."""
        run = self._world.runs.get(run_id)
        if run is not None and run.empty.is_set():
            del self._world.runs[run_id]

    async def aclose(self) -> None:
        """Nothing to let go of."""

    def _signalled(self, verb: str, handle: Handle) -> Run | None:
        run = self._world.runs.get(handle.run_id)
        if run is None or run.empty.is_set():
            return None
        self._world.say(f"{verb} {run.name}")
        return run

    def _handle(self, run: Run) -> Handle:
        return Handle(self._name, run.request.run_id, {"pid": run.leader.pid, BEGAN: run.began_ns})


def _name(request: RunRequest) -> str:
    return f"{request.reference}/{request.role.value}"
