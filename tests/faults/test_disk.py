"""Disks that are full or not ours, databases that are none: told in a sentence, nothing lost (rule 7.4)."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.e2e.conftest import staged
from tests.e2e.stage import Stage, automations, execution_path, phase_of, service_yaml, step_of, task_yaml
from tests.faults.test_supervisors import launcher
from tests.support.machines import ROOT_OR_CI
from tests.support.processes import subtree, wait_until

pytestmark = pytest.mark.faults

root_only = pytest.mark.skipif(not ROOT_OR_CI, reason="needs root: mounts, other users")


@contextmanager
def small_disk(path: Path, size: str) -> Generator[None]:
    """A tmpfs there."""
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0711", "none", str(path)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def fill(path: Path) -> Path:
    """Take all the room that is left."""
    filler = path / "filler"
    with filler.open("wb", buffering=0) as file:
        for chunk in (1 << 16, 1 << 12, 1):
            with suppress(OSError):
                while True:
                    file.write(b"x" * chunk)
    assert os.statvfs(path).f_bavail == 0
    return filler


@root_only
def test_a_full_state_disk_refuses_wishes_and_lets_runs_go_on(stage: Stage) -> None:
    """Rule 7.4: `resource_exhausted`; what runs goes on, its end is known, and with room all is as before."""
    with small_disk(stage.state, "4m"):
        stage.start(
            file=automations(
                services=(service_yaml("steady", "echo up; exec sleep 600"),),
                tasks=(
                    task_yaml("ends", "while [ ! -e go ]; do sleep 0.05; done; echo done; exit 6"),
                    task_yaml("next", "true"),
                ),
            )
        )
        stage.agent.start_service(stage.id_of("steady"))
        execution = stage.agent.start_task(stage.id_of("ends"))["id"]
        stage.await_phase("steady", "RUNNING")
        wait_until(lambda: phase_of(stage.agent.get_execution(execution)) == "RUNNING", 5)
        filler = fill(stage.state)
        refused = stage.refused(
            "gitpod.v1.EnvironmentAutomationService/StartTask", {"id": stage.id_of("next")}
        )
        assert refused.code == "resource_exhausted", refused
        assert "space" in str(refused)
        by_cli = stage.cli("task", "start", "next")
        assert by_cli.returncode == 1
        assert "space" in by_cli.stderr
        (stage.workspace / "go").touch()
        assert stage.phase("steady") == "RUNNING"
        assert "steady" in stage.ok("service", "list")
        filler.unlink()
        ended = stage.await_execution(execution, 40)
        assert phase_of(ended) == "FAILED"
        assert "code 6" in ended.get("status", {}).get("failureMessage", "")
        assert phase_of(stage.run("next")) == "SUCCEEDED"
        assert stage.daemon.terminate() == 0


@root_only
def test_an_agent_killed_on_a_full_disk_comes_back(stage: Stage) -> None:
    """What was acknowledged before is there; the run's exit code too, once there is room."""
    with small_disk(stage.state, "4m"):
        stage.start(
            file=automations(tasks=(task_yaml("ends", "while [ ! -e go ]; do sleep 0.05; done; exit 6"),))
        )
        execution = stage.agent.start_task(stage.id_of("ends"))["id"]
        wait_until(lambda: phase_of(stage.agent.get_execution(execution)) == "RUNNING", 5)
        filler = fill(stage.state)
        stage.daemon.sigkill()
        (stage.workspace / "go").touch()
        stage.daemon.spawn()
        try:
            refused = stage.daemon.process.wait(5) != 0
        except subprocess.TimeoutExpired:
            refused = False  # it found enough room for what it needs
        filler.unlink()
        if refused:
            stage.start()
        else:
            stage.daemon.wait_ready()
        ended = stage.await_execution(execution, 40)
        assert "code 6" in ended.get("status", {}).get("failureMessage", "")
        assert stage.daemon.terminate() == 0


