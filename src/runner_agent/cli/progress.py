"""Telling of phases while a command waits: a line for each, and on a terminal what is under way turns."""

from __future__ import annotations

import os
import sys
import threading
import time
from types import TracebackType
from typing import Self

from runner_agent.cli.durations import show_seconds
from runner_agent.cli.terminal import is_screen, marks, note, paint, phase_colour

FRAME = 0.15
"""Seconds between two pictures of the turning line."""


class Progress:
    """On standard error, so that data on standard output stay clean. Tells of each phase once."""

    def __init__(self) -> None:
        """Nothing is told yet."""
        self._told: dict[str, str] = {}
        self._began = time.monotonic()
        self._turning: dict[str, str] = {}  # phases of what is under way
        self._took: dict[str, float] = {}  # seconds
        self._within = False  # a line of a log whose end is yet to come
        self._turn = threading.Lock()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Begins to turn, where there is a screen."""
        if is_screen(sys.stderr):
            self._thread = threading.Thread(target=self._spin, name="progress", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leaves only the lines."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        with self._turn:
            self._clear()

    @property
    def turning(self) -> bool:
        """Whether what is under way is shown, so that telling of it costs no line."""
        return self._thread is not None

    def tell(self, what: str, phase: str, *, over: bool) -> None:
        """A line, if the phase of `what` is news. `over`: nothing is waited for after it."""
        if self._told.get(what) == phase:
            return
        self._told[what] = phase
        with self._turn:
            self._clear()
            if self._thread is None:
                note(f"{what}: {phase}")
            elif over:
                self._turning.pop(what, None)
                took = show_seconds(self._took.get(what, time.monotonic() - self._began))
                mark = paint(marks(sys.stderr).of(phase, 0), phase_colour(phase), sys.stderr)
                note(f"{mark} {what.lstrip()}: {paint(phase, phase_colour(phase), sys.stderr)} after {took}")
            else:
                self._turning[what] = phase

    def say(self, text: str) -> None:
        """A line of its own."""
        with self._turn:
            self._clear()
            note(text)

    def end(self, what: str) -> None:
        """It is under way no more; how it came out is told later, and after how long."""
        with self._turn:
            self._turning.pop(what, None)
            self._took.setdefault(what, time.monotonic() - self._began)

    def show(self, data: bytes) -> None:
        """Part of a log, as it is."""
        with self._turn:
            if not self._within:
                self._erase()
            sys.stderr.flush()
            sys.stderr.buffer.write(data)
            sys.stderr.buffer.flush()
            self._within = not data.endswith(b"\n")

    def _spin(self) -> None:
        while not self._over.wait(FRAME):
            with self._turn:
                if self._turning and not self._within:
                    now = time.monotonic() - self._began
                    mark = marks(sys.stderr).of("STARTING", int(now / FRAME))
                    phases = [f"{what.lstrip()}: {phase}" for what, phase in self._turning.items()]
                    line = _fitted(phases, f" for {show_seconds(now)}")
                    self._erase()
                    sys.stderr.write(f"{paint(mark, '33', sys.stderr)} {line}")
                    sys.stderr.flush()

    def _clear(self) -> None:
        """The next line begins at the left."""
        if self._within:
            self._within = False
            note("")
        else:
            self._erase()

    def _erase(self) -> None:
        if self._thread is not None:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _fitted(phases: list[str], tail: str) -> str:
    """As many as find room: a line that is broken cannot be drawn over."""
    try:
        room = (os.get_terminal_size(sys.stderr.fileno()).columns or 80) - 3
    except OSError:
        room = 77
    for count in range(len(phases), 0, -1):
        more = f" and {len(phases) - count} more" if count < len(phases) else ""
        line = f"{', '.join(phases[:count])}{more}{tail}"
        if len(line) <= room:
            return line
    return f"{phases[0]}{tail}"[:room]
