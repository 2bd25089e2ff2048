"""Rule 5.3: the language of output files, whole or in any pieces."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner_agent.logs.outputs import MAX_KEY, MAX_VALUE, Assign, BadLine, Finding, Mark, OutputParser


def parse(text: str | bytes) -> list[Finding]:
    parser = OutputParser()
    data = text.encode() if isinstance(text, str) else text
    return parser.feed(data) + parser.finish()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("url=http://x/?a=b\n", [Assign("url", "http://x/?a=b")]),
        ("a=1\nb=2\na=3\n", [Assign("a", "1"), Assign("b", "2"), Assign("a", "3")]),
        ("a=\n", [Assign("a", "")]),
        ("a=1", [Assign("a", "1")]),
        ("\n \na=1\n\n", [Assign("a", "1")]),
        ("a=x<<y\n", [Assign("a", "x<<y")]),
        ("a<<EOF\none\ntwo\nEOF\nb=2\n", [Assign("a", "one\ntwo"), Assign("b", "2")]),
        ("a<<EOF\none\nEOF", [Assign("a", "one")]),
        ("a<<EOF\nEOF\n", [Assign("a", "")]),
        ("a<<E=F\nx=y\n\n EOF\nE=F\n", [Assign("a", "x=y\n\n EOF")]),
        ("ключ=значение\n", [Assign("ключ", "значение")]),
        ("a=1\r\nb=2\r\n", [Assign("a", "1"), Assign("b", "2")]),
        ("a=1\r", [Assign("a", "1")]),
        ("a=1\r\r\n\r\n", [Assign("a", "1\r")]),
        ("a<<EOF\r\none\r\ntwo\r\nEOF\r\nb=2\n", [Assign("a", "one\ntwo"), Assign("b", "2")]),
        ("a<<EOF\r\none\ntwo\r\nEOF", [Assign("a", "one\ntwo")]),
        ("\ufeffa=1\n\ufeffb=2\n", [Assign("a", "1"), Assign("\ufeffb", "2")]),
        ("export=1\n", [Assign("export", "1")]),
        ("a= x y \n", [Assign("a", " x y ")]),
        (f"{'k' * MAX_KEY}={'v' * MAX_VALUE}\r\n", [Assign("k" * MAX_KEY, "v" * MAX_VALUE)]),
        (f"{'k' * MAX_KEY}={'😀' * MAX_VALUE}\n", [Assign("k" * MAX_KEY, "😀" * MAX_VALUE)]),
        (f"k<<E\n{'😀' * MAX_VALUE}\nE\n", [Assign("k", "😀" * MAX_VALUE)]),
    ],
)
def test_rule_5_3_good_statements(text: str, expected: list[Finding]) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("nonsense", "neither"),
        ("=value", "no key"),
        ("<<EOF", "no key"),
        ("a<<", "no delimiter"),
        ("a<<NEVER", "no later line"),
        ("k" * (MAX_KEY + 1) + "=v", "key of more than 128"),
        ("k=" + "v" * (MAX_VALUE + 1), "more than 4096"),
        ("k=" + "v" * 1_000_000, "longer than"),
        (b"a=\xff\xfe", "not UTF-8"),
        ("export a=1", "begins with export, which is for shells only; write key=value alone"),
        (" export a=1\r", "begins with export"),
        ("a = 1", "has blanks in its key; write key=value"),
        (" a=1", "has blanks in its key"),
        ("a\t=1", "has blanks in its key"),
        ("a <<EOF", "has blanks in its key"),
        ("declare -x a=1", "has blanks in its key"),
        ("a=x\0y", "NUL byte in its value"),
        ("\0a=x", "NUL byte in its key"),
        ("a=1".encode("utf-16-le"), "NUL byte in its key"),
        ("k=" + "v" * (MAX_VALUE + 1) + "\r", "more than 4096"),
    ],
)
def test_rule_5_3_a_bad_line_is_told_of_by_number_and_nothing_else_is_lost(
    bad: str | bytes, reason: str
) -> None:
    line = bad.encode() if isinstance(bad, str) else bad
    before, problem, after = parse(b"a=1\n\n" + line + b"\nb<<E\n2\nE\n")
    assert (before, after) == (Assign("a", "1"), Assign("b", "2"))
    assert isinstance(problem, BadLine)
    assert problem.line == 3
    assert reason in problem.reason


@pytest.mark.parametrize("value", ["v" * (MAX_VALUE + 1), "😀" * 40_000, "line\n" * 30_000])
def test_rule_5_3_a_block_that_is_too_long_is_skipped_whole(value: str) -> None:
    assert parse(f"a=1\nk<<E\n{value}\nE\nb=2\n") == [
        Assign("a", "1"),
        BadLine(2, "has a value of more than 4096 characters"),
        Assign("b", "2"),
    ]


def test_a_block_that_is_not_text_is_told_of_where_it_begins() -> None:
    assert parse(b"k<<E\n\xff\nE\nb=2\n") == [
        BadLine(1, "begins a value that is not UTF-8"),
        Assign("b", "2"),
    ]


def test_openings_without_an_end_take_nothing_with_them() -> None:
    found = parse("a<<X\nb<<Y\nc=1\nd<<Z\nin d\nZ\ne=2")
    assert [finding for finding in found if isinstance(finding, Assign)] == [
        Assign("c", "1"),
        Assign("d", "in d"),
        Assign("e", "2"),
    ]
    assert [finding.line for finding in found if isinstance(finding, BadLine)] == [1, 2]


def test_many_openings_without_an_end_are_read_in_linear_time() -> None:
    began = time.process_time()
    parse("a<<b\n" * 3_000)
    assert time.process_time() - began < 2


def test_a_file_that_is_no_output_file_does_not_flood_the_log() -> None:
    found = parse("nonsense\n" * 5_000 + "a=1\n")
    assert len(found) == 101
    assert found[-2] == BadLine(100, "is bad, as too many were; further ones are not reported")
    assert found[-1] == Assign("a", "1")


def test_no_reason_quotes_the_line() -> None:
    secret = "hunter2hunter2"
    bad = f"{secret}\n={secret}\n<<{secret}\nk<<{secret}\n".encode() + b"k=\xff" + secret.encode()
    assert not any(secret in finding.reason for finding in parse(bad) if isinstance(finding, BadLine))


STATEMENTS = st.sampled_from(
    [
        "a=1\n",
        "b=é😀\n",
        "a=\n",
        "c<<E\nx\ny=z\nE\n",
        "junk\n",
        "\n",
        "d<<F\n",
        "k=" + "v" * 20_000 + "\n",
        "e=5",
        "f=1\r\n",
        "\ufeff",
        "g<<E\r\nx\r\nE\r\n",
        "export h=1\n",
        "\r",
    ]
)


@given(st.lists(STATEMENTS, max_size=8).map("".join), st.lists(st.integers(0, 25_000), max_size=12))
def test_law_pieces_do_not_matter(text: str, cuts: list[int]) -> None:
    data = text.encode()
    parser, found, start = OutputParser(), list[Finding](), 0
    for cut in [*sorted(cut % (len(data) + 1) for cut in cuts), len(data)]:
        found += parser.feed(data[start:cut])
        start = cut
    assert found + parser.finish() == parse(data)


@given(st.lists(STATEMENTS, max_size=8).map("".join), st.integers(0, 25_000))
def test_law_a_new_parser_goes_on_from_the_mark(text: str, cut: int) -> None:
    data = text.encode()
    cut %= len(data) + 1
    first = OutputParser()
    found = first.feed(data[:cut])
    second = OutputParser(first.mark)
    found += second.feed(data[first.mark.offset :]) + second.finish()
    assert found == parse(data)


def test_the_mark_never_points_into_a_statement() -> None:
    parser = OutputParser()
    parser.feed(b"a=1\nb<<E\nx\n")
    assert parser.mark == Mark(4, 1)
    parser.feed(b"E")
    assert parser.mark == Mark(4, 1)
    parser.feed(b"\nc=")
    assert parser.mark == Mark(13, 4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=1", [Assign("a", "1")]),
        ("a=1\n", []),
        ("junk", []),
        ("a<<E", []),
        ("a<<E\nx", []),
        ("a<<E\nx\nE", [Assign("a", "x")]),
        ("a=" + "v" * 30_000, []),
    ],
)
def test_peek_tells_what_an_unfinished_line_would_be_and_changes_nothing(
    text: str, expected: list[Finding]
) -> None:
    parser = OutputParser()
    parser.feed(text.encode())
    assert parser.peek() == expected
    assert parser.peek() == expected
    assert parser.feed(b"") == []
