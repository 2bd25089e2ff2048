"""The agent's own log: fields for journald, lines for people, lines with a priority where nobody hears."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from runner_agent.daemon.journal import entry, heard_by_journal

if TYPE_CHECKING:
    from pathlib import Path


def _fields(datagram: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    while datagram:
        name, _, rest = datagram.partition(b"\n")
        size = int.from_bytes(rest[:8], "little")
        found[name.decode()] = rest[8 : 8 + size].decode()
        assert rest[8 + size : 9 + size] == b"\n"
        datagram = rest[9 + size :]
    return found


def test_every_value_is_a_field() -> None:
    told = _fields(entry({"event": "service RUNNING", "level": "info", "reference": "web", "run_id": "1-2"}))
    assert told == {
        "MESSAGE": "service RUNNING reference=web run_id=1-2",
        "PRIORITY": "6",
        "SYSLOG_IDENTIFIER": "runner-agent",
        "RUNNER_AGENT_REFERENCE": "web",
        "RUNNER_AGENT_RUN_ID": "1-2",
    }


@pytest.mark.parametrize(
    ("level", "priority"), [("debug", "7"), ("warning", "4"), ("error", "3"), ("critical", "2")]
)
def test_levels_are_priorities(level: str, priority: str) -> None:
    assert _fields(entry({"event": "x", "level": level}))["PRIORITY"] == priority


def test_lines_ends_and_strange_names_pass() -> None:
    told = _fields(entry({"event": "a\nb", "level": "error", "again in s": 3, "exception": "Trace\nback"}))
    assert told["MESSAGE"] == "a\nb again in s=3\nTrace\nback"
    assert told["RUNNER_AGENT_AGAIN_IN_S"] == "3"
    assert "RUNNER_AGENT_EXCEPTION" not in told


def test_a_huge_value_fits_a_datagram() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        assert len(entry({"event": "x" * 10**6, "level": "info", "y": "ü" * 10**6})) < one.getsockopt(
            socket.SOL_SOCKET, socket.SO_SNDBUF
        )


def test_only_the_stream_that_systemd_made_is_journalds(tmp_path: Path) -> None:
    """A daemon whose output somebody sends elsewhere is not read by journald, whatever it has inherited."""
    with (tmp_path / "log").open("wb") as file:
        found = os.fstat(file.fileno())
        assert heard_by_journal({"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}, file.fileno())
        assert not heard_by_journal({"JOURNAL_STREAM": "1:2"}, file.fileno())
        assert not heard_by_journal({}, file.fileno())


_PROGRAM = """
import logging, os, sys
found = os.fstat(2)
if sys.argv[1]: os.environ["JOURNAL_STREAM"] = f"{found.st_dev}:{found.st_ino}"
from runner_agent.daemon.journal import configure_log
configure_log("info", journal="/nonexistent/socket")
import structlog
structlog.get_logger().warning("two\\nlines", reference="web")
logging.getLogger("uvicorn").error("by the %s library", "standard")
"""


@pytest.mark.parametrize("journal", [False, True])
def test_people_read_lines(journal: bool) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _PROGRAM, "1" if journal else ""], capture_output=True, text=True, check=True
    )
    lines = ended.stderr.splitlines()
    if journal:
        assert lines == ["<4>two", "<4>lines reference=web", "<3>by the standard library logger=uvicorn"]
    else:
        assert lines[0].endswith("warning two")
        assert lines[2].endswith("error   by the standard library logger=uvicorn")
