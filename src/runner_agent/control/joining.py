"""What the executions of a firing may join: runs that earlier firings of the same boot began (rule 6.2a)."""

from collections.abc import Iterator, Sequence

from runner_agent.control.base import NewId
from runner_agent.core.plan import Definitions
from runner_agent.core.sharing import Earlier, share
from runner_agent.model.frozen import dataclass
from runner_agent.model.ids import StepId, TaskId
from runner_agent.model.plans import TaskWork
from runner_agent.model.records import Execution, Firing, Step, Task
from runner_agent.store.base import Reader


def new_run(task: Task, new_id: NewId) -> TaskWork:
    """One of its own, with the spec as it is now (rule 4.1)."""
    return TaskWork(task.id, task.spec, StepId(new_id()))


@dataclass(frozen=True, slots=True)
class Start:
    """One firing among those of its boot. `apart`: of runs that have begun it joins only those of
    firings with its own key, as a prebuild must: others may have been given secrets of the user (rule 6.5).
    """

    firing: Firing
    apart: bool = False

    def works(
        self, mains: Sequence[Task], known: Definitions, reader: Reader, new_id: NewId
    ) -> dict[TaskId, TaskWork]:
        """Which run each task gets that these need; those that are not named get a new one."""
        if not any(reader.steps_of(one.id) for one in reader.tasks()):
            return {}  # of most environment starts the first event meets nothing
        return share(
            mains,
            known,
            lambda task: tuple(self._earlier(task, reader)),
            lambda step: reader.get(Step, step),
            lambda: StepId(new_id()),
        )

    def _earlier(self, task: TaskId, reader: Reader) -> Iterator[Earlier]:
        for record in reader.steps_of(task):
            if record.firing is None:
                continue  # begun by a person or a program: that may overlap (rule 4.1)
            found = (reader.get(Execution, id_) for id_ in record.members)
            members = tuple(one for one in found if one is not None)
            if any(one.boot != self.firing.boot for one in members):
                continue
            yield Earlier(record, members, own=not self.apart or self._has_my_key(record, reader))

    def _has_my_key(self, record: Step, reader: Reader) -> bool:
        began = reader.get(Firing, record.firing) if record.firing is not None else None
        return began is not None and began.once_key == self.firing.once_key
