"""Plans: which groups a task's start would run, what may run now, and how the whole stands (rules 4.2 to
4.4).
"""

from collections.abc import Callable, Mapping, Sequence

from runner_agent.core.wishes import NO_COMMANDS, startable
from runner_agent.model.errors import FailedPrecondition
from runner_agent.model.ids import DefinitionId, PlanStepId, ServiceId, SessionId
from runner_agent.model.phases import ExecutionPhase
from runner_agent.model.plans import Group, Plan, PlanStep, ServiceWork, TaskWork, Work
from runner_agent.model.records import Service, Task

Definitions = Mapping[DefinitionId, Service | Task]
Phases = Mapping[PlanStepId, ExecutionPhase]


def find_cycle(graph: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """A cycle as `a, b, c, a`, or () if there is none. Nodes that are only pointed at count as leaves."""
    finished: set[str] = set()
    for root in graph:
        trail: list[str] = []  # the path from root to where we are, each with the children yet to visit
        pending: list[list[str]] = [[root]]
        while pending:
            if not pending[-1]:
                pending.pop()
                if trail:
                    finished.add(trail.pop())
                continue
            node = pending[-1].pop()
            if node in finished:
                continue
            if node in trail:
                return (*trail[trail.index(node) :], node)
            trail.append(node)
            pending.append(list(reversed(graph.get(node, ()))))
    return ()


def levels(main: Task, definitions: Definitions) -> tuple[tuple[Service | Task, ...], ...]:
    """The task and all it needs, each once, by topological level, in the order they are named (rule 4.2).

    Raises FailedPrecondition where a dependency is gone or being deleted.
    """
    needed = _closure(main, definitions)
    level: dict[DefinitionId, int] = {}
    for one in needed:  # dependencies come before their dependants
        below = one.depends_on if isinstance(one, Task) else ()
        level[one.id] = 1 + max((level[dependency] for dependency in below), default=-1)
    groups: list[list[Service | Task]] = [[] for _ in range(max(level.values()) + 1)]
    for one in needed:
        groups[level[one.id]].append(one)
    return tuple(tuple(group) for group in groups)


def _closure(main: Task, definitions: Definitions) -> list[Service | Task]:
    """All that `main` needs, itself last, dependencies first; without recursion, since files may be deep."""
    ordered: dict[DefinitionId, Service | Task] = {}
    waiting: set[DefinitionId] = set()
    stack: list[tuple[Service | Task, bool]] = [(main, False)]
    while stack:
        one, expanded = stack.pop()
        if one.id in ordered:
            continue
        if expanded or isinstance(one, Service):
            ordered[one.id] = one
            continue
        if (
            one.id in waiting
        ):  # no file or request brings one in, but a plan must end whatever the store holds
            name = one.metadata.reference
            raise FailedPrecondition(
                f'task "{name}" cannot be started: it depends on itself; update its depends_on'
            )
        waiting.add(one.id)
        stack.append((one, True))
        stack.extend(
            (_usable(dependency, one, definitions), False) for dependency in reversed(one.depends_on)
        )
    return list(ordered.values())


def _usable(dependency: DefinitionId, needed_by: Task, definitions: Definitions) -> Service | Task:
    found = definitions.get(dependency)
    owner = needed_by.metadata.reference
    if found is None:
        raise FailedPrecondition(
            f'task "{owner}" cannot be started: it depends on {dependency}, which no longer exists; '
            "update its depends_on"
        )
    if found.deletion is not None:
        raise FailedPrecondition(
            f'task "{owner}" cannot be started: it depends on "{found.metadata.reference}", '
            "which is being deleted"
        )
    if isinstance(found, Service) and not startable(found):
        raise FailedPrecondition(
            f'task "{owner}" cannot be started: it depends on service "{found.metadata.reference}", '
            f"which cannot: {NO_COMMANDS}"
        )
    return found


def make_plan(
    main: Task, definitions: Definitions, new_id: Callable[[], str], work_for: Callable[[Task], TaskWork]
) -> Plan:
    """The frozen plan of one execution. `work_for` says which run of a task it has, the same one for every
    execution of a firing.
    """
    ids: dict[DefinitionId, PlanStepId] = {}
    groups: list[Group] = []
    for group in levels(main, definitions):
        ids.update({one.id: PlanStepId(new_id()) for one in group})
        groups.append(Group(tuple(_plan_step(one, ids, new_id, work_for) for one in group)))
    return Plan(tuple(groups))


def _plan_step(
    one: Service | Task,
    ids: Mapping[DefinitionId, PlanStepId],
    new_id: Callable[[], str],
    work_for: Callable[[Task], TaskWork],
) -> PlanStep:
    work: Work
    if isinstance(one, Service):
        work = ServiceWork(ServiceId(one.id), SessionId(new_id()))
        depends_on: tuple[PlanStepId, ...] = ()
    else:
        work = work_for(one)
        depends_on = tuple(ids[dependency] for dependency in dict.fromkeys(one.depends_on))
    return PlanStep(ids[one.id], one.metadata.reference, work, depends_on)


def runnable(plan: Plan, phases: Phases) -> tuple[PlanStep, ...]:
    """The steps that may start now: those of the first group that is not done, unless anything has failed or
    was stopped.
    """
    if any(phase in (ExecutionPhase.FAILED, ExecutionPhase.STOPPED) for phase in phases.values()):
        return ()
    for group in plan.groups:
        if all(phases.get(step.id) is ExecutionPhase.SUCCEEDED for step in group.steps):
            continue
        return tuple(step for step in group.steps if step.id not in phases)
    return ()


def aggregate(plan: Plan, phases: Phases, *, stopping: bool) -> ExecutionPhase:
    """How the execution stands, from its steps (rules 4.3, 4.4, 4.6). It ends only when no started step is
    unfinished.
    """
    if all(phases.get(step.id) is ExecutionPhase.SUCCEEDED for group in plan.groups for step in group.steps):
        return ExecutionPhase.SUCCEEDED
    unfinished = any(not phase.terminal for phase in phases.values())
    if stopping and not unfinished:
        return ExecutionPhase.STOPPED
    if (
        any(phase in (ExecutionPhase.FAILED, ExecutionPhase.STOPPED) for phase in phases.values())
        and not unfinished
    ):
        return ExecutionPhase.FAILED
    begun = any(phase is not ExecutionPhase.PENDING for phase in phases.values())
    return ExecutionPhase.RUNNING if begun else ExecutionPhase.PENDING
