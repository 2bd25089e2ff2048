"""Answers as bytes, well formed, cut off and malformed."""

from __future__ import annotations

import socket

import pytest

from runner_agent.client.wire import Answer, BadAnswer, request


def answer(data: bytes) -> Answer:
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(data)
    with ours:
        return Answer(ours)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, and more", b"hello"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil it closes", b"until it closes"),
        (CHUNKED + b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n", b"abcdefg"),
        (CHUNKED + b"A\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n", b"0123456789"),
    ],
)
def test_bodies(data: bytes, body: bytes) -> None:
    assert answer(data).all() == body


def test_head() -> None:
    head = answer(b"HTTP/1.1 404 Not Found\r\nX-Log-Start:  12 \r\nContent-Length: 0\r\n\r\n")
    assert head.status == 404
    assert head.headers["x-log-start"] == "12"


def test_lines_run_over_chunks() -> None:
    told = answer(CHUNKED + b"2\r\non\r\n5\r\ne\ntwo\r\n6\r\n\nthree\r\n0\r\n\r\n")
    assert [told.line() for _ in range(5)] == [b"one\n", b"two\n", b"three", b"", b""]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        CHUNKED + b"5\r\nab",
        CHUNKED + b"zz\r\nab\r\n",
        CHUNKED + b"2\r\nab\r\n",
        CHUNKED,
    ],
)
def test_what_is_cut_off_or_malformed_is_a_bad_answer(data: bytes) -> None:
    with pytest.raises(BadAnswer):
        answer(data).all()


def test_a_request() -> None:
    assert request("POST", "/x", {"Host": "h"}, b"{}") == (
        b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    )
