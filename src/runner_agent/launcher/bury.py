"""The end of what a command left behind: SIGTERM, patience, SIGKILL, until its cage is empty."""

import signal
import time

from runner_agent.launcher import attend, loglines, procs
from runner_agent.launcher.cage import Cage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_LOOK, _LONG = 0.1, 5.0
"""Seconds between two looks: where nothing tells of changes, and where something does."""


def bury(
    cage: Cage, title: str, grace: float, wishes: attend.Wishes, wait: "Callable[[float, int], None]"
) -> None:
    """End what the command left behind, once told to: SIGTERM, patience, SIGKILL, until none is left."""
    events = cage.open_events()
    pause = _LONG if events >= 0 else _LOOK
    while not wishes.clear and not wishes.kill and not cage.empty():
        wait(pause, events)
    left = [] if wishes.kill else cage.members()
    if left:
        then = f"SIGTERM, and SIGKILL {grace} s later"
        attend.say(f"{title} left behind {loglines.named(left)}; {then}")
        procs.send_all(left, signal.SIGTERM, signal.SIGCONT)
    end = time.monotonic() + grace
    while not wishes.kill and not cage.empty():
        rest = end - time.monotonic()
        if rest <= 0:
            left = cage.members()
            attend.say(f"SIGKILL to {loglines.named(left)}: still there {grace} s after SIGTERM")
            break
        wait(min(rest, pause), events)
    patience = attend.Pause(0.01)
    while not cage.empty():
        cage.kill()
        wait(patience.next(), events)
