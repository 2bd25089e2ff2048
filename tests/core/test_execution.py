"""The execution machine as transcripts: what it holds, starts, lets go and shows. Rules 4.1 to 4.6,
6.2, 6.2a.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from runner_agent.core.execution import World, advance, hangs_on, rebooted, shown_steps
from runner_agent.core.facts import OutputSeen
from runner_agent.model.ids import BootMark, ExecutionId, SessionId
from runner_agent.model.phases import ExecutionPhase, RunRole, ServicePhase
from runner_agent.model.records import StepStatus
from runner_agent.model.runs import Exited
from runner_agent.model.specs import Cause
from tests.support.histories import NOON, a_launch
from tests.support.town import Town

START, READY, STOP = RunRole.START, RunRole.READY, RunRole.STOP
PENDING, RUNNING = ExecutionPhase.PENDING, ExecutionPhase.RUNNING
SUCCEEDED, FAILED, STOPPED = ExecutionPhase.SUCCEEDED, ExecutionPhase.FAILED, ExecutionPhase.STOPPED
OK, BAD = Exited(0), Exited(1)


def test_rule_4_1_a_new_execution_is_pending_and_shows_no_step() -> None:
    town = Town({"a": []})
    town.execute("a", firing="f1")
    assert town.execution("e1").status.phase is PENDING
    assert town.shown("e1") == {}
    assert town.execution("e1").started_at is None


def test_rule_4_3_a_step_held_but_not_begun_is_not_shown() -> None:
    town = Town({"a": []})
    town.execute("a", firing="f1")
    town.advance("e1")
    assert town.execution("e1").steps, "it is held"
    assert town.shown("e1") == {}
    assert town.execution("e1").status.phase is PENDING
    town.settle()
    assert town.shown("e1") == {"a": RUNNING}
    assert town.execution("e1").status.phase is RUNNING
    assert town.execution("e1").started_at == town.wall


def test_rule_4_2_groups_in_order_and_steps_of_a_group_at_once() -> None:
    town = Town({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []})
    town.execute("a", firing="f1")
    town.settle()
    assert town.shown("e1") == {"d": RUNNING}
    town.ends("d", OK)
    assert town.shown("e1") == {"d": SUCCEEDED, "b": RUNNING, "c": RUNNING}
    town.ends("b", OK)
    assert town.shown("e1") == {"d": SUCCEEDED, "b": SUCCEEDED, "c": RUNNING}
    town.ends("c", OK)
    town.ends("a", OK)
    execution = town.execution("e1")
    assert (execution.status.phase, execution.status.failure_message) == (SUCCEEDED, "")
    assert execution.completed_at == town.wall


def _passes(town: Town, seconds: float) -> None:
    town.wall += timedelta(seconds=seconds)
    for stage in town.stages():
        stage.pass_time(seconds)


def _completed(town: Town) -> float:
    """Seconds after the town began."""
    at = town.execution("e1").completed_at
    assert at is not None
    return (at - NOON).total_seconds()


def test_rule_4_8_completed_is_when_the_last_run_ended_not_when_it_was_seen() -> None:
    town = Town({"a": ["b", "c"], "b": [], "c": []})
    town.execute("a", firing="f1")
    town.settle()
    _passes(town, 13)
    town.steps["b@f1"].gone(BAD)
    _passes(town, 1)
    town.steps["c@f1"].gone(OK)
    _passes(town, 7)
    town.settle()
    assert town.execution("e1").status.phase is FAILED
    assert _completed(town) == 14
    assert town.execution("e1").started_at == NOON


def test_rule_4_8_nor_is_it_before_the_execution_began() -> None:
    """As of a step that an execution finds over; and by a time of day that was set back meanwhile."""
    town = Town({"a": []})
    town.execute("a", firing="f1")
    town.settle()
    _passes(town, 5)
    town.steps["a@f1"].gone(OK)
    _passes(town, 5)
    town.wall -= timedelta(seconds=8)
    town.settle()
    assert _completed(town) == 0


def test_rule_4_8_nor_before_its_end_was_asked_for() -> None:
    town = Town({"a": ["b"], "b": []})
    town.execute("a", firing="f1")
    town.settle()
    _passes(town, 5)
    town.steps["b@f1"].gone(OK)
    _passes(town, 5)
    town.stop("e1")
    assert (town.execution("e1").status.phase, _completed(town)) == (STOPPED, 10)


def test_rule_4_8_a_run_of_another_boot_says_nothing() -> None:
    town = Town({"a": []})
    town.execute("a", firing="f1")
    town.settle()
    _passes(town, 5)
    town.steps["a@f1"].gone(OK)
    _passes(town, 5)
    world = town.world("e1")
    after, _ = advance(town.execution("e1"), world, replace(town.moment, boot=BootMark("another")))
    assert after.completed_at == town.wall


def test_rule_4_4_after_a_failure_siblings_finish_and_nothing_new_starts() -> None:
    town = Town({"a": ["b", "c"], "b": [], "c": []})
    town.execute("a", firing="f1")
    town.settle()
    town.ends("b", Exited(3), last_line="undefined: x")
    assert town.execution("e1").status.phase is RUNNING
    town.ends("c", OK)
    assert town.shown("e1") == {"b": FAILED, "c": SUCCEEDED}
    status = town.execution("e1").status
    assert status.phase is FAILED
    assert status.failure_message == 'step "b" failed: b exited with code 3; last line: undefined: x'


def test_rule_4_6_stop_ends_it_stopped_and_what_had_not_begun_stays_absent() -> None:
    town = Town({"a": ["b"], "b": []})
    town.execute("a", firing="f1")
    town.settle()
    town.stop("e1")
    assert town.execution("e1").status.phase is RUNNING, "its process is still being terminated"
    assert town.steps["b@f1"].program().terminated
    town.ends("b", BAD)
    assert town.shown("e1") == {"b": STOPPED}
    assert town.execution("e1").status == replace(
        town.execution("e1").status, phase=STOPPED, failure_message=""
    )


@pytest.mark.parametrize("held", [False, True])
def test_rule_4_6_stopped_before_anything_began(held: bool) -> None:
    town = Town({"a": []})
    town.execute("a", firing="f1")
    if held:
        town.advance("e1")
    town.stop("e1")
    execution = town.execution("e1")
    assert (execution.status.phase, execution.started_at, execution.steps) == (STOPPED, None, {})
    assert town.steps["a@f1"].programs == []


def test_rule_4_6_stopping_a_finished_execution_changes_nothing() -> None:
    town = Town({"a": []})
    town.execute("a", firing="f1")
    town.settle()
    town.ends("a", OK)
    finished = town.execution("e1")
    town.stop("e1")
    assert town.execution("e1") is finished


# --- 4.5: services


def test_rule_4_5_a_service_step_asks_for_a_session_and_succeeds_at_running() -> None:
    town = Town({"a": ["web"]}, {"web": a_launch(ready="probe")})
    town.execute("a", firing="f1")
    town.settle()
    web = town.services["web"]
    assert town.shown("e1") == {"web": RUNNING}
    assert (web.service.spec.desired_phase, web.service.cause.by) == (ServicePhase.RUNNING, "execution e1")
    web.fold(OutputSeen({"url": "http://x"}))
    web.spawned(READY)
    web.gone(OK, READY)
    town.settle()
    assert town.shown("e1") == {"web": SUCCEEDED, "a": RUNNING}
    assert town.output("e1", "web") == {"url": "http://x"}


def test_rule_4_5_it_binds_to_the_live_session() -> None:
    town = Town({"a": ["web"]}, {"web": a_launch()})
    town.services["web"].start()
    town.settle()
    session = town.services["web"].service.spec.session
    town.execute("a", firing="f1")
    town.settle()
    assert town.shown("e1") == {"web": SUCCEEDED, "a": RUNNING}
    assert town.services["web"].service.spec.session == session


def test_rule_4_5_it_binds_to_the_pending_session_and_ignores_the_end_of_the_older_one() -> None:
    town = Town({"a": ["web"]}, {"web": a_launch()})
    web = town.services["web"]
    web.start()
    town.settle()
    web.stop()
    web.start()
    wished = web.service.spec.session
    town.execute("a", firing="f1")
    town.settle()
    assert town.shown("e1") == {"web": RUNNING}
    web.gone(BAD, START)
    town.settle()
    assert town.shown("e1") == {"web": SUCCEEDED, "a": RUNNING}
    assert web.service.status.session == wished


def test_rule_4_5_it_asks_for_a_new_session_if_the_last_one_ended_or_is_to_end() -> None:
    for stopped in (True, False):
        town = Town({"a": ["web"]}, {"web": a_launch()})
        web = town.services["web"]
        web.start()
        town.settle()
        if stopped:
            web.stop()
        web.gone(BAD, START)
        town.execute("a", firing="f1")
        town.settle()
        assert web.service.status.session not in ("session-1", "")
        assert town.shown("e1") == {"web": SUCCEEDED, "a": RUNNING}


def failing_service(how: str) -> Town:
    town = Town({"a": ["web"]}, {"web": a_launch(ready="probe", timeout=30)})
    town.execute("a", firing="f1")
    town.settle()
    web = town.services["web"]
    match how:
        case "exits":
            web.gone(BAD, START)
            web.refused(READY)
        case "exits 0":
            web.gone(OK, START)
            web.refused(READY)
        case "too slow":
            web.spawned(READY)
            web.after(30)
            web.gone(role=READY, last_line="refused")
            web.gone(OK, START)
        case "stopped":
            web.stop("bob")
        case "restarted":
            web.stop("bob")
            web.start()
        case "deleted":
            web.delete()
        case _:
            web.delete(force=True)
            web.refused(READY)
            web.gone(role=START)
            assert web.removed()
    town.settle()
    return town


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("exits", 'service "web" failed: start exited with code 1'),
        ("exits 0", 'service "web" ended before it was ready'),
        ("too slow", 'service "web" failed: not ready within 30 s; last line: refused'),
        ("stopped", 'service "web" was stopped by bob'),
        ("restarted", 'service "web" was restarted by alice'),
        ("deleted", 'service "web" was deleted by carol'),
        ("gone", 'service "web" was deleted'),
    ],
)
def test_rule_4_5_a_service_step_fails(how: str, message: str) -> None:
    town = failing_service(how)
    assert town.shown("e1") == {"web": FAILED}
    status = town.execution("e1").status
    assert (status.phase, status.failure_message) == (FAILED, f'step "web" failed: {message}')


def test_rule_4_5_once_it_was_running_its_end_does_not_matter() -> None:
    town = Town({"a": ["web"]}, {"web": a_launch()})
    town.execute("a", firing="f1")
    town.advance("e1")
    web = town.services["web"]
    web.look()
    web.spawned(START)
    web.gone(BAD, START)  # before the execution looks
    town.settle()
    assert town.shown("e1") == {"web": SUCCEEDED, "a": RUNNING}


def test_rule_4_5_a_service_that_is_being_deleted_fails_its_step() -> None:
    town = Town({"a": ["web"]}, {"web": a_launch()})
    town.services["web"].start()
    town.settle()
    town.execute("a", firing="f1")
    town.services["web"].delete()
    town.settle()
    assert town.execution("e1").status.failure_message == 'step "web" failed: service "web" is being deleted'


@pytest.mark.parametrize("how", ["stop", "failure"])
def test_rule_4_5_a_waiting_service_step_becomes_stopped_at_once_and_the_service_keeps_its_wish(
    how: str,
) -> None:
    town = Town({"a": ["web", "b"], "b": []}, {"web": a_launch(ready="probe")})
    town.execute("a", firing="f1")
    town.settle()
    town.services["web"].fold(OutputSeen({"k": "v"}))
    town.settle()
    if how == "stop":
        town.stop("e1")
        assert town.shown("e1") == {"web": STOPPED, "b": RUNNING}
    else:
        town.ends("b", BAD)
        assert town.shown("e1") == {"web": STOPPED, "b": FAILED}
        assert town.execution("e1").status.phase is FAILED
    assert town.output("e1", "web") == {"k": "v"}
    assert town.services["web"].service.spec.desired_phase is ServicePhase.RUNNING


# --- 6.2: shared runs


def shared() -> Town:
    """e1 runs a, e2 runs z; both need lib, and z needs a."""
    town = Town({"a": ["lib"], "z": ["a"], "lib": []})
    town.execute("a", firing="f1")
    town.execute("z", firing="f1")
    town.settle()
    return town


def test_rule_6_2_one_firing_runs_each_task_once() -> None:
    town = shared()
    assert town.steps["lib@f1"].step.holders == ("e1", "e2")
    town.steps["lib@f1"].fold(OutputSeen({"k": "v"}))
    town.ends("lib", OK)
    assert town.shown("e1") == {"lib": SUCCEEDED, "a": RUNNING}
    assert town.shown("e2") == {"lib": SUCCEEDED, "a": RUNNING}
    assert town.output("e1", "lib") == town.output("e2", "lib") == {"k": "v"}
    town.ends("a", OK)
    town.ends("z", OK)
    assert [town.execution(one).status.phase for one in ("e1", "e2")] == [SUCCEEDED, SUCCEEDED]
    assert [len(stage.programs) for stage in town.steps.values()] == [1, 1, 1]


def test_rule_4_1_other_executions_of_the_task_overlap() -> None:
    town = Town({"a": []})
    town.execute("a", firing="f1")
    town.execute("a", firing="f2")
    town.settle()
    assert len({stage.program().run_id for stage in town.steps.values()}) == 1
    assert [len(stage.programs) for stage in town.steps.values()] == [1, 1]


def test_rule_6_2_stopping_a_dependant_releases_its_hold_and_its_step_is_stopped_at_once() -> None:
    town = shared()
    town.stop("e2")
    assert town.shown("e2") == {"lib": STOPPED}
    assert town.execution("e2").status.phase is STOPPED
    assert not town.steps["lib@f1"].program().terminated
    town.ends("lib", OK)
    assert town.shown("e1") == {"lib": SUCCEEDED, "a": RUNNING}


def test_rule_6_2_the_process_is_terminated_when_the_last_hold_goes() -> None:
    town = shared()
    town.stop("e2")
    town.stop("e1")
    assert town.steps["lib@f1"].program().terminated
    assert town.execution("e1").status.phase is RUNNING
    town.ends("lib", BAD)
    assert town.shown("e1") == {"lib": STOPPED}
    assert town.execution("e1").status.phase is STOPPED


def test_rule_6_2_stopping_the_execution_whose_main_task_it_is_fails_the_other_holders() -> None:
    town = shared()
    town.ends("lib", OK)
    town.stop("e1")
    assert town.steps["a@f1"].program().terminated
    assert town.shown("e2") == {"lib": SUCCEEDED, "a": FAILED}
    assert town.execution("e2").status.failure_message == 'step "a" failed: stopped by execution e1'
    town.ends("a", BAD)
    assert town.execution("e1").status.phase is STOPPED


def test_rule_6_2_whoever_reaches_a_run_that_was_stopped_fails_too() -> None:
    town = Town({"a": ["lib"], "z": ["slow", "y"], "y": ["lib"], "lib": [], "slow": []})
    town.execute("z", firing="f1")
    town.advance("e1")
    town.execute("a", firing="f1")
    town.stop("e1")  # holds lib, which has not begun
    town.settle()
    assert town.shown("e2") == {"lib": RUNNING}, "not begun, it was left to whoever reaches it"
    other = Town({"a": ["lib"], "z": ["lib"], "lib": []})
    other.execute("z", firing="f1")
    other.settle()
    other.stop("e1")
    other.execute("a", firing="f1")
    other.settle()
    assert other.execution("e2").status.failure_message == 'step "lib" failed: stopped by execution e1'


# --- 6.6 and the rest


def test_rule_6_6_a_reboot_fails_what_was_under_way() -> None:
    town = Town({"a": ["b", "c"], "b": [], "c": ["d"], "d": []})
    town.execute("a", firing="f1")
    town.settle()
    town.ends("b", OK)
    after = rebooted(town.execution("e1"), NOON)
    labels = {step.id: step.label for step in after.plan.steps()}
    failed = StepStatus(FAILED, "the machine restarted")
    assert {labels[id_]: one.status for id_, one in after.steps.items()} == {
        "b": StepStatus(SUCCEEDED),
        "d": failed,
    }
    assert (after.status.phase, after.status.failure_message) == (FAILED, "the machine restarted")
    assert after.completed_at == NOON
    assert rebooted(after, town.wall) is after


def test_rule_6_6_a_held_step_that_had_not_begun_stays_absent_after_a_reboot() -> None:
    town = Town({"a": []})
    town.execute("a", firing="f1")
    town.advance("e1")
    assert rebooted(town.execution("e1"), NOON).steps == {}


def test_advance_at_rest_changes_nothing() -> None:
    town = Town({"a": ["web"]}, {"web": a_launch(ready="probe")})
    town.execute("a", firing="f1")
    town.settle()
    world = town.world("e1")
    after, moved = advance(town.execution("e1"), world, town.moment)
    assert after == town.execution("e1")
    assert moved == ()


def test_hangs_on_names_steps_and_services() -> None:
    town = Town({"a": ["web"]}, {"web": a_launch()})
    town.execute("a", firing="f1")
    assert hangs_on(town.execution("e1")) == {"a@f1", "web"}


def test_a_world_without_its_records_fails_the_steps() -> None:
    town = Town({"a": ["web", "b"], "b": []}, {"web": a_launch()})
    town.execute("a", firing="f1")
    after, _ = advance(town.execution("e1"), World({}, {}), town.moment)
    assert after.status.phase is FAILED
    assert {one.status.failure_message for one in shown_steps(after).values()} == {
        'service "web" is gone',
        "its record is gone",
    }


def test_rule_4_5_the_message_names_who_restarted_it_even_if_the_session_never_began() -> None:
    town = Town({"a": ["web"]}, {"web": a_launch()})
    town.execute("a", firing="f1")
    town.advance("e1")
    web = town.services["web"]
    spec = replace(web.service.spec, session=SessionId("other"))
    web.record = replace(web.service, spec=spec, cause=Cause("dave", NOON))
    town.advance("e1")
    assert town.execution("e1").status.failure_message.endswith('service "web" was restarted by dave')


# --- 6.2a: runs of other firings


def test_rule_6_2a_a_run_whose_way_is_blocked_begins_when_nothing_is_left_of_the_other() -> None:
    town = Town({"a": ["b"], "b": []})
    town.execute("a", firing="f1")
    town.execute("a", firing="f2")
    town.waits(ExecutionId("e2"), "b", after="b@f1")
    town.settle()
    assert (town.shown("e1"), town.shown("e2")) == ({"b": RUNNING}, {})
    assert town.execution("e2").status.phase is PENDING
    town.stop("e1")
    assert town.shown("e2") == {}, "it is being terminated"
    town.ends("b", BAD)
    assert (town.shown("e1"), town.shown("e2")) == ({"b": STOPPED}, {"b": RUNNING})


def test_rule_6_2a_what_waits_can_be_stopped() -> None:
    town = Town({"a": []})
    town.execute("a", firing="f1")
    town.execute("a", firing="f2")
    town.waits(ExecutionId("e2"), "a", after="a@f1")
    town.settle()
    town.stop("e2")
    assert town.execution("e2").status.phase is STOPPED
    town.ends("a", OK)
    assert town.steps["a@f2"].programs == []


@pytest.mark.parametrize("stopped", ["e1", "e2"])
def test_rule_6_2a_the_main_task_of_two_ends_with_either(stopped: str) -> None:
    """Rule 6.2 as it is: the other fails, and is told by whom."""
    town = Town({"a": []})
    town.execute("a", firing="f1")
    town.execute("a", firing="f1")
    town.settle()
    town.stop(stopped)
    other = "e2" if stopped == "e1" else "e1"
    assert town.steps["a@f1"].program().terminated
    assert town.execution(other).status.failure_message == f'step "a" failed: stopped by execution {stopped}'
    town.ends("a", BAD)
    assert town.execution(stopped).status.phase is STOPPED
