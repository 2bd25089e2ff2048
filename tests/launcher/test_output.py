"""From the command's pipe to its log: every byte, in order, whoever does what (rule 5.4)."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner_agent.launcher import wire
from runner_agent.launcher.spread import share
from tests.launcher.rig import GATE, Rig
from tests.support.machines import ROOT_OR_CI
from tests.support.processes import wait_until

SECRET = "correct-horse&battery/staple"


@pytest.mark.parametrize(
    "script",
    [
        "echo one; echo two > /dev/stderr; echo three",
        "echo one; echo two | tee /dev/stderr > /dev/null; echo three",
        "echo one; echo two > /dev/stdout; echo three > /proc/self/fd/2",
        ": > /dev/stdout; echo one; echo two; : > /dev/stderr; echo three",
    ],
)
def test_rule_5_4_a_command_that_opens_its_output_anew_loses_nothing(shared: Rig, script: str) -> None:
    """`echo x > /dev/stderr` opens what stderr is, and truncates it: a pipe has nothing to be truncated."""
    run = shared.start(script)
    run.wait_gone()
    assert run.written == ["one", "two", "three"]


def test_rule_5_4_megabytes_of_blocks_and_lines_are_whole(shared: Rig) -> None:
    script = "head -c 30000000 /dev/zero | tr '\\0' x; echo; seq 400000"
    run = shared.start(script)
    run.wait_gone()
    first, *rest = run.written
    assert (len(first), set(first)) == (30_000_000, {"x"})
    assert rest == [str(number) for number in range(1, 400_001)]


def test_rule_5_4_the_log_is_complete_when_the_end_is_on_record(shared: Rig) -> None:
    for number in range(20):
        run = shared.start(f"head -c {number * 9001} /dev/zero | tr '\\0' x; exit 4")
        record = run.ended()
        log = (run.folder / "log").read_bytes()
        assert record["log_size"] == log.count(b"x", 0, number * 9001) == number * 9001
        assert b"start exited with code 4" in log


@pytest.mark.parametrize("secrets", [[], [SECRET, "x" * 40 + "y"]], ids=["plain", "with secrets"])
@pytest.mark.parametrize(
    "megabytes", [pytest.param(20, id="20MB"), pytest.param(1000, id="1GB", marks=pytest.mark.heavy)]
)
def test_a_line_without_end_is_copied_in_bounded_memory(
    shared: Rig, scratch: Path, megabytes: int, secrets: list[str]
) -> None:
    """Also where all of it may be the beginning of a secret."""
    script = f"head -c {megabytes}000000 /dev/zero | tr '\\0' x; touch {scratch}/done; exec sleep 3600"
    run = shared.start(script, secrets=secrets)
    wait_until((scratch / "done").exists, 120, what="all is written")
    wait_until(lambda: (run.folder / "log").stat().st_size > megabytes * 1_000_000 - 100, what="and copied")
    status = Path(f"/proc/{run.holder}/status").read_text()
    assert int(status.partition("VmHWM:")[2].split()[0]) < 24 * 1024
    run.signal(wire.KILL)
    run.wait_gone()
    (run.folder / "log").unlink()


def test_what_is_left_behind_is_logged_until_it_is_gone(shared: Rig) -> None:
    script = (
        f"(trap 'echo last words; exit' TERM; echo ready; touch go; while :; do sleep 0.01; done) & {GATE}"
    )
    run = shared.start(script, leftover_grace=30)
    run.wait_gone()
    assert [line for line in run.written if line != "Terminated"] == ["ready", "last words"]


def test_a_writer_without_end_holds_up_neither_record_nor_kill(shared: Rig) -> None:
    run = shared.start(
        "(while :; do echo y; done) & until [ -s log ]; do sleep 0.01; done; exit 3", leftover_grace=0.3
    )
    assert run.ended()["code"] == 3
    run.wait_gone()
    assert "y" in run.written
    stubborn = shared.start("trap '' TERM; while :; do echo y; done")
    wait_until(lambda: (stubborn.folder / "log").stat().st_size > 10_000, what="it writes")
    stubborn.signal(wire.KILL)
    assert stubborn.ended()["signal"] == signal.SIGKILL
    stubborn.wait_gone()


def test_a_stranger_with_the_pipe_keeps_no_holder(shared: Rig, scratch: Path) -> None:
    """A descriptor can be sent to a process that is none of the run's."""
    address = str(scratch / "s")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(address)
        sock.settimeout(60)
        send = (
            "import socket,sys; s=socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect(sys.argv[1]);"
        )
        send += "socket.send_fds(s, [b'x'], [1])"
        run = shared.start(
            argv=[
                "/bin/bash",
                "-c",
                'echo mine; exec python3 -c "$0" "$1"',
                send,
                address,
            ],
        )
        _, (stolen,), *_ = socket.recv_fds(sock, 10, 1)
    os.write(stolen, b"theirs\n")
    run.wait_gone()
    with pytest.raises(BrokenPipeError):
        os.write(stolen, b"too late\n")
    os.close(stolen)
    assert run.written == ["mine", "theirs"]


