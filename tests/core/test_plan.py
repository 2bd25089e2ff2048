"""Plans as questions: levels, what may run now, how the whole stands. Rules 2.6, 4.2 to 4.6."""

from __future__ import annotations

from itertools import count, pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner_agent.core.plan import aggregate, find_cycle, levels, make_plan, runnable
from runner_agent.model.errors import FailedPrecondition
from runner_agent.model.ids import DefinitionId, PlanStepId, ServiceId, StepId, TaskId
from runner_agent.model.phases import ExecutionPhase
from runner_agent.model.plans import Plan, ServiceWork, TaskWork
from runner_agent.model.records import Deletion, Service, Task
from tests.support.histories import a_service, a_task

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PENDING, RUNNING = ExecutionPhase.PENDING, ExecutionPhase.RUNNING
SUCCEEDED, FAILED, STOPPED = ExecutionPhase.SUCCEEDED, ExecutionPhase.FAILED, ExecutionPhase.STOPPED


def definitions(graph: Mapping[str, Sequence[str]]) -> dict[DefinitionId, Service | Task]:
    """Tasks by name with what they depend on; names that are only pointed at are services."""
    tasks: dict[DefinitionId, Service | Task] = {
        TaskId(name): a_task(name, needs, graph) for name, needs in graph.items()
    }
    services = {need for needs in graph.values() for need in needs if need not in graph}
    return tasks | {ServiceId(name): a_service(name) for name in services}


def plan_of(graph: Mapping[str, Sequence[str]], main: str) -> Plan:
    ids = count(1)
    known = definitions(graph)
    task = known[TaskId(main)]
    assert isinstance(task, Task)
    return make_plan(task, known, lambda: f"id-{next(ids)}", run_of)


def run_of(task: Task) -> TaskWork:
    return TaskWork(task.id, task.spec, StepId(f"step-{task.id}"))


def labels(plan: Plan) -> list[list[str]]:
    return [[step.label for step in group.steps] for group in plan.groups]


@pytest.mark.parametrize(
    ("graph", "groups"),
    [
        ({"a": []}, [["a"]]),
        ({"a": ["b"], "b": []}, [["b"], ["a"]]),
        ({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}, [["d"], ["b", "c"], ["a"]]),
        ({"a": ["b", "c"], "b": ["c"], "c": []}, [["c"], ["b"], ["a"]]),
        ({"a": ["web", "b"], "b": ["db"]}, [["web", "db"], ["b"], ["a"]]),
        ({"a": ["b", "b"], "b": [], "z": []}, [["b"], ["a"]]),
    ],
)
def test_rule_4_2_levels(graph: dict[str, list[str]], groups: list[list[str]]) -> None:
    assert labels(plan_of(graph, "a")) == groups


def test_rule_4_2_steps_carry_the_ids_they_wait_for_and_the_frozen_spec() -> None:
    plan = plan_of({"a": ["b", "web"], "b": []}, "a")
    by_label = {str(step.label): step for step in plan.steps()}
    main, needed, web = by_label["a"], by_label["b"], by_label["web"]
    assert main.depends_on == (needed.id, web.id)
    assert isinstance(main.work, TaskWork)
    assert (main.work.task_id, main.work.step, main.work.spec.command) == ("a", "step-a", "make a")
    assert isinstance(web.work, ServiceWork)
    assert web.work.service_id == "web"
    assert len({step.id for step in plan.steps()} | {web.work.session}) == 4


def test_rule_4_2_deep_chains_need_no_recursion() -> None:
    graph = {f"t{n}": [f"t{n + 1}"] if n < 3000 else [] for n in range(3001)}
    assert len(plan_of(graph, "t0").groups) == 3001
    assert find_cycle(graph) == ()


@given(st.integers(1, 12).flatmap(lambda n: st.lists(st.integers(0, 2**n - 1), min_size=n, max_size=n)))
def test_rule_4_2_each_once_and_after_all_it_needs(rows: list[int]) -> None:
    graph = {f"t{i}": [f"t{j}" for j in range(i) if row >> j & 1] for i, row in enumerate(rows)}
    main = f"t{len(rows) - 1}"
    plan = plan_of(graph, main)
    group_of = {str(step.label): number for number, group in enumerate(plan.groups) for step in group.steps}
    assert len(group_of) == len(plan.steps())
    assert group_of[main] == len(plan.groups) - 1
    for label, number in group_of.items():
        needs = graph[label]
        assert number == max((group_of[need] + 1 for need in needs), default=0), "as early as it can"


def test_rule_2_6_a_plan_of_a_cycle_is_refused() -> None:
    with pytest.raises(FailedPrecondition, match="depends on itself"):
        plan_of({"a": ["b"], "b": ["c"], "c": ["b"]}, "a")


