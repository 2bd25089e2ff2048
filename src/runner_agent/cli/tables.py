"""Output as a table, JSON or YAML: the same data, for eyes or for programs."""

import os
import sys
from collections.abc import Mapping, Sequence

from runner_agent.cli.terminal import fits, json_text, out, paint, phase_colour
from runner_agent.cli.words import NOTHING

GAP = "   "


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
    """An aligned table; column `phase` is coloured. On a terminal it is fitted into the terminal's width:
    columns that find no room stand below each row, with their names.

    `notes`, a header and a text for each row, "" for most: what finds no room behind its row stands below it.
    """
    widths = [max(len(row[at]) for row in (headers, *rows)) for at in range(len(headers))]
    room = screen_width() - len(indent) if sys.stdout.isatty() else None
    beside = range(len(headers)) if room is None else fitted(widths, room, phase)
    below = [at for at in range(len(headers)) if at not in beside]
    kept = [widths[at] for at in beside]
    coloured = beside.index(phase) if phase is not None and phase in beside else None
    header, texts = notes or ("", [""] * len(rows))
    flat = [" ".join(text.split()) for text in texts]
    behind = [room is None or _width(kept) + len(GAP) + len(text) <= room for text in flat]
    shown = any(text and whole for text, whole in zip(flat, behind, strict=True))
    lines = [_line([headers[at] for at in beside], kept, None, header if shown else "")]
    for row, text, whole in zip(rows, flat, behind, strict=True):
        lines.append(_line([row[at] for at in beside], kept, coloured, text if whole else ""))
        moved = "; ".join(f"{headers[at]} {row[at]}" for at in below if row[at] not in {"", NOTHING})
        lines += _below(moved, room or 0)
        lines += [] if whole else _below(text, room or 0)
    return "\n".join(indent + line for line in lines)


def _below(text: str, room: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text, max(room, 20), initial_indent="    ", subsequent_indent="    ")


def fitted(widths: Sequence[int], room: int, phase: int | None = None) -> list[int]:
    """The columns that fit beside each other: the widest go, but never the first and the phase."""
    beside = list(range(len(widths)))
    while _width([widths[at] for at in beside]) > room:
        able = [at for at in beside if at not in {0, phase}]
        if not able:
            break
        beside.remove(max(able, key=lambda at: widths[at]))
    return beside


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
    for at, (cell, width) in enumerate(zip(row, widths, strict=True)):
        colour = phase_colour(cell) if at == phase else ""
        padding = " " * (width - len(cell)) if behind or at < len(widths) - 1 else ""
        cells.append(paint(cell, colour, sys.stdout) + padding)
    return GAP.join([*cells, behind]).rstrip()
