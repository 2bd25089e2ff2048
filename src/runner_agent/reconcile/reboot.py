"""What a restart of the machine did, told to all records before anything is decided (rule 6.6)."""

from runner_agent.core import execution as execution_rules
from runner_agent.model.ids import BootMark
from runner_agent.model.runs import Moment
from runner_agent.reconcile.machines import ServiceMachine, StepMachine
from runner_agent.store.base import Store, Transaction

LAST_BOOT = "last_boot"
"""The fact of the store that says in which boot its records were last worked on."""


async def tell_of_reboot(
    store: Store, boot: BootMark, services: ServiceMachine, steps: StepMachine, now: Moment
) -> None:
    """End what the old boot left unfinished, if this is a new one. Raises ResourceExhausted."""
    last = store.get_meta(LAST_BOOT)
    if last == boot:
        return

    def end_all(tx: Transaction) -> None:
        for service in tx.services():
            tx.put(services.rebooted(service, now))
        for step in tx.live_steps():
            tx.put(steps.rebooted(step))
        for execution in tx.live_executions():
            tx.put(execution_rules.rebooted(execution, now.wall))

    if last is not None:  # else the store is new, and so are the wishes in it
        await store.write(end_all, durable=True, hidden=True)
    await store.set_meta(LAST_BOOT, boot)