@root_only
def test_a_full_disk_while_logging_ends_nobody(stage: Stage) -> None:
    """Not the command, which is not even held up; later lines are logged, and how much is missing."""
    with small_disk(stage.state, "4m"):
        stage.start(
            file=automations(
                tasks=(
                    task_yaml(
                        "loud",
                        r"""head -c 8000000 /dev/zero | tr '\0' x; touch written
while [ ! -e go ]; do sleep 0.05; done
echo; echo after; echo ok=1 >> $GITPOD_OUTPUT""",
                    ),
                )
            )
        )
        execution = stage.agent.start_task(stage.id_of("loud"))["id"]
        (log,) = _logs(stage)
        wait_until((stage.workspace / "written").exists, 20)
        os.truncate(log, 0)
        (stage.workspace / "go").touch()
        ended = stage.await_execution(execution, 40)
        assert phase_of(ended) == "SUCCEEDED", ended
        assert step_of(ended, "loud")["output"] == {"ok": "1"}
        written = stage.log(execution_path(ended))
        assert "bytes of output lost: no space left on device" in written
        assert "after" in written.splitlines()
        assert stage.daemon.terminate() == 0


TAKES_ROOM = """
import sys, time
file = open(sys.argv[1], "ab", buffering=0)
while True:
    try:
        file.write(b"x" * 4096)
    except OSError:
        time.sleep(0.0005)
"""
TAKES_FILES = """
import itertools, sys, time
for number in itertools.count():
    while True:
        try:
            open(f"{sys.argv[1]}-{number}", "w").close()
            break
        except OSError:
            time.sleep(0.0005)
"""


class Filler:
    """Somebody who takes all room that there ever is, or every file, a few times a millisecond."""

    def __init__(self, path: Path, name: str = "greedy", script: str = TAKES_ROOM) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", script, str(path / name)])
        wait_until(lambda: 0 in (os.statvfs(path).f_bavail, os.statvfs(path).f_favail), 20)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


STUBBORN = "trap 'touch termed; exit 0' TERM; touch on; while :; do sleep 0.05; done"
BUSY = automations(
    services=(
        service_yaml("s", STUBBORN),
        service_yaml("deaf", "trap '' TERM; while :; do sleep 0.05; done"),
    ),
    tasks=(
        task_yaml("ends", "while [ ! -e go ]; do sleep 0.05; done; exit 6"),
        task_yaml("long", "exec sleep 600"),
        task_yaml("next", "true"),
    ),
)


def busy(stage: Stage, *services: str) -> dict[str, str]:
    """Started, with these services up; the executions of `ends` and `long`."""
    stage.start(file=BUSY)
    for service in services:
        stage.agent.start_service(stage.id_of(service))
        stage.await_phase(service, "RUNNING")
    if "s" in services:
        wait_until((stage.workspace / "on").exists, 20, "its trap is set")
    executions = {name: stage.agent.start_task(stage.id_of(name))["id"] for name in ("ends", "long")}
    # RUNNING is shown when a run is promised; a run that had not begun would need the disk.
    wait_until(
        lambda: sum("runningSince" in one for one in stage.agent.live()["steps"]) == len(executions), 20
    )
    return executions


@root_only
@pytest.mark.parametrize("size", ["4m", "24m"])
def test_a_full_disk_keeps_nothing_from_ending(stage: Stage, size: str) -> None:
    """Rule 7.6: ends are shown, stops and deletes work, by what was held in reserve; 7.4: nothing begins."""
    with small_disk(stage.state, size):
        executions = busy(stage, "s")
        fill(stage.state)
        (stage.workspace / "go").touch()
        ended = stage.await_execution(executions["ends"])
        assert "code 6" in ended.get("status", {}).get("failureMessage", "")
        stage.ok("service", "stop", "s", "--wait=20")
        assert (stage.workspace / "termed").exists()
        stage.ok("task", "stop", executions["long"])
        assert phase_of(stage.await_execution(executions["long"])) == "STOPPED"
        stage.ok("task", "delete", "ends")
        stage.ok("service", "delete", "s")
        wait_until(lambda: "ends" not in stage.ok("task", "list"), 20)
        for wish in (("task", "start", "next"), ("service", "start", "deaf"), ("trigger", "prebuild")):
            refused = stage.cli(*wish)
            assert refused.returncode == 1, refused
            assert "space" in refused.stderr
        assert stage.daemon.terminate() == 0


