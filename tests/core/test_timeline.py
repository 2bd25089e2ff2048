"""The timeline: every move of what the API shows of a record has an entry that says what it was."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner_agent.core import wishes
from runner_agent.core.halves import spec_half, status_half
from runner_agent.core.timeline import Entry, entries
from runner_agent.model.ids import ExecutionId, Reference, ServiceId, SessionId, TaskId
from runner_agent.model.phases import ExecutionPhase, ServicePhase
from runner_agent.model.records import Deletion, Execution, Record, Service, ServiceStatus, Task
from runner_agent.model.runs import Exited
from runner_agent.model.specs import Cause
from tests.support.histories import NOON
from tests.support.records import a_firing, a_running_service, a_service, a_step, a_task, an_execution, values
from tests.support.town import Town
from tests.support.wander import wander

if TYPE_CHECKING:
    from collections.abc import Sequence

BOB = Cause("bob", NOON)
WEB = a_service()
RUNNING = replace(a_running_service(), status=ServiceStatus(ServicePhase.RUNNING, "", SessionId("session-1")))
DYING = replace(WEB, deletion=Deletion(BOB))


def told(before: Record | None, after: Record | None) -> list[tuple[str, str, str]]:
    return [(entry.text, entry.phase, entry.cause) for entry in entries(before, after)]


STATUS = RUNNING.status
SERVICES: list[tuple[str, Service | None, Service | None, list[tuple[str, str, str]]]] = [
    ("created", None, WEB, [("created", "STOPPED", "uid 1000")]),
    (
        "started",
        WEB,
        wishes.start_service(WEB, SessionId("s2"), BOB),
        [("start asked for, session s2", "", "bob")],
    ),
    ("stopped", RUNNING, wishes.stop_service(RUNNING, BOB), [("stop asked for", "", "bob")]),
    (
        "failing",
        RUNNING,
        replace(RUNNING, status=replace(STATUS, phase=ServicePhase.FAILED, failure_message="start exited")),
        [("RUNNING -> FAILED: start exited", "FAILED", "")],
    ),
    (
        "begun",
        WEB,
        replace(WEB, status=ServiceStatus(ServicePhase.STARTING, "", SessionId("s2"))),
        [("session s2 begun", "", ""), ("STOPPED -> STARTING", "STARTING", "")],
    ),
    (
        "stuck",
        RUNNING,
        replace(RUNNING, status=replace(STATUS, failure_message="processes that outlive SIGKILL: 7")),
        [("processes that outlive SIGKILL: 7", "", "")],
    ),
    (
        "output",
        RUNNING,
        replace(RUNNING, status=replace(STATUS, output={"url": "http://secret"})),
        [("output changed: url", "", "")],
    ),
    ("renamed", WEB, replace(WEB, metadata=replace(WEB.metadata, name="W")), [("metadata changed", "", "")]),
    (
        "rewritten",
        WEB,
        replace(WEB, spec=replace(WEB.spec, launch=RUNNING.spec.launch)),
        [("spec changed", "", "")],
    ),
    ("dying", WEB, DYING, [("deletion asked for", "", "bob")]),
    (
        "dying by force",
        DYING,
        replace(DYING, deletion=Deletion(BOB, force=True)),
        [("deletion by force asked for", "", "bob")],
    ),
    ("gone", DYING, None, [("deleted", "DELETED", "bob")]),
    ("unmoved", RUNNING, replace(RUNNING, phase_since=None), []),
]


@pytest.mark.parametrize(
    ("before", "after", "expected"), [row[1:] for row in SERVICES], ids=[row[0] for row in SERVICES]
)
def test_what_is_told_of_a_service(
    before: Service | None, after: Service | None, expected: Sequence[tuple[str, str, str]]
) -> None:
    assert told(before, after) == list(expected)


def test_what_is_told_of_a_task() -> None:
    task = a_task()
    assert told(None, task) == [("created", "", "")]
    assert told(task, replace(task, depends_on=(TaskId("t2"),))) == [("dependencies changed", "", "")]
    assert told(task, replace(task, deletion=Deletion(BOB))) == [("deletion asked for", "", "bob")]
    assert told(task, None) == [("deleted", "", "")]


def test_what_is_told_of_an_execution_from_its_beginning_to_its_end() -> None:
    """Rules 4.2 to 4.4: by label; the phase of the whole comes after those of its steps."""
    town = Town({"build": ("deps",), "deps": ()})
    id_ = town.execute("build", firing="f1")
    story: list[Entry] = [*entries(None, town.execution(id_))]
    before = town.execution(id_)

    def go_on() -> None:
        nonlocal before
        story.extend(entries(before, town.execution(id_)))
        before = town.execution(id_)

    town.settle()
    go_on()
    town.ends("deps", Exited(0))
    go_on()
    town.ends("build", Exited(2), last_line="no")
    go_on()
    assert [(one.text, one.phase) for one in story] == [
        ("created by manual", "PENDING"),
        ('step "deps": RUNNING', ""),
        ("PENDING -> RUNNING", "RUNNING"),
        ('step "deps": RUNNING -> SUCCEEDED', ""),
        ('step "build": RUNNING', ""),
        ('step "build": RUNNING -> FAILED: build exited with code 2; last line: no', ""),
        (
            'RUNNING -> FAILED: step "build" failed: build exited with code 2; last line: no',
            "FAILED",
        ),
    ]
    assert {(one.reference, one.key) for one in story} == {("build", before.key)}


def test_a_firing_is_told_once_and_a_step_never() -> None:
    """Steps are the agent's own: executions show them."""
    firing = a_firing()
    assert told(None, firing) == [("postMachineStart fired: 0 services, 0 executions", "", "uid 1000")]
    assert told(firing, None) == []
    assert told(None, a_step()) == told(a_step(), None) == []


