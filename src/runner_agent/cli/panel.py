"""The status block of `up`, drawn from the board as lines for so much room."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from runner_agent.cli.board import ENDED, OVER, Board, Row, StepRow, Used
from runner_agent.cli.durations import show_seconds
from runner_agent.cli.figures import PORTS_SHOWN, limited
from runner_agent.cli.terminal import marks, paint, phase_colour

NAME_WIDTH = 24
"""Longer names are cut."""
RULE = 40
"""Short, so that it does not wrap into two lines when the terminal is made narrow."""
_QUIET = OVER - {"FAILED"}
FRAMES_A_SECOND = 4
OUTDATED = "runs the previous definition"


def panel(board: Board, now: float, width: int, height: int) -> list[str]:
    """At most `height` lines. Of what does not fit, plans go first, then what rests or has ended well.

    `now` in monotonic seconds. Lines may be longer than `width`: who prints them cuts them.
    """
    rows = [("service", key, row) for key, row in list(board.services.items())]
    tasks = list(board.tasks.items())
    newest = {row.name: key for key, row in tasks}
    live = {row.run or key: key for key, row in tasks if row.phase not in OVER}  # a shared run is one row
    rows += [("task", key, row) for key, row in tasks if key in {newest[row.name], live.get(row.run or key)}]
    pen = _Pen(board, now)
    room = height - 2  # the rule above, the hint below
    blocks = {key: [pen.row(key, row, kind), *pen.plan(key, row)] for kind, key, row in rows}
    if sum(map(len, blocks.values())) > room:
        blocks = {key: lines[:1] for key, lines in blocks.items()}
    left_out = 0
    if len(blocks) > room:
        order = sorted(rows, key=lambda each: each[2].phase in _QUIET)  # stable: else as they came
        kept = {key for _, key, _ in order[: max(room - 1, 0)]}
        left_out = len(blocks) - len(kept)
        blocks = {key: lines for key, lines in blocks.items() if key in kept}
    lines = [("─" if marks(sys.stdout).fancy else "-") * min(width, RULE)]
    lines += [line for block in blocks.values() for line in block]
    if left_out:
        lines.append(paint(f"  and {left_out} more: runner-agent status", "2", sys.stdout))
    if board.hint:
        lines.append(paint(board.hint, "2", sys.stdout))
    return lines


class _Pen:
    """Draws rows in columns of one width."""

    def __init__(self, board: Board, now: float) -> None:
        self._board, self._now = board, now
        names = [row.name for row in (*board.services.values(), *board.tasks.values())]
        names += [
            "  " + step.name
            for row in board.tasks.values()
            if row.phase not in OVER
            for step in row.steps.values()
        ]
        self._width = min(max(map(len, names), default=0), NAME_WIDTH)

    def row(self, key: str, row: Row, kind: str) -> str:
        """`● web  RUNNING    12s    3%   120M  :8123`, or why it failed."""
        used = self._board.used.get(key) if row.phase not in OVER else None
        took = row.took or ("" if row.phase in {"STOPPED", ENDED} else show_seconds(self._now - row.since))
        tail = row.message or (_used(used) if kind == "service" else "")
        # Of several steps, those say it that are.
        marked = key if kind == "service" or row.steps else (key, row.name)
        if marked in self._board.outdated and row.phase not in OVER:
            tail = f"{tail}  {OUTDATED}".strip() if row.message else f"{tail:<13}  {OUTDATED}"
        return self._line(self._name(row.name), row.phase, took, tail)

    def plan(self, key: str, row: Row) -> Iterator[str]:
        """The steps of an execution that is under way."""
        if row.phase in OVER:
            return
        for step in list(row.steps.values()):
            used = self._board.used.get((key, step.name)) if step.phase == "RUNNING" else None
            tail = (
                f"{_used(used):<13}  {OUTDATED}" if (key, step.name) in self._board.outdated else _used(used)
            )
            yield self._line("  " + self._name(step.name, 2), step.phase or "waiting", self._took(step), tail)

    def _took(self, step: StepRow) -> str:
        return step.took or (show_seconds(self._now - step.since) if step.phase == "RUNNING" else "")

    def _name(self, name: str, indent: int = 0) -> str:
        room = self._width - indent
        return name if len(name) <= room else name[: room - 1] + "…"

    def _line(self, name: str, phase: str, took: str, tail: str) -> str:
        mark = marks(sys.stdout).of(phase, int(self._now * FRAMES_A_SECOND))
        colour = phase_colour(phase) or "2"
        return (
            f"{paint(mark, colour, sys.stdout)} {name:<{self._width}}  "
            f"{paint(f'{phase:<9}', colour, sys.stdout)} {took:>6}  {tail}"
        ).rstrip()


def _used(used: Used | None) -> str:
    if used is None:
        return ""
    cpu = "" if used.cpu is None else f"{used.cpu:.0f}%"
    shown = " ".join(f":{port}" for port in used.ports[:PORTS_SHOWN])
    more = f" +{len(used.ports) - PORTS_SHOWN}" if len(used.ports) > PORTS_SHOWN else ""
    return f"{cpu:>5} {limited(used.memory, used.memory_max):>6}  {shown}{more}".rstrip()
