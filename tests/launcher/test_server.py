"""Who may ask the launcher, and that nothing is started twice (rule 7.2)."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from runner_agent.launcher import procs, records, wire
from tests.launcher.rig import SOURCE, Client, Failed, Run, result, wait_dead
from tests.support.processes import wait_until

if TYPE_CHECKING:
    from tests.launcher.rig import Rig


def test_hello_tells_who_answers(rig: Rig) -> None:
    told = rig.client.call("hello", epoch=1, pid=os.getpid())
    found = procs.look(rig.launcher_pid)
    assert found is not None
    assert (told["pid"], told["start"], told["boot"]) == (found.pid, found.start, procs.boot_mark())


def test_nothing_is_done_for_who_has_not_said_hello(rig: Rig) -> None:
    stranger = Client(rig.state, epoch=None)
    order = rig.order()
    with pytest.raises(Failed, match="no_hello: say hello first"):
        stranger.call("start", **order)
    assert list(Path(str(order["dir"])).iterdir()) == []
    stranger.close()


def test_a_newer_epoch_closes_older_connections(rig: Rig) -> None:
    newer = Client(rig.state, epoch=2)
    with pytest.raises((EOFError, BrokenPipeError)):
        rig.client.call("ping")
    assert newer.call("ping") == {}
    newer.close()


def test_an_older_epoch_is_turned_away(rig: Rig) -> None:
    newer = Client(rig.state, epoch=2)
    older = Client(rig.state, epoch=None)
    with pytest.raises(Failed, match="fenced: epoch 1 is over"):
        older.call("hello", epoch=1, pid=1)
    older.close()
    newer.close()


def test_what_a_dead_agent_sent_and_nobody_read_is_never_done(rig: Rig) -> None:
    """The launcher stands still, the old agent's request waits in its socket, a new agent says hello."""
    os.kill(rig.launcher_pid, 19)
    order = rig.order()
    newer = Client(rig.state, epoch=None)
    newer.send("hello", epoch=2, pid=1)
    rig.client.send("ping")
    rig.client.send("start", **order)
    os.kill(rig.launcher_pid, 18)
    newer.receive()
    found = newer.call("find", run_id=order["run_id"], dir=order["dir"])["found"]
    if found is not None:  # read before the hello: then it is known
        Run(Path(str(order["dir"])), cast("dict[str, object]", found)).wait_gone()
    else:
        assert records.read(str(order["dir"])) == {
            "v": 1,
            "run_id": order["run_id"],
            "void": 1,
        }
    newer.close()


def test_the_same_run_id_gives_the_same_handle(rig: Rig) -> None:
    order = rig.order("sleep 3600")
    first, second = rig.client.send("start", **order), rig.client.send("start", **order)
    answers = {message["id"]: result(message) for message in (rig.client.receive(), rig.client.receive())}
    assert answers[first] == answers[second] == rig.client.call("start", **order)
    run = Run(Path(str(order["dir"])), answers[first])
    assert rig.client.call("survey") == {"runs": [run.handle]}
    run.signal(wire.KILL)
    run.wait_gone()
    assert rig.client.call("start", **order) == run.handle, "and also when it is long over"
    wait_until(lambda: rig.client.call("survey") == {"runs": []})


def test_a_run_that_is_told_of_leaves_its_folder_alone(rig: Rig) -> None:
    """Its end is on record, so whoever asked removes it: what is written there now would stay for ever."""
    refused = rig.order(log="/no/such/log")
    with pytest.raises(Failed, match="not_started"):
        rig.client.call("start", **refused)
    later = rig.start()  # its holder dies after that of the first
    later.ended()
    later.wait_gone()
    wait_until(lambda: rig.client.call("survey") == {"runs": []})
    assert not list(Path(str(refused["dir"])).iterdir())


