"""Finished executions that were held or read lately: to read one anew takes longer than a whole request.

They never change, and go by being deleted, which memory hears of first: whatever it lets go of, it tells.
"""

from runner_agent.model.records import Execution, Record
from runner_agent.store.tables import is_live

MOST = 1_500
"""What is kept, an execution counted as one for each of its steps and one more: some two megabytes."""


class Lately:
    """The last of them, by id."""

    def __init__(self) -> None:
        """None."""
        self._kept: dict[str, Execution] = {}
        self._weight = 0

    def get(self, id_: str) -> Execution | None:
        """Found means that it is as the archive has it."""
        found = self._kept.pop(id_, None)
        if found is not None:
            self._kept[id_] = found  # at the end: the first is the one not asked for longest
        return found

    def learn(self, id_: str, record: Record | None) -> None:
        """The archive answers for this id from now on, and has this; None: nothing."""
        before = self._kept.pop(id_, None)
        if before is not None:
            self._weight -= _weight(before)
        if not isinstance(record, Execution) or is_live(record):
            return
        self._kept[id_] = record
        self._weight += _weight(record)
        while self._weight > MOST:
            self._weight -= _weight(self._kept.pop(next(iter(self._kept))))


def _weight(execution: Execution) -> int:
    return 1 + len(execution.plan.steps())
