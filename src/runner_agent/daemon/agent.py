"""One agent: what it does from start to end, in order. Built by `wiring`, told what to do by `run`."""

import asyncio
import socket
from contextlib import suppress

import structlog
from anyio import CancelScope

from runner_agent import __version__
from runner_agent.control.base import Caller
from runner_agent.daemon.devcontainer import DevContainerStarts
from runner_agent.daemon.files import remove_agent_file, write_agent_file, write_not_reloaded
from runner_agent.daemon.frontdoor import FrontDoor
from runner_agent.daemon.housekeeping import Housekeeping
from runner_agent.daemon.narrator import Narrator
from runner_agent.daemon.parts import Parts
from runner_agent.daemon.prebuild import Conductor
from runner_agent.executors.machine import MachineExecutor
from runner_agent.model.errors import RunnerError
from runner_agent.model.phases import ServicePhase, Trigger
from runner_agent.reconcile.loop import Reconciler

log = structlog.get_logger("agent")


class Agent:
    """Everything open. `work` runs it; `become_ready` and `bring_down` are asked for while it works."""

    def __init__(
        self,
        parts: Parts,
        reconciler: Reconciler,
        machine: MachineExecutor,
        door: FrontDoor,
        housekeeping: Housekeeping,
        conductor: Conductor,
        starts: DevContainerStarts,
    ) -> None:
        self._parts, self._reconciler, self._machine = parts, reconciler, machine
        self._door, self._housekeeping, self._conductor = door, housekeeping, conductor
        self._starts, self._may_fire = starts, asyncio.Event()

    async def work(self) -> None:
        """Until cancelled, which leaves every run alone (rule 7.2)."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._reconciler.run(), name="reconciler")
            tasks.create_task(self._door.serve(), name="api")
            tasks.create_task(self._housekeeping.run(), name="housekeeping")
            tasks.create_task(self._conductor.run(), name="prebuild")
            tasks.create_task(self._starts.watch(), name="dev container")
            tasks.create_task(self._fire_for_starts(), name="dev container's starts")

    async def narrate(self) -> None:
        """Tell the log what becomes of services and executions, until cancelled."""
        await Narrator(self._parts.store).run()
        await asyncio.Event().wait()

    async def become_ready(self) -> None:
        """Recover, put the file in force, fire what is to be fired, and tell clients where we are (rules 2.9,
        6.3, 7.5). Who finds us finds it all under way.
        """
        await self._reconciler.recovered()
        await self._parts.default_file.apply()
        for event in self._own_events():
            await self._fire(event)
        self._may_fire.set()
        self._door.open()
        environment = self._parts.identity.environment_id
        state = self._parts.settings.state_dir
        try:
            write_agent_file(state, self._parts.listening.addresses, environment, __version__)
        except OSError as error:  # one of an agent before this one leads to the same socket
            log.error("cannot tell clients where this agent is", error=str(error))  # noqa: TRY400  it says it all

    async def warm_up(self) -> None:
        """What makes the first run as quick as the next, and readiness need not wait for."""
        CancelScope()  # anyio loads its half for asyncio now, not when a run has to be quick
        await self._machine.warm_up()

    async def bring_down(self, *, now: bool) -> None:
        """Everything down in order, then the launcher we started (rule 7.1). Asked again with `now`: at
        once.
        """
        self._door.close_to_wishes()
        self._parts.store.never_wait()
        sealed = self._conductor.sealed
        await self._conductor.give_up()
        await self._reconciler.bring_down(now=now)
        await self._machine.stop_launcher()
        if self._parts.store.unsaved:
            log.warning("the disk did not take how all ended; the next agent looks at what is left")
        remove_agent_file(self._parts.settings.state_dir)
        if sealed:  # rule 6.5: a copy of this state holds no trace of who ran here
            self._parts.listening.remove_sockets()

    async def pulse(self) -> bool:
        """The proof of life that the watchdog wants (rule 7.5): what is put before the loop now has been
        taken up, and the store has written. False if a worker is stuck.
        """
        stuck = await self._reconciler.pulse()
        with suppress(RunnerError):  # a full disk, say: a refusal is an answer, too
            await self._parts.store.pulse()
        if stuck:
            log.error("stuck", keys=" ".join(map(str, stuck)))
        return not stuck

    def give_way(self) -> tuple[socket.socket, ...]:
        """To the program that takes over: it finds the store's files as they are, and the addresses are kept
        open for it, so that who connects meanwhile waits.
        """
        self._parts.store.leave()
        return self._parts.listening.keep()

    def stay(self, reason: str) -> None:
        """Tell whoever wanted a reload that there is none."""
        advice = "this agent goes on as it is; mend that, then reload again"
        log.error("not reloaded: the next program could not start", reason=reason, advice=advice)
        write_not_reloaded(self._parts.settings.state_dir, reason)

    def summary(self) -> str:
        """One line for `systemctl status`."""
        store = self._parts.store
        services = store.services()
        up = sum(service.status.phase is ServicePhase.RUNNING for service in services)
        told = (
            f"{up} of {len(services)} services up, {len(store.live_executions())} task executions under way"
        )
        return f"ready: {told}; on {', '.join(self._parts.listening.addresses)}"

    def longest_stop(self) -> float:
        """Seconds that it may take to bring everything down."""
        timing = self._parts.timing
        return max(timing.service_stop_grace, timing.task_stop_grace)

    def facts(self) -> dict[str, str]:
        """What the log says of it."""
        return {
            "version": __version__,
            "environment": self._parts.identity.environment_id,
            "addresses": " ".join(self._parts.listening.addresses),
            "state": str(self._parts.settings.state_dir),
        }

    def _own_events(self) -> tuple[Trigger, ...]:
        """What it fires by itself: nothing in a prebuild (rule 6.5)."""
        settings = self._parts.settings
        if not self._parts.prebuild.fires_by_itself():
            return ()
        return (Trigger.POST_MACHINE_START, *settings.fire) if settings.post_machine_start else settings.fire

    async def _fire_for_starts(self) -> None:
        await self._may_fire.wait()
        await self._starts.run(self._fire_unless_prebuilding)

    async def _fire_unless_prebuilding(self, event: Trigger) -> None:
        if self._parts.prebuild.fires_by_itself():
            await self._fire(event)

    async def _fire(self, event: Trigger) -> None:
        try:
            fired = await self._parts.commands.triggers.fire(event, Caller("the agent"))
        except RunnerError as error:  # a full disk, say: what runs goes on, and so does the agent
            log.error("cannot fire", trigger=event.value, error=str(error))  # noqa: TRY400  it says it all
            return
        if not fired.repeated:
            started = [*fired.services, *fired.tasks]
            log.info("fired", trigger=event.value, started=" ".join(started) or "nothing")