def test_find_gives_the_handle(rig: Rig) -> None:
    run = rig.start("sleep 3600")
    assert rig.client.call("find", run_id="run1", dir=str(run.folder)) == {"found": run.handle}
    run.signal(wire.KILL)
    run.wait_gone()
    assert rig.client.call("find", run_id="run1", dir=str(run.folder)) == {"found": run.handle}


def test_find_waits_for_a_start_under_way(rig: Rig) -> None:
    order = rig.order("sleep 3600")
    rig.client.send("start", **order)
    rig.client.send("find", run_id=order["run_id"], dir=order["dir"])
    handle = result(rig.client.receive())
    assert result(rig.client.receive()) == {"found": handle}
    run = Run(Path(str(order["dir"])), handle)
    run.signal(wire.KILL)
    run.wait_gone()


def test_a_run_that_was_not_found_never_starts(rig: Rig) -> None:
    order = rig.order("echo no >&2")
    assert rig.client.call("find", run_id=order["run_id"], dir=order["dir"]) == {"found": None}
    with pytest.raises(Failed, match=r"void: .* was given up before this request came"):
        rig.client.call("start", **order)
    assert not Path(str(order["log"])).exists()


def test_not_even_by_another_launcher(rig: Rig) -> None:
    order = rig.order("echo no >&2")
    assert rig.client.call("find", run_id=order["run_id"], dir=order["dir"]) == {"found": None}
    rig.kill_launcher()
    rig.boot()
    rig.close()
    rig.client = Client(rig.state)
    with pytest.raises(Failed, match="void"):
        rig.client.call("start", **order)


def test_a_folder_that_is_not_there_needs_no_tombstone(rig: Rig) -> None:
    assert rig.client.call("find", run_id="x", dir=str(rig.state / "nowhere")) == {"found": None}


def test_a_record_that_cannot_be_understood_is_told(rig: Rig) -> None:
    order = rig.order()
    (Path(str(order["dir"])) / "spawned").write_text('{"v": 99}\n')
    with pytest.raises(Failed, match=r"version: .* is of version 99; this is 1"):
        rig.client.call("start", **order)


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"v": 2, "op": "ping"}, "version 2 is not spoken; this launcher speaks 1"),
        ({"op": "ping"}, "version None is not spoken"),
        ({"v": 1, "op": "dance"}, "'dance' is not known; hello, start,"),
        ({"v": 1, "op": "hello", "epoch": "x"}, "epoch: a whole number is due"),
    ],
)
def test_what_is_not_understood_is_answered(rig: Rig, request_: dict[str, object], error: str) -> None:
    rig.client.sock.sendall(wire.encode({"id": 5, **request_}))
    message = rig.client.receive()
    assert message["id"] == 5
    assert error in str(message["error"])
    assert rig.client.call("ping") == {}


@pytest.mark.parametrize("noise", [b"\0\0\0\2[]", b"\0\0\0\3{]}", b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 8])
def test_noise_is_answered_and_hung_up_on(rig: Rig, noise: bytes) -> None:
    stranger = Client(rig.state, epoch=None)
    stranger.sock.sendall(noise)
    assert "error" in stranger.receive()
    with pytest.raises(EOFError):
        stranger.receive()
    assert rig.client.call("ping") == {}
    stranger.close()


def test_a_client_that_reads_nothing_does_not_stop_others(rig: Rig) -> None:
    deaf = Client(rig.state)
    deaf.sock.settimeout(0.2)
    try:
        for _ in range(20_000):
            deaf.send("survey")
    except (TimeoutError, BrokenPipeError, ConnectionResetError):
        pass
    assert rig.client.call("ping") == {}
    deaf.close()


def test_half_a_request_stops_nobody(rig: Rig) -> None:
    slow = Client(rig.state, epoch=None)
    slow.sock.sendall(b"\0\0\1\0{")
    assert rig.client.call("ping") == {}
    slow.close()
    assert rig.client.call("ping") == {}


