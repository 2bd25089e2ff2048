"""Charter: the small processes that own the runs, so that no crash or upgrade of the agent loses one.

For the same reason `first` is here, process 1 of a container.
Standard library only, nothing of ours outside this package, no typing, dataclasses, pathlib or asyncio at run
time: the process stays below 12 MiB and what it forks below 0.6 MiB. Started as `python -I -S` (see
`wire.command`).
"""
