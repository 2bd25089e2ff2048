"""One value of a setting, as it stands in a file or in the environment, to what the agent works with."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import cast

from runner_agent.control.durations import ACCEPTED, parse_duration
from runner_agent.core.timing import NANOSECONDS
from runner_agent.daemon.settings_limits import once, parsed_limits, parsed_size
from runner_agent.daemon.settings_secrets import parsed_environment, parsed_stores
from runner_agent.executors.delegated import AUTO, NONE
from runner_agent.logs.holes import GRAIN
from runner_agent.model.phases import Trigger

_DURATIONS = frozenset(
    {
        *("service_stop_grace", "task_stop_grace", "ready_attempt_timeout", "executions_age"),
        "prebuild_timeout_least",
    }
)
_SWITCHES = frozenset({"post_machine_start", "prebuild"})
LONGEST = 100 * 31_536_000
"""Seconds. Beyond it is a mistake, and soon more than dates can tell."""
PATHS = frozenset({"state_dir", "workspace", "automations"})
_LEVELS = ("debug", "info", "warning", "error")


def trigger(name: str) -> Trigger:
    """An event that can be fired. Raises ValueError."""
    try:
        found = Trigger(name)
    except ValueError:
        found = Trigger.MANUAL
    if found is Trigger.MANUAL:
        events = ", ".join(one.value for one in Trigger if one is not Trigger.MANUAL)
        raise ValueError(f"{name!r} is not an event that can be fired; events are {events}")
    return found


def parsed(name: str, raw: object) -> object:
    """One value from a file or the environment. Raises ValueError saying what is accepted."""
    if name in _DURATIONS:
        return _seconds(raw)
    if name == "executions_kept":
        return _count(raw)
    if name == "log_cap":
        return _size(raw)
    if name in _SWITCHES:
        return _switch(raw)
    if name in ("listen", "fire"):
        items = cast("list[object]", raw) if isinstance(raw, list) else str(raw).split(",")
        texts = tuple(str(item).strip() for item in items)
        return tuple(trigger(text) for text in texts) if name == "fire" else _addresses(texts)
    if name == "environment":
        return _environment(raw)
    if name == "secrets":
        return parsed_stores(raw)
    if name == "secret_environment":
        return parsed_environment(raw)
    if name == "run_limits":
        return parsed_limits(raw)
    if not isinstance(raw, str):
        raise ValueError(f"must be text, not {raw!r}")  # noqa: TRY004  a wrong value like any other here
    if "\0" in raw:
        raise ValueError("must not hold a NUL byte")
    if name in PATHS and not raw:  # to pathlib it is the current directory
        raise ValueError("must name a path, not nothing; remove it or give one")
    if name == "log_level" and raw.lower() not in _LEVELS:
        raise ValueError(f"must be one of {', '.join(_LEVELS)}, not {raw!r}")
    if name == "cgroup" and raw not in (AUTO, NONE) and not raw.startswith("/"):
        raise ValueError(f"must be auto, none or an absolute path, not {raw!r}")
    return Path(raw) if name in PATHS else raw


def _addresses(texts: tuple[str, ...]) -> tuple[str, ...]:
    if odd := next((text for text in texts if not text.startswith(("unix:", "tcp:"))), None):
        raise ValueError(f"cannot listen on {odd!r}: give unix:PATH or tcp:HOST:PORT")
    return texts


def _seconds(raw: object) -> float:
    text = f"{raw}s" if str(raw).replace(".", "", 1).isdecimal() else str(raw)
    parsed = parse_duration(text)
    if parsed is None:
        raise ValueError(f"must be a duration {ACCEPTED}, or a number of seconds, not {raw!r}")
    if parsed > LONGEST * NANOSECONDS:
        raise ValueError(f"must be {LONGEST // 31_536_000} years at most, not {raw!r}")
    return parsed / NANOSECONDS


def _count(raw: object) -> int:
    text = str(raw)
    if not (text.isascii() and text.isdecimal()) or len(text) > 18 or (text[0] == "0" and text != "0"):
        raise ValueError(f"must be a whole number such as 200, not {raw!r}")
    return int(text)


def _size(raw: object) -> int:
    try:
        return parsed_size(str(raw), GRAIN)
    except ValueError:
        least = f"{GRAIN >> 10}K"
        told = f"must be a size of at least {least}, such as 64M, 1G or a number of bytes, not {raw!r}"
        raise ValueError(told) from None


def _switch(raw: object) -> bool:
    word = str(raw).lower()
    if word not in ("true", "1", "yes", "on", "false", "0", "no", "off"):
        raise ValueError(f"must be true or false, not {raw!r}")
    return word in ("true", "1", "yes", "on")


def _environment(raw: object) -> dict[str, str]:
    if isinstance(raw, dict):
        pairs = cast("dict[str, str]", raw)
    elif str(raw).startswith("{"):  # no name begins so, and a value may hold a comma
        pairs = _environment_in_json(str(raw))
    else:
        items = [item.partition("=") for item in str(raw).split(",")]
        if not all(equals for _, equals, _ in items):
            raise ValueError("must be NAME=VALUE, several parted by commas")
        pairs = once((name.strip(), value) for name, _, value in items)
    for name, value in pairs.items():
        if not name or "=" in name or "\0" in name + value:
            raise ValueError(f"{name!r} cannot be a variable: names are not empty and hold no =, no NUL")
        try:
            (name + value).encode("utf-8", "surrogateescape")  # so stand bytes in the agent's own environment
        except UnicodeEncodeError:
            raise ValueError(f"{name!r} holds half a surrogate pair, which is no text; remove it") from None
    return dict(pairs)


def _environment_in_json(text: str) -> dict[str, str]:
    told = 'must be NAME=VALUE, several parted by commas, or JSON such as {"NAME": "VALUE"}'

    def read(pairs: Iterable[tuple[str, object]]) -> dict[str, str]:
        listed = list(pairs)
        if not all(isinstance(value, str) for _, value in listed):
            raise ValueError(told)
        return once((name, str(value)) for name, value in listed)

    try:
        return cast("dict[str, str]", json.loads(text, object_pairs_hook=read, parse_int=float))
    except (json.JSONDecodeError, RecursionError):
        raise ValueError(told) from None
