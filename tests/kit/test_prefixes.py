"""Texts of several writers in one: wherever a terminal draws from the first column, it says whose it is."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner_agent.kit.prefixes import LINE_END, Weaver, prefixed

TEXT = st.text("x.\r\n", max_size=12).map(str.encode)


@pytest.mark.parametrize(
    ("before", "data", "text"),
    [
        (LINE_END, b"one\ntwo\n", b"> one\n> two\n"),
        (LINE_END, b"\n\n", b"> \n> \n"),
        (LINE_END, b"windows\r\nends\r\n", b"> windows\r\n> ends\r\n"),
        (LINE_END, b"10%\r50%", b"> 10%\r> 50%"),
        (LINE_END, b"a\r\rb\r\r\n", b"> a\r\r> b\r\r\n"),
        (b".", b"..\n.", b"..\n> ."),
        (b"\r", b"50%\r", b"> 50%\r"),
        (b"\r", b"\n", b"\n"),
        (b"\r", b"\rx", b"\r> x"),
    ],
)
def test_where_a_prefix_stands(before: bytes, data: bytes, text: bytes) -> None:
    assert prefixed(data, b"> ", before) == text


@given(TEXT, st.integers(0, 12))
def test_law_in_pieces_it_is_the_same_text(data: bytes, cut: int) -> None:
    first, second = data[:cut], data[cut:]
    if first and second:
        assert prefixed(first, b"> ") + prefixed(second, b"> ", first[-1:]) == prefixed(data, b"> ")


@given(st.lists(st.tuples(st.sampled_from("ab"), TEXT), max_size=8))
def test_law_no_byte_is_lost_and_each_line_says_whose_it_is(moves: list[tuple[str, bytes]]) -> None:
    woven, text = Weaver(), b""
    for writer, data in moves:
        text += woven.add(writer, f"{writer}> ".encode(), data)
    text += woven.end()
    assert not text or text.endswith(b"\n")
    drawn = [part for part in re.split(rb"[\r\n]+", text) if part]
    assert all(part[:3] in {b"a> ", b"b> "} for part in drawn)
    for writer in "ab":
        own = b"".join(part[3:] for part in drawn if part.startswith(writer.encode()))
        written = b"".join(data for each, data in moves if each == writer)
        assert own == re.sub(rb"[\r\n]", b"", written)
