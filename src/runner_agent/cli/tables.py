"""Output as a table, JSON or YAML: the same data, for eyes or for programs."""

import os
import sys
from collections.abc import Container, Mapping, Sequence

from runner_agent.cli.terminal import fits, json_text, out, paint, phase_colour

GAP = "   "
NARROWEST = 8
"""Columns are not shortened below this width."""


def emit(output: str, data: object, table: str) -> None:
    """`data` in the format asked for; `table` is how it reads as a table."""
    if output == "json":
        out(json_text(data, indent=2))
    elif output == "yaml":
        out(as_yaml(data))
    elif table:
        out(table)


def as_yaml(data: object) -> str:
    """Texts of several lines stand as blocks, as people write them."""
    import yaml

    class Dumper(yaml.SafeDumper):
        pass

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        style = "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style)  # pyright: ignore[reportUnknownMemberType]

    Dumper.add_representer(str, text)

    def dumped(*, plain: bool) -> str:
        text = yaml.dump(data, Dumper=Dumper, sort_keys=False, allow_unicode=plain)  # pyright: ignore[reportUnknownMemberType]
        return text.rstrip("\n")

    made = dumped(plain=True)
    return made if fits(made) else dumped(plain=False)


def columns(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    phase: int | None = None,
    notes: tuple[str, Sequence[str]] | None = None,
    indent: str = "",
) -> str:
    """An aligned table; column `phase` is coloured. On a terminal it is fitted into the terminal's width.

    `notes`, a header and a text for each row, "" for most: what finds no room behind its row stands below it.
    """
    widths = [max(len(row[at]) for row in (headers, *rows)) for at in range(len(headers))]
    room = screen_width() - len(indent) if sys.stdout.isatty() else None
    if room is not None:
        widths = fitted(widths, room, phase)
    header, texts = notes or ("", [""] * len(rows))
    flat = [" ".join(text.split()) for text in texts]
    behind = [room is None or _width(widths) + len(GAP) + len(text) <= room for text in flat]
    shown = any(text and beside for text, beside in zip(flat, behind, strict=True))
    lines = [_line([*headers], widths, None, header if shown else "")]
    for row, text, beside in zip(rows, flat, behind, strict=True):
        lines.append(_line(row, widths, phase, text if beside else ""))
        lines += [] if beside else _below(text, room or 0)
    return "\n".join(indent + line for line in lines)


def _below(text: str, room: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text, max(room, 20), initial_indent="    ", subsequent_indent="    ")


def fitted(widths: Sequence[int], room: int, phase: int | None = None) -> list[int]:
    """Takes from the widest columns but the phase and the first, which one has to be able to copy; where that
    is not enough, the last columns go.
    """
    shown = list(widths)
    while len(shown) > 2:
        found = _squeezed(shown, room, {0, phase})
        if _width(found) <= room:
            return found
        shown.pop()
    return _squeezed(shown, room, {0, phase})


def _squeezed(widths: Sequence[int], room: int, kept: Container[int | None]) -> list[int]:
    squeezed = list(widths)
    while _width(squeezed) > room:
        able = [at for at, width in enumerate(squeezed) if at not in kept and width > NARROWEST]
        if not able:
            break
        squeezed[max(able, key=lambda at: squeezed[at])] -= 1
    return squeezed


def _width(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


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


def screen_width() -> int:
    """Columns of the terminal that standard output is."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or 80
    except OSError:
        return 80


def _line(row: Sequence[str], widths: Sequence[int], phase: int | None, behind: str = "") -> str:
    cells: list[str] = []
    for at, (cell, width) in enumerate(zip(row, widths, strict=False)):  # columns that found no room
        cut = cell if len(cell) <= width else cell[: width - 1] + "…"
        colour = phase_colour(cell) if at == phase else ""
        padding = " " * (width - len(cut)) if behind or at < len(widths) - 1 else ""
        cells.append(paint(cut, colour, sys.stdout) + padding)
    return GAP.join([*cells, behind]).rstrip()
