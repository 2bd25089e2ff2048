"""Who listens on a port of this machine."""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
import sys

from runner_agent.executors.listeners import listeners, listening

_PROGRAM = """
import socket, sys
one = socket.create_server(("127.0.0.1", 0))
print(one.getsockname()[1], flush=True)
sys.stdin.read()
"""


def test_pid_command_and_user() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, "name\tme"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        (found,) = listeners([port])
        process.communicate("")
    assert (found.port, found.pid, found.user) == (port, process.pid, pwd.getpwuid(os.getuid()).pw_name)
    assert found.command.startswith(sys.executable)
    assert found.command.isprintable(), "what others chose to call themselves may hold anything"
    assert listeners([port]) == []


def test_only_the_ports_asked_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        ports = one.getsockname()[1], two.getsockname()[1]
        assert {each.port for each in listening()} >= set(ports)
        assert [(each.port, each.pid) for each in listeners([ports[0]])] == [(ports[0], os.getpid())]
        assert {each.port for each in listeners(ports)} == set(ports)
    assert listeners([]) == []
