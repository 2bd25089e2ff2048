"""The escape corpus as data: bash scripts whose processes try to outlive a stop, each by another way.

Every process that a script makes notes its pid in a file once it is in place. So a test knows when to stop
it and can tell afterwards, by pid and start time, whether anything is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.processes import Process, look, wait_until

if TYPE_CHECKING:
    from pathlib import Path

_PRELUDE = r"""
note() { echo $BASHPID >> '@PIDS@'; }
hold() { note; exec sleep 3600; }
stubborn() { trap '' TERM; hold; }
export -f note hold stubborn
"""
_LEADER = r"""
trap 'exit 0' TERM
note
while :; do wait; done
"""


@dataclass(frozen=True, slots=True)
class Escape:
    """One way to escape. `processes`: how many note themselves before all are in place, leader included.

    `beats_group_kill`: SIGTERM and SIGKILL to the leader's process group leave something alive.
    """

    name: str
    body: str
    processes: int
    beats_group_kill: bool
    leader_ends: bool = False  # the leader exits by itself once all are in place

    def script(self, pids: Path) -> str:
        """The bash script, noting into the file `pids`. The file need not exist."""
        tail = "note" if self.leader_ends else _LEADER
        return (_PRELUDE + self.body + "\n" + tail).replace("@PIDS@", str(pids))

    def noted(self, pids: Path, timeout: float = 10.0) -> list[Process]:
        """Waits until all are in place; what lives of them, with start times."""
        wait_until(
            lambda: len(_lines(pids)) >= self.processes, timeout, f"{self.name}: {self.processes} processes"
        )
        return living(pids)


def living(pids: Path) -> list[Process]:
    """The noted processes that are alive, the ones that were noted later included."""
    found = (look(int(line)) for line in _lines(pids))
    return [process for process in found if process is not None and process.alive]


def _lines(pids: Path) -> list[str]:
    if not pids.exists():
        return []
    return [line.strip() for line in pids.read_text().splitlines(keepends=True) if line.endswith("\n")]


ESCAPES = (
    Escape("term-ignoring-child", "( stubborn ) &", processes=2, beats_group_kill=False),
    Escape("setsid", "setsid bash -c stubborn &", processes=2, beats_group_kill=True),
    Escape("double-fork", "( ( stubborn ) & )", processes=2, beats_group_kill=False),
    Escape(
        "scrubbed-environment",
        "env -i bash -c \"trap '' TERM; echo \\$\\$ >> '@PIDS@'; exec sleep 3600\" &",
        processes=2,
        beats_group_kill=False,
    ),
    Escape(
        "setsid-double-fork-scrubbed",
        "( ( exec env -i setsid bash -c \"trap '' TERM; echo \\$\\$ >> '@PIDS@'; exec sleep 3600\" ) & )",
        processes=2,
        beats_group_kill=True,
    ),
    Escape(
        "setsid-twice",
        "setsid bash -c 'note; setsid bash -c stubborn & exec sleep 3600' &",
        processes=3,
        beats_group_kill=True,
    ),
    Escape(
        "holds-stdout",
        "( hold ) & until [ -s '@PIDS@' ]; do sleep 0.01; done",
        processes=2,
        beats_group_kill=False,
        leader_ends=True,
    ),
    Escape(
        "nothing-in-common",  # no working directory, no descriptor, no session, no environment
        "( cd / && exec env -i setsid bash -c \"trap '' TERM; echo \\$\\$ >> '@PIDS@'; exec sleep 3600\" "
        "</dev/null >/dev/null 2>&1 ) &",
        processes=2,
        beats_group_kill=True,
    ),
    Escape(
        "nohup-disown",
        "nohup setsid bash -c stubborn >/dev/null 2>&1 & disown",
        processes=2,
        beats_group_kill=True,
    ),
    Escape(
        "stopped-child",
        "setsid bash -c 'note; kill -STOP $$; exec sleep 3600' &",
        processes=2,
        beats_group_kill=True,
    ),
    Escape(
        "breeds-on-term",  # asked to end, it makes another of its kind
        "setsid bash -c 'trap \"( stubborn ) &\" TERM; note; while :; do sleep 0.1; done' &",
        processes=2,
        beats_group_kill=True,
    ),
    Escape(
        "fork-storm",  # some 50 short lives a second, for 20 s at most
        "setsid bash -c 'trap \"\" TERM; note; for i in {1..1000}; do ( sleep 0.3 ) & sleep 0.02; done' &",
        processes=2,
        beats_group_kill=True,
    ),
    Escape(
        "wide-and-deep",
        "branch() { for i in 1 2 3; do ( stubborn ) & done; trap '' TERM; note; wait; }; export -f branch\n"
        "for i in 1 2 3; do setsid bash -c branch & done",
        processes=13,
        beats_group_kill=True,
    ),
    Escape("leader-ignores-term", "trap '' TERM; ( hold ) & hold", processes=2, beats_group_kill=False),
)
