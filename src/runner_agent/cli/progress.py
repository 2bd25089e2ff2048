"""Telling of phases while a command waits: a line for each, and on a terminal what is under way turns."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Container
from types import TracebackType
from typing import Self

from runner_agent.cli.durations import show_seconds
from runner_agent.cli.terminal import is_screen, marks, note, paint, phase_colour

FRAME = 0.15
"""Seconds between two pictures of the turning line."""


class Progress:
    """On standard error, so that data on standard output stay clean. Tells of each phase once."""

    def __init__(self, awaited: Container[str]) -> None:
        """`awaited`: phases that nothing is waited for after."""
        self._awaited = awaited
        self._told: dict[str, str] = {}
        self._began = time.monotonic()
        self._line = ""
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
            self._erase()

    @property
    def turning(self) -> bool:
        """Whether what is under way is shown, so that telling of it costs no line."""
        return self._thread is not None

    def tell(self, what: str, phase: str) -> None:
        """A line, if the phase of `what` is news."""
        if self._told.get(what) == phase:
            return
        self._told[what] = phase
        with self._turn:
            if self._thread is None:
                note(f"{what}: {phase}")
                return
            self._erase()
            self._line = ""
            if phase in self._awaited:
                took = show_seconds(time.monotonic() - self._began)
                mark = paint(marks(sys.stderr).of(phase, 0), phase_colour(phase), sys.stderr)
                note(f"{mark} {what.lstrip()}: {paint(phase, phase_colour(phase), sys.stderr)} after {took}")
            else:
                self._line = f"{what.lstrip()}: {phase}"

    def _spin(self) -> None:
        while not self._over.wait(FRAME):
            with self._turn:
                if self._line:
                    now = time.monotonic() - self._began
                    mark = marks(sys.stderr).of("STARTING", int(now / FRAME))
                    self._erase()
                    sys.stderr.write(f"{paint(mark, '33', sys.stderr)} {self._line} for {show_seconds(now)}")
                    sys.stderr.flush()

    def _erase(self) -> None:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
