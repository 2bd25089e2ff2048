"""Durations as people type and read them: 120, 120s, 2m, 1h30m."""

import re
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from datetime import timedelta

    _ParamType = click.ParamType[float]
else:
    _ParamType = click.ParamType  # generic only in newer releases

_FORM = re.compile(r"(?:(\d{1,12})h)?(?:(\d{1,12})m)?(?:(\d{1,12}(?:\.\d+)?)s?)?")


def parse_duration(text: str) -> float:
    """Seconds. Raises ValueError."""
    form = _FORM.fullmatch(text)
    if form is None or not text:
        raise ValueError(f"{text!r} is not a duration; write 120, 120s, 2m or 1h30m")
    hours, minutes, seconds = form.groups()
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds or 0)


def show_seconds(seconds: float) -> str:
    """`0.4s`, `12s`, `2m05s`, `1h30m`, `3d4h`."""
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600}h"


def show_limit(seconds: float) -> str:
    """As people write it: `5m`, not `5m00s`."""
    return show_seconds(seconds).replace("m00s", "m").replace("h00m", "h")


def show_span(span: "timedelta") -> str:
    """As show_seconds; of a clock that was put back nothing can be told but that it is not long."""
    return show_seconds(max(0.0, span.total_seconds()))


class Duration(_ParamType):
    """The type of an option that takes a duration."""

    name = "duration"

    def __init__(self, empty: float | None = None) -> None:
        """`empty` is what an empty text means; None: it is refused."""
        self._empty = empty

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, int | float):
            return float(value)
        if self._empty is not None and value == "":
            return self._empty
        try:
            return parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


FOREVER = float("inf")
"""What `--wait` without a number means."""
