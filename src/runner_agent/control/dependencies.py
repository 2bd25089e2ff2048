"""What tasks may not depend on: themselves, over whatever detour (rule 2.6). For files and the API."""

from collections.abc import Iterator, Mapping, Sequence

from runner_agent.core.plan import find_cycle

_MOST = 25
"""Cycles told at once."""


def cycles(graph: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, ...]]:
    """Cycles as `a, b, a`, no node in two of them. Resolving these may bring others to light."""
    rest = dict(graph)
    for _ in range(_MOST):
        cycle = find_cycle(rest)
        if not cycle:
            return
        yield cycle
        for node in cycle[1:]:
            del rest[node]


def name_cycle(cycle: Sequence[str]) -> str:
    """The sentence about a cycle."""
    if len(cycle) == 2:
        return f"{cycle[0]} depends on itself; remove it"
    return f"the dependencies go in a circle: {' -> '.join(cycle)}; remove one of them"
