"""The archive protocol: what a store must be able to look up when memory does not hold the answer."""

from collections.abc import Collection, Sequence
from typing import Protocol

from runner_agent.model.ids import BootMark, Version
from runner_agent.model.phases import Trigger
from runner_agent.model.records import Execution, Firing, Key, Record
from runner_agent.store.base import Finished, Happening


class Archive(Protocol):
    """Committed records, hot ones included. `skip` names the ids memory answers for: they are left out."""

    def get(self, key: Key) -> Record | None:
        """The record, or None."""
        ...

    def learn(self, key: Key, record: Record | None) -> None:
        """Memory answers for this key no longer; this is what the archive has there now."""
        ...

    def executions(
        self, *, task: str | None, after: Version | None, limit: int | None, skip: Collection[str]
    ) -> Sequence[Execution]:
        """Newest first."""
        ...

    def finished_executions(self, *, task: str | None, skip: Collection[str]) -> Sequence[Finished]:
        """In any order."""
        ...

    def firings(self, *, limit: int, skip: Collection[str]) -> Sequence[Firing]:
        """Newest first."""
        ...

    def firing_once(
        self, *, boot: BootMark, event: Trigger, once_key: str, skip: Collection[str]
    ) -> Firing | None:
        """Any one that fits."""
        ...

    def timeline(self, *, id_: str, reference: str, after: int | None, limit: int) -> Sequence[Happening]:
        """Newest first."""
        ...
