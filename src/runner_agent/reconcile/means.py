"""What reconciling is done with, below its loop."""

from runner_agent.executors.table import Executors
from runner_agent.kit.clock import Clock
from runner_agent.model.frozen import dataclass
from runner_agent.reconcile.evidence import Evidence
from runner_agent.reconcile.notes import Notes
from runner_agent.reconcile.requests import Requests
from runner_agent.store.base import Store


@dataclass(frozen=True, slots=True)
class Means:
    """What reconciling is done with."""

    store: Store
    notes: Notes
    executors: Executors
    requests: Requests
    evidence: Evidence
    clock: Clock
