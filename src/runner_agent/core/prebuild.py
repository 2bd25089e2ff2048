"""A prebuild, deciding: what is to be done next, given what was fired and the time, and how it went (rule
6.5).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum

from runner_agent.core.wishes import pending
from runner_agent.model.frozen import dataclass
from runner_agent.model.ids import BootMark, Instant
from runner_agent.model.phases import ExecutionPhase, ServicePhase, Trigger
from runner_agent.model.records import Execution, Service

EVENTS = (Trigger.PREBUILD, Trigger.BEFORE_SNAPSHOT)
"""What a prebuild fires, in this order; nothing else fires meanwhile."""
TEARDOWN = 20.0
"""Seconds beyond the time limit after which what is being stopped is killed, so that all is down within
30.
"""

_AT_REST = (ServicePhase.RUNNING, ServicePhase.STOPPED, ServicePhase.FAILED)


class Ending(Enum):
    """Why it ends."""

    DONE = "done"
    TIMED_OUT = "timed out"
    CANCELLED = "cancelled"


class ItemKind(Enum):
    """What a line of the report is about."""

    TASK = "task"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Item:
    """What became of a run of a task, or of a service. A task that has not begun has the phase "".

    `event` is what started it, itself or for another. `required`: `prebuildRequiresSuccess`. `executions`
    are those that show it; `tail` is the end of its log.
    """

    kind: ItemKind
    event: str
    reference: str
    phase: str = ""
    message: str = ""
    required: bool = False
    began_at: datetime | None = None
    ended_at: datetime | None = None
    executions: tuple[str, ...] = ()
    tail: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """How it went: what `judge` made of its items."""

    ending: Ending
    exit_code: int
    ended_at: datetime
    items: tuple[Item, ...] = ()
    failures: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UnderWay:
    """Its events are fired and waited for."""


@dataclass(frozen=True, slots=True)
class TearingDown:
    """Everything is being stopped since `at`; `quickly`: killed. `services`: as they were until then."""

    ending: Ending
    at: Instant
    by: str
    services: tuple[Item, ...] = ()
    quickly: bool = False


@dataclass(frozen=True, slots=True)
class Cleaning:
    """Nothing runs; what an image must not take along is being removed."""

    report: Report


@dataclass(frozen=True, slots=True)
class Over:
    """It has ended."""

    report: Report


Stage = UnderWay | TearingDown | Cleaning | Over


@dataclass(frozen=True, slots=True)
class Prebuild:
    """One operation, as the store keeps it. `deadline` belongs to `boot`; `time_limit` is seconds."""

    id: str
    boot: BootMark
    began_at: datetime
    began_by: str
    time_limit: float
    deadline: Instant
    stage: Stage = UnderWay()

    @property
    def once_key(self) -> str:
        """What its firings carry, so that each happens once, ever so many daemons work on it (rule 6.4)."""
        return f"prebuild {self.id}"

    def kill_at(self, since: Instant) -> Instant:
        """When what is being stopped since then is killed."""
        return Instant(max(self.deadline, since) + TEARDOWN)


@dataclass(frozen=True, slots=True)
class Fire:
    """Fire this."""

    event: Trigger


@dataclass(frozen=True, slots=True)
class Wait:
    """There is nothing to do before something changes, or this instant comes."""

    until: Instant


@dataclass(frozen=True, slots=True)
class End:
    """Stop everything."""

    ending: Ending


def decide(prebuild: Prebuild, fired: Mapping[Trigger, bool], now: Instant) -> Fire | Wait | End:
    """What comes next. `fired` tells of each event that was fired whether all it started has settled.

    One that has nothing left to do has not run out of time, however late it is.
    """
    late = now >= prebuild.deadline
    for event in EVENTS:
        if fired.get(event, False):
            continue
        if late:
            return End(Ending.TIMED_OUT)
        return Wait(prebuild.deadline) if event in fired else Fire(event)
    return End(Ending.DONE)


def settled(executions: Iterable[Execution], services: Iterable[Service]) -> bool:
    """Tasks have ended; services are RUNNING, STOPPED or FAILED in the session that was asked for."""
    return all(one.status.phase.terminal for one in executions) and all(
        one.status.phase in _AT_REST and not pending(one) for one in services
    )


def as_left(items: Iterable[Item], services: Iterable[Item]) -> tuple[Item, ...]:
    """`items` after everything was stopped, with the services as they were before."""
    before = {one.reference: one for one in services if one.kind is ItemKind.SERVICE}
    return tuple(
        before.get(item.reference, item) if item.kind is ItemKind.SERVICE else item for item in items
    )


def judge(ending: Ending, items: Sequence[Item], ended_at: datetime) -> Report:
    """The report: 3 wins over 1; what is not required can only warn."""
    tasks = [item for item in items if item.kind is ItemKind.TASK]
    bad = [item for item in tasks if item.phase != ExecutionPhase.SUCCEEDED.value]
    failures = [_told(item) for item in bad if item.required]
    warnings = [_told(item) for item in bad if not item.required]
    warnings += [
        _told(item)
        for item in items
        if item.kind is ItemKind.SERVICE and item.phase == ServicePhase.FAILED.value
    ]
    code = {Ending.DONE: 1 if failures else 0, Ending.TIMED_OUT: 3, Ending.CANCELLED: 130}[ending]
    return Report(ending, code, ended_at, tuple(items), tuple(failures), tuple(warnings))


def _told(item: Item) -> str:
    came = f"is {item.phase}" if item.phase else "did not run"
    return f"{item.kind.value} {item.reference} {came}{f': {item.message}' if item.message else ''}"