@root_only
@pytest.mark.parametrize("fillers", [1, 6])
def test_whoever_fills_the_disk_can_be_stopped(stage: Stage, fillers: int) -> None:
    """Although it takes what is given back at once: the store has its part for itself."""
    with small_disk(stage.state, "8m"):
        executions = busy(stage, "s")
        greedy = [Filler(stage.state, f"greedy-{number}") for number in range(fillers)]
        try:
            stage.ok("service", "stop", "s", "--wait=30")
            stage.ok("task", "stop", executions["long"])
            assert phase_of(stage.await_execution(executions["long"])) == "STOPPED"
            (stage.workspace / "go").touch()
            assert phase_of(stage.await_execution(executions["ends"])) == "FAILED"
        finally:
            for filler in greedy:
                filler.end()
        assert stage.daemon.terminate() == 0


@root_only
def test_a_stop_command_has_room_to_run(stage: Stage) -> None:
    """Its run wants a folder, a record and a log."""
    stop = "echo stopping; touch stopped; kill $(cat pid)"
    service = service_yaml("s", "echo $$ > pid; exec sleep 600", stop=stop)
    with small_disk(stage.state, "8m"):
        stage.start(file=automations(services=(service,)))
        stage.agent.start_service(stage.id_of("s"))
        stage.await_phase("s", "RUNNING")
        wait_until((stage.workspace / "pid").exists, 20)
        fill(stage.state)
        assert stage.daemon.terminate() == 0
        assert (stage.workspace / "stopped").exists()


def reload(stage: Stage) -> None:
    """Until the program executed anew is ready."""
    replaced = len(stage.daemon.stderr)
    stage.daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: " ready " in stage.daemon.stderr[replaced:], 40)


@root_only
@pytest.mark.parametrize("full", ["room", "inodes", "all, twice"])
def test_reload_goes_on_on_a_full_disk(stage: Stage, full: str) -> None:
    """Rule 7.2: the program is executed anew, takes up what runs, and can stop it."""
    with small_disk(stage.state, "8m,nr_inodes=150"):
        executions = busy(stage, "s")
        before = stage.service("s").get("status", {}).get("session")
        if full != "inodes":
            fill(stage.state)
        if full != "room":
            with suppress(OSError):
                for number in range(200):
                    (stage.state / f"x{number}").touch()
        if "twice" in full:
            stage.ok("task", "stop", executions["long"])
            fill(stage.state)
        reload(stage)
        assert stage.service("s").get("status", {}).get("session") == before
        assert stage.phase("s") == "RUNNING"
        (stage.workspace / "go").touch()
        assert "code 6" in str(stage.await_execution(executions["ends"]))
        assert stage.daemon.terminate() == 0
        assert (stage.workspace / "termed").exists()


@root_only
@pytest.mark.parametrize("script", [TAKES_ROOM, TAKES_FILES], ids=["room", "files"])
def test_reload_goes_on_whoever_fills_the_disk(stage: Stage, script: str) -> None:
    """Rule 7.2: what the next program needs is there already. Twice, and after the reserve was used."""
    with small_disk(stage.state, "8m,nr_inodes=300"):
        executions = busy(stage, "s")
        before = stage.service("s").get("status", {}).get("session")
        filler = Filler(stage.state, script=script)
        try:
            stage.ok("task", "stop", executions["long"])
            assert phase_of(stage.await_execution(executions["long"])) == "STOPPED"
            for _ in range(2):
                reload(stage)
                assert stage.service("s").get("status", {}).get("session") == before
            assert stage.daemon.terminate() == 0
        finally:
            filler.end()
        assert (stage.workspace / "termed").exists()


@root_only
def test_with_room_again_all_is_as_before(stage: Stage) -> None:
    """And the reserve is there for the next time."""
    with small_disk(stage.state, "8m"):
        executions = busy(stage)
        for _ in range(3):
            filler = fill(stage.state)
            assert stage.cli("task", "start", "next").returncode == 1
            filler.unlink()
            assert phase_of(stage.run("next")) == "SUCCEEDED"
        fill(stage.state)
        (stage.workspace / "go").touch()
        assert phase_of(stage.await_execution(executions["ends"])) == "FAILED"
        assert stage.daemon.terminate() == 0