def test_the_socket_is_for_its_owner(rig: Rig) -> None:
    assert (rig.state / wire.SOCKET).stat().st_mode & 0o777 == 0o600


def test_there_is_one_launcher_to_a_state_folder(rig: Rig) -> None:
    argv = wire.command(sys.executable, SOURCE, str(rig.state))
    second = subprocess.run(argv, capture_output=True, check=False, text=True, timeout=60)
    assert second.returncode == 1
    assert second.stderr == f"launcher: another launcher serves {rig.state}\n"
    assert rig.client.call("ping") == {}


def test_a_folder_that_is_not_there_is_told(scratch: Path) -> None:
    argv = wire.command(sys.executable, SOURCE, str(scratch / "none"))
    started = subprocess.run(argv, capture_output=True, check=False, text=True, timeout=60)
    assert started.returncode == 1
    assert "none/launcher.lock: No such file or directory" in started.stderr


def test_long_paths_are_no_obstacle(scratch: Path) -> None:
    """A socket's address holds 107 bytes."""
    from tests.launcher.rig import Rig as Made

    state = scratch / ("x" * 100) / ("y" * 100)
    state.mkdir(parents=True)
    rig = Made(state)
    run = rig.start("echo hello")
    run.wait_gone()
    assert run.written == ["hello"]
    rig.close()


def test_shutdown_and_sigterm_leave_the_runs_alone(rig: Rig) -> None:
    for leave in ("shutdown", "sigterm"):
        run = rig.start("read -t 3600 < <(sleep 3600)")
        if leave == "shutdown":
            assert rig.client.call("shutdown") == {}
        else:
            os.kill(rig.launcher_pid, 15)
        wait_dead(rig.launcher_pid)
        assert not (rig.state / wire.SOCKET).exists()
        assert run.held
        run.signal(wire.TERMINATE)
        assert run.ended()["signal"] == 15
        run.wait_gone()
        rig.boot()
        rig.close()
        rig.client = Client(rig.state)


def test_idle_it_does_nothing(rig: Rig) -> None:
    """No wake-up at all: not of the launcher, not of its nursery, not of a holder."""
    run = rig.start("exec sleep 3600")
    family = [rig.launcher_pid, *(proc.pid for proc in procs.descendants(rig.launcher_pid)), run.holder]
    settled: list[int] = []
    while settled != (settled := [switches(pid) for pid in family]):
        pass_time(0.4)
    pass_time(1.0)
    assert [switches(pid) for pid in family] == settled
    run.signal(wire.KILL)
    run.wait_gone()


def pass_time(seconds: float) -> None:
    """Nothing is waited for: that nothing happens is what is looked for."""
    select.select((), (), (), seconds)


def switches(pid: int) -> int:
    """Voluntary context switches: how often it went to sleep again."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("nonvoluntary")[0].rpartition("voluntary_ctxt_switches:")[2])


def test_memory(rig: Rig) -> None:
    """Launcher and nursery at most 12 MiB each, a holder some 0.6 MiB of its own."""
    runs = [rig.start("exec sleep 3600", note="start begins") for _ in range(5)]
    nursery = rig.nursery().pid
    assert memory(rig.launcher_pid, "Rss") <= 12 * 1024
    assert memory(nursery, "Rss") <= 12 * 1024
    own = sorted(memory(run.holder, "Private_Dirty") + memory(run.holder, "Private_Clean") for run in runs)

    assert own[0] <= 720  # KiB; the figure itself is in the benchmarks
    for run in runs:
        run.signal(wire.KILL)
        run.wait_gone()


def memory(pid: int, what: str) -> int:
    """KiB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1])
    raise AssertionError(what)


def test_a_record_on_disk_is_the_handle(rig: Rig) -> None:
    run = rig.start("sleep 3600")
    assert run.record == run.handle
    assert json.loads(json.dumps(run.handle)) == run.handle
    run.signal(wire.KILL)
    run.wait_gone()
