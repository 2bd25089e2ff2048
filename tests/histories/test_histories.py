"""Random histories of wishes and faults, each step judged by the reference model (rules 1.5, 1.6, 3, 4, 6.2).

A failing example is printed as the calls that lead to it; they can be copied into a test that keeps them.
"""

from __future__ import annotations

import random
from contextlib import closing

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from runner_agent.core.timing import Timing
from tests.histories.hands import Hands
from tests.histories.scripts import READIES, STARTS, STOPS, TASKS, TIMEOUTS

PAUSES = st.sampled_from((0.0, 0.02, 0.5, 0.5, 3.0))
SERVICES, NAMES = st.sampled_from(("a", "b", "c")), st.sampled_from(("w", "x", "y", "z"))
STEPS = {"taken": 0}
PHASES = (Phase.generate, Phase.shrink)


class Histories(RuleBasedStateMachine):
    """One history: its rules are the steps."""

    def __init__(self) -> None:
        super().__init__()
        self.it = Hands()

    @initialize(
        starts=st.tuples(st.sampled_from(STARTS), st.sampled_from(STARTS)),
        readies=st.tuples(st.sampled_from(READIES), st.sampled_from(READIES)),
        stops=st.tuples(st.sampled_from(STOPS), st.sampled_from(STOPS)),
        timeout=st.sampled_from(TIMEOUTS),
        commands=st.tuples(st.sampled_from(TASKS), st.sampled_from(TASKS), st.sampled_from(TASKS)),
    )
    def define(
        self,
        starts: tuple[str, str],
        readies: tuple[str, str],
        stops: tuple[str, str],
        timeout: float,
        commands: tuple[str, str, str],
    ) -> None:
        for name, start, ready, stop in zip("ab", starts, readies, stops, strict=True):
            self.it.service(name, start, ready, stop, timeout)
        for name, command, needs in zip("wxy", commands, ((), ("a", "w"), ("w", "x", "b")), strict=True):
            self.it.task(name, command, needs)

    def teardown(self) -> None:
        try:
            self.it.comes_to_rest()
        finally:
            self.it.close()

    def _then(self, pause: float) -> None:
        STEPS["taken"] += 1
        self.it.passes(pause)

    @rule(
        name=SERVICES,
        start=st.sampled_from(STARTS),
        ready=st.sampled_from(READIES),
        stop=st.sampled_from(STOPS),
        timeout=st.sampled_from(TIMEOUTS),
        by=st.sampled_from(("create", "create and start", "file", "update")),
        pause=PAUSES,
    )
    def service(
        self, name: str, start: str, ready: str, stop: str, timeout: float, by: str, pause: float
    ) -> None:
        self.it.service(name, start, ready, stop, timeout, by=by)
        self._then(pause)

    @rule(
        name=NAMES,
        command=st.sampled_from(TASKS),
        needs=st.sampled_from(((), (), ("a",), ("w",), ("w", "x"), ("a", "b", "w"), ("x", "y"))),
        by=st.sampled_from(("create", "file", "update")),
        pause=PAUSES,
    )
    def task(self, name: str, command: str, needs: tuple[str, ...], by: str, pause: float) -> None:
        self.it.task(name, command, needs, by=by)
        self._then(pause)

    @rule(name=SERVICES, pause=PAUSES)
    def start(self, name: str, pause: float) -> None:
        self.it.start(name)
        self._then(pause)

    @rule(name=SERVICES, pause=PAUSES)
    def stop(self, name: str, pause: float) -> None:
        self.it.stop(name)
        self._then(pause)

    @rule(name=SERVICES, force=st.booleans(), pause=PAUSES)
    def delete(self, name: str, force: bool, pause: float) -> None:
        self.it.delete(name, force=force)
        self._then(pause)

    @rule(name=NAMES, pause=PAUSES)
    def delete_task(self, name: str, pause: float) -> None:
        self.it.delete_task(name)
        self._then(pause)

    @rule(name=NAMES, pause=PAUSES)
    def run_task(self, name: str, pause: float) -> None:
        self.it.run_task(name)
        self._then(pause)

    @rule(index=st.integers(0, 3), pause=PAUSES)
    def stop_execution(self, index: int, pause: float) -> None:
        self.it.stop_execution(index)
        self._then(pause)

    @rule(once=st.sampled_from(("", "", "k")), pause=PAUSES)
    def fire(self, once: str, pause: float) -> None:
        self.it.fire(once)
        self._then(pause)

    @rule(seconds=st.sampled_from((0.1, 1.0, 2.0, 5.0, 11.0, 80.0)))
    def moment(self, seconds: float) -> None:
        self._then(seconds)

    @rule(seconds=st.sampled_from((11.0, 45.0, 119.0, 120.0, 121.0, 140.0)))
    def while_(self, seconds: float) -> None:
        self._then(seconds)

    @rule(after=st.integers(0, 25), pause=PAUSES)
    def dies(self, after: int, pause: float) -> None:
        self.it.dies(after)
        self._then(pause)

    @rule(pause=PAUSES)
    def returns(self, pause: float) -> None:
        self.it.returns()
        self._then(pause)

    @rule(reachable=st.booleans(), pause=PAUSES)
    def launcher(self, reachable: bool, pause: float) -> None:
        self.it.launcher(reachable=reachable)
        self._then(pause)

    @rule(full=st.booleans(), pause=PAUSES)
    def disk(self, full: bool, pause: float) -> None:
        self.it.disk(full=full)
        self._then(pause)

    @rule(pause=PAUSES)
    def recovers(self, pause: float) -> None:
        self.it.recovers()
        self._then(pause)

    @rule(seconds=st.sampled_from((0.0, 0.02)))
    def late(self, seconds: float) -> None:
        self.it.late(seconds)
        self._then(0.0)

    @rule(index=st.integers(0, 3), pause=PAUSES)
    def loses_holder(self, index: int, pause: float) -> None:
        self.it.loses_holder(index)
        self._then(pause)

    @rule(index=st.integers(0, 3), code=st.sampled_from((0, 0, 1, -11)), pause=PAUSES)
    def command_ends(self, index: int, code: int, pause: float) -> None:
        self.it.command_ends(index, code)
        self._then(pause)

    @rule(which=st.sampled_from(("reboots", "goes down", "nothing", "nothing")), now=st.booleans())
    def machine(self, which: str, now: bool) -> None:
        if which == "reboots":
            self.it.reboots()
        elif which == "goes down":
            self.it.goes_down(now=now)
        self._then(0.5)


def play(histories: int, steps: int, *, seed: int) -> int:
    """So many histories; the steps taken. With the same seed they are the same ones."""
    STEPS["taken"] = 0
    try:
        run_state_machine_as_test(
            hypothesis.seed(seed)(Histories),
            settings=settings(
                max_examples=histories,
                stateful_step_count=steps,
                deadline=None,
                database=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
                phases=PHASES,
            ),
        )
    except BaseException as error:
        error.add_note(f"these histories again: play({histories}, {steps}, seed={seed})")
        raise
    return STEPS["taken"]


def test_some_histories() -> None:
    """Always the same ones: what random ones find must not fail whoever comes first."""
    assert play(10, 60, seed=1) > 300


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_a_hundred_thousand_steps() -> None:
    """Others each time."""
    seed, taken = random.randrange(1 << 30), 0
    while taken < 100_000:
        seed += 1
        taken += play(250, 40, seed=seed)
    print(f"{taken} steps, the last ones of seed {seed}")


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
