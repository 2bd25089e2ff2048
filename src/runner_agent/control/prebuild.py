"""The prebuild as wishes: begin it, cancel it, and what its conductor writes on its way (rule 6.5)."""

import asyncio
from dataclasses import replace

from runner_agent.control.base import Caller, Control
from runner_agent.control.prebuild_items import Firings, Times, executions_of, list_items, services_of
from runner_agent.control.prebuild_record import load, save, under_way
from runner_agent.control.triggers import TriggerControl
from runner_agent.core import prebuild as rules
from runner_agent.core import wishes
from runner_agent.core.prebuild import (
    Cleaning,
    End,
    Ending,
    Fire,
    Item,
    ItemKind,
    Over,
    Prebuild,
    Report,
    TearingDown,
    UnderWay,
    Wait,
)
from runner_agent.kit.bell import Bell
from runner_agent.logs.files import LogFiles
from runner_agent.model.errors import FailedPrecondition, InvalidArgument, NotFound, Violation
from runner_agent.model.ids import BootMark, Instant, SessionId
from runner_agent.model.phases import ServicePhase
from runner_agent.model.records import Service, ServiceStatus
from runner_agent.model.specs import Cause
from runner_agent.store.base import Transaction

LONGEST = 7200.0
"""Seconds a prebuild may be given at most."""


