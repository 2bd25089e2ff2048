"""Output as a table, JSON or YAML: the same data, for eyes or for programs."""

import json
import os
import sys
from collections.abc import Mapping, Sequence

from runner_agent.cli.terminal import out, paint, phase_colour

GAP = "   "
NARROWEST = 8
"""Columns are not shortened below this width."""


def emit(output: str, data: object, table: str) -> None:
    """`data` in the format asked for; `table` is how it reads as a table."""
    if output == "json":
        out(json.dumps(data, indent=2, ensure_ascii=False))
    elif output == "yaml":
        import yaml

        out(yaml.safe_dump(data, sort_keys=False, allow_unicode=True).rstrip("\n"))
    elif table:
        out(table)


def columns(headers: Sequence[str], rows: Sequence[Sequence[str]], phase: int | None = None) -> str:
    """An aligned table; column `phase` is coloured. On a terminal it is fitted into the terminal's width."""
    widths = [max(len(row[at]) for row in (headers, *rows)) for at in range(len(headers))]
    if sys.stdout.isatty():
        widths = fitted(widths, _room())
    lines = [_line([*headers], widths, None)]
    lines += [_line(row, widths, phase) for row in rows]
    return "\n".join(lines)


def fitted(widths: Sequence[int], room: int) -> list[int]:
    """Takes from the widest columns but the first, which one has to be able to copy."""
    widths = list(widths)
    too_much = sum(widths) + len(GAP) * (len(widths) - 1) - room
    while too_much > 0 and len(widths) > 1:
        widest = max(range(1, len(widths)), key=lambda at: widths[at])
        if widths[widest] <= NARROWEST:
            break
        widths[widest] -= 1
        too_much -= 1
    return widths


def block(pairs: Mapping[str, str]) -> str:
    """Names and values of one thing, one a line; further lines of a value under it, empty values left out."""
    shown = {name: value for name, value in pairs.items() if value}
    width = max((len(name) for name in shown), default=0) + 2
    lines: list[str] = []
    for name, value in shown.items():
        first, *others = value.rstrip("\n").split("\n")
        first = paint(first, phase_colour(first), sys.stdout)
        lines += [f"{name + ':':<{width}}{first}", *(" " * width + other for other in others)]
    return "\n".join(lines)


def _room() -> int:
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or 80
    except OSError:
        return 80


def _line(row: Sequence[str], widths: Sequence[int], phase: int | None) -> str:
    cells: list[str] = []
    for at, (cell, width) in enumerate(zip(row, widths, strict=True)):
        cut = cell if len(cell) <= width else cell[: width - 1] + "…"
        colour = phase_colour(cell) if at == phase else ""
        padding = " " * (width - len(cut)) if at < len(widths) - 1 else ""
        cells.append(paint(cut, colour, sys.stdout) + padding)
    return GAP.join(cells).rstrip()
