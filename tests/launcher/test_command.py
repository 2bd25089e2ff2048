"""What a command finds when it begins (rules 5.1, 5.4), and why it sometimes does not begin (rule 5.7)."""

from __future__ import annotations

import errno
import os
import pwd
import re
import select
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from runner_agent.launcher import wire
from runner_agent.launcher.nursery import Nursery, packet
from runner_agent.launcher.order import Order
from tests.launcher.rig import SOURCE, Failed, Fields, Rig, Run
from tests.support.processes import wait_until

INTERNAL = 1 << 31 | 1 << 32  # signals 32 and 33 are the C library's own: no program can catch them


def lines(rig: Rig, script: str, **changes: object) -> list[str]:
    """What a short command writes."""
    run = rig.start(script, **changes)
    run.wait_gone()
    return run.written


def test_signals_are_at_their_defaults_and_none_is_blocked(shared: Rig) -> None:
    found = dict(line.split() for line in lines(shared, "exec grep -E '^Sig(Blk|Ign|Pnd)' /proc/self/status"))
    assert int(found["SigBlk:"], 16) == 0
    assert int(found["SigPnd:"], 16) == 0
    assert int(found["SigIgn:"], 16) & ~INTERNAL == 0


def test_sigpipe_kills_as_it_should(shared: Rig) -> None:
    assert lines(shared, "yes | head -n1; echo ${PIPESTATUS[0]}") == ["y", str(128 + 13)]


def test_no_descriptor_is_inherited(shared: Rig) -> None:
    assert lines(shared, "exec ls /proc/self/fd") == ["0", "1", "2", "3"]  # 3: the listing's own


def test_stdin_is_empty_and_output_is_one_pipe(shared: Rig) -> None:
    """Rule 5.4: in the order written."""
    run = shared.start("readlink /proc/self/fd/[012]; cat; echo end")
    run.wait_gone()
    stdin, stdout, stderr, end = run.written
    assert (stdin, end) == ("/dev/null", "end")
    assert stdout == stderr
    assert stdout.startswith("pipe:")


def test_stdout_and_stderr_keep_their_order(shared: Rig) -> None:
    script = "for i in 1 2 3; do echo out$i; echo err$i >&2; done"
    assert lines(shared, script) == ["out1", "err1", "out2", "err2", "out3", "err3"]


def test_umask_and_mode_of_the_log(shared: Rig) -> None:
    run = shared.start("umask")
    run.wait_gone()
    assert run.written == ["0022"]
    assert (run.folder / "log").stat().st_mode & 0o777 == 0o600


def test_it_leads_a_session_and_a_group(shared: Rig) -> None:
    run = shared.start("echo $$; cut -d' ' -f5,6 /proc/$$/stat")
    run.wait_gone()
    assert run.written == [str(run.leader), f"{run.leader} {run.leader}"]


def test_the_environment_is_exactly_what_was_ordered(shared: Rig) -> None:
    env = {"A": "1", "B": "two words\nand a line", "BYTES": "\udcff", "Ä": "ö"}
    run = shared.start("", argv=["/usr/bin/env", "-0"], env=env)
    run.wait_gone()
    content = (run.folder / "log").read_bytes().partition(b"\nrunner-agent")[0]
    assert sorted(content.rstrip(b"\0").split(b"\0")) == sorted(
        os.fsencode(f"{k}={v}") for k, v in env.items()
    )


