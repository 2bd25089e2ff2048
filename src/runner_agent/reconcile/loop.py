"""The reconcile loop: keys come from the store's watch, from alarms and from failed looks; workers ask `core`
and perform.

Starting up is nothing special: every live key is looked at once, and what a look finds (a promise, a live
run) it takes up.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from itertools import count

import structlog

from runner_agent.core import execution as execution_rules
from runner_agent.core.timing import Timing
from runner_agent.core.wishes import stop_execution
from runner_agent.kit.alarms import Alarms
from runner_agent.kit.workqueue import Backoff, WorkQueue
from runner_agent.model.errors import RunnerError
from runner_agent.model.frozen import dataclass
from runner_agent.model.ids import BootMark, Instant, RunId
from runner_agent.model.records import Execution, Key, Kind, Record, Step, Task
from runner_agent.model.runs import Ended, Live, Moment, Starting
from runner_agent.model.specs import Cause
from runner_agent.reconcile.canary import Canary
from runner_agent.reconcile.executions import Executions
from runner_agent.reconcile.leftovers import Leftovers
from runner_agent.reconcile.lives import Lives
from runner_agent.reconcile.machines import Machine, R, ServiceMachine, StepMachine
from runner_agent.reconcile.means import Means
from runner_agent.reconcile.mode import AGENT_STOP, Course, Mode
from runner_agent.reconcile.perform import NewId, Performer
from runner_agent.reconcile.reboot import tell_of_reboot
from runner_agent.store.base import Transaction, Watch

WORKERS = 32
"""Looks under way at once. A look mostly waits for a commit or for the launcher, so many cost little."""

log = structlog.get_logger("reconcile")


@dataclass(frozen=True, slots=True)
class Setting:
    """What the loop is told at start: this boot, the durations of the rules, and where ids come from."""

    boot: BootMark
    timing: Timing
    new_id: NewId


class Reconciler:
    """Makes wishes so, until told to go down, and then makes everything not so."""

    def __init__(self, means: Means, setting: Setting) -> None:
        self._means = means
        self._store, self._clock = means.store, means.clock
        self.mode = Mode()
        self._queue: WorkQueue[Key] = WorkQueue(means.clock)
        self._alarms: Alarms[Key] = Alarms(means.clock, self._queue.add)
        self._lives = Lives(means, look=self._queue.add, look_later=self._queue.add_after)
        self._services = ServiceMachine(setting.timing, setting.boot, self.mode)
        self._steps = StepMachine(setting.timing, setting.boot, self.mode)
        self._service_performer = Performer(self._services, means, self._lives, setting.new_id)
        self._step_performer = Performer(self._steps, means, self._lives, setting.new_id)
        self._executions = Executions(means.store, means.clock)
        self._waiting_on: defaultdict[str, set[str]] = defaultdict(
            set
        )  # id of a service or step -> live executions that name it
        self._named: dict[str, frozenset[str]] = {}  # the other way round
        self._boot = setting.boot
        self._recovered = asyncio.Event()
        self._at_rest = asyncio.Event()
        self._canary = Canary(self._queue)

    async def run(self) -> None:
        """Work until cancelled. Cancelling leaves every run alone."""
        watch = self._store.watch()
        try:
            await self._persist(self._tell_of_reboot)
            for key in self._live_keys():
                self._queue.add(key)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._feed(watch), name="feed")
                tasks.create_task(self._recover(), name="recover")
                for number in range(WORKERS):
                    tasks.create_task(self._work(), name=f"worker {number}")
        finally:
            watch.close()
            self._alarms.close()
            self._queue.close()
            await self._lives.aclose()

    async def recovered(self) -> None:
        """Wait until every run of before is taken up (rule 7.5)."""
        await self._recovered.wait()

    async def bring_down(self, *, now: bool) -> None:
        """Bring everything down and return when nothing is left (rule 7.1). Asked again with `now`: SIGKILL
        to all.
        """
        self.mode.course = Course.DOWN_NOW if now or self.mode.course is Course.DOWN_NOW else Course.DOWN
        cause = Cause(AGENT_STOP, self._clock.wall())

        def stop_all(tx: Transaction) -> None:
            for execution in tx.live_executions():
                tx.put(stop_execution(execution, cause))

        await self._persist(lambda: self._store.write(stop_all, durable=False))
        for key in self._live_keys():
            self._queue.add(key)
        self._look_whether_at_rest()
        await self._at_rest.wait()
        await self._lives.cleared()

    def go_on(self) -> None:
        """After a `bring_down` that was not the agent's own end: do again what is wished for."""
        self.mode.course = Course.ON
        self._at_rest.clear()
        for key in self._live_keys():
            self._queue.add(key)

    async def pulse(self) -> tuple[Key, ...]:
        """Return once a worker has looked at a key that is added now: proof that the loop is alive. Gives the
        keys that other workers have been stuck at.
        """
        return await self._canary.fly()

    # --- where keys come from

    def _live_keys(self) -> list[Key]:
        store = self._store
        records: list[Record] = [
            *store.services(),
            *store.live_steps(),
            *store.live_executions(),
            *store.tasks(),
        ]
        return [record.key for record in records]

    async def _feed(self, watch: Watch) -> None:
        while True:
            for key in await watch.changes():
                self._queue.add(key)
                for other in self._concerned(key):
                    self._queue.add(other)
            self._look_whether_at_rest()

    def _concerned(self, key: Key) -> list[Key]:
        """Who else looks at this record when it looks at the world."""
        match key.kind:
            case Kind.SERVICE:
                return [Key(Kind.EXECUTION, id_) for id_ in self._waiting_on.get(key.id, ())]
            case Kind.STEP:
                step = self._store.get(Step, key.id)
                others = self._waiting_on.get(key.id, ())  # to them it is in the way
                members = step.members if step is not None else ()
                return [Key(Kind.EXECUTION, id_) for id_ in dict.fromkeys((*members, *others))]
            case Kind.EXECUTION:
                execution = self._store.get(Execution, key.id)
                if execution is None or not execution.status.phase.terminal:
                    return []
                return [Key(Kind.TASK, execution.task_id)]
            case Kind.TASK | Kind.FIRING:
                return []

    async def _recover(self) -> None:
        await self._queue.settle()
        await self._lives.found()
        self._recovered.set()
        await Leftovers(self._means, self._runs).clear()

    async def _tell_of_reboot(self) -> None:
        await tell_of_reboot(self._store, self._boot, self._services, self._steps, Moment.of(self._clock))

    async def _persist(self, write: Callable[[], Awaitable[None]]) -> None:
        """Until it is written: there is no going on without."""
        pause = Backoff()
        for failures in count(1):
            try:
                await write()
            except RunnerError as error:
                rest = pause.delay(failures)
                log.warning("cannot write; trying again", error=str(error), again_in_s=rest)
                await asyncio.sleep(rest)
            else:
                return

    def _runs(self) -> set[RunId]:
        """The ids of all runs that may exist."""
        steps, services = self._store.live_steps(), self._store.services()
        procs = [proc for step in steps for proc in self._steps.procs(step).values()]
        procs += [proc for service in services for proc in self._services.procs(service).values()]
        return {proc.run_id for proc in procs if isinstance(proc, Starting | Live | Ended)}

    def _look_whether_at_rest(self) -> None:
        if not self.mode.closing:
            return
        if not self._runs() and not self._store.live_executions() and not self._store.live_steps():
            self._at_rest.set()

    # --- working

    async def _work(self) -> None:
        while True:
            async with self._queue.take() as key:
                try:
                    await self._look(key)
                    self._queue.forget(key)
                except Exception as error:
                    rest = self._queue.retry(key)
                    defect = None if isinstance(error, (RunnerError, OSError)) else error
                    log.warning(
                        "look failed", key=str(key), error=str(error), again_in_s=rest, exc_info=defect
                    )

    async def _look(self, key: Key) -> None:
        match key.kind:
            case Kind.SERVICE:
                await self._reconcile(self._services, self._service_performer, key)
            case Kind.STEP:
                await self._reconcile(self._steps, self._step_performer, key)
            case Kind.EXECUTION:
                self._index(key)
                await self._executions.reconcile(key)
            case Kind.TASK:
                await self._finish_deletion(key)
            case Kind.FIRING:  # nothing is to be done about them, so one that is none tells that we look
                self._canary.took_up()

    async def _reconcile(self, machine: Machine[R], performer: Performer[R], key: Key) -> None:
        """Read the truth, ask, do. What was done is news, and news leads to the next look."""
        record = self._store.get(machine.kind, key.id)
        if record is None:
            self._alarms.clear(key)
            return
        if not self._lives.ensure(machine, record):
            return  # another look comes when it is known what became of its runs
        decision = machine.decide(record, Instant(self._clock.now()))
        if decision.wake_at is None:
            self._alarms.clear(key)
        else:
            self._alarms.set(key, decision.wake_at)
        for action in decision.actions:
            await performer.perform(record, action)

    def _index(self, key: Key) -> None:
        """Remember which services a live execution names, so that their news reach it."""
        execution = self._store.get(Execution, key.id)
        live = execution is not None and not execution.status.phase.terminal
        if live is (key.id in self._named):
            return
        if execution is not None and live:
            self._named[key.id] = execution_rules.hangs_on(execution)
            for id_ in self._named[key.id]:
                self._waiting_on[id_].add(key.id)
            return
        for id_ in self._named.pop(key.id):
            self._waiting_on[id_].discard(key.id)
            if not self._waiting_on[id_]:
                del self._waiting_on[id_]

    async def _finish_deletion(self, key: Key) -> None:
        """A task that is to go goes when none of its executions runs any more (rule 1.6)."""

        def change(tx: Transaction) -> None:
            task = tx.get(Task, key.id)
            if task is None or task.deletion is None:
                return
            if not any(one.task_id == task.id for one in tx.live_executions()):
                tx.delete(key)

        task = self._store.get(Task, key.id)
        if task is not None and task.deletion is not None:
            await self._store.write(change, durable=True)
