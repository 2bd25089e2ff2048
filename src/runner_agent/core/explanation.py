"""What an explanation is made of, and how its sentences speak of endings, runs and time."""

from enum import Enum

from runner_agent.core.endings import blame, seconds
from runner_agent.core.timing import Timing
from runner_agent.model.frozen import dataclass
from runner_agent.model.ids import BootMark, ExecutionId, Instant, PlanStepId, Reference, RunId
from runner_agent.model.phases import ExecutionPhase, RunRole
from runner_agent.model.runs import Ended, Ending, Gone, Handle, Idle, Live, Proc, Starting

_PIDS = ("leader_pid", "pid", "holder_pid")
"""Where handles say which process it is, the most telling first. A handle is its executor's own, so there may
be none of them.
"""


@dataclass(frozen=True, slots=True)
class Present:
    """The moment an explanation is given for."""

    now: Instant
    boot: BootMark
    timing: Timing

    def ago(self, instant: Instant) -> str:
        """`12 s ago`."""
        return f"{whole(self.now - instant)} ago"

    def until(self, instant: Instant) -> str:
        """`in 12 s`, `now`."""
        left = instant - self.now
        return f"in {whole(left)}" if left >= 1 else "now"


class RunState(Enum):
    """What is left of a run."""

    STARTING = "starting"
    LIVE = "live"
    CLEARING = "clearing"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class RunSeen:
    """One OS-level run. `pid` 0 is unknown; `since` None is a time before this boot."""

    role: RunRole
    run_id: RunId
    state: RunState
    pid: int = 0
    since: Instant | None = None
    ending: str = ""


@dataclass(frozen=True, slots=True)
class StepSeen:
    """One step of a plan. `phase` None: it has not begun."""

    id: PlanStepId
    label: Reference
    phase: ExecutionPhase | None
    text: str
    waits_for: tuple[Reference, ...] = ()
    shared_with: tuple[ExecutionId, ...] = ()
    runs: tuple[RunSeen, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """`answer` is one sentence without its subject; `until`: when something is done about it at the
    latest.
    """

    answer: str
    reasons: tuple[str, ...] = ()
    waits_for: tuple[Reference, ...] = ()
    until: Instant | None = None
    runs: tuple[RunSeen, ...] = ()
    steps: tuple[StepSeen, ...] = ()


def whole(duration: float) -> str:
    """`12 s`, `2 min 5 s`, `3 h 20 min`: as exact as a person wants it."""
    total = max(0, round(duration))
    if total < 60:
        return seconds(total)
    if total < 3600:
        return f"{total // 60} min {total % 60} s"
    return f"{total // 3600} h {total % 3600 // 60} min"


def how_it_ended(what: str, ending: Ending) -> str:
    """As `blame`, with words for success too."""
    return blame(what, ending) or f"{what} exited with code 0"


def pid_of(handle: Handle) -> int:
    """The process behind a handle; 0 if it names none."""
    found = (handle.data.get(name) for name in _PIDS)
    return next((pid for pid in found if isinstance(pid, int)), 0)


def with_pid(handle: Handle) -> str:
    """` (pid 4711)`, or nothing."""
    pid = pid_of(handle)
    return f" (pid {pid})" if pid else ""


def run_seen(role: RunRole, proc: Proc, boot: BootMark, at: Present) -> tuple[RunSeen, ...]:
    """The run of one role, if there is or was one. `boot` is the one it ran in."""
    if isinstance(proc, Idle):
        return ()
    since = proc.at if boot == at.boot else None
    match proc:
        case Starting(run_id=run_id):
            return (RunSeen(role, run_id, RunState.STARTING, since=since),)
        case Live(run_id=run_id, handle=handle):
            return (RunSeen(role, run_id, RunState.LIVE, pid_of(handle), since),)
        case Ended(run_id=run_id, handle=handle, ending=ending):
            told = how_it_ended(role.value, ending)
            return (RunSeen(role, run_id, RunState.CLEARING, pid_of(handle), since, told),)
        case Gone(run_id=run_id, ending=ending):
            told = how_it_ended(role.value, ending)
            return (RunSeen(role, run_id, RunState.GONE, since=since, ending=told),)
