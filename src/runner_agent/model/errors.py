"""What can go wrong, by kind. Each message says what cannot be done, to which thing, and what to do about
it.
"""

from runner_agent.model.frozen import dataclass


class RunnerError(Exception):
    """The root. Its text is fit for a user; anything else that is raised is a defect."""


class NotFound(RunnerError):
    """No such thing."""


class AlreadyExists(RunnerError):
    """The name is taken."""


class FailedPrecondition(RunnerError):
    """Not while the thing is in this state."""


class PermissionDenied(RunnerError):
    """Not by this caller."""


class ResourceExhausted(RunnerError):
    """Something is full: a disk, a limit."""


class Unavailable(RunnerError):
    """Not now: the agent is starting, stopping or cannot reach what it needs."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule: the path of the field (`spec.commands.start`), and what is wrong and accepted."""

    path: str
    message: str

    def __str__(self) -> str:
        """As one line."""
        return f"{self.path}: {self.message}" if self.path else self.message


class InvalidArgument(RunnerError):
    """The request can never be right as it is; lists every violation found."""

    def __init__(self, *violations: Violation) -> None:
        """At least one violation is given."""
        super().__init__("; ".join(str(violation) for violation in violations))
        self.violations = violations


class CannotStart(RunnerError):
    """An executor could not start a run. The run's log and failure_message carry the text (rule 5.7)."""


class StoreUnusable(RunnerError):
    """The database cannot be used and must not be overwritten (rule 7.4); says which file and the way out."""


class IllegalFact(Exception):
    """A fact that cannot follow the state it met: a defect in the agent, never a user's doing."""

    def __init__(self, machine: str, state: object, fact: object) -> None:
        """Names machine, fact and state, for the log."""
        super().__init__(f"{machine}: {fact!r} cannot follow {state!r}")
