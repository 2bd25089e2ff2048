"""What `up` shows: plain lines in a pipe; on a terminal a status block under the scrolling logs."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from runner_agent.cli.board import Board
from runner_agent.cli.panel import FRAMES_A_SECOND, panel
from runner_agent.cli.prefixes import Prefixes
from runner_agent.cli.terminal import is_screen, paint, phase_colour
from runner_agent.kit.prefixes import Weaver

if TYPE_CHECKING:
    from rich.text import Text

    from runner_agent.cli.meter import Meter
    from runner_agent.client.agent import Agent

AGENT = "agent"
"""The label of the agent's own lines."""
LEAST_HEIGHT = 4


class PlainView:
    """Lines, one after the other."""

    def __init__(self, board: Board) -> None:
        """`board` is shown where there is a screen for it."""
        self.board = board
        self.prefixes = Prefixes(first=AGENT, align=True)
        self._unfinished: dict[str, str] = {}  # by log, what is shown of its last line
        self._woven = Weaver()

    def open(self) -> None:
        """Before the first line."""

    def watch(self, agent: Agent) -> None:
        """There is an agent that can be asked."""

    def close(self) -> None:
        """After the last line."""
        sys.stdout.write(self._woven.end().decode())

    def line(self, label: str, text: str, key: str = "", *, whole: bool = True) -> None:
        """A line of the log `key`, or what there is of it so far."""
        goes_on = self._woven.is_open(key)
        shown = self._unfinished.pop(key, "")
        new = text.removeprefix(shown)
        if shown and not text.startswith(shown) and goes_on:
            new = "\r" + text  # drawn anew
        if not whole:
            self._unfinished[key] = text
        elif new or goes_on or not shown:
            new += "\n"
        woven = self._woven.add(key, self.prefixes.of(label).encode(), new.encode())
        sys.stdout.write(woven.decode())
        sys.stdout.flush()  # a pipe's reader wants to see it now

    def news(self, text: str, phase: str = "") -> None:
        """A line of the agent's or of `up` itself, coloured as the phase it tells of."""
        self.line(AGENT, paint(text, phase_colour(phase), sys.stdout))

    def make_room(self, labels: Iterable[str]) -> None:
        """For labels to come, so that lines begin at one column from the first on."""
        self.prefixes.make_room(labels)


class LiveView(PlainView):
    """The same lines, above a status block that is drawn anew four times a second."""

    def __init__(self, board: Board) -> None:
        """Nothing is drawn before `open`."""
        from rich.console import Console
        from rich.live import Live

        super().__init__(board)
        self._meters: list[Meter] = []
        self._console = Console(highlight=False)
        self._live = Live(
            get_renderable=self._block,
            console=self._console,
            refresh_per_second=FRAMES_A_SECOND,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def open(self) -> None:
        """Begins to draw."""
        self._live.start()

    def watch(self, agent: Agent) -> None:
        """From now on it is asked what processes use."""
        from runner_agent.cli.meter import Meter

        meter = Meter(agent, self.board)
        self._meters.append(meter)
        meter.open()

    def close(self) -> None:
        """Leaves the last block on the screen."""
        for meter in self._meters:
            meter.close()
        self.board.hint = ""
        self._live.stop()

    def line(self, label: str, text: str, key: str = "", *, whole: bool = True) -> None:
        """Above the block, in the colours its program gave it; what has no end yet, as part of the block."""
        from rich.text import Text

        self._unfinished.pop(key, None)
        if whole:
            self._console.print(Text.from_ansi(self.prefixes.of(label) + text), soft_wrap=True)
        else:
            self._unfinished[key] = self.prefixes.of(label) + text

    def _block(self) -> Text:
        from rich.text import Text

        room = self._console.size
        lines = panel(self.board, time.monotonic(), room.width, max(room.height // 2, LEAST_HEIGHT))
        unfinished = list(self._unfinished.values())[-max(room.height // 4, 1) :]
        text = Text("\n").join(Text.from_ansi(line) for line in [*unfinished, *lines])
        text.no_wrap, text.overflow = True, "ellipsis"
        return text


def make_view(board: Board) -> PlainView:
    """The view that fits standard output."""
    return LiveView(board) if is_screen(sys.stdout) else PlainView(board)