def test_a_plan_needs_its_definitions() -> None:
    known = definitions({"a": ["b"], "b": []})
    task = known[TaskId("a")]
    assert isinstance(task, Task)
    del known[TaskId("b")]
    with pytest.raises(FailedPrecondition, match='task "a" cannot be started: it depends on b, which no'):
        levels(task, known)
    dying = a_task("b", [], {})
    known[TaskId("b")] = Task(dying.id, dying.metadata, dying.spec, deletion=Deletion(a_service("x").cause))
    with pytest.raises(FailedPrecondition, match='it depends on "b", which is being deleted'):
        levels(task, known)


@pytest.mark.parametrize(
    ("graph", "cycle"),
    [
        ({}, ()),
        ({"a": ["b"], "b": []}, ()),
        ({"a": ["a"]}, ("a", "a")),
        ({"a": ["b"], "b": ["c"], "c": ["a"]}, ("a", "b", "c", "a")),
        ({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": ["c"]}, ("d", "c", "d")),
        ({"a": ["b", "x"], "b": ["x"], "x": []}, ()),
    ],
)
def test_rule_2_6_cycles_are_named(graph: dict[str, list[str]], cycle: tuple[str, ...]) -> None:
    assert find_cycle(graph) == cycle


@given(st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"), max_size=3)))
def test_rule_2_6_a_cycle_is_found_if_and_only_if_there_is_one(graph: dict[str, list[str]]) -> None:
    cycle = find_cycle(graph)
    rest = {name: set(needs) for name, needs in graph.items()}
    while free := [name for name, needs in rest.items() if not needs & rest.keys()]:
        for name in free:
            del rest[name]
    assert bool(cycle) == bool(rest)
    if cycle:
        assert cycle[0] == cycle[-1]
        assert all(after in graph[before] for before, after in pairwise(cycle))


DIAMOND = plan_of({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}, "a")
D, B, C, A = (step.id for step in DIAMOND.steps())
Phases = dict[PlanStepId, ExecutionPhase]


@pytest.mark.parametrize(
    ("phases", "expected"),
    [
        ({}, (D,)),
        ({D: PENDING}, ()),
        ({D: RUNNING}, ()),
        ({D: SUCCEEDED}, (B, C)),
        ({D: SUCCEEDED, B: RUNNING}, (C,)),
        ({D: SUCCEEDED, B: SUCCEEDED, C: RUNNING}, ()),
        ({D: SUCCEEDED, B: SUCCEEDED, C: FAILED}, ()),
        ({D: SUCCEEDED, B: STOPPED}, ()),
        ({D: SUCCEEDED, B: SUCCEEDED, C: SUCCEEDED}, (A,)),
        ({D: SUCCEEDED, B: SUCCEEDED, C: SUCCEEDED, A: SUCCEEDED}, ()),
        ({D: FAILED}, ()),
    ],
)
def test_rule_4_2_groups_in_order_and_rule_4_4_nothing_after_a_failure(
    phases: Phases, expected: tuple[PlanStepId, ...]
) -> None:
    assert tuple(step.id for step in runnable(DIAMOND, phases)) == expected


@pytest.mark.parametrize(
    ("phases", "stopping", "expected"),
    [
        ({}, False, PENDING),
        ({D: PENDING}, False, PENDING),
        ({D: RUNNING}, False, RUNNING),
        ({D: SUCCEEDED}, False, RUNNING),
        ({D: SUCCEEDED, B: PENDING}, False, RUNNING),
        ({D: SUCCEEDED, B: FAILED, C: RUNNING}, False, RUNNING),
        ({D: SUCCEEDED, B: FAILED, C: PENDING}, False, RUNNING),
        ({D: SUCCEEDED, B: FAILED, C: SUCCEEDED}, False, FAILED),
        ({D: SUCCEEDED, B: FAILED, C: STOPPED}, False, FAILED),
        ({D: SUCCEEDED, B: STOPPED}, False, FAILED),
        ({D: SUCCEEDED, B: SUCCEEDED, C: SUCCEEDED, A: SUCCEEDED}, False, SUCCEEDED),
        ({}, True, STOPPED),
        ({D: RUNNING}, True, RUNNING),
        ({D: STOPPED}, True, STOPPED),
        ({D: SUCCEEDED, B: FAILED}, True, STOPPED),
        ({D: SUCCEEDED, B: SUCCEEDED, C: SUCCEEDED, A: SUCCEEDED}, True, SUCCEEDED),
    ],
)
def test_rule_4_3_the_phase_is_the_aggregate(
    phases: Phases, stopping: bool, expected: ExecutionPhase
) -> None:
    assert aggregate(DIAMOND, phases, stopping=stopping) is expected
