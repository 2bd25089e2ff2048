"""The same steps as Hypothesis draws them, which makes short what fails (rules 1.5, 1.6, 3, 4, 6.2).

The same histories each time: a tree passes or not by what it is. New ones are looked for by `trial`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.histories.hands import Hands
from tests.histories.steps import DEFINITIONS, KINDS, LENGTH, Kind, Step

PARTS = 4
STEPS = 100_000
"""In all parts together."""
EXAMPLES = 100
"""Histories that Hypothesis is asked for at a time."""


def steps(kind: Kind) -> st.SearchStrategy[Step]:
    """All of this kind."""
    given = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in kind.given.items()})
    return st.builds(Step, st.just(kind.call), given, st.sampled_from(kind.pauses))


class History(RuleBasedStateMachine):
    """One history; `taken` counts the steps of all."""

    taken = 0

    def __init__(self) -> None:
        super().__init__()
        self.it = Hands()

    @initialize(definitions=st.tuples(*map(steps, DEFINITIONS)))
    def define(self, definitions: Sequence[Step]) -> None:
        for step in definitions:
            step.play(self.it)

    def teardown(self) -> None:
        try:
            self.it.comes_to_rest()
        finally:
            self.it.close()


def _rule(kind: Kind) -> Callable[[History, Step], None]:
    @rule(step=steps(kind))
    def play(self: History, step: Step) -> None:
        History.taken += 1
        step.play(self.it)

    return play


for number, each in enumerate(KINDS):
    setattr(History, f"{each.call or 'waits'}_{number}", _rule(each))


def play(seed: int) -> int:
    """EXAMPLES histories, the same for the same seed; their steps."""
    before = History.taken
    run_state_machine_as_test(
        hypothesis.seed(seed)(History),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=LENGTH,
            deadline=None,
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            phases=(Phase.generate, Phase.shrink),
        ),
    )
    return History.taken - before


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", range(PARTS))
def test_a_hundred_thousand_steps(part: int) -> None:
    seed, taken = part, 0
    while taken < STEPS / PARTS:
        taken += play(seed)
        seed += PARTS
