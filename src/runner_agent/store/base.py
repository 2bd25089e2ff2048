"""The store protocol: one writer lane, one revision counter, watches of the latest state."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol, TypeVar

from runner_agent.core.timeline import Entry
from runner_agent.model.frozen import dataclass
from runner_agent.model.ids import BootMark, ExecutionId, Reference, TaskId, Version
from runner_agent.model.phases import Trigger
from runner_agent.model.records import Execution, Firing, Key, Record, Service, Step, Task

T = TypeVar("T")
R = TypeVar("R", bound=Record)

FIRST_REVISION = Version(10**12)
"""Rule 1.5: so that the decimal strings of the JSON form also sort as text. Given to no record."""


def timestamp(when: datetime) -> str:
    """Text that sorts as the time does. `when` is UTC."""
    return when.isoformat(timespec="microseconds")


class Finished(NamedTuple):
    """An execution that has ended, as pruning needs to know it (rule 4.9)."""

    id: ExecutionId
    task_id: TaskId
    ended: Version
    """The revision with which it ended: nothing of it changes after."""

    @classmethod
    def of(cls, execution: Execution) -> "Finished":
        """Of one that has ended."""
        return cls(execution.id, execution.task_id, execution.status_version)


class Happening(NamedTuple):
    """An entry of the timeline: when (for display), the version that the change gave to the object, and what.

    `place` counts upwards once it is stored.
    """

    at: datetime
    version: Version
    entry: Entry
    place: int = 0


class Reader(Protocol):
    """Questions about one state. Quick: they never wait and never run on another thread."""

    def get(self, kind: type[R], id_: str) -> R | None:
        """The record, or None."""
        ...

    def services(self) -> Sequence[Service]:
        """All services, oldest first."""
        ...

    def tasks(self) -> Sequence[Task]:
        """All tasks, oldest first."""
        ...

    def by_reference(self, reference: Reference) -> Service | Task | None:
        """What goes by this reference, if anything."""
        ...

    def live_executions(self) -> Sequence[Execution]:
        """Executions that have not ended, oldest first."""
        ...

    def executions(
        self, *, task: str | None = None, after: Version | None = None, limit: int | None = None
    ) -> Sequence[Execution]:
        """Executions, newest first, finished ones included; `after`: the birth of the last one seen."""
        ...

    def finished_executions(self, *, task: str | None = None) -> Sequence[Finished]:
        """What there is to prune, first ended first, without reading the records."""
        ...

    def live_steps(self) -> Sequence[Step]:
        """Steps in the plan of an execution that has not ended, and steps with a process; oldest first."""
        ...

    def steps_of(self, task: TaskId) -> Sequence[Step]:
        """Those of `live_steps` that are runs of this task; by an index."""
        ...

    def firings(self, *, limit: int) -> Sequence[Firing]:
        """Newest first."""
        ...

    def firing_once(self, *, boot: BootMark, event: Trigger, once_key: str) -> Firing | None:
        """The firing of this event in this boot that carried this idempotency key (rule 6.4)."""
        ...


class Transaction(Reader, Protocol):
    """The state as of all writes asked for so far, and a way to change it. Only inside `Store.write`."""

    def put(self, record: R) -> R:
        """Create or replace; returns the record with its versions.

        The versions `record` comes with are ignored: the store compares with what it has and stamps the
        halves whose public view moved.
        """
        ...

    def delete(self, key: Key) -> None:
        """Remove; nothing if it is not there."""
        ...


@dataclass(frozen=True, slots=True)
class Change:
    """What a watcher is told about one key since it last asked.

    `spec_moved` and `status_moved` are about the public view (a version grew), `wish_moved` and `run_moved`
    about any part of that half. A key that was created and deleted meanwhile says both: what is true now, the
    store says.
    """

    created: bool = False
    deleted: bool = False
    spec_moved: bool = False
    status_moved: bool = False
    wish_moved: bool = False
    run_moved: bool = False

    def then(self, later: "Change") -> "Change":
        """Both, as one."""
        return Change(
            self.created or later.created,
            self.deleted or later.deleted,
            self.spec_moved or later.spec_moved,
            self.status_moved or later.status_moved,
            self.wish_moved or later.wish_moved,
            self.run_moved or later.run_moved,
        )


class Watch(Protocol):
    """The keys touched since last asked, merged: a slow watcher sees fewer, newer changes."""

    async def changes(self) -> Mapping[Key, Change]:
        """Wait until something changed, then return and forget it all, in the order of first change.

        Empty once the watch is closed, so that `while changed := await watch.changes()` ends. For one reader.
        """
        ...

    def close(self) -> None:
        """Stop watching. A second time does nothing."""
        ...


class Store(Reader, Protocol):
    """Reads show what is committed: it outlives this process. An acknowledged durable write survives power
    loss too.
    """

    @property
    def revision(self) -> Version:
        """The newest revision published.

        None of the records read now carries a greater one, all later changes will.
        """
        ...

    async def write(self, change: Callable[[Transaction], T], *, durable: bool, hidden: bool = False) -> T:
        """Run `change` alone on the latest state and commit what it put; return what it returned.

        `change` runs at once, on the caller's thread: it must be quick, read no clock and draw no id. What it
        raises is raised here and nothing is written. Returns when the commit is done and can be read; with
        `durable`, when it would survive a power loss. Others may read it, and act on it, before that, since
        nothing they start survives one either; with `hidden` they may not (rule 1.5). A change that put
        nothing waits for the writes whose results it may have seen. Cancelling the wait does not undo the
        write. Writes are committed and published in the order they were asked for, and so acknowledged, but
        that a durable one holds up none behind it. Raises ResourceExhausted when the disk is full, then
        nothing is written; Unavailable once closed, or when the disk does not confirm what was written.
        """
        ...

    def watch(self) -> Watch:
        """Watch all keys from now on."""
        ...

    def timeline(
        self, *, id_: str = "", reference: str = "", after: int | None = None, limit: int
    ) -> Sequence[Happening]:
        """What has happened, newest first, written with the change itself; the newest of it is kept.

        Of one object, or of all that goes by a reference, where one is named. `after` is the place of the
        last one seen.
        """
        ...

    def get_meta(self, name: str) -> str | None:
        """A fact about this store itself (environment id, boot mark of the last start)."""
        ...

    async def set_meta(self, name: str, value: str) -> None:
        """Durable."""
        ...

    async def pulse(self) -> None:
        """Return once a write that changes nothing has gone the whole way, disk included: proof that writes
        are done. Raises ResourceExhausted, Unavailable.
        """
        ...

    async def seal(self) -> None:
        """Make it fit to be copied while it is open: the timeline is forgotten, and all that was acknowledged
        stands in one file, on disk.

        Raises ResourceExhausted, Unavailable.
        """
        ...

    @property
    def unsaved(self) -> bool:
        """Something that can be read here is not on disk; only after `never_wait`."""
        ...

    def never_wait(self) -> None:
        """The agent ends: from now on no write fails or waits for a disk that does not take it. It counts for
        this process then; what becomes of the runs, an agent after this one finds out from what they leave
        (rule 7.6).
        """
        ...

    def leave(self) -> None:
        """Another program of this process opens the same state next: closing leaves all files as they are, as
        a crash would. A full disk might not take what tidying up and making them anew needs.
        """
        ...

    async def aclose(self) -> None:
        """Finish what was asked for, checkpoint, close; watches end. A second time does nothing."""
        ...
