"""What `up` knows of what is going on: rows of services and executions, and what their processes use."""

from collections.abc import Mapping
from dataclasses import dataclass, field

ENDED = "ENDED"
"""No phase of the agent's: it ended, nobody knows how."""
OVER = frozenset({"STOPPED", "SUCCEEDED", "FAILED", ENDED})


@dataclass(slots=True)
class StepRow:
    """A task or service of a plan. `since`: monotonic seconds; "" as phase while it has not begun."""

    name: str
    phase: str = ""
    since: float = 0.0
    took: str = ""


@dataclass(slots=True)
class Row:
    """A service or an execution: its phase, since when (monotonic seconds), and how long it took."""

    name: str
    phase: str
    since: float
    message: str = ""
    took: str = ""
    run: str = ""
    """Of an execution: the same for all that share the run of their task."""
    steps: dict[str, StepRow] = field(default_factory=dict[str, StepRow])
    """Of an execution whose plan has several, by id, in the plan's order."""
    news: bool = False
    """Its phase has changed and nobody was told yet."""
    spec_version: int = 0
    settled: bool = True
    """Of a service: its phase is that of the session wished for, or none is wished for."""
    has_ready: bool = False
    """Of a service: a command says when it is up."""


@dataclass(frozen=True, slots=True)
class Used:
    """What the processes of a row or a step use; `cpu`: per cent of one processor, None if not yet known.

    `memory_max`: bytes, 0 without a limit.
    """

    cpu: float | None
    memory: int
    ports: tuple[int, ...]
    memory_max: int = 0


@dataclass(slots=True)
class Board:
    """What there is to show, by id, in the order of appearance.

    `used` is replaced as a whole, by another thread: of services by id, of steps by execution and label.
    """

    services: dict[str, Row] = field(default_factory=dict[str, Row])
    tasks: dict[str, Row] = field(default_factory=dict[str, Row])
    used: Mapping[str | tuple[str, str], Used] = field(default_factory=dict[str | tuple[str, str], Used])
    outdated: frozenset[str | tuple[str, str]] = frozenset()
    """What runs by an older definition: services by id, steps by execution and label. Replaced as a whole, by
    another thread.
    """
    hint: str = ""
    """What Ctrl-C does now."""

    def conclude(self) -> None:
        """The agent has ended in order, so nothing runs. Its last news may have come when it answered no more
        questions: of what they were about is known that it has ended, not how.
        """
        for row in (*self.services.values(), *self.tasks.values()):
            if row.phase not in OVER:
                row.phase = ENDED
