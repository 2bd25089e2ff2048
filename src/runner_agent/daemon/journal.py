"""The agent's own log: entries with fields where journald reads, lines for people where a terminal does.

In the journal each value is a field of its own, RUNNER_AGENT_ and its name in capitals, so that
`journalctl RUNNER_AGENT_REFERENCE=web` finds what concerns one service.
"""

import atexit
import logging
import os
import re
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from typing import Any

import structlog

from runner_agent.daemon.own_log import OwnLog

JOURNAL = "/run/systemd/journal/socket"
_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
_STDERR = 2
_LONGEST = 48 << 10
"""Characters of a value that go into an entry: a datagram holds four times as much; nobody reads more."""
_NOT_IN_NAMES = re.compile("[^A-Z0-9_]")


def configure_log(level: str, journal: str = JOURNAL) -> tuple[bool, OwnLog]:
    """Once, at start. `level` is the least that is told: debug, info, warning or error. Gives whether the
    journal is told, and the log, to be settled before the program is executed anew.
    """
    least = getattr(logging, level.upper(), logging.INFO)
    processors: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,
    ]
    heard = heard_by_journal(os.environ, _STDERR)
    if heard:
        processors.append(_for_journal)
    else:
        processors.append(structlog.processors.TimeStamper(fmt="%H:%M:%S.%f", utc=False))
        processors.append(_plain)
    own = OwnLog(_STDERR, journal)
    atexit.register(own.settle)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=lambda *_: own,
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(least, logging.WARNING), handlers=[_Through()])
    return heard, own


def heard_by_journal(environ: Mapping[str, str], descriptor: int) -> bool:
    """Whether this descriptor leads to journald: systemd names the stream that it made (systemd.exec(5))."""
    with suppress(OSError):
        found = os.fstat(descriptor)
        return environ.get("JOURNAL_STREAM", "") == f"{found.st_dev}:{found.st_ino}"
    return False


class _Through(logging.Handler):
    """What is said by way of the standard library goes the same way."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger(record.name)
        log.log(record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info or None)


def entry(event: Mapping[str, Any]) -> bytes:
    """An event as journald takes it. A value's length goes before it, so that it may hold line ends."""
    fields = {
        "MESSAGE": _sentence({name: value for name, value in event.items() if name != "level"}),
        "PRIORITY": _PRIORITIES.get(str(event.get("level")), 6),
        "SYSLOG_IDENTIFIER": "runner-agent",
    }
    for name, value in event.items():
        if name not in {"event", "level", "exception"}:
            fields[f"RUNNER_AGENT_{_NOT_IN_NAMES.sub('_', name.upper())}"] = value
    told = ((name, str(value)[:_LONGEST].encode("utf-8", "replace")) for name, value in fields.items())
    return b"".join(
        b"%s\n%s%s\n" % (name.encode(), len(text).to_bytes(8, "little"), text) for name, text in told
    )


def _plain(_logger: object, _name: str, event: MutableMapping[str, Any]) -> str:
    when, level = event.pop("timestamp"), event.pop("level")
    return f"{when} {level:<7} {_sentence(event)}"


def _for_journal(
    _logger: object, _name: str, event: MutableMapping[str, Any]
) -> tuple[tuple[str, bytes], dict[str, object]]:
    """By journald's own protocol, and as lines for its stream, should that fail."""
    made = entry(event)
    priority = _PRIORITIES.get(event.pop("level"), 6)
    # journald takes each line for an entry of its own, so every line carries the prefix
    return ("\n".join(f"<{priority}>{line}" for line in _sentence(event).splitlines()), made), {}


def _sentence(event: Mapping[str, Any]) -> str:
    pairs = {name: value for name, value in event.items() if name not in {"event", "exception"}}
    shown = " ".join(f"{name}={_quoted(str(value))}" for name, value in pairs.items())
    told = f"{event['event']} {shown}".rstrip()
    return "\n".join(part for part in (told, str(event.get("exception", ""))) if part)


def _quoted(value: str) -> str:
    return repr(value) if " " in value or "\n" in value else value
