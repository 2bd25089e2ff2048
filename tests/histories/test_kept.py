"""Histories that once went wrong, kept by what they taught."""

from __future__ import annotations

from contextlib import closing

import pytest

from runner_agent.model.phases import ServicePhase
from runner_agent.model.records import Service
from tests.histories.hands import Hands
from tests.histories.steps import History, Step, play


def _only(it: Hands) -> Service:
    (service,) = it.store.services()
    return service


def test_two_runs_of_a_service_that_could_not_be_followed_are_both_taken_up_again() -> None:
    """The disk was full when `start` was lost and `ready` ended: the one that rested longer was forgotten."""
    with closing(Hands()) as it:
        it.service("b", "trap 'sleep 3; exit 4' TERM; sleep infinity", "sleep 2; false", "sleep 1; exit 5")
        it.passes(11)
        it.late(0.02)
        it.start("b")
        it.passes(2)
        it.disk(full=True)
        it.passes(80)
        it.loses_holder(0)
        it.passes(0.5)
        it.disk(full=False)
        it.passes(200)
        assert _only(it).status.phase is ServicePhase.FAILED
        it.comes_to_rest()


def test_an_agent_goes_down_after_its_disk_was_full() -> None:
    """The same, asked to go down: it waited for a run that it did not follow."""
    with closing(Hands()) as it:
        it.service("b", "sleep infinity", "sleep 2; false")
        it.passes(11)
        it.late(0.02)
        it.start("b")
        it.passes(2)
        it.disk(full=True)
        it.passes(80)
        it.loses_holder(0)
        it.passes(0.5)
        it.goes_down(now=True)
        it.comes_to_rest()


@pytest.mark.parametrize("point", range(4, 10))
def test_a_start_that_another_agent_finds_keeps_its_deadline(point: int) -> None:
    """The agent died before it wrote that `start` runs: the timeout began anew with the next one."""
    with closing(Hands()) as it:
        it.service("a", "sleep infinity", "false", timeout=3.0)
        it.dies(point)
        it.start("a")
        it.passes(2)
        it.returns()
        it.passes(0.5)
        it.passes(3)
        it.comes_to_rest()


def test_what_begins_while_the_agent_goes_down_is_stopped_by_its_stop_command() -> None:
    """The model knew of SIGTERM only."""
    with closing(Hands()) as it:
        it.service("a", "sleep infinity", stop="sleep 2")
        it.late(0.02)
        it.start("a")
        it.goes_down()
        it.comes_to_rest()


@pytest.mark.parametrize("point", range(1, 8))
def test_what_could_not_be_cleared_for_want_of_a_launcher_is_cleared_later(point: int) -> None:
    """The agent died when a run had ended, and the next one could reach no launcher: the folder stayed."""
    with closing(Hands()) as it:
        it.service("a", "sleep 2")
        it.start("a")
        it.passes(1)
        it.dies(point)
        it.passes(2)
        it.launcher(reachable=False)
        it.returns()
        it.passes(5)
        it.comes_to_rest()


def test_a_ready_that_succeeds_after_start_has_ended_makes_nothing_run() -> None:
    """Rule 3.2. The disk was full; then the end of `ready` was written before that of `start`."""
    with closing(Hands()) as it:
        it.service("b", "sleep 2", "#: prepare 5\ntrue", by="create and start")
        it.passes(0.5)
        it.disk(full=True)
        it.passes(3)
        it.passes(3)
        it.disk(full=False)
        it.passes(0.5)
        it.comes_to_rest()


@pytest.mark.parametrize("point", range(8, 16))
def test_a_stop_in_the_moment_of_the_promise_ends_what_is_being_prepared(point: int) -> None:
    """Rules 4.6, 7.1. Whoever looked before the new run's life had begun was told to look later."""
    with closing(Hands()) as it:
        it.service("a", "sleep infinity")
        it.service("b", "sleep infinity")
        it.task("w", "#: prepare 30\nsleep 1")
        it.dies(point)
        it.fire()
        it.passes(0.5)
        it.goes_down()
        it.comes_to_rest()


# ---------------------------------------------------------------- rule 6.2a, as it was not held


BOTH: dict[str, History] = {
    "a task of both start events": [
        Step("task", {"name": "w", "command": "sleep 3"}, 0.0),
        Step("fire", {"event": 0}, 0.5),
        Step("fire", {"event": 1}, 0.5),
    ],
    "what has begun while what it needs is done": [
        Step("task", {"name": "w", "command": "sleep 3"}, 0.0),
        Step("task", {"name": "x", "command": "sleep 3", "needs": ("w",)}, 0.0),
        Step("fire", {"event": 0}, 5.0),
        Step("fire", {"event": 1}, 0.5),
    ],
    "one that is being stopped, and the one that waits for it": [
        Step("task", {"name": "w", "command": "trap '' TERM; sleep infinity"}, 0.0),
        Step("fire", {"event": 0}, 0.5),
        Step("stop_execution", {"index": 0}, 0.0),
        Step("fire", {"event": 1}, 0.5),
        Step("fire", {"event": 0}, 121.0),
        Step("", {}, 5.0),
    ],
    "one that waits is stopped itself": [
        Step("task", {"name": "w", "command": "trap '' TERM; sleep infinity"}, 0.0),
        Step("fire", {"event": 0}, 0.5),
        Step("stop_execution", {"index": 0}, 0.5),
        Step("fire", {"event": 1}, 0.5),
        Step("stop_execution", {"index": 1}, 0.5),
        Step("fire", {"event": 1}, 121.0),
    ],
    "the other event's main execution is stopped": [
        Step("task", {"name": "w", "command": "sleep infinity"}, 0.0),
        Step("task", {"name": "x", "command": "sleep 3", "needs": ("w",)}, 0.0),
        Step("fire", {"event": 0}, 0.5),
        Step("fire", {"event": 1}, 0.5),
        Step("stop_execution", {"index": 2}, 3.0),
    ],
    "the machine restarts in between": [
        Step("task", {"name": "w", "command": "sleep 3"}, 0.0),
        Step("fire", {"event": 0}, 0.5),
        Step("reboots", {}, 0.0),
        Step("fire", {"event": 1}, 0.5),
    ],
}


