"""The life of every run, from promise to nothing left: one task per run, begun again from the record after a
restart.

If a task fails it is begun again when its record is next looked at, so an interrupted wait and an adopted run
are the same thing.
"""

import asyncio
from collections.abc import Callable
from typing import cast

import structlog

from runner_agent.core.facts import (
    Promised,
)
from runner_agent.model.errors import RunnerError, Unavailable
from runner_agent.model.frozen import dataclass
from runner_agent.model.ids import RunId
from runner_agent.model.records import Key, Service, Step
from runner_agent.model.runs import (
    Ended,
    Gone,
    Idle,
    Live,
    Proc,
    Starting,
)
from runner_agent.reconcile.life import Life
from runner_agent.reconcile.machines import Machine, R
from runner_agent.reconcile.means import Means

REST, LONGEST_REST = 0.05, 10.0
"""Seconds before a run that could not be followed is taken up again: doubled, up to the longest."""

CLEARING = 5.0
"""Seconds that an agent on its way out waits for the folders of its last runs to be removed."""

log = structlog.get_logger("lives")


@dataclass(frozen=True, slots=True)
class Trouble:
    """A run that could not be followed so many times in a row is left alone until then."""

    times: int = 0
    until: float = 0.0

    def once_more(self, now: float) -> "Trouble":
        """After one more failure."""
        return Trouble(self.times + 1, now + min(REST * 2.0 ** min(self.times, 32), LONGEST_REST))


class Lives:
    """All runs that this agent follows."""

    def __init__(
        self, means: Means, look: Callable[[Key], None], look_later: Callable[[Key, float], None]
    ) -> None:
        """`look`: it is known what became of an adopted run; have its record looked at again.

        `look_later`: a life could not be followed; the same, after so many seconds.
        """
        self._means, self._look, self._look_later = means, look, look_later
        self._lives: dict[RunId, Life[Service] | Life[Step]] = {}
        self._troubles: dict[RunId, Trouble] = {}
        self._finding: set[asyncio.Event] = set()

    def ensure(self, machine: Machine[R], record: R) -> bool:
        """Follow every run of the record that may exist and is not followed yet.

        False as long as it is not known of each what became of it while nobody followed: what is decided
        before may be wrong, for a stop command may have done its work in time while the agent was away.
        """
        known = True
        for role, proc in machine.procs(record).items():
            match proc:
                case Starting(run_id=run_id) | Live(run_id=run_id) | Ended(run_id=run_id):
                    if run_id not in self._lives and self._rested(record.key, run_id):
                        self._follow(Life(self._means, machine, record, role, run_id), proc, fresh=False)
                    life = self._lives.get(run_id)
                    known = known and life is not None and life.known.is_set()
                    if life is not None and isinstance(proc, Starting) and machine.in_vain(record, role):
                        life.give_up()
                case Idle() | Gone():
                    pass
        return known

    def begin(self, machine: Machine[R], record: R, promised: Promised) -> None:
        """Start a run that has just been promised."""
        life = Life(self._means, machine, record, promised.role, promised.run_id)
        self._follow(life, Starting(promised.run_id, promised.at), fresh=True)

    async def found(self) -> None:
        """Wait until it is known of every run of before what became of it, or that nobody can tell yet."""
        while self._finding:
            known = next(iter(self._finding))
            await known.wait()
            self._finding.discard(known)

    async def cleared(self) -> None:
        """Wait a little for what is gone to be cleared away; the rest, the next start clears away."""
        tasks = [life.task for life in self._lives.values() if life.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=CLEARING)

    async def aclose(self) -> None:
        """Stop following. Runs go on."""
        tasks = [life.task for life in self._lives.values() if life.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _follow(self, life: "Life[R]", proc: Starting | Live | Ended, *, fresh: bool) -> None:
        if fresh:
            life.known.set()  # now: whoever looks before it has run a step is not told to look again
        else:
            self._finding.add(life.known)
        self._lives[proc.run_id] = cast("Life[Service] | Life[Step]", life)
        name = f"{life.key} {life.role.value}"
        life.task = asyncio.get_running_loop().create_task(self._live(life, proc, fresh=fresh), name=name)

    async def _live(self, life: "Life[R]", proc: Starting | Live | Ended, *, fresh: bool) -> None:
        try:
            await life.run(proc, fresh=fresh, tell=self._look, start_told=self._start_told)
            self._troubles.pop(life.run_id, None)
        except Exception as error:  # noqa: BLE001  one run's trouble must not end the others' lives
            self._trouble(life, error)
        finally:
            del self._lives[life.run_id]
            self._finding.discard(life.known)
            life.known.set()

    async def _start_told(self, key: Key) -> None:
        """Return once the record says whether the service's `start` lives. Raises Unavailable if it cannot be
        written now: told before, a `ready` that succeeded later would make RUNNING what has ended (rule 3.2).
        """
        start = self._start_of(key)
        if isinstance(start, Starting | Live) and (life := self._lives.get(start.run_id)):
            await life.known.wait()
            start = self._start_of(key)
        if isinstance(start, Starting | Live) and start.run_id not in self._lives:
            raise Unavailable("it is not known whether start lives; this is told once that is")

    def _start_of(self, key: Key) -> Proc:
        service = self._means.store.get(Service, key.id)
        return Idle() if service is None or service.run is None else service.run.start

    def _trouble(self, life: "Life[R]", error: Exception) -> None:
        now = self._means.clock.now()
        trouble = self._troubles.get(life.run_id, Trouble()).once_more(now)
        self._troubles[life.run_id] = trouble
        defect = None if isinstance(error, (RunnerError, OSError)) else error
        log.warning(
            "cannot follow a run; trying again",
            key=str(life.key),
            run_id=life.run_id,
            error=str(error),
            exc_info=defect,
        )
        self._look_later(life.key, trouble.until - now)

    def _rested(self, key: Key, run_id: RunId) -> bool:
        """If not, there is another look when it has: of several runs of a record the first to rest looks."""
        trouble = self._troubles.get(run_id)
        rest = 0.0 if trouble is None else trouble.until - self._means.clock.now()
        if rest > 0:
            self._look_later(key, rest)
        return rest <= 0