def test_a_holder_that_stood_still_has_missed_nothing(shared: Rig) -> None:
    run = shared.start("for i in {1..200}; do echo $i; sleep 0.001; done")
    for _ in range(5):
        os.kill(run.holder, signal.SIGSTOP)
        os.kill(run.holder, signal.SIGCONT)
    run.wait_gone()
    assert run.written == [str(number) for number in range(1, 201)]


def test_our_lines_never_stand_behind_half_a_line(shared: Rig) -> None:
    """What is written by those left behind, at the very time of our lines about them, is whole as well."""
    script = "for i in 1 2 3; do (while :; do printf 'half'; printf ' line\\n'; done) & done; sleep 0.2"
    run = shared.start(script, leftover_grace=0.2, note="start begins")
    run.wait_gone()
    assert len(run.notes) >= 3
    assert not any("runner-agent" in line for line in run.written)


def test_a_service_without_output_needs_no_pipe_any_more(shared: Rig) -> None:
    """One that closes its output does not wake its holder for ever."""
    run = shared.start("echo on; exec > /dev/null 2>&1; exec sleep 3600")
    wait_until(lambda: run.written == ["on"], what="it wrote")
    spent = _ticks(run.holder)
    subprocess.run(["sleep", "0.5"], check=True)
    assert _ticks(run.holder) - spent <= 2
    run.signal(wire.KILL)
    run.wait_gone()


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


# ---------------------------------------------------------------- disks


@pytest.fixture
def small(scratch: Path) -> Iterator[Path]:
    """A disk of one MiB."""
    disk = scratch / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def nearly_full(disk: Path) -> bool:
    """Output leaves a little to the agent, who has ends to write down (rule 7.6)."""
    found = os.statvfs(disk)
    return found.f_bavail <= found.f_blocks // 16 + 1


@pytest.mark.skipif(not ROOT_OR_CI, reason="needs root: mounts")
def test_no_output_takes_what_ends_need(shared: Rig, small: Path) -> None:
    """Rule 7.6: however much there is of it, and however often the loss is told."""
    runs = [shared.start("yes | head -c 6000000; exit 3", log=str(small / f"log{n}")) for n in range(4)]
    for run in runs:
        assert run.ended()["code"] == 3
        run.wait_gone()
    left = os.statvfs(small)
    assert left.f_bavail >= left.f_blocks // 20
    for number in range(4):
        assert "start exited with code 3" in (small / f"log{number}").read_text()


@pytest.mark.skipif(not ROOT_OR_CI, reason="needs root: mounts")
def test_what_a_full_disk_did_not_take_is_counted_and_told(shared: Rig, small: Path, scratch: Path) -> None:
    """The command is neither hurt nor held up; with room its later lines are there, and what is missing."""
    log, go, size = small / "log", scratch / "go", 3_000_000
    script = f"head -c {size} /dev/zero | tr '\\0' x; echo done >> {scratch}/done\n"
    script += f"while [ ! -e {go} ]; do sleep 0.02; done; echo after"
    run = shared.start(script, log=str(log))
    wait_until((scratch / "done").exists, what="the writer was not held up")
    wait_until(lambda: nearly_full(small), what="the disk is full")
    kept = log.stat().st_size
    os.truncate(log, 0)
    go.touch()
    run.wait_gone()
    text = log.read_text()
    told = re.search(
        r"^runner-agent: (\d+) bytes of output lost: no space left on device$", text, re.MULTILINE
    )
    assert told
    assert int(told[1]) + kept + text.partition("after")[0].count("x") == size  # some may be copied only now
    assert text.splitlines()[-2].endswith("after")
    assert text.splitlines()[-1].startswith("runner-agent: start exited with code 0")


