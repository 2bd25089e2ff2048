"""How runs end, and that no death but its holder's costs a run its exit code (rules 3.5, 5.4, 7.2, 7.4)."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runner_agent.core.endings import signal_name as core_name
from runner_agent.launcher import cgroup, procs, records, wire
from runner_agent.launcher.signal_names import signal_name
from tests.launcher.conftest import read_or_nothing
from tests.launcher.rig import GATE, Client, Failed, Run, result, wait_dead
from tests.support.escapes import ESCAPES, Escape, living
from tests.support.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.launcher.rig import Rig


def test_an_exit_code_is_recorded_and_noted(shared: Rig) -> None:
    run = shared.start("echo out; sleep 0.2; exit 3", note="start begins")
    record = run.ended()
    assert (record["how"], record["code"]) == ("exited", 3)
    run.wait_gone()
    began, out, note = run.log.splitlines()
    assert (began, out) == ("runner-agent: start begins", "out")
    assert re.fullmatch(r"runner-agent: start exited with code 3 after [0-9.]+ s", note)
    assert record["log_size"] == len("runner-agent: start begins\nout\n")


def test_a_signal_is_recorded_and_noted(shared: Rig) -> None:
    run = shared.start("kill -USR1 $$")
    record = run.ended()
    assert (record["how"], record["signal"], record["core"]) == ("signaled", 10, False)
    assert "why" not in record
    run.wait_gone()
    assert run.notes[0].startswith("start was killed by SIGUSR1 after ")


def test_a_note_stands_on_a_line_of_its_own(shared: Rig) -> None:
    run = shared.start("printf unfinished", note="start begins")
    run.wait_gone()
    assert run.log.splitlines()[1:] == ["unfinished", run.log.splitlines()[-1]]
    assert run.notes[-1].startswith("start exited with code 0")


def test_sessions_append_to_one_log(shared: Rig, scratch: Path) -> None:
    log = scratch / "log"
    for number in range(3):
        shared.start(f"printf {number}", log=str(log), note=f"session {number}").wait_gone()
    lines = [line for line in log.read_text().splitlines() if "exited" not in line]
    assert lines == [part for number in range(3) for part in (f"runner-agent: session {number}", str(number))]


def test_every_byte_is_in_the_log(shared: Rig) -> None:
    run = shared.start("exec 3>&1; for i in 1 2 3 4; do (yes $i | head -c 250000 >&3) & done; wait")
    run.wait_gone()
    assert sum(len(line) + 1 for line in run.written) == 1_000_000


def test_orphans_are_reaped(shared: Rig) -> None:
    """A command that never waits leaves no zombies of its grandchildren."""
    run = shared.start("for i in {1..20}; do (sleep 0.01 &) ; done; echo on; exec sleep 3600")
    wait_until(lambda: run.written, what="all were forked")
    wait_until(lambda: [p.pid for p in procs.descendants(run.holder)] == [run.leader], what="only the leader")
    run.signal(wire.KILL)
    run.wait_gone()


# --- deaths


@pytest.mark.parametrize("escape", ESCAPES, ids=lambda escape: escape.name)
def test_what_a_killed_holder_held_is_killed(escape: Escape, shared: Rig, scratch: Path) -> None:
    pids = scratch / "pids"
    run = shared.start(escape.script(pids), cwd=str(scratch), leftover_grace=60)
    if not escape.leader_ends:
        assert escape.noted(pids)
    with suppress(ProcessLookupError):  # a leader that ends by itself may have taken it along
        os.kill(run.holder, signal.SIGKILL)
    wait_until(lambda: not living(pids), what="nothing of the run is left")
    wait_until(lambda: procs.look(run.holder) is None, what="the holder is reaped")
    if not escape.leader_ends:
        assert records.ENDED not in run.record
    assert shared.client.call("ping") == {}


def test_the_cgroup_of_a_killed_holder_goes(grouped: Rig) -> None:
    run = grouped.start("(setsid sleep 3600 &); sleep 3600")
    path = str(run.handle["cgroup"])
    os.kill(run.holder, signal.SIGKILL)
    wait_until(lambda: not Path(path).exists(), what="the cgroup is gone")
    assert cgroup.members(path) == []


def test_other_runs_survive_the_death_of_a_holder(shared: Rig) -> None:
    other, run = shared.start("sleep 0.5; exit 5"), shared.start("(setsid sleep 3600 &); sleep 3600")
    os.kill(run.holder, signal.SIGKILL)
    assert other.ended()["code"] == 5
    other.wait_gone()


def test_blank_holders_can_be_killed(rig: Rig) -> None:
    """Those that wait for an order."""
    for _ in range(3):
        for proc in procs.descendants(rig.launcher_pid):
            if proc.parent != rig.launcher_pid:  # not the nursery
                procs.send(proc.pid, proc.start, signal.SIGKILL)
                wait_dead(proc.pid)
        assert rig.start("exit 4").ended()["code"] == 4


def test_runs_outlive_the_launcher(rig: Rig) -> None:
    """Exit code, log and leftovers are seen to by the holder, whoever else is dead (rule 7.2)."""
    run = rig.start("read -t 3600 < <(sleep 3600); echo after; (sleep 3600 &); exit 6", leftover_grace=0.2)
    wait_until(lambda: sleeping(run), what="it waits")
    rig.kill_launcher()
    assert run.held
    procs.send_all(sleeping(run), signal.SIGKILL)
    assert run.ended()["code"] == 6
    run.wait_gone()
    assert run.written == ["after"]
    rig.boot()
    later = Client(rig.state, epoch=2)
    assert later.call("find", run_id="run1", dir=str(run.folder)) == {"found": run.handle}
    later.close()


def sleeping(run: Run) -> list[procs.Proc]:
    """The `sleep`s among its processes."""
    return [proc for proc in procs.descendants(run.leader) if proc.command == "sleep"]


def test_a_launcher_without_its_nursery_leaves(rig: Rig) -> None:
    run = rig.start("sleep 3600")
    nursery = rig.nursery()
    procs.send(nursery.pid, nursery.start, signal.SIGKILL)
    with pytest.raises(EOFError):
        rig.client.receive()
    assert run.held
    rig.boot()
    rig.close()
    rig.client = Client(rig.state)
    run.signal(wire.KILL)
    run.wait_gone()
    assert rig.start("exit 2").ended()["code"] == 2


def test_a_start_lost_with_its_launcher_is_settled_by_the_folder(rig: Rig) -> None:
    """SIGKILL at any moment of a start: found later or never to be, and nothing runs twice."""
    for step in range(30):
        order = rig.order("echo ran; exec sleep 3600")
        rig.client.send("start", **order)
        busy_until = time.perf_counter() + step * 0.0002
        while time.perf_counter() < busy_until:
            pass
        rig.kill_launcher()
        rig.close()
        rig.boot()
        rig.client = Client(rig.state)
        found = rig.client.call("find", run_id=order["run_id"], dir=order["dir"])["found"]
        folder = rig.state / str(order["run_id"])
        if found is None:
            with pytest.raises(Failed, match="void"):
                rig.client.call("start", **order)
            assert not (folder / "log").exists() or (folder / "log").read_bytes() == b""
            continue
        assert isinstance(found, dict)
        again = rig.client.call("start", **order)
        assert again["holder_pid"] == found["holder_pid"]
        run = Run(folder, {"leader_pid": 0, **again})
        run.signal(wire.KILL)
        run.wait_gone()
        assert run.written in ([], ["ran"])


# --- full disks

BLOCK = 4096
"""Bytes of a file take up a block, full or not."""


@pytest.fixture
def small(scratch: Path) -> Iterator[Path]:
    """A filesystem of 64 KiB."""
    place = scratch / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], check=True)
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(folder: Path) -> Path:
    """A file that takes all the room there is."""
    filler = folder / "filler"
    subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=1k"], check=False, capture_output=True)
    return filler


def test_a_full_disk_under_the_log_costs_output_and_nothing_else(shared: Rig, small: Path) -> None:
    run = shared.start("yes | head -c 200000; exit 9", log=str(small / "log"))
    assert run.ended()["code"] == 9
    run.wait_gone()
    assert 50_000 < (small / "log").stat().st_size <= 65536
    assert "start exited with code 9" in (small / "log").read_text()


def test_a_full_disk_under_the_records_delays_them(rig: Rig, small: Path) -> None:
    """The exit code is kept until there is room, if the record's own block has none."""
    folder = small / "run"
    folder.mkdir()
    log = rig.state / "log"
    order = rig.order(f"{GATE}; exit 11", dir=str(folder), log=str(log))
    usual = rig.start("exec sleep 3600")
    order["run_id"] = "x" * (BLOCK - 100 - (usual.folder / "spawned").stat().st_size)
    usual.signal(wire.KILL)
    run = Run(folder, rig.client.call("start", **order))
    assert BLOCK - 200 < (folder / "spawned").stat().st_size < BLOCK - 50
    filler = fill(small)
    Path(str(order["cwd"]), "go").touch()
    wait_until(lambda: "exited with code 11" in log.read_text(), what="it ended")
    assert run.held
    assert records.ENDED not in run.record
    filler.unlink()
    assert run.ended()["code"] == 11
    run.wait_gone()