def test_it_runs_as_who_was_ordered_and_can_open_its_output_anew(shared: Rig, scratch: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    scratch.chmod(0o755)
    script = "id -u; id -g; id -G; grep -E '^(Uid|CapEff)' /proc/self/status; pwd; echo x >/dev/stderr"
    written = lines(
        shared, script, uid=nobody.pw_uid, gid=nobody.pw_gid, groups=[nobody.pw_gid, 4242], cwd=str(scratch)
    )
    me = str(nobody.pw_uid)
    assert written[:3] == [me, str(nobody.pw_gid), f"{nobody.pw_gid} 4242"]
    assert written[3].split() == ["Uid:", me, me, me, me]
    assert written[4].split() == ["CapEff:", "0" * 16]
    assert written[5:] == [str(scratch), "x"]


def test_the_next_run_is_untouched_by_what_the_last_one_was(shared: Rig) -> None:
    nobody = pwd.getpwnam("nobody")
    lines(shared, "true", uid=nobody.pw_uid, gid=nobody.pw_gid, groups=[], cwd="/")
    assert lines(shared, "id -u; umask") == ["0", "0022"]


def test_the_kernel_ends_commands_before_their_holders(shared: Rig) -> None:
    """The score is set before exec, so the command never sees another. Lowering ours needs a right."""
    own = Path("/proc/self/oom_score_adj").read_text().strip()
    capable = int(re.findall(r"CapEff:\s+(\w+)", Path("/proc/self/status").read_text())[0], 16) >> 24 & 1
    run = shared.start("cat /proc/self/oom_score_adj; sleep 3600", oom_score_adj=321)
    wait_until(lambda: run.written, what="it wrote")
    assert run.written == ["321"]
    assert Path(f"/proc/{run.holder}/oom_score_adj").read_text().strip() == ("-900" if capable else own)
    run.signal(2)
    run.wait_gone()
    assert lines(shared, "cat /proc/self/oom_score_adj") == [own]


def test_commands_of_ten_thousand_characters(shared: Rig) -> None:
    text = "x" * 10_000
    assert lines(shared, f"echo {text}") == [text]


def test_long_environments(shared: Rig) -> None:
    """More than fits into one packet to the nursery."""
    env = {"PATH": os.environ["PATH"]} | {f"V{i}": "y" * 1000 for i in range(500)}
    assert lines(shared, "env | grep -c ^V", env=env) == ["500"]


# --- why it does not begin


def refusal(rig: Rig, script: str = "true", **changes: object) -> str:
    return rig.refused(script, **changes).text


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"argv": ["/bin/bash", "-c", "a\0b"]}, "argv: holds a NUL byte"),
        ({"env": {"A": "\0"}}, "env A: holds a NUL byte"),
        ({"env": {"A=B": "x"}}, "env: 'A=B'"),
        ({"env": {"": "x"}}, "env: ''"),
        ({"env": {"A": 1}}, "env A: int where text is due"),
        ({"env": ["A"]}, "env: list where an object is due"),
        ({"argv": "true"}, "argv: str where a list is due"),
        ({"argv": []}, "argv: begins with the absolute path"),
        ({"argv": ["true"]}, "argv: begins with the absolute path"),
        ({"cwd": ""}, "cwd: empty"),
        ({"log": None}, "log: NoneType where text is due"),
        ({"uid": 1}, "uid and gid: give both"),
        ({"uid": -1, "gid": 0}, "uid: -1 where a whole number"),
        ({"umask": "022"}, "umask: '022' where a whole number"),
        ({"note": "\ud800"}, "note: holds half a surrogate pair"),
    ],
)
def test_orders_that_can_never_be_right_are_refused(
    shared: Rig, changes: dict[str, object], field: str
) -> None:
    failed = shared.refused("true", **changes)
    assert failed.code == "invalid"
    assert field in failed.text


def test_a_missing_working_directory(shared: Rig) -> None:
    expected = "cannot enter the working directory /no/such: it does not exist"
    assert refusal(shared, cwd="/no/such") == expected


def test_a_file_as_working_directory(shared: Rig) -> None:
    assert refusal(shared, cwd="/etc/passwd").endswith("/etc/passwd: it is not a directory")


def test_a_working_directory_is_judged_by_the_rights_of_the_user(shared: Rig, scratch: Path) -> None:
    scratch.chmod(0o700)
    nobody = pwd.getpwnam("nobody")
    text = refusal(shared, uid=nobody.pw_uid, gid=nobody.pw_gid, groups=[], cwd=str(scratch))
    assert text == f"cannot enter the working directory {scratch}: permission denied for uid {nobody.pw_uid}"


def test_a_missing_shell(shared: Rig) -> None:
    assert refusal(shared, argv=["/no/shell", "-c", "true"]) == "cannot run /no/shell: not found"


def test_a_program_that_is_none(shared: Rig, scratch: Path) -> None:
    program = scratch / "program"
    program.write_text("echo no first line\n")
    assert "permission denied" in refusal(shared, argv=[str(program)])
    program.chmod(0o755)
    assert "not a program" in refusal(shared, argv=[str(program)])
    program.write_text("#!/no/interpreter\n")
    assert "the interpreter that it names" in refusal(shared, argv=[str(program)])


def test_a_command_that_is_too_long_says_how_long(shared: Rig) -> None:
    text = refusal(shared, "#" * 200_000)
    assert "argument 2 is too long: it has 200000 bytes, and the kernel takes 131,071" in text
    text = refusal(shared, env={"LONG": "hunter2" * 30_000})
    assert "variable LONG is too long: it has 210005 bytes" in text
    assert "hunter2" not in text
    many = {f"V{number}": "x" * 100_000 for number in range(100)}
    assert "too long together: 10000" in refusal(shared, env=many)


