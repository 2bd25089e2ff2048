"""Ports that scripts and logs speak of."""

from __future__ import annotations

import pytest

from runner_agent.core.ports import ports_in, says_in_use


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("curl -sf http://localhost:3000/health", (3000,)),
        ("curl -sf localhost:3000 && curl -sf 127.0.0.1:9229", (3000, 9229)),
        ("</dev/tcp/localhost/5433", (5433,)),
        ("nc -z localhost 6379", (6379,)),
        ("until nc -w 1 -z 127.0.0.1 8080; do sleep 1; done", (8080,)),
        ("pg_isready -h localhost -p 5433", (5433,)),
        ("pg_isready", (5432,)),
        ("redis-cli ping | grep PONG", (6379,)),
        ("mysqladmin ping -P 3307", (3307,)),
        ("nc -w 10 -z db 8080", (8080,)),
        ("ss -ltn | grep -q ':4000'", (4000,)),
        ("wget -qO- http://localhost/", (80,)),
        ("OSError: [Errno 98] error while attempting to bind on address ('::1', 8000, 0, 0)", (8000,)),
        ("Error: listen EADDRINUSE: address already in use :::3000", (3000,)),
        ("listen tcp :8080: bind: address already in use", (8080,)),
        ("Port 5173 is in use, trying another one...", (5173,)),
        ("test -e .ready; sleep 5; timeout 30 true; exit 0", ()),
        ("docker run image:1.2.3", ()),
        ("", ()),
        ("localhost:99999", ()),
    ],
)
def test_ports(text: str, ports: tuple[int, ...]) -> None:
    assert ports_in(text) == ports


@pytest.mark.parametrize(
    "line",
    [
        "Error: listen EADDRINUSE: address already in use :::3000",
        "OSError: [Errno 98] Address already in use",
        "bind() to 0.0.0.0:80 failed (98: Address already in use)",
        "Port 5173 is already in use",
        "nginx: [emerg] bind(): address in use",
    ],
)
def test_lines_that_say_that_an_address_was_taken(line: str) -> None:
    assert says_in_use(["starting", line, "exiting"]) == (line,)
    assert says_in_use(["all is well", "3000 in usefulness"]) == ()