def test_a_full_disk_refuses_new_runs(rig: Rig, small: Path) -> None:
    folder = small / "run"
    folder.mkdir()
    filler = fill(small)
    failed = rig.refused("true", dir=str(folder), log=str(rig.state / "log"))
    assert failed.text == f"cannot write to the run's folder {folder}: no space left on device"
    filler.unlink()
    assert rig.start("exit 1").ended()["code"] == 1


def test_a_folder_that_was_taken_away_keeps_no_holder(rig: Rig) -> None:
    run = rig.start("read -t 3600 < <(sleep 3600)")
    wait_until(lambda: sleeping(run), what="it waits")
    assert (run.folder / "log").exists()
    for entry in run.folder.iterdir():
        entry.unlink()
    run.folder.rmdir()
    procs.send_all(sleeping(run), signal.SIGKILL)
    run.wait_gone()


# --- many


def test_a_hundred_at_once(rig: Rig) -> None:
    orders = [rig.order(f"echo {number}; exit {number}") for number in range(100)]
    numbers = {rig.client.send("start", **order): order for order in orders}
    runs: list[Run] = []
    for _ in orders:
        message = rig.client.receive()
        order = numbers[message["id"]]  # type: ignore[index]
        runs.append(Run(rig.state / str(order["run_id"]), result(message)))
    for run in runs:
        number = int(str(run.handle["run_id"]).removeprefix("run")) - 1
        assert run.ended()["code"] == number
        run.wait_gone()
        assert run.written == [str(number)]
    wait_until(lambda: rig.client.call("survey") == {"runs": []})
    family = [
        p for p in procs.descendants(rig.launcher_pid) if b"runner_agent.launcher" in read_or_nothing(p.pid)
    ]
    assert len(family) <= 4, "a nursery and its blanks"


def test_a_signal_has_one_name_everywhere() -> None:
    """The log, the status and the message are written by programs that share no code."""
    numbers = range(-1, 130)
    assert [signal_name(number) for number in numbers] == [core_name(number) for number in numbers]


@pytest.mark.parametrize(("number", "name"), [(40, "SIGRTMIN+6"), (34, "SIGRTMIN"), (64, "SIGRTMAX")])
def test_real_time_signals_have_names(shared: Rig, number: int, name: str) -> None:
    run = shared.start(f"kill -{number} $$; sleep 60")
    assert run.ended()["signal"] == number
    run.wait_gone()
    assert any(note.startswith(f"start was killed by {name} after") for note in run.notes), run.notes
