"""Decisions: what is to be done about a record, as data, and when to look at it again."""

from dataclasses import replace

from runner_agent.core.facts import NotReadyInTime, StopAsked, StopOverran
from runner_agent.model.frozen import dataclass
from runner_agent.model.ids import Instant
from runner_agent.model.phases import RunRole


@dataclass(frozen=True, slots=True)
class Begin:
    """Take up the session the spec asks for."""


@dataclass(frozen=True, slots=True)
class Spawn:
    """Promise a run of this role, then start it."""

    role: RunRole


@dataclass(frozen=True, slots=True)
class Terminate:
    """SIGTERM to the whole process group."""

    role: RunRole


@dataclass(frozen=True, slots=True)
class Kill:
    """SIGKILL to the whole tree."""

    role: RunRole


@dataclass(frozen=True, slots=True)
class Linger:
    """Leave what the command leaves behind alone (on), or no longer."""

    role: RunRole
    on: bool


@dataclass(frozen=True, slots=True)
class Note:
    """A fact that follows from wish and clock alone: write it down."""

    fact: StopAsked | NotReadyInTime | StopOverran


@dataclass(frozen=True, slots=True)
class Remove:
    """Nothing of it runs and it is to be deleted: drop the record."""


Action = Begin | Spawn | Terminate | Kill | Linger | Note | Remove


@dataclass(frozen=True, slots=True)
class Decision:
    """Actions in order; `wake_at`: look again no later than this, None for "only when something changes".

    Between deciding and writing down, a record may change. So a promise, a note, a begin or a removal is
    written only if a decision about the record as it is inside that write still `asks` for it.
    """

    actions: tuple[Action, ...] = ()
    wake_at: Instant | None = None

    def asks(self, action: Action) -> bool:
        """Whether it asks for this, whatever the time: notes carry the instant they were decided at."""
        if not isinstance(action, Note):
            return action in self.actions
        asked = (one.fact for one in self.actions if isinstance(one, Note))
        return any(replace(fact, at=action.fact.at) == action.fact for fact in asked)

    def __or__(self, other: "Decision") -> "Decision":
        """Both, and the earlier wake-up."""
        wakes = [wake for wake in (self.wake_at, other.wake_at) if wake is not None]
        return Decision(self.actions + other.actions, min(wakes, default=None))


REST = Decision()


def do(*actions: Action) -> Decision:
    """These now. What they lead to is news, and news leads to the next look."""
    return Decision(actions)


def rest(wake_at: Instant) -> Decision:
    """Nothing now; look again then."""
    return Decision((), wake_at)