def test_an_execution_that_is_forgotten() -> None:
    assert told(an_execution(), None) == [("forgotten", "", "")]


@settings(max_examples=200)
@given(st.binary(max_size=150))
def test_random_histories_are_told_without_a_gap(data: bytes) -> None:
    """Each move of status_version or spec_version has its entry, and each phase is come into by one."""
    before: Service | None = None
    for stage in wander(data):
        after = stage.service
        news = entries(before, after)
        if before is not None:
            moved = status_half(before) != status_half(after) or spec_half(before) != spec_half(after)
            if moved:
                assert news
            if before.status.phase is not after.status.phase:
                assert [one.phase for one in news if one.phase] == [after.status.phase.value]
        before = after


SERVICE = values(Service)
EXECUTION = values(Execution)


@settings(max_examples=40)
@given(SERVICE, SERVICE, st.sampled_from(["metadata", "spec", "status", "cause", "run"]))
def test_any_move_of_a_service_is_told(before: Service, other: Service, part: str) -> None:
    """Whatever the model can hold (rule 1.5)."""
    after = replace(before, **{part: getattr(other, part)})
    moved = (spec_half(before), status_half(before)) != (spec_half(after), status_half(after))
    assert bool(entries(before, after)) == moved


@settings(max_examples=40)
@given(
    EXECUTION, EXECUTION, st.sampled_from(["status", "steps", "started_at", "completed_at", "desired_phase"])
)
def test_any_move_of_an_execution_is_told(before: Execution, other: Execution, part: str) -> None:
    """Whatever the model can hold (rule 1.5)."""
    after = replace(before, **{part: getattr(other, part)})
    moved = (spec_half(before), status_half(before)) != (spec_half(after), status_half(after))
    assert bool(entries(before, after)) == moved


@settings(max_examples=30)
@given(values(Task), values(Task))
def test_any_move_of_a_task_is_told(before: Task, other: Task) -> None:
    after = replace(other, id=before.id, deletion=before.deletion)
    assert bool(entries(before, after)) == (spec_half(before) != spec_half(after))


def test_entries_name_the_record() -> None:
    (entry,) = entries(None, a_service("s", reference="api"))
    assert (entry.key.id, entry.reference) == (ServiceId("s"), Reference("api"))
    (entry,) = entries(None, an_execution("e"))
    assert (entry.key.id, entry.reference) == (ExecutionId("e"), Reference("build"))
    assert an_execution("e", phase=ExecutionPhase.RUNNING).key == entry.key
