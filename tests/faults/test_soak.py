"""Five minutes' soak: nothing grows with the work done, but by what the bounds say."""

from __future__ import annotations

import random

import pytest

from tests.faults.soak import Sample, grown, growth, slope, soak

BOUNDS = {
    "daemon_rss": 6000,
    "launcher_rss": 1000,
    "daemon_fds": 20,
    "launcher_fds": 20,
    "files": 120,
    "database": 8000,
}
"""In all, kilobytes where nothing is said. Up to four services more may be up at the end than at first, some
executions are kept, and the timeline fills the database until it is as long as it may be. What grew with each
step would be hundreds even on the slowest machine.
"""


@pytest.mark.faults
@pytest.mark.timeout(1200)
def test_nothing_grows() -> None:
    """On however slow a machine: what is bounded is growth, by the work that was done."""
    samples = soak(300, random.randrange(1 << 30), kill_every=10, least=400)
    print(samples[-1], growth(samples), grown(samples))
    assert {name: by for name, by in grown(samples).items() if by > BOUNDS[name]} == {}, samples


def test_a_slope_is_that_of_the_line() -> None:
    assert slope([(0, 1), (1, 3), (2, 5)]) == 2
    assert slope([(0, 1), (1, 1), (2, 1)]) == 0
    assert slope([(5, 1)]) == 0


def test_growth_is_told_where_it_is() -> None:
    samples = [Sample(at, at * 100, 1 + at // 5, 100 + at, 100, 9, 9, 10 + at, 50, 0) for at in range(20)]
    by = growth(samples)
    assert (by["daemon_rss"], by["files"], by["launcher_rss"]) == (10, 10, 0)
    assert grown(samples)["daemon_rss"] == 2, "the last life's last three samples"