@root_only
@pytest.mark.parametrize("greedy", [False, True], ids=["a file", "a process"])
def test_stop_is_stop_on_a_full_disk(stage: Stage, greedy: bool) -> None:
    """Rule 7.1, even when somebody takes the reserve as soon as it is given back."""
    with small_disk(stage.state, "8m"):
        busy(stage, "s")
        filler = Filler(stage.state) if greedy else None
        fill(stage.state)
        try:
            assert stage.daemon.terminate() == 0
        finally:
            if filler is not None:
                filler.end()
        assert (stage.workspace / "termed").exists()
        assert stage.daemon.survivors() == []


@root_only
@pytest.mark.parametrize("greedy", [False, True], ids=["a file", "a process"])
def test_a_second_interrupt_kills_on_a_full_disk(stage: Stage, greedy: bool) -> None:
    with small_disk(stage.state, "8m"):
        busy(stage, "deaf")
        filler = Filler(stage.state) if greedy else None
        fill(stage.state)
        try:
            stage.daemon.process.send_signal(signal.SIGINT)
            wait_until(lambda: stage.phase("deaf") == "STOPPING", 20)
            assert stage.daemon.interrupt(20) == 0
        finally:
            if filler is not None:
                filler.end()
        assert stage.daemon.survivors() == []


@root_only
def test_what_the_disk_never_took_the_next_agent_finds_out(stage: Stage) -> None:
    """No write at all: the file system takes none. What ended then is known from what the runs have left."""
    with small_disk(stage.state, "8m"):
        executions = busy(stage, "s")
        filler = Filler(stage.state)
        assert stage.daemon.terminate() == 0
        filler.end()
        (stage.state / "greedy").unlink()
        stage.start()
        assert stage.phase("s") in ("STOPPED", "FAILED")
        assert phase_of(stage.await_execution(executions["long"])) in ("STOPPED", "FAILED")
        assert stage.daemon.terminate() == 0


@root_only
def test_a_run_s_own_log_takes_no_end_from_anybody(stage: Stage) -> None:
    """Below `log_cap`, and more than the disk holds: what is missing is told, and wishes are taken still."""
    with small_disk(stage.state, "8m"):
        stage.start(
            file=automations(
                services=(service_yaml("s", STUBBORN),),
                tasks=(task_yaml("loud", "yes | head -c 30000000; exit 3"), task_yaml("next", "true")),
            )
        )
        stage.agent.start_service(stage.id_of("s"))
        stage.await_phase("s", "RUNNING")
        ended = stage.run("loud")
        assert "code 3" in ended.get("status", {}).get("failureMessage", "")
        assert "bytes of output lost: no space left on device" in stage.log(execution_path(ended))
        assert phase_of(stage.run("next")) == "SUCCEEDED"
        stage.ok("service", "stop", "s", "--wait=20")
        assert stage.daemon.terminate() == 0


@root_only
def test_no_inode_left(stage: Stage) -> None:
    """As with no room left."""
    with small_disk(stage.state, "8m,nr_inodes=100"):
        executions = busy(stage, "s")
        with suppress(OSError):
            for number in range(200):
                (stage.state / f"x{number}").touch()
        (stage.workspace / "go").touch()
        assert "code 6" in stage.await_execution(executions["ends"]).get("status", {}).get(
            "failureMessage", ""
        )
        stage.ok("service", "stop", "s", "--wait=20")
        assert stage.daemon.terminate() == 0


def _logs(stage: Stage) -> list[Path]:
    found: list[Path] = []

    def there() -> bool:
        found[:] = [
            path
            for path in (stage.state / "logs").rglob("*")
            if path.is_file() and path.stat().st_size > 100_000
        ]
        return bool(found)

    wait_until(there, 10)
    return found