@pytest.mark.skipif(not ROOT_OR_CI, reason="needs root: mounts")
def test_what_is_missing_is_told_without_another_line(shared: Rig, small: Path, scratch: Path) -> None:
    """A command that says no more is no reason to keep it to ourselves."""
    log = small / "log"
    run = shared.start(f"head -c 3000000 /dev/zero; touch {scratch}/done; exec sleep 3600", log=str(log))
    wait_until((scratch / "done").exists, what="the writer was not held up")
    os.truncate(log, 0)
    wait_until(lambda: b"bytes of output lost" in log.read_bytes(), 15, what="it is told")
    run.signal(wire.KILL)
    run.wait_gone()


# ---------------------------------------------------------------- secrets


def test_rule_5_6_a_secret_split_over_writes_never_reaches_the_log(shared: Rig) -> None:
    halves = f"printf '%s' '{SECRET[:9]}'; sleep 0.05; printf '%s' '{SECRET[9:]}'; echo .; echo plain"
    run = shared.start(f"echo {SECRET!r}; {halves}; printf %s {SECRET!r} | base64", secrets=[SECRET, "short"])
    run.wait_gone()
    assert run.written == ["***", "***.", "plain", "***="] or run.written[:3] == ["***", "***.", "plain"]
    assert SECRET[:9] not in run.log


def test_rule_5_6_the_other_half_may_come_from_who_is_left_behind(shared: Rig) -> None:
    other = f"(trap '' TERM; touch go; sleep 0.3; echo '{SECRET[9:]}')"
    script = f"printf %s '{SECRET[:9]}'; {other} & {GATE}"
    run = shared.start(script, secrets=[SECRET], leftover_grace=30)
    run.ended()
    run.wait_gone()
    assert run.written == ["***"]


def test_what_only_began_like_a_secret_is_there_at_the_end(shared: Rig) -> None:
    run = shared.start(f"printf %s '{SECRET[:9]}'", secrets=[SECRET])
    run.ended()
    assert run.written == [SECRET[:9]]
    run.wait_gone()


def test_rule_5_6_a_secret_is_in_no_file_of_the_run(shared: Rig) -> None:
    run = shared.start("echo $S; kill -9 $$", env={"S": SECRET}, secrets=[SECRET])
    run.wait_gone()
    assert run.ended()["signal"] == 9
    for path in run.folder.iterdir():
        if path.is_file():
            assert SECRET not in path.read_text()


def test_rule_5_6_a_refusal_does_not_quote_a_secret(shared: Rig) -> None:
    failed = shared.refused("true", secrets=[SECRET + "\0"])
    assert (failed.code, SECRET in failed.text) == ("invalid", False)
    assert "secrets: holds a NUL byte" in failed.text


LONG = "\n".join(f"line-{number}-{'x' * (number % 50)}-of-a-long-secret" for number in range(1500))


def test_rule_5_6_much_that_is_hidden_is_shared_and_not_sent(shared: Rig, scratch: Path) -> None:
    """By a file without a name, which its maker may close once the order is answered."""
    (scratch / "value").write_text(LONG)
    memory = share((LONG.encode(), SECRET.encode()))
    script = (
        f"{GATE}; cat {scratch / 'value'}; echo; echo {SECRET!r} line-7- line-8-xxxxxxxx-of-a-long-secret."
    )
    run = shared.start(script, secrets_in=f"/proc/{os.getpid()}/fd/{memory}")
    os.close(memory)
    run.go_on()
    run.wait_gone()
    assert run.written == ["***", "*** line-7- ***."]


def test_secrets_that_cannot_be_read_are_asked_for_in_the_order(shared: Rig) -> None:
    failed = shared.refused("true", secrets_in=f"/proc/{os.getpid()}/fd/9999")
    assert failed.code == wire.UNSHARED
