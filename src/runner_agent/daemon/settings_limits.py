"""The setting that says what one run may use at most, as people write it: `512M`, `1.5`, `400`."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import cast

from runner_agent.control.documents import shorten
from runner_agent.executors.delegated import RunLimits

_SIZE = re.compile(r"(\d{1,20})([KMGT]?)(?:i?B)?", re.ASCII | re.IGNORECASE)
_UNITS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}
LEAST_MEMORY = 4 << 20
LEAST_PIDS = 8
"""Below these no shell would start, and the mistake would be told by every run."""


def parsed_limits(raw: object) -> RunLimits:
    """A map of limits, or NAME=VALUE parted by commas. Raises ValueError saying what is accepted."""
    if isinstance(raw, dict):
        given = {str(name): str(value) for name, value in cast("dict[object, object]", raw).items()}
    else:
        parts = [item.strip().partition("=") for item in str(raw).split(",")]
        if not all(equals for _, equals, _ in parts):
            raise ValueError("must be NAME=VALUE, several parted by commas")
        given = once((name.strip(), value.strip()) for name, _, value in parts)
    if unknown := sorted(given.keys() - _LIMITS.keys()):
        raise ValueError(f"{unknown[0]!r} is not a limit; limits are {', '.join(sorted(_LIMITS))}")
    read: dict[str, object] = {}
    for name, text in given.items():
        try:
            read[name] = _LIMITS[name](text)
        except ValueError as error:
            raise ValueError(f"{name} {error}, not {shorten(text)!r}") from None
    return RunLimits(**read)  # type: ignore[arg-type]


def once(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """As a map. Raises ValueError for a name that is given twice, as a file's schema does."""
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name!r} is given twice; remove one")
        found[name] = value
    return found


def parsed_size(text: str, least: int) -> int:
    """Bytes, as people write them. Raises ValueError for what is none, less, or more than a file can have."""
    found = _SIZE.fullmatch(text)
    size = int(found[1]) << _UNITS[found[2].upper()] if found else 0
    if not least <= size < 1 << 63:
        raise ValueError(f"{text!r} is no size of at least {least} bytes")
    return size


def _size(text: str) -> int:
    try:
        return parsed_size(text, LEAST_MEMORY)
    except ValueError:
        raise ValueError("must be a size of at least 4M, such as 512M, 2G or a number of bytes") from None


def _processors(text: str) -> float:
    try:
        count = float(text)
    except ValueError:
        count = 0.0
    if not 0.01 <= count <= 4096:
        raise ValueError("must be a number of processors from 0.01 on, such as 0.5 or 2")
    return count


def _whole(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        number = int(text) if text.isdecimal() and len(text) <= len(str(most)) else -1
        # With a zero before it, it is an octal number to YAML, and to many people.
        if text != str(number) or not least <= number <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return number

    return read


def _switch(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("must be true or false")
    return text.lower() == "true"


_LIMITS: Mapping[str, Callable[[str], object]] = {
    "memory_max": _size,
    "cpu_max": _processors,
    "cpu_weight": _whole(1, 10_000),
    "pids_max": _whole(LEAST_PIDS, 4_194_304),
    "oom_group": _switch,
}
