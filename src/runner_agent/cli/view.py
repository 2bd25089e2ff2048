"""What `up` shows: plain lines in a pipe; on a terminal a status block under the scrolling logs."""

import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runner_agent.cli.durations import show_seconds
from runner_agent.cli.terminal import PREFIX_COLOURS, is_screen, paint, phase_colour

if TYPE_CHECKING:
    from rich.text import Text

AGENT = "agent"
"""The label of the agent's own lines."""
LABEL_WIDTH = 20
"""Longer labels push their lines out."""


@dataclass(slots=True)
class Row:
    """A service or an execution: its phase, since when (monotonic seconds), and how long it took."""

    name: str
    phase: str
    since: float
    message: str = ""
    took: str = ""
    news: bool = False
    """Its phase has changed and nobody was told yet."""


@dataclass(slots=True)
class Board:
    """What there is to show, by id, in the order of appearance."""

    services: dict[str, Row] = field(default_factory=dict[str, Row])
    tasks: dict[str, Row] = field(default_factory=dict[str, Row])


class PlainView:
    """Lines, one after the other."""

    def __init__(self, board: Board) -> None:
        """`board` is shown where there is a screen for it."""
        self.board = board
        self._colours: dict[str, str] = {AGENT: "1"}
        self._width = len(AGENT)

    def open(self) -> None:
        """Before the first line."""

    def close(self) -> None:
        """After the last line."""

    def line(self, label: str, text: str) -> None:
        """A line of a log."""
        sys.stdout.write(f"{self.prefix(label)}{text}\n")
        sys.stdout.flush()  # a pipe's reader wants to see it now

    def news(self, text: str, phase: str = "") -> None:
        """A line of the agent's or of `up` itself, coloured as the phase it tells of."""
        self.line(AGENT, paint(text, phase_colour(phase), sys.stdout))

    def make_room(self, labels: Iterable[str]) -> None:
        """For labels to come, so that lines begin at one column from the first on."""
        self._width = max(self._width, *(min(len(label), LABEL_WIDTH) for label in (AGENT, *labels)))

    def prefix(self, label: str) -> str:
        """`web   | `: labels are of one width, each in a colour of its own."""
        self.make_room([label])
        colour = self._colours.setdefault(
            label, PREFIX_COLOURS[(len(self._colours) - 1) % len(PREFIX_COLOURS)]
        )
        return paint(f"{label:<{self._width}} | ", colour, sys.stdout)


class LiveView(PlainView):
    """The same lines, above a status block that is drawn anew four times a second."""

    def __init__(self, board: Board) -> None:
        """Nothing is drawn before `open`."""
        from rich.console import Console
        from rich.live import Live

        super().__init__(board)
        self._console = Console(highlight=False)
        self._live = Live(
            get_renderable=self._block,
            console=self._console,
            refresh_per_second=4,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def open(self) -> None:
        """Begins to draw."""
        self._live.start()

    def close(self) -> None:
        """Leaves the last block on the screen."""
        self._live.stop()

    def line(self, label: str, text: str) -> None:
        """Above the block, in the colours its program gave it."""
        from rich.text import Text

        self._console.print(Text.from_ansi(self.prefix(label) + text), soft_wrap=True)

    def _block(self) -> "Text":
        from rich.text import Text

        now = time.monotonic()
        room = self._console.size
        services, tasks = self.board.services, self.board.tasks
        width = max((len(row.name) for row in (*services.values(), *tasks.values())), default=0)
        lines = [*_lines("services", services, width, now), *_lines("tasks", tasks, width, now)]
        limit = max(room.height // 2, 3)
        if len(lines) > limit:
            lines = [*lines[: limit - 1], f"  ... and {len(lines) - limit + 1} more: runner-agent status"]
        rule = "─" * min(room.width, 80)
        text = Text("\n").join(Text.from_ansi(line) for line in [rule, *lines])
        text.no_wrap, text.overflow = True, "ellipsis"
        return text


def _lines(title: str, rows: Mapping[str, Row], width: int, now: float) -> list[str]:
    lines: list[str] = []
    for row in list(rows.values()):
        lead = f"{title:<8}" if not lines else " " * 8
        phase = paint(f"{row.phase:<9}", phase_colour(row.phase), sys.stdout)
        took = row.took or show_seconds(now - row.since)
        lines.append(f"{lead}  {row.name:<{width}}  {phase}  {took:<7} {row.message}".rstrip())
    return lines


def make_view(board: Board) -> PlainView:
    """The view that fits standard output."""
    return LiveView(board) if is_screen(sys.stdout) else PlainView(board)