@root_only
def test_no_process_to_be_had_is_told_and_over_when_there_is() -> None:
    """EAGAIN at fork: the run fails with the reason; the agent, its launcher and other runs go on."""
    with staged(RUNNER_AGENT_RUN_AS="nobody") as stage:
        stage.workspace.chmod(0o777)
        stage.start(
            file=automations(
                services=(service_yaml("keeps", "exec sleep 600"), service_yaml("forks", "exec sleep 600"))
            )
        )
        stage.agent.start_service(stage.id_of("keeps"))
        stage.await_phase("keeps", "RUNNING")
        chief = launcher(stage)

        usual, hard = resource.prlimit(chief.pid, resource.RLIMIT_NPROC)

        def limit(number: int) -> None:
            """Twice: a holder may be made ready meanwhile by a nursery that is not limited yet."""
            for _ in range(2):
                for one in (chief, *(one for one in subtree(chief.pid) if one.name.startswith("ra-"))):
                    with suppress(ProcessLookupError):
                        resource.prlimit(one.pid, resource.RLIMIT_NPROC, (number, hard))

        limit(0)  # Linux looks how many there were before it counts the new one
        stage.agent.start_service(stage.id_of("forks"))
        failed = stage.await_phase("forks", "FAILED")
        message = failed.get("status", {}).get("failureMessage", "")
        assert "process" in message or "temporarily unavailable" in message, message
        assert stage.phase("keeps") == "RUNNING"
        limit(usual)

        def starts() -> bool:  # a holder made ready under the limit may still be the next to serve
            stage.agent.start_service(stage.id_of("forks"))
            return phase_of(stage.await_phase("forks", "RUNNING", "FAILED")) == "RUNNING"

        wait_until(starts, 10)


# ---------------------------------------------------------------- state directories and databases


def serve(stage: Stage) -> subprocess.CompletedProcess[str]:
    """A start that must be refused."""
    return stage.cli(
        "serve", "--state-dir", str(stage.state), "--workspace", str(stage.workspace), timeout=20
    )


def test_a_corrupt_database_is_refused_and_left_as_it_is(stage: Stage) -> None:
    """Names the file and the way out; never overwritten."""
    stage.start(file=automations(tasks=(task_yaml("kept", "true"),)))
    assert stage.daemon.terminate() == 0
    database = stage.state / "agent.db"
    content = bytearray(database.read_bytes())
    content[4096:12288] = os.urandom(8192)
    database.write_bytes(content)
    (stage.state / "agent.db-wal").unlink(missing_ok=True)
    answer = serve(stage)
    assert answer.returncode == 1, answer
    assert str(database) in answer.stderr
    assert database.read_bytes() == bytes(content)


def test_a_file_that_is_no_database_is_refused(stage: Stage) -> None:
    stage.state.mkdir()
    database = stage.state / "agent.db"
    database.write_text("my diary, page 1\n" * 500)
    answer = serve(stage)
    assert answer.returncode == 1
    assert str(database) in answer.stderr
    assert database.read_text().startswith("my diary")


def test_another_program_s_database_is_refused(stage: Stage) -> None:
    stage.state.mkdir()
    database = stage.state / "agent.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
        connection.execute("INSERT INTO recipes VALUES ('soup')")
    connection.close()
    answer = serve(stage)
    assert answer.returncode == 1
    assert str(database) in answer.stderr
    with sqlite3.connect(database) as connection:
        assert connection.execute("SELECT name FROM recipes").fetchall() == [("soup",)]
    connection.close()


def test_a_newer_database_is_refused(stage: Stage) -> None:
    stage.start()
    assert stage.daemon.terminate() == 0
    database = stage.state / "agent.db"
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    answer = serve(stage)
    assert answer.returncode == 1
    assert str(database) in answer.stderr
    assert "newer" in answer.stderr
    connection = sqlite3.connect(database)
    assert connection.execute("PRAGMA user_version").fetchone() == (999,)
    connection.close()


@root_only
def test_an_unwritable_state_directory_is_told(stage: Stage) -> None:
    """By the same words whether it is read-only or somebody else's."""
    with small_disk(stage.state, "1m"):
        subprocess.run(["mount", "-o", "remount,ro", str(stage.state)], check=True)
        answer = serve(stage)
    assert answer.returncode == 1
    assert f"the state directory {stage.state} cannot be written" in answer.stderr
    assert "--state-dir" in answer.stderr


def test_a_file_in_place_of_the_state_directory_is_told(stage: Stage) -> None:
    stage.state.write_text("not a directory")
    answer = serve(stage)
    assert answer.returncode == 1
    assert str(stage.state) in answer.stderr
    assert stage.state.read_text() == "not a directory"
