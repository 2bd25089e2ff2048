"""Domain-free asynchronous parts: clock, bell, alarms, keyed work queue, inotify.

What may live here: small parts that a different program could use unchanged. They know no service, task or
log, import nothing of ours but each other, and take time only from a clock handed to them.
"""