@pytest.mark.parametrize("what", BOTH)
def test_rule_6_2a_two_events_give_no_two_runs_at_once(what: str) -> None:
    play(BOTH[what])


@pytest.mark.parametrize("point", range(0, 16, 3))
def test_rule_6_2a_also_when_the_agent_dies_in_between(point: int) -> None:
    history = BOTH["what has begun while what it needs is done"]
    play(
        [
            *history[:2],
            Step("dies", {"after": point}, 0.0),
            history[2],
            Step("returns", {}, 0.02),
            *history[3:],
        ]
    )


# ---------------------------------------------------------------- what the model did not know


def _step(call: str, pause: float = 0.0, /, **given: object) -> Step:
    return Step(call, given, pause)


STUBBORN = "#: unkillable 80\n(trap '' TERM; sleep infinity) & sleep 5"
SLOW, CANNOT = "#: prepare 30\nsleep 1", "#: cannot start no such directory\ntrue"
NEWS: dict[str, History] = {
    "the spec with which it could not start is not the one in force": [
        _step("service", name="c", start=CANNOT, by="create and start"),
        _step("service", 3.0, name="c", start="sleep infinity", by="create"),
        _step("start", name="c"),
    ],
    "what is deleted may go while its next definition is read": [
        _step("service", name="b", start="sleep infinity"),
        _step("fire", 0.02),
        _step("launcher", reachable=False),
        _step("delete", name="b"),
        _step("command_ends", index=0, code=0),
        _step("service", name="b", start="sleep infinity"),
    ],
    "what is deleted may go before anybody is answered": [
        _step("service", name="a", start=CANNOT),
        _step("fire"),
        _step("delete", name="a"),
    ],
    "what is deleted by force may be killed before anybody is answered": [
        _step("service", name="a", start="sleep infinity"),
        _step("task", name="w", command="true"),
        _step("fire"),
        _step("recovers"),
        _step("delete", name="a", force=True),
    ],
    "what is updated may come to rest before anybody is answered": [
        _step("service", name="b", start="sleep infinity"),
        _step("fire"),
        _step("stop", name="b"),
        _step("service", name="b", start="sleep 2", by="update"),
    ],
    "what follows from an end that cannot be written is not done": [
        _step("service", name="b", start="sleep 2", ready="#: prepare 5\ntrue"),
        _step("fire", 0.5),
        _step("disk", 80.0, full=True),
    ],
    "what is being prepared is condemned by its main execution": [
        _step("task", name="w", command=SLOW),
        _step("task", name="y", command="true", needs=("w",)),
        _step("fire"),
        _step("stop_execution", index=0),
    ],
    "what is being prepared is stopped with its execution, and waits for nothing": [
        _step("task", name="w", command=SLOW),
        _step("task", name="x", command="(trap '' TERM; sleep infinity) & sleep 1"),
        _step("task", name="y", command="true", needs=("w", "x")),
        _step("run_task", name="y"),
        _step("stop_execution", 0.5, index=0),
    ],
    "what is updated may begin before anybody is answered": [
        _step("service", name="a", start="sleep infinity"),
        _step("task", name="x", command="true", needs=("a",)),
        _step("dies", after=0),
        _step("fire"),
        _step("stop", name="a"),
        _step("recovers"),
        _step("service", name="a", start="sleep infinity", by="update"),
    ],
    "a stop and an exit in one moment end as either": [
        _step("service", name="b", start="sleep infinity"),
        _step("start", 3.0, name="b"),
        _step("command_ends", index=0, code=1),
        _step("stop", name="b"),
    ],
    "what ended before its holder was lost has been told": [
        _step("service", name="a", start=STUBBORN),
        _step("start", 0.02, name="a"),
        _step("command_ends", index=0, code=0),
        _step("loses_holder", 3.0, index=0),
    ],
    "without its holder nobody can tell that a command has ended before all of it has": [
        _step("service", name="a", start=STUBBORN, ready="#: prepare 5\ntrue"),
        _step("start", 3.0, name="a"),
        _step("loses_holder", index=0),
        _step("command_ends", 3.0, index=0, code=0),
        _step("start", name="a"),
    ],
}


@pytest.mark.parametrize("news", NEWS)
def test_the_model_knows(news: str) -> None:
    play(NEWS[news])
