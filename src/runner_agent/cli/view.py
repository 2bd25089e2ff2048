"""What `up` shows: plain lines in a pipe; on a terminal a status block under the scrolling logs."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from runner_agent.cli.block import ERASE, HIDE_CURSOR, SHOW_CURSOR, Quiet, drawn, in_foreground, size_of
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
EVERYTHING = 1 << 16
"""Lines: more than any block has."""


class PlainView:
    """Lines, one after the other."""

    is_screen = False

    def __init__(self, board: Board) -> None:
        """`board` is shown where there is a screen for it, and at the end."""
        self.board = board
        self.prefixes = Prefixes(first=AGENT, align=True)
        self._unfinished: dict[str, str] = {}  # by log, what is shown of its last line
        self._woven = Weaver()

    def open(self) -> None:
        """Before the first line."""

    def watch(self, agent: Agent) -> None:
        """There is an agent that can be asked."""

    def close(self) -> None:
        """After the last line: how everything was in the end."""
        sys.stdout.write(self._woven.end().decode())
        self.board.hint = ""
        for line in panel(self.board, time.monotonic(), 0, EVERYTHING)[1:]:
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    def pause(self) -> None:
        """Another has the terminal until `open`."""

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

    def address(self, text: str) -> None:
        """A line that is to be clicked or copied: nothing stands before it, and nothing breaks it."""
        sys.stdout.write(f"{self._woven.end().decode()}{text}\n")
        sys.stdout.flush()

    def make_room(self, labels: Iterable[str]) -> None:
        """For labels to come, so that lines begin at one column from the first on."""
        self.prefixes.make_room(labels)


class LiveView(PlainView):
    """The same lines, above a status block that is drawn anew four times a second."""

    is_screen = True

    def __init__(self, board: Board) -> None:
        """Nothing is drawn before `open`."""
        from rich.console import Console

        super().__init__(board)
        self._meters: list[Meter] = []
        self._console = Console(highlight=False)
        self._quiet = Quiet(sys.stdout)
        self._turn = threading.RLock()
        self._wanted = threading.Event()
        self._block = ""
        self._drawing: threading.Thread | None = None

    def open(self) -> None:
        """Begins to draw."""
        with self._turn:
            self._wanted.set()
            self._redraw()
        if self._drawing is None:
            self._drawing = threading.Thread(target=self._draw_on, name="screen", daemon=True)
            self._drawing.start()

    def watch(self, agent: Agent) -> None:
        """From now on it is asked what processes use."""
        from runner_agent.cli.meter import Meter

        meter = Meter(agent, self.board)
        self._meters.append(meter)
        meter.open()

    def close(self) -> None:
        """Leaves the last block on the screen, with everything that is known."""
        for meter in self._meters:
            meter.close()
        self.board.hint = ""
        self._leave(EVERYTHING)

    def pause(self) -> None:
        """Leaves the terminal as others expect it."""
        self._leave(self._room())

    def line(self, label: str, text: str, key: str = "", *, whole: bool = True) -> None:
        """Above the block, in the colours its program gave it; what has no end yet, as part of the block."""
        from rich.text import Text

        with self._turn:
            self._unfinished.pop(key, None)
            if whole:
                self._above(self._as_shown(Text.from_ansi(self.prefixes.of(label) + text)))
            else:
                self._unfinished[key] = self.prefixes.of(label) + text

    def address(self, text: str) -> None:
        """Above the block, too."""
        self._above(text)

    # ------------------------------------------------------------ the block

    def _above(self, line: str) -> None:
        with self._turn:
            self._write(f"{ERASE}{line}\n{self._block}" if self._block else f"{line}\n")

    def _draw_on(self) -> None:
        while True:
            self._wanted.wait()
            time.sleep(1 / FRAMES_A_SECOND)
            with self._turn:
                if self._wanted.is_set():
                    self._redraw()

    def _redraw(self) -> None:
        """In the background there is no block: who was sent there by `bg` shall not write over the shell."""
        if in_foreground(sys.stdout):
            self._quiet.on()
            self._block = drawn(self._lines(self._room()))
            self._write(HIDE_CURSOR + ERASE + self._block)
        else:
            self._block = ""

    def _leave(self, room: int) -> None:
        with self._turn:
            self._wanted.clear()
            erase, self._block = ERASE if self._block else "", ""
            self._write(erase + "".join(f"{line}\n" for line in self._lines(room)) + SHOW_CURSOR)
        self._quiet.off()

    def _lines(self, room: int) -> list[str]:
        """Of the block, each cut to the width there is."""
        from rich.text import Text

        width = size_of(sys.stdout).columns
        unfinished = list(self._unfinished.values())[-max(room // 2, 1) :]
        below = panel(self.board, time.monotonic(), width, room - len(unfinished))
        shown: list[str] = []
        for line in [*unfinished, *below][:room]:
            text = Text.from_ansi(line)
            text.truncate(width, overflow="ellipsis")
            shown.append(self._as_shown(text))
        return shown

    def _room(self) -> int:
        """Lines for the block. One is left to what scrolls, however small the terminal is."""
        height = size_of(sys.stdout).lines
        return min(max(height // 2, LEAST_HEIGHT), height - 1)

    def _as_shown(self, text: Text) -> str:
        with self._console.capture() as capture:
            self._console.print(text, soft_wrap=True, end="")
        return capture.get()

    @staticmethod
    def _write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


def make_view(board: Board) -> PlainView:
    """The view that fits standard output."""
    return LiveView(board) if is_screen(sys.stdout) else PlainView(board)
