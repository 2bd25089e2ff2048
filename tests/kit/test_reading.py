"""JSON of others: whatever it is, a value or a ValueError."""

from __future__ import annotations

import pytest

from runner_agent.kit.reading import value_of
from runner_agent.launcher import wire

DEEP = "[" * 100_000


@pytest.mark.parametrize("text", ["", "nonsense", "{", DEEP, f"{DEEP}{']' * len(DEEP)}", '{"a":' * 100_000])
def test_what_cannot_be_read_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        value_of(text)
    with pytest.raises(ValueError, match=r"."):
        wire.value_of(text.encode())


def test_what_can_be_read_is_read() -> None:
    assert value_of('{"a": [1, null]}') == wire.value_of(b'{"a": [1, null]}') == {"a": [1, None]}
    assert value_of("NaN", lambda name: name) == "NaN"
