"""Charter: wishes. What a caller may ask for, checked against the state and written in one transaction.

Commands on services, tasks and executions, the firing of triggers, and automations files: reading and
applying them. Nothing here starts a process: `reconcile` hears of a wish from the store.
"""
