"""A minute's soak: nothing grows with the work done, but by what the bounds say."""

from __future__ import annotations

import pytest

from tests.faults.soak import Sample, growth, slope, soak

BOUNDS = {
    "daemon_rss": 6000,
    "launcher_rss": 1000,
    "daemon_fds": 8,
    "launcher_fds": 12,
    "files": 60,
    "database": 8000,
}
"""In all, kilobytes where nothing is said. Up to four services more may be up at the end than at first, and
the timeline fills the database until it is as long as it may be.
"""


@pytest.mark.faults
@pytest.mark.timeout(400)
def test_nothing_grows() -> None:
    samples = soak(60, 1, kill_every=4)
    grown = {name: by * samples[-1].steps / 1000 for name, by in growth(samples).items()}
    print(samples[-1], grown)
    assert samples[-1].steps > 40, samples[-1]
    assert {name: by for name, by in grown.items() if by > BOUNDS[name]} == {}, samples


def test_a_slope_is_that_of_the_line() -> None:
    assert slope([(0, 1), (1, 3), (2, 5)]) == 2
    assert slope([(0, 1), (1, 1), (2, 1)]) == 0
    assert slope([(5, 1)]) == 0


def test_growth_is_told_where_it_is() -> None:
    samples = [Sample(at, at * 100, 1 + at // 5, 100 + at, 100, 9, 9, 10 + at, 50, 0) for at in range(20)]
    grown = growth(samples)
    assert (grown["daemon_rss"], grown["files"], grown["launcher_rss"]) == (10, 10, 0)
