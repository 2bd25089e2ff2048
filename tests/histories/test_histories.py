"""Histories by seed, judged by the reference model (rules 1.5, 1.6, 3, 4, 6.2), and laws that can fail."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import pytest

from runner_agent.core.timing import Timing
from tests.histories.hands import Hands
from tests.histories.steps import LENGTH, Step, drawn, play, shorter


@pytest.mark.parametrize("seed", range(12))
def test_some_histories(seed: int) -> None:
    """One that fails is made short by `python -m tests.histories.trial --seed N`."""
    history = drawn(seed)
    assert len(history) > LENGTH
    play(history)


def test_a_seed_is_one_history() -> None:
    assert drawn(7) == drawn(7) != drawn(8)


def test_a_history_that_fails_is_made_shorter() -> None:
    """Of all its steps those that matter are left, with the simplest values that do."""

    def fault_of(history: Sequence[Step]) -> str:
        told = [(one.call, *one.given.values()) for one in history]
        lost = ("dies", 7) in told and ("start", "b") in told[told.index(("dies", 7)) :]
        return "lost" if lost else ""

    dies, start = Step("dies", {"after": 7}, 3.0), Step("start", {"name": "b"}, 0.5)
    history = [*drawn(1)[:9], dies, *drawn(1)[9:], start, *drawn(2)]
    found = shorter(history, seconds=60.0, fault_of=fault_of)
    assert found == [Step("dies", {"after": 7}, 0.0), Step("start", {"name": "b"}, 0.0)]
    assert str(found[0]) == "it.dies(after=7)\nit.passes(0.0)"


# ---------------------------------------------------------------- the laws can fail


def test_a_kill_before_its_deadline_is_seen() -> None:
    """Rule 3.7."""
    with closing(Hands(Timing(service_stop_grace=60))) as it:
        it.service("a", "trap '' TERM; sleep infinity", by="create and start")
        it.passes(3)
        it.stop("a")
        with pytest.raises(AssertionError, match="a/start gets SIGKILL before its deadline"):
            it.passes(100)


def test_a_probe_that_comes_too_soon_is_seen() -> None:
    """Rule 3.3."""
    with closing(Hands(Timing(ready_interval=0.5))) as it:
        it.service("a", "sleep infinity", "false", by="create and start")
        with pytest.raises(AssertionError, match="begins too soon after the last"):
            it.passes(3)


def test_a_stop_that_is_forgotten_is_seen() -> None:
    """Rule 3.10: the last wish wins."""
    with closing(Hands()) as it:
        it.service("a", "sleep infinity", by="create and start")
        it.passes(3)
        it.book.services[it.store.services()[0].id].asked_to_stop(it.loop.time())
        with pytest.raises(AssertionError, match="shows RUNNING, not one of"):
            it.passes(3)


def test_a_process_nobody_ends_is_seen() -> None:
    """Rule 3.9."""
    with closing(Hands()) as it:
        it.service("a", "sleep infinity", by="create and start")
        it.passes(3)
        run = it.live_runs()[0].run
        run.survivors = lambda: run.processes  # type: ignore[method-assign]
        it.stop("a")
        with pytest.raises(AssertionError, match="while a process lives"):
            it.passes(3)
