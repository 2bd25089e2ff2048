"""The block under what scrolls, on a terminal that breaks its lines anew when it is resized, as most do."""

from __future__ import annotations

import re

import pytest

from runner_agent.cli.block import ERASE, drawn

TOKEN = re.compile(r"\x1b\[(\??)(\d*)([A-Za-z])|([\r\n])|([^\r\n\x1b]+)")


class Terminal:
    """Whole lines, however many rows they take, and the cell that the cursor stays on."""

    def __init__(self, width: int) -> None:
        self.width, self.wraps = width, True
        self.lines, self.line, self.at = [""], 0, 0

    def write(self, text: str) -> None:
        for match in TOKEN.finditer(text):
            private, number, letter, control, plain = match.groups()
            match letter or control:
                case "\r":
                    self.at -= self.at % self.width
                case "\n":
                    self._down()
                case "A":
                    for _ in range(int(number or 1)):
                        self._up()
                case "K":
                    end = self.at - self.at % self.width + self.width
                    line, rest = self.lines[self.line], self.lines[self.line][end:]
                    self.lines[self.line : self.line + 1] = [line[: self.at], *([rest] if rest else [])]
                case "J":
                    self.lines[self.line] = self.lines[self.line][: self.at]
                    del self.lines[self.line + 1 :]
                case "h" | "l":
                    assert (private, number) == ("?", "7"), match[0]
                    self.wraps = letter == "h"
                case _:
                    self._put(plain)

    def _put(self, text: str) -> None:
        if not self.wraps:
            text = text[: self.width - self.at % self.width]
        before = self.lines[self.line].ljust(self.at)
        self.lines[self.line] = before[: self.at] + text + before[self.at + len(text) :]
        self.at += len(text)

    def _down(self) -> None:
        """And to the first cell, as a terminal does for programs."""
        self.at -= self.at % self.width
        if self.at + self.width < len(self.lines[self.line]):
            self.at += self.width
            return
        self.line, self.at = self.line + 1, 0
        if self.line == len(self.lines):
            self.lines.append("")

    def _up(self) -> None:
        if self.at >= self.width:
            self.at -= self.width
        else:
            self.line -= 1
            length = max(len(self.lines[self.line]) - 1, 0)
            self.at += length - length % self.width


def block(width: int) -> str:
    return drawn([("=" * 40)[:width], ("● web RUNNING " + "x" * 60)[:width], "hint"[:width]])


@pytest.mark.parametrize("widths", [(80, 60, 30), (80, 20, 7), (30, 80, 200), (80, 13, 120, 41)])
def test_a_terminal_that_is_resized_shows_one_block(widths: tuple[int, ...]) -> None:
    terminal = Terminal(widths[0])
    logs: list[str] = []
    for number, width in enumerate(widths):
        terminal.width = width
        for line in (f"{number} short", f"{number} long " + "y" * 150):
            logs.append(line)
            terminal.write(f"{ERASE}{line}\n{block(width)}")
        terminal.write(ERASE + block(width))
    last = widths[-1]
    shown = ["=" * min(40, last), ("● web RUNNING " + "x" * 60)[:last], "hint"[:last]]
    assert terminal.lines == [*logs, *shown]


def test_a_block_drawn_for_more_room_than_there_is_does_not_break() -> None:
    """It was made narrower between the look at its size and the writing."""
    terminal = Terminal(20)
    terminal.write("a log line\n" + block(80))
    terminal.write(ERASE + block(20))
    assert [len(line) for line in terminal.lines[1:]] == [20, 20, 4]
    assert terminal.lines[0] == "a log line"


def test_the_cursor_rests_on_its_first_cell() -> None:
    terminal = Terminal(80)
    terminal.write("log\n" + block(80))
    assert (terminal.line, terminal.at) == (1, 0)
    assert drawn([]) == ""
