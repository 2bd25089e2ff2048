"""All commands in one hand, as the API and the daemon hold them."""

from collections.abc import Callable

from runner_agent.control.base import NewId
from runner_agent.control.executions import ExecutionControl
from runner_agent.control.services import ServiceControl
from runner_agent.control.tasks import TaskControl
from runner_agent.control.triggers import OwnKey, TriggerControl, no_key
from runner_agent.control.upsert import UpsertControl
from runner_agent.kit.clock import Clock
from runner_agent.store.base import Store


class Commands:
    """What may be asked for, by what it is about."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        new_id: NewId,
        redact: Callable[[str], str] = str,
        own_key: OwnKey = no_key,
    ) -> None:
        """`new_id` gives UUIDs. `redact` takes secrets out of what is posted as output. `own_key`: see
        TriggerControl.
        """
        self.services = ServiceControl(store, clock, new_id, redact)
        self.tasks = TaskControl(store, clock, new_id)
        self.executions = ExecutionControl(store, clock, new_id)
        self.triggers = TriggerControl(store, clock, new_id, own_key)
        self.file = UpsertControl(store, clock, new_id)
