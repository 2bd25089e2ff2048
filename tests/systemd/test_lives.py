"""What ends and beginnings of the agent's unit do to what runs: stop means stop, all else means keep (rules
7.1, 7.2).
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from tests.systemd.installed import AGENT, LAUNCHER, PREFIX, SCOPE, WORKSPACE

if TYPE_CHECKING:
    from tests.systemd.installed import Installed

pytestmark = [pytest.mark.systemd, pytest.mark.timeout(600)]

QUICK_WATCHDOG = "WatchdogSec=6s\nTimeoutAbortSec=1s"
TRAPS = "trap 'sleep 1; echo termed >> {file}; exit 0' TERM; while :; do sleep 0.1; done"


def test_rule_7_5_ready_means_recovered_and_answering(shared: Installed) -> None:
    machine = shared.machine
    assert machine.shows(AGENT, "ActiveState") == "active"
    assert machine.shows(AGENT, "StatusText").startswith("ready: ")
    assert machine.shows(AGENT, "NotifyAccess") == "main"
    assert shared.cli("status").returncode == 0
    assert machine.inside("/run/runner-agent/api.sock").stat().st_mode & 0o777 == 0o600


def test_a_run_is_in_the_scope_and_in_no_service(shared: Installed) -> None:
    shared.start("placed", "exec sleep 1000")
    group = shared.read(f"/proc/{shared.pid_of('placed')}/cgroup")
    assert f"/system.slice/{SCOPE}/" in group
    assert shared.machine.shows(SCOPE, "ActiveState") == "active"
    assert shared.machine.shows(SCOPE, "Delegate") == "yes"
    assert shared.machine.shows(LAUNCHER, "DelegateControllers") == ""
    shared.cli("service", "stop", "placed", "--wait=100")


@pytest.mark.parametrize("verb", ["restart", "reload", "try-restart", "reload-or-restart"])
def test_rule_7_2_restart_and_reload_keep_services_and_tasks(shared: Installed, verb: str) -> None:
    service, task, gate = f"kept-{verb}", f"task-{verb}", f"{WORKSPACE}/gate-{verb}"
    shared.start(service, "exec sleep 1000")
    script = f"echo begun; until [ -e {gate} ]; do sleep 0.05; done; echo went on; exit 3"
    shared.apply(tasks={task: {"name": task, "command": script}})
    execution = shared.cli("task", "start", task, "--dont-wait").stdout.strip()
    shared.until(
        lambda: "begun" in shared.cli("task", "logs", task, "--no-follow").stdout, "the task's first line"
    )
    pid, before, launcher = shared.pid_of(service), shared.main_pid(), shared.main_pid(LAUNCHER)

    shared.machine.systemctl(verb, AGENT)

    # What `systemctl` returned from is ready: no waiting here.
    assert shared.phase(service) == "RUNNING"
    assert shared.pid_of(service) == pid
    assert shared.lives(pid)
    assert (shared.main_pid() == before) is verb.startswith("reload"), "a reload stays the same process"
    assert shared.main_pid(LAUNCHER) == launcher
    shared.write(gate, "")
    shared.until(lambda: "FAILED" in shared.cli("task", "get", execution).stdout, "the task's end")
    told = shared.cli("task", "logs", task, "--no-follow").stdout
    assert told.count("begun") == 1
    assert "went on" in told
    assert "code 3" in shared.cli("why", execution).stdout
    shared.cli("service", "stop", service, "--wait=100")


def test_rule_7_2_a_crash_keeps_runs_and_systemd_brings_the_agent_back(shared: Installed) -> None:
    shared.start("crash", "exec sleep 1000")
    pid, agent = shared.pid_of("crash"), shared.main_pid()
    restarts = int(shared.machine.shows(AGENT, "NRestarts"))
    shared.kill("KILL")
    shared.await_agent(other_than=agent)
    assert int(shared.machine.shows(AGENT, "NRestarts")) > restarts
    assert shared.phase("crash") == "RUNNING"
    assert shared.pid_of("crash") == pid
    assert shared.lives(pid)
    shared.cli("service", "stop", "crash", "--wait=100")
    assert not shared.lives(pid)


def test_an_agent_that_hangs_is_replaced_and_runs_go_on(shared: Installed) -> None:
    """SIGSTOP: no proof of life comes, and the watchdog ends it (rules 7.2, 7.5)."""
    shared.start("hung", "exec sleep 1000")
    pid = shared.pid_of("hung")
    with shared.drop_in(QUICK_WATCHDOG):
        agent = shared.main_pid()
        shared.kill("STOP")
        shared.await_agent(other_than=agent)
        assert "watchdog" in shared.machine.journal("-u", AGENT).lower()
        assert shared.phase("hung") == "RUNNING"
        assert shared.pid_of("hung") == pid
    assert shared.lives(pid)
    shared.cli("service", "stop", "hung", "--wait=100")


def test_rule_7_1_stop_brings_everything_down_in_order(shared: Installed) -> None:
    shared.start("with-stop", "exec sleep 1000", stop=f"sleep 1; echo stopped >> {WORKSPACE}/with-stop.told")
    shared.start("with-trap", TRAPS.format(file=f"{WORKSPACE}/with-trap.told"))
    shared.apply(tasks={"long": {"name": "long", "command": TRAPS.format(file=f"{WORKSPACE}/long.told")}})
    execution = shared.cli("task", "start", "long", "--dont-wait").stdout.strip()
    shared.until(lambda: "RUNNING" in shared.cli("task", "get", execution).stdout, "the task to run")
    pids = [shared.pid_of("with-stop"), shared.pid_of("with-trap")]
    try:
        shared.machine.systemctl("stop", AGENT)
        assert shared.machine.shows(AGENT, "Result") == "success"
        assert shared.machine.shows(AGENT, "ExecMainStatus") == "0"
        assert shared.read(f"{WORKSPACE}/with-stop.told") == "stopped\n"
        assert shared.read(f"{WORKSPACE}/with-trap.told") == "termed\n"
        assert not any(shared.lives(pid) for pid in pids)
        assert shared.machine.shows(LAUNCHER, "ActiveState") == "active", "it is systemd's, and is left alone"
    finally:
        shared.machine.systemctl("start", AGENT)
    assert shared.phase("with-trap") == "STOPPED"
    assert "STOPPED" in shared.cli("task", "get", execution).stdout


def test_a_stop_that_the_agent_cannot_end_is_ended_with_the_scope(shared: Installed) -> None:
    """It is killed amid an orderly stop: stop means stop all the same, and no run is left."""
    shared.start("orphan", "exec sleep 1000", stop=f"touch {WORKSPACE}/orphan.stops; exec sleep 1000")
    pid = shared.pid_of("orphan")
    shared.machine.systemctl("--no-block", "stop", AGENT)
    shared.until(lambda: shared.inside_exists(f"{WORKSPACE}/orphan.stops"), "the stop to be under way")
    shared.kill("KILL")
    shared.until(lambda: not shared.lives(pid), "the end of the run")
    shared.until(lambda: shared.machine.shows(AGENT, "ActiveState") == "failed", "the end of the unit")
    shared.machine.systemctl("start", AGENT)
    shared.until(lambda: shared.phase("orphan") in {"STOPPED", "FAILED"}, "the service to be told of")
    shared.start("after-orphan", "exec sleep 1000")
    assert SCOPE in shared.read(f"/proc/{shared.pid_of('after-orphan')}/cgroup"), "there is a scope again"
    shared.cli("service", "stop", "after-orphan", "--wait=100")


@pytest.mark.parametrize("how", ["restart", "kill"])
def test_the_launcher_comes_back_beside_the_runs(shared: Installed, how: str) -> None:
    """No 219/CGROUP: its cgroup hands no controller on."""
    shared.start(f"held-{how}", "exec sleep 1000")
    pid, launcher = shared.pid_of(f"held-{how}"), shared.main_pid(LAUNCHER)
    if how == "restart":
        shared.machine.systemctl("restart", LAUNCHER)
    else:
        shared.kill("KILL", LAUNCHER)
    shared.until(
        lambda: (
            shared.machine.shows(LAUNCHER, "SubState") == "running" and shared.main_pid(LAUNCHER) != launcher
        ),
        "another launcher",
    )
    assert shared.lives(pid)
    shared.start(f"next-{how}", "exec sleep 1000")
    assert shared.phase(f"held-{how}") == "RUNNING"
    for reference in (f"held-{how}", f"next-{how}"):
        shared.cli("service", "stop", reference, "--wait=100")
        assert shared.phase(reference) == "STOPPED"
    assert not shared.lives(pid)


def test_the_scope_outlives_its_anchor_and_is_made_anew(shared: Installed) -> None:
    """A run holds it open; the next start of the agent puts another anchor in, or makes another scope."""
    shared.start("anchored", "exec sleep 1000")
    group = f"/sys/fs/cgroup/system.slice/{SCOPE}"
    anchor = f"{group}/anchor/cgroup.procs"
    for _ in range(2):
        shared.machine.run("sh", "-c", f"kill -KILL $(cat {anchor})")
        shared.until(lambda: shared.machine.run("cat", anchor, check=False).stdout == "", "the anchor's end")
        shared.machine.systemctl("restart", AGENT)
        assert len(shared.machine.run("cat", anchor).stdout.split()) == 1
        assert shared.machine.shows(SCOPE, "ActiveState") == "active"
        if shared.phase("anchored") == "RUNNING":
            shared.cli("service", "stop", "anchored", "--wait=100")


def test_there_is_one_launcher_and_it_is_the_unit(shared: Installed) -> None:
    """The agent starts none of its own, not even when the unit was stopped."""
    shared.machine.systemctl("stop", LAUNCHER)
    shared.start("asks-for-it", "exec sleep 1000")
    assert shared.machine.shows(LAUNCHER, "ActiveState") == "active"
    assert shared.running("ra-launcher") == {shared.main_pid(LAUNCHER)}
    within = shared.machine.run("cat", f"/sys/fs/cgroup/system.slice/{AGENT}/cgroup.procs").stdout
    assert within.split() == [str(shared.main_pid())]
    shared.cli("service", "stop", "asks-for-it", "--wait=100")


def test_an_upgrade_takes_hold_by_reload_without_a_gap(shared: Installed) -> None:
    """Other code, the same process, the same runs, and every client is answered meanwhile."""
    shared.start("upgraded", "exec sleep 1000")
    pid, agent = shared.pid_of("upgraded"), shared.main_pid()
    found = shared.machine.run(
        f"{PREFIX}/bin/python", "-c", "import runner_agent; print(runner_agent.__file__)"
    )
    package = shared.machine.inside(found.stdout.strip())
    text = package.read_text()
    over = threading.Event()
    failures: list[str] = []
    asked = threading.Thread(target=_ask_until, args=(shared, over, failures))
    asked.start()
    try:
        package.write_text(text.replace('__version__ = "', '__version__ = "9'))
        shared.machine.systemctl("reload", AGENT)
        over.set()
        asked.join()
        assert failures == []
        assert '"version":"9' in shared.read("/var/lib/runner-agent/agent.json").replace(" ", "")
        assert shared.main_pid() == agent
        assert shared.phase("upgraded") == "RUNNING"
        assert shared.lives(pid)
    finally:
        over.set()
        asked.join()
        package.write_text(text)
        shared.machine.systemctl("reload", AGENT)
    shared.cli("service", "stop", "upgraded", "--wait=100")


def test_a_reload_that_cannot_be_fails_and_the_agent_goes_on(shared: Installed) -> None:
    """Rule 7.2. Also under the unit's hardening; `systemctl status` says why until a reload takes hold."""
    config = "/etc/runner-agent/config.yaml"
    right, agent = shared.read(config), shared.main_pid()
    try:
        shared.write(config, f"{right}log_cap: 10\n")
        assert shared.machine.run("systemctl", "reload", AGENT, check=False).returncode == 1
        assert (shared.main_pid(), shared.machine.shows(AGENT, "ActiveState")) == (agent, "active")
        assert "log_cap: must be a size" in shared.machine.shows(AGENT, "StatusText")
        assert "Not reloaded: " in shared.machine.journal("-u", AGENT)
        assert shared.cli("status").returncode == 0
    finally:
        shared.write(config, right)
        shared.machine.systemctl("reload", AGENT)
    assert shared.machine.shows(AGENT, "StatusText").startswith("ready: ")


def _ask_until(shared: Installed, over: threading.Event, failures: list[str]) -> None:
    while not over.is_set():
        asked = shared.cli("service", "get", "upgraded", check=False)
        if asked.returncode:
            failures.append(asked.stderr)
