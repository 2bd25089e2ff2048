"""Rule 5.6 by force: a hundred thousand streams, other ones each time, and no secret is seen."""

from __future__ import annotations

import random

import pytest

from tests.faults.redaction import STREAMS, seed_cases

CASES = 100_000


@pytest.mark.heavy
@pytest.mark.timeout(600)
def test_a_hundred_thousand_streams_hide_their_secrets() -> None:
    first = random.randrange(1 << 40)
    for seed in range(first, first + CASES // STREAMS):
        assert seed_cases(seed) == []
