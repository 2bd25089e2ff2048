"""Nothing escapes: rules 3.5, 3.7 and 3.9, over the corpus, by subtree walk and by cgroup."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from runner_agent.launcher import cgroup, wire
from runner_agent.launcher.procs import look
from tests.launcher.rig import GATE
from tests.support.escapes import ESCAPES, Escape, living
from tests.support.processes import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.launcher.rig import Rig


# The leader ends on SIGTERM; its child has left the group and outlives that.
AWAY = "trap 'exit 0' TERM; setsid bash -c 'echo away; exec sleep 3600' & while :; do wait; done"


@pytest.fixture(params=["walk", "cgroup"])
def place(request: pytest.FixtureRequest) -> Rig:
    """By which means the holder finds what is left."""
    name = {"walk": "shared", "cgroup": "grouped"}[request.param]
    rig: Rig = request.getfixturevalue(name)
    return rig


@pytest.mark.parametrize("escape", ESCAPES, ids=lambda escape: escape.name)
def test_a_kill_leaves_nothing(escape: Escape, place: Rig, scratch: Path) -> None:
    pids = scratch / "pids"
    run = place.start(escape.script(pids), cwd=str(scratch), leftover_grace=60)
    if not escape.leader_ends:
        assert escape.noted(pids)
    run.signal(wire.KILL)
    run.wait_gone()
    assert living(pids) == []


@pytest.mark.parametrize("escape", ESCAPES, ids=lambda escape: escape.name)
def test_what_a_command_leaves_behind_is_ended(escape: Escape, place: Rig, scratch: Path) -> None:
    """SIGTERM to the group; what the leader leaves gets SIGTERM, the grace, SIGKILL (rule 3.5)."""
    pids = scratch / "pids"
    run = place.start(escape.script(pids), cwd=str(scratch), leftover_grace=0.2)
    if not escape.leader_ends:
        escape.noted(pids)
    run.signal(wire.TERMINATE)
    if escape.name == "leader-ignores-term":
        assert run.held
        run.signal(wire.KILL)
    run.wait_gone()
    assert living(pids) == []
    assert run.ended()["how"] in {"exited", "signaled"}


def test_what_is_left_behind_is_named_in_the_log(shared: Rig) -> None:
    in_place = "until grep -q sleep /proc/$!/comm; do :; done"
    script = f"sleep 3600 & {in_place}; trap '' TERM; sleep 3601 & {in_place}; exit 0"
    run = shared.start(script, leftover_grace=0.2)
    run.wait_gone()
    first, second, third = run.notes
    assert first.startswith("start exited with code 0 after ")
    assert second.startswith("start left behind 2 processes: ")
    assert "(sleep)" in second
    assert third.startswith("SIGKILL to 1 process: ")


def test_the_holder_goes_only_when_all_is_gone(shared: Rig) -> None:
    deaf = "(trap '' TERM; touch deaf; exec sleep 3600) & until [ -e deaf ]; do sleep 0.01; done"
    run = shared.start(f"{deaf}; exit 3", leftover_grace=60)
    assert run.ended()["code"] == 3
    wait_until(lambda: any("left behind" in note for note in run.notes), what="the leftovers are named")
    assert run.held
    run.signal(wire.KILL)
    run.wait_gone()


def test_lingering_leftovers_are_left_alone_until_told(shared: Rig) -> None:
    """Rule 3.8: while a stop command runs, what start left behind waits for it."""
    run = shared.start(AWAY, leftover_grace=0.2)
    wait_until(lambda: run.written == ["away"], what="its child has gone away")
    run.signal(wire.LINGER)
    run.signal(wire.TERMINATE)
    run.ended()
    assert run.held
    assert not any("left behind" in note for note in run.notes)
    run.signal(wire.UNLINGER)
    run.wait_gone()


def test_orders_that_come_together_with_the_end_are_obeyed_first(shared: Rig) -> None:
    """Linger sent before the leader is made to end holds, though SIGCHLD has the lower number."""
    run = shared.start(AWAY, leftover_grace=0.2)
    wait_until(lambda: run.written == ["away"], what="its child has gone away")
    run.signal(wire.LINGER)
    run.signal(wire.TERMINATE)
    run.ended()
    assert run.held
    run.signal(wire.KILL)
    run.wait_gone()


def test_a_stopped_leader_can_be_terminated(shared: Rig) -> None:
    run = shared.start("kill -STOP $$; exec sleep 3600")
    wait_until(lambda: _state(run.leader) == "T", what="it stands still")
    run.signal(wire.TERMINATE)
    assert run.ended()["signal"] == 15
    run.wait_gone()


def test_plain_signals_do_not_end_a_holder(shared: Rig) -> None:
    """Somebody's pkill must not cost an exit code."""
    run = shared.start(f"{GATE}; exit 7")
    for number in (1, 2, 3, 10, 12, 13, 14, 15):
        os.kill(run.holder, number)
    run.go_on()
    assert run.ended()["code"] == 7
    run.wait_gone()


def test_a_cgroup_goes_with_its_run(grouped: Rig) -> None:
    run = grouped.start("mkdir -p deeper; cat /proc/self/cgroup; sleep 3600")
    path = str(run.handle["cgroup"])
    wait_until(lambda: run.written, what="it wrote where it is")
    assert any(line.startswith("0::") and line.endswith(path.rpartition("/")[2]) for line in run.written)
    assert cgroup.populated(path)
    assert run.holder not in cgroup.members(path)
    run.signal(wire.KILL)
    run.wait_gone()
    assert not cgroup.members(path)
    wait_until(lambda: not cgroup.populated(path))


def _state(pid: int) -> str:

    found = look(pid)
    return found.state if found else ""
