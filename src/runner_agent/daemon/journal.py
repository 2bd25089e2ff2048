"""The agent's own log: lines on stderr, with a priority prefix where journald reads them, for people where a
terminal does.
"""

import logging
import os
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}


def configure_log(level: str) -> None:
    """Once, at start. `level` is the least that is told: debug, info, warning or error."""
    least = getattr(logging, level.upper(), logging.INFO)
    journal = bool(os.environ.get("JOURNAL_STREAM"))
    processors: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,
    ]
    if journal:
        processors.append(_with_priority)
    else:
        processors.append(structlog.processors.TimeStamper(fmt="%H:%M:%S.%f", utc=False))
        processors.append(_plain)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        level=max(least, logging.WARNING), stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s"
    )


def _plain(_logger: object, _name: str, event: MutableMapping[str, Any]) -> str:
    when, level = event.pop("timestamp"), event.pop("level")
    return f"{when} {level:<7} {_sentence(event)}"


def _with_priority(_logger: object, _name: str, event: MutableMapping[str, Any]) -> str:
    priority = _PRIORITIES.get(event.pop("level"), 6)
    # journald takes each line for an entry of its own, so every line carries the prefix
    return "\n".join(f"<{priority}>{line}" for line in _sentence(event).splitlines())


def _sentence(event: MutableMapping[str, Any]) -> str:
    text, trace = str(event.pop("event")), event.pop("exception", "")
    pairs = " ".join(f"{name}={_quoted(str(value))}" for name, value in event.items())
    return "\n".join(part for part in (f"{text} {pairs}".rstrip(), trace) if part)


def _quoted(value: str) -> str:
    return repr(value) if " " in value or "\n" in value else value
