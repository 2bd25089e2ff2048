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
        (
            """python3 -c 'import socket; socket.create_connection(("localhost", 18555), 2)'""",
            (18555,),
        ),
        (r"""python3 -c "socket.socket().connect((\"127.0.0.1\",8000))" """, (8000,)),
        ("node -e \"require('net').connect(3000).on('connect', () => process.exit(0))\"", (3000,)),
        ("python3 -m http.server 18555", (18555,)),
        ("exec python3 -m http.server --bind 127.0.0.1 8000 > log 2>&1", (8000,)),
        ("python manage.py runserver 8001", (8001,)),
        ("fuser 3000/tcp", (3000,)),
        ("fuser -s -n tcp 3000", (3000,)),
        ("ss -ltn | grep -qw 3000", (3000,)),
        ("netstat -an | grep LISTEN | grep -q '[.:]3000'", (3000,)),
        ("ss -ltn | grep -m 10 LISTEN", ()),
        ("pg_isready --port=5433", (5433,)),
        ("PGPORT=5433 pg_isready", (5433,)),
        ("export PGPORT=5433\nuntil pg_isready; do sleep 1; done", (5433,)),
        ("pg_isready -d postgres://localhost:5433/app", (5433,)),
        ("redis-cli -u redis://localhost:6380 ping", (6380,)),
        ("mysqladmin ping --port 3307", (3307,)),
        ("python3 -c 'import os; os.environ.get(\"WAIT\", 300)'", ()),
        ("python3 -m http.server", ()),
        ("docker port web 80/tcp", ()),
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
