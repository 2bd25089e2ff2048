"""Histories that once went wrong, kept by what they taught."""

from __future__ import annotations

from contextlib import closing

import pytest

from runner_agent.model.phases import ServicePhase
from runner_agent.model.records import Service
from tests.histories.hands import Hands


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