class PrebuildControl:
    """One prebuild at a time. `least` is the shortest time limit in seconds; `closed` keeps the user scope of
    secrets shut even while none is under way.
    """

    def __init__(self, base: Control, logs: LogFiles, *, least: float, closed: bool = False) -> None:
        """`bell` rings when it has come further."""
        self._store, self._clock, self._new_id = base.store, base.clock, base.new_id
        self._logs, self._least, self._closed = logs, least, closed
        self._triggers = TriggerControl(base.store, base.clock, base.new_id)
        self._boot = BootMark(base.clock.boot_mark())
        self._times = Times()
        self._turn = asyncio.Lock()
        self.bell = Bell()
        self.settling = False
        """It is over on record, and its conductor has a last thing to do."""

    # ---------------------------------------------------------------- for everybody

    def under_way(self) -> Prebuild | None:
        """The one that has not ended."""
        return under_way(self._store, self._boot)

    def latest(self) -> Prebuild | None:
        """The one under way, or the last one of this boot."""
        found = load(self._store)
        return found if found is not None and found.boot == self._boot else None

    def user_scope_open(self) -> bool:
        """Whether a run may have secrets of the user scope."""
        return not self._closed and self.under_way() is None

    def fires_by_itself(self) -> bool:
        """Whether the agent may fire events of its own accord: not in a prebuild, and not once the state has
        been made ready to be copied.
        """
        return not self._closed and self.latest() is None

    async def begin(self, time_limit: float, caller: Caller) -> Prebuild:
        """`time_limit` is seconds. Raises InvalidArgument, FailedPrecondition if one is under way."""
        if not self._least <= time_limit <= LONGEST:
            message = f"must be {self._least:g} s to {LONGEST:g} s, not {time_limit:g} s"
            raise InvalidArgument(Violation("time_limit", message))
        async with self._turn:
            present = self.under_way()
            if present is not None:
                raise FailedPrecondition(
                    f"a prebuild is under way, begun by {present.began_by} at "
                    f"{present.began_at:%H:%M:%S} UTC; wait for its end, or end it with "
                    "`runner-agent prebuild --cancel`"
                )
            prebuild = Prebuild(
                id=self._new_id(),
                boot=self._boot,
                began_at=self._clock.wall(),
                began_by=caller.by,
                time_limit=time_limit,
                deadline=Instant(self._clock.now() + time_limit),
            )
            self._times = Times()
            await save(self._store, prebuild)
        self.bell.ring()
        return prebuild

    async def cancel(self, id_: str, caller: Caller, *, now: bool = False) -> Prebuild:
        """Stop everything in order, or with `now` kill it. Idempotent. Raises NotFound."""
        present = self.latest()
        if present is None or id_ not in ("", present.id):
            which = f"no prebuild has the id {id_}" if id_ else "no prebuild is under way"
            raise NotFound(f"{which}; there is nothing to end")
        stage = present.stage
        match stage:
            case UnderWay():
                stage = replace(self._tearing_down(present, Ending.CANCELLED, caller.by), quickly=now)
            case TearingDown():
                stage = replace(stage, quickly=stage.quickly or now)
            case Cleaning() | Over():
                pass
        return await self.move(present, stage)

    def firings(self, prebuild: Prebuild) -> Firings:
        """What it has fired, in order."""
        found = (
            (event, self._store.firing_once(boot=prebuild.boot, event=event, once_key=prebuild.once_key))
            for event in rules.EVENTS
        )
        return {event: firing for event, firing in found if firing is not None}

    def items(self, prebuild: Prebuild) -> tuple[Item, ...]:
        """As they are now, or were at its end."""
        match prebuild.stage:
            case Cleaning(report=report) | Over(report=report):
                return report.items
            case UnderWay() | TearingDown():
                return list_items(self._store, self.firings(prebuild), self._times, None)

    # ---------------------------------------------------------------- for its conductor

    def decide(self, prebuild: Prebuild) -> Fire | Wait | End:
        """What comes next."""
        firings = self.see(prebuild)
        settled = {
            event: rules.settled(executions_of(self._store, firing), services_of(self._store, firing))
            for event, firing in firings.items()
        }
        return rules.decide(prebuild, settled, Instant(self._clock.now()))

    def see(self, prebuild: Prebuild) -> Firings:
        """What it has fired. To be asked at every change: it notes when things begin and end."""
        firings = self.firings(prebuild)
        self._times.note(self._store, firings, self._clock.wall())
        return firings

    async def fire(self, prebuild: Prebuild, action: Fire) -> None:
        """Once, however often it is asked. Raises RunnerError."""
        await self._triggers.fire(
            action.event, Caller(prebuild.began_by), once_key=prebuild.once_key, by_prebuild=True
        )

    async def end(self, prebuild: Prebuild, ending: Ending, by: str) -> Prebuild:
        """From now on everything is being stopped, because of `by`."""
        return await self.move(prebuild, self._tearing_down(prebuild, ending, by))

    def report(self, prebuild: Prebuild, stage: TearingDown) -> Report:
        """How it went, once nothing runs any more."""
        found = list_items(self._store, self.see(prebuild), self._times, self._logs)
        return rules.judge(stage.ending, rules.as_left(found, stage.services), self._clock.wall())

    async def stop_all(self, by: str) -> None:
        """The wish that nothing runs. Raises RunnerError."""
        cause = Cause(by, self._clock.wall())

        def change(tx: Transaction) -> None:
            for execution in tx.live_executions():
                tx.put(wishes.stop_execution(execution, cause))
            for service in tx.services():
                tx.put(wishes.stop_service(service, cause))

        await self._store.write(change, durable=True)

    async def forget_runs(self) -> None:
        """What happened here is not to be found in a copy: firings go, and services were never started. What
        ran to its end stays as it ended, with its logs. Raises RunnerError.
        """
        cause = Cause("the prebuild", self._clock.wall())

        def change(tx: Transaction) -> None:
            for firing in tx.firings(limit=_ALL):
                tx.delete(firing.key)
            for service in tx.services():
                tx.put(_never_started(service, cause))

        await self._store.write(change, durable=True)

    async def move(self, prebuild: Prebuild, stage: rules.Stage) -> Prebuild:
        """Note that it has come this far; nothing if somebody else has moved it meanwhile, and then that is
        told. Raises RunnerError.
        """
        moved = replace(prebuild, stage=stage)
        async with self._turn:
            present = self.latest()
            if present != prebuild:
                return present or prebuild
            if moved != prebuild:
                await save(self._store, moved)
        self.bell.ring()
        return moved

    async def forget(self) -> None:
        """Of this boot or another: it is no more. Raises RunnerError."""
        if load(self._store) is not None:
            await save(self._store, None)

    def _tearing_down(self, prebuild: Prebuild, ending: Ending, by: str) -> TearingDown:
        left = list_items(self._store, self.firings(prebuild), self._times, self._logs)
        services = tuple(item for item in left if item.kind is ItemKind.SERVICE)
        return TearingDown(ending, Instant(self._clock.now()), by, services)


_ALL = 1_000_000
"""More firings than there can be."""


def _never_started(service: Service, cause: Cause) -> Service:
    if service.run is None and service.spec.session == "":
        return service
    spec = replace(service.spec, desired_phase=ServicePhase.STOPPED, session=SessionId(""))
    return replace(
        service, spec=spec, cause=cause, posted=None, run=None, status=ServiceStatus(), phase_since=None
    )
