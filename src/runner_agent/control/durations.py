"""Durations as people and the published API write them: `90s`, `1.5s`, `5m`, `1h30m` (rule 2.2)."""

import re

_SECOND = 1_000_000_000
_FORM = re.compile(r"(?:([0-9]{1,12})h)?(?:([0-9]{1,12})m)?(?:([0-9]{1,12})(?:\.([0-9]{1,9}))?s)?")
ACCEPTED = "such as 90s, 1.5s, 5m or 1h30m"


def parse_duration(text: str) -> int | None:
    """In nanoseconds, as exact as the wire's Duration; None if it is not one."""
    match = _FORM.fullmatch(text)
    if match is None or not text:
        return None
    hours, minutes, seconds, fraction = (match.group(index) or "0" for index in range(1, 5))
    return (int(hours) * 3600 + int(minutes) * 60 + int(seconds)) * _SECOND + int(fraction.ljust(9, "0"))
