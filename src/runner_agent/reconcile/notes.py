"""Writing facts down: a fact is folded into the latest record in one write, and dropped if it is no longer
news.
"""

from runner_agent.core import proc
from runner_agent.core.decisions import Action
from runner_agent.core.facts import RunFact, ServiceFact
from runner_agent.kit.clock import Clock
from runner_agent.model.records import Key
from runner_agent.model.runs import Idle, Moment
from runner_agent.reconcile.machines import Machine, R
from runner_agent.store.base import Store, Transaction


class Notes:
    """The one road by which the run half of services and steps changes."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock

    async def write(
        self, machine: Machine[R], key: Key, *facts: ServiceFact, asked: Action | None = None
    ) -> bool:
        """Fold the facts in, in order, all or none. False if they are stale or, with `asked`, if `core` no
        longer asks for that.

        Judging inside the write is what makes a stop that comes in the same moment as a spawn win or lose
        cleanly.
        """
        moment = Moment.of(self._clock)

        def change(tx: Transaction) -> bool:
            record = tx.get(machine.kind, key.id)
            if record is None or (asked is not None and not machine.decide(record, moment.at).asks(asked)):
                return False
            for fact in facts:
                if isinstance(fact, RunFact) and not self._news(machine, record, fact):
                    return False
                record = machine.fold(record, fact, moment)
            tx.put(record)
            return True

        return await self._store.write(change, durable=False)

    @staticmethod
    def _news(machine: Machine[R], record: R, fact: RunFact) -> bool:
        return proc.expects(machine.procs(record).get(fact.role, Idle()), fact)
