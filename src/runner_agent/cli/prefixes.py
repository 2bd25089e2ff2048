"""`web | `: which log a line is of, aligned and in a colour of its own where there are eyes to see it."""

import sys
from collections.abc import Iterable

from runner_agent.cli.terminal import PREFIX_COLOURS, paint

LABEL_WIDTH = 20
"""Longer labels push their lines out."""


class Prefixes:
    """One width for all labels seen so far, unless `plain` output goes to a program."""

    def __init__(self, labels: Iterable[str] = (), first: str = "", *, align: bool | None = None) -> None:
        """`first` is a label in bold. `align`: by default on a terminal only."""
        self._align = sys.stdout.isatty() if align is None else align
        self._colours: dict[str, str] = {first: "1"} if first else {}
        self._first = len(self._colours)
        self._width = 0
        self.make_room([first, *labels])

    def make_room(self, labels: Iterable[str]) -> None:
        """For labels to come, so that lines begin at one column from the first on."""
        if self._align:
            self._width = max([self._width, *(min(len(label), LABEL_WIDTH) for label in labels)])

    def of(self, label: str) -> str:
        """What a line of `label` begins with."""
        self.make_room([label])
        at = len(self._colours) - self._first
        colour = self._colours.setdefault(label, PREFIX_COLOURS[at % len(PREFIX_COLOURS)])
        return paint(f"{label:<{self._width}} | ", colour, sys.stdout)