def test_a_log_that_cannot_be_opened(shared: Rig) -> None:
    assert (
        refusal(shared, log="/no/such/log") == "cannot open the log /no/such/log: no such file or directory"
    )


def test_why_it_did_not_begin_stands_in_the_log_and_in_its_record(shared: Rig) -> None:
    """Rule 5.7; and for an agent that comes later, the run has ended with the reason."""
    order = shared.order(argv=["/no/shell", "-c", "true"], note="start begins")
    with pytest.raises(Failed):
        shared.client.call("start", **order)
    folder = Path(str(order["dir"]))
    assert (folder / "log").read_text().splitlines() == [
        "runner-agent: start begins",
        "runner-agent: start could not be started: cannot run /no/shell: not found",
    ]
    found = shared.client.call("find", run_id=order["run_id"], dir=str(folder))["found"]
    assert isinstance(found, dict)
    handle: Fields = {"leader_pid": 0, **found}
    record = Run(folder, handle).ended()
    assert (record["how"], record["code"], record["reason"]) == (
        "not_started",
        127,
        "cannot run /no/shell: not found",
    )


def test_a_user_at_the_limit_of_processes(scratch: Path) -> None:
    """EAGAIN is told as what it is. The limit that the launcher is given here binds all but root."""
    user = 61_234  # has no processes
    argv = wire.command(sys.executable, SOURCE, str(scratch))
    subprocess.run(["prlimit", "--nproc=3:3", *argv], check=True, timeout=20)
    rig = Rig(scratch, boot=False)
    as_user: dict[str, object] = {"uid": user, "gid": user, "groups": list[int](), "cwd": "/"}
    runs, told = list[Run](), ""
    while not told:  # the kernel counts before it adds, and who is on its way out still counts
        assert len(runs) < 9
        try:
            runs.append(rig.start("exec sleep 3600", **as_user))
        except Failed as failed:
            told = failed.text
    assert "uid 61234 or the container has too many (ulimit -u, pids.max)" in told
    assert len(runs) >= 2
    for run in runs:
        run.signal(wire.KILL)
        run.wait_gone()
    wait_until(lambda: _starts(rig, as_user), what="there is room again")
    rig.close()


def _starts(rig: Rig, as_user: dict[str, object]) -> bool:
    try:
        return rig.start("true", **as_user).ended()["how"] == "exited"
    except Failed:
        return False


def test_a_nursery_that_cannot_fork_refuses(
    shared: Rig, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even a holder can be made: told, not waited for. No limit binds root: fork itself is faked."""

    def full() -> int:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", full)
    orders, takers = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    reports, reporters = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with orders, takers, reports, reporters:
        nursery = nursery_over(takers.fileno(), reporters.fileno())
        nursery._fill()  # there is no order yet: nothing to refuse
        order = Order(shared.order())
        orders.send(packet(order)[0])
        nursery._fill()
        reports.settimeout(60)
        reason = (
            "cannot start a process: the agent's user or the container has too many (ulimit -u, pids.max)"
        )
        os.close(nursery._name)
        assert wire.parse(reports.recv(4096)) == {"run_id": order.run_id, "reason": reason}


def nursery_over(orders: int, reports: int) -> Nursery:
    """One without its process."""
    made = Nursery.__new__(Nursery)
    made._orders, made._reports, made._poll = orders, reports, select.poll()
    made._name = os.open(os.devnull, os.O_WRONLY)
    made._blanks, made._untold, made._ill = set(), [], False
    return made


@pytest.mark.parametrize("where", ["nowhere/run", "no-cgroup"])
def test_a_cgroup_that_cannot_be_made_is_done_without(shared: Rig, scratch: Path, where: str) -> None:
    """A parent that is missing, and one that is no cgroup."""
    run = shared.start("echo on; exit 3", cgroup=str(scratch / where), limits={"memory.max": "max"})
    assert run.ended()["code"] == 3
    run.wait_gone()
    assert run.written == ["on"]
    assert not (scratch / where).exists()


def test_limits_are_written_to_files_of_the_cgroup_only(shared: Rig) -> None:
    told = shared.refused("true", limits={"../cgroup.procs": "1"})
    assert "'../cgroup.procs' is no file of a cgroup" in told.text
