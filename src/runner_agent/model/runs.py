"""What processes did: the states of one OS-level run and of the object it belongs to. Unions, so that a run
is one thing at a time.
"""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timedelta
from typing import Protocol

from runner_agent.model.frozen import dataclass
from runner_agent.model.ids import BootMark, Instant, RunId, SessionId
from runner_agent.model.specs import Launch


class Told(Protocol):
    """What tells the time."""

    def wall(self) -> datetime:
        """The time of day."""
        ...

    def now(self) -> float:
        """Seconds of this boot."""
        ...

    def boot_mark(self) -> str:
        """Which boot it is."""
        ...


_SLEWED = timedelta(seconds=1)
"""By less than this the time of day differs from what was noted, if nobody has stepped it."""


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant of a boot, and the time of day that it was then, which may have been stepped since."""

    wall: datetime
    boot: BootMark
    at: Instant

    @classmethod
    def of(cls, told: Told) -> "Moment":
        """The present, as a clock tells it."""
        return cls(told.wall(), BootMark(told.boot_mark()), Instant(told.now()))

    def shown(self, now: "Moment") -> datetime:
        """The time of day it was by the clock as it stands now, so that its age is right (rule 4.9)."""
        if self.boot != now.boot:
            return self.wall
        recalled = now.wall - timedelta(seconds=now.at - self.at)
        return recalled if abs(recalled - self.wall) > _SLEWED else self.wall

    def back_at(self, at: Instant) -> "Moment":
        """An instant of the same boot, this one if that has not come yet."""
        return Moment(self.wall - timedelta(seconds=max(0.0, self.at - at)), self.boot, min(self.at, at))


@dataclass(frozen=True, slots=True)
class Handle:
    """How an executor finds its run again, after a restart of the agent too. `data` is plain JSON and the
    executor's own.
    """

    executor: str
    run_id: RunId
    data: Mapping[str, str | int] = field(default_factory=dict[str, str | int])


@dataclass(frozen=True, slots=True)
class Exited:
    """The command ended by itself. `why`: what the kernel or its shell held against it, in words, or ""."""

    code: int
    why: str = ""


@dataclass(frozen=True, slots=True)
class Signaled:
    """A signal ended the command. `oom`: the kernel says it was for lack of memory. `why` as in Exited."""

    signal: int
    oom: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True)
class NotStarted:
    """The command could not be started; `reason` says what, where and what to do."""

    reason: str


@dataclass(frozen=True, slots=True)
class Lost:
    """Nobody knows how it ended, only that nothing of it is left; `reason` says why."""

    reason: str


Ending = Exited | Signaled | NotStarted | Lost


@dataclass(frozen=True, slots=True)
class Idle:
    """No run."""


@dataclass(frozen=True, slots=True)
class Starting:
    """A run was promised: its id is on disk, its process may or may not exist. Counts as begun.

    `waits`: what its start waits for, in words, or "".
    """

    run_id: RunId
    at: Instant
    waits: str = ""


@dataclass(frozen=True, slots=True)
class OutputMark:
    """How far an output file was read, at a boundary between statements: where to go on after a restart."""

    offset: int = 0
    line: int = 0


@dataclass(frozen=True, slots=True)
class Live:
    """The command runs."""

    run_id: RunId
    at: Instant
    handle: Handle
    read: OutputMark = OutputMark()


@dataclass(frozen=True, slots=True)
class Ended:
    """The command itself has ended, yet processes it left behind are still being cleared away (rules 3.5,
    4.7). `at`: when it ended, as far as that is known.
    """

    run_id: RunId
    at: Instant
    handle: Handle
    ending: Ending
    read: OutputMark = OutputMark()


@dataclass(frozen=True, slots=True)
class Gone:
    """Nothing of the run is left. `at`: when that was seen; of what was gone when an agent came back, when
    its command ended, if that is known.
    """

    run_id: RunId
    at: Instant
    ending: Ending


Proc = Idle | Starting | Live | Ended | Gone


@dataclass(frozen=True, slots=True)
class Survivor:
    """A process that outlives SIGKILL so far."""

    pid: int
    command: str


@dataclass(frozen=True, slots=True)
class Up:
    """Nobody has asked for an end."""


@dataclass(frozen=True, slots=True)
class Down:
    """An end was asked for, at this time; `too_late` if the command had ended by itself before (rule 3.8).

    `force`: SIGKILL at once (rule 3.13). `terminated_at`: when SIGTERM was sent.
    """

    at: Instant
    too_late: bool = False
    force: bool = False
    terminated_at: Instant | None = None


Course = Up | Down


@dataclass(frozen=True, slots=True)
class Kills:
    """SIGKILLs sent to one run so far: how many, and when last. A sent signal is no proof, so we look again
    with back-off.
    """

    count: int = 0
    last: Instant = Instant(0.0)


Outputs = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Attempt:
    """Evidence of the last finished `ready` attempt (rule 3.3, `why`)."""

    ending: Ending
    last_line: str = ""


@dataclass(frozen=True, slots=True)
class ServiceRun:
    """Everything the reconciler knows of one session of a service.

    `promised_at`: when its `start` was first promised, which readinessTimeout counts from (rule 3.4).
    """

    session: SessionId
    boot: BootMark
    launch: Launch
    start: Proc = field(default_factory=Idle)
    ready: Proc = field(default_factory=Idle)
    stop: Proc = field(default_factory=Idle)
    attempts: int = 0
    last_attempt: Attempt | None = None
    is_ready: bool = False
    course: Course = field(default_factory=Up)
    start_kills: Kills = field(default_factory=Kills)
    ready_kills: Kills = field(default_factory=Kills)
    stop_kills: Kills = field(default_factory=Kills)
    failure: str = ""
    survivors: tuple[Survivor, ...] = ()
    output: Outputs = field(default_factory=dict[str, str])
    promised_at: Instant | None = None


@dataclass(frozen=True, slots=True)
class StepRun:
    """Everything the reconciler knows of one run of a task."""

    boot: BootMark
    proc: Proc = field(default_factory=Idle)
    course: Course = field(default_factory=Up)
    kills: Kills = field(default_factory=Kills)
    failure: str = ""
    survivors: tuple[Survivor, ...] = ()
    output: Outputs = field(default_factory=dict[str, str])
