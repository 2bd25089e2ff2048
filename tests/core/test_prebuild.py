"""What a prebuild does next and how it is judged (rule 6.5)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runner_agent.core.prebuild import (
    TEARDOWN,
    End,
    Ending,
    Fire,
    Item,
    ItemKind,
    Prebuild,
    Wait,
    as_left,
    decide,
    judge,
    settled,
)
from runner_agent.model.ids import BootMark, Instant, SessionId
from runner_agent.model.phases import ExecutionPhase, ServicePhase, Trigger
from runner_agent.model.records import ExecutionStatus, ServiceStatus
from tests.support.records import NOON, a_service, an_execution

BEGUN = Prebuild("id", BootMark("boot"), NOON, "uid 0", 100.0, Instant(100.0))
FIRST, SECOND = Trigger.PREBUILD, Trigger.BEFORE_SNAPSHOT


@pytest.mark.parametrize(
    ("fired", "now", "then"),
    [
        ({}, 0.0, Fire(FIRST)),
        ({FIRST: False}, 1.0, Wait(Instant(100.0))),
        ({FIRST: True}, 1.0, Fire(SECOND)),
        ({FIRST: True, SECOND: False}, 1.0, Wait(Instant(100.0))),
        ({FIRST: True, SECOND: True}, 1.0, End(Ending.DONE)),
        ({}, 100.0, End(Ending.TIMED_OUT)),
        ({FIRST: False}, 100.0, End(Ending.TIMED_OUT)),
        ({FIRST: True}, 100.0, End(Ending.TIMED_OUT)),
        ({FIRST: True, SECOND: False}, 100.0, End(Ending.TIMED_OUT)),
        ({FIRST: True, SECOND: True}, 500.0, End(Ending.DONE)),
    ],
)
def test_rule_6_5_what_comes_next(fired: dict[Trigger, bool], now: float, then: Fire | Wait | End) -> None:
    assert decide(BEGUN, fired, Instant(now)) == then


@pytest.mark.parametrize("phase", list(ExecutionPhase))
def test_rule_6_5_it_waits_until_tasks_have_ended(phase: ExecutionPhase) -> None:
    execution = replace(an_execution(), status=ExecutionStatus(phase))
    assert settled([execution], []) is phase.terminal


@pytest.mark.parametrize("phase", list(ServicePhase))
def test_rule_6_5_it_waits_until_services_are_up_or_have_ended(phase: ServicePhase) -> None:
    service = replace(a_service(), status=ServiceStatus(phase))
    at_rest = {ServicePhase.RUNNING, ServicePhase.STOPPED, ServicePhase.FAILED}
    assert settled([], [service]) is (phase in at_rest)


def test_rule_6_5_the_phase_of_an_earlier_session_does_not_count() -> None:
    """Right after the firing a service still reads STOPPED, or FAILED, from before."""
    service = a_service()
    wish = replace(service.spec, desired_phase=ServicePhase.RUNNING, session=SessionId("new"))
    assert not settled([], [replace(service, spec=wish, status=ServiceStatus(ServicePhase.FAILED))])


def test_rule_6_5_what_is_stopped_is_killed_in_time() -> None:
    """Within 30 s of the limit, whenever it was asked for."""
    assert BEGUN.kill_at(Instant(50.0)) == 100.0 + TEARDOWN
    assert BEGUN.kill_at(Instant(100.0)) == 100.0 + TEARDOWN
    assert TEARDOWN < 30


def item(phase: str, *, required: bool = False, kind: ItemKind = ItemKind.TASK, message: str = "") -> Item:
    """`it`, of the event prebuild."""
    return Item(kind, "prebuild", "it", phase, message, required)


@pytest.mark.parametrize(
    ("ending", "items", "code"),
    [
        (Ending.DONE, [], 0),
        (Ending.DONE, [item("SUCCEEDED", required=True)], 0),
        (Ending.DONE, [item("FAILED")], 0),
        (Ending.DONE, [item("FAILED", required=True)], 1),
        (Ending.DONE, [item("STOPPED", required=True)], 1),
        (Ending.DONE, [item("", required=True)], 1),
        (Ending.DONE, [item("FAILED", kind=ItemKind.SERVICE)], 0),
        (Ending.TIMED_OUT, [item("SUCCEEDED", required=True)], 3),
        (Ending.TIMED_OUT, [item("FAILED", required=True)], 3),
        (Ending.CANCELLED, [item("FAILED", required=True)], 130),
    ],
)
def test_rule_6_5_exit_codes(ending: Ending, items: list[Item], code: int) -> None:
    assert judge(ending, items, NOON).exit_code == code


def test_rule_6_5_other_failures_are_warnings() -> None:
    report = judge(
        Ending.DONE,
        [
            item("FAILED", message="exited with code 2"),
            item("FAILED", required=True),
            item(""),
            item("FAILED", kind=ItemKind.SERVICE, message="start exited with code 1"),
            item("RUNNING", kind=ItemKind.SERVICE),
            item("STOPPED", kind=ItemKind.SERVICE),
        ],
        NOON,
    )
    assert report.failures == ("task it is FAILED",)
    assert report.warnings == (
        "task it is FAILED: exited with code 2",
        "task it did not run",
        "service it is FAILED: start exited with code 1",
    )


def test_services_are_told_as_they_were_before_everything_was_stopped() -> None:
    before = [item("RUNNING", kind=ItemKind.SERVICE)]
    after = [item("STOPPED", kind=ItemKind.SERVICE), item("STOPPED")]
    assert [one.phase for one in as_left(after, before)] == ["RUNNING", "STOPPED"]
