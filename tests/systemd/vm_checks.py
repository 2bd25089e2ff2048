"""What is checked inside the virtual machine, in this order: one boot, one agent, one line of JSON a check.

Standard library only; run by the machine's own python3 as root, by name from test_vm.py otherwise.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

MARK = "CHECK "
SOCKET = "/run/runner-agent/api.sock"
CGROUPS = Path("/sys/fs/cgroup")
SCOPE = CGROUPS / "system.slice/runner-agent-runs.scope"
AGENT, LAUNCHER = "runner-agent.service", "runner-agent-launcher.service"
PUBLISHED, OURS = "gitpod.v1.EnvironmentAutomationService", "runner_agent.v1.RunnerAgentService"
PATIENCE = 300.0
MIB = 1 << 20
CONFIG = "/etc/runner-agent/config.yaml"
LIMITS = {"memory_max": "48M", "pids_max": "60", "cpu_max": "0.5", "cpu_weight": "50"}

EAT = "import time; held = bytearray(400 << 20); time.sleep(600)"
TAKE = "import time; held = bytearray([1]) * (20 << 20); time.sleep(600)"
BREED = "import os, time\nfor _ in range(100): os.fork() or time.sleep(600)"
NASTY = """trap '' TERM
for i in 1 2 3; do setsid bash -c "trap '' TERM; while :; do sleep 1 & wait; done" & done
( ( exec env -i setsid sleep 3600 ) & )
while :; do sleep 1; done"""

SERVICES = {
    "steady": {"start": "exec sleep 3600"},
    "fat": {"start": f"exec python3 -c '{TAKE}'"},
    "nasty": {"start": NASTY},
    "orphaned": {"start": "setsid sleep 3600 & exec sleep 3600"},
    "torn": {"start": "setsid env -i sleep 3600 & exec sleep 3600"},
    "eaten": {"start": f"exec python3 -c '{EAT}'"},
}
TASKS = {
    "quick": "true",
    "eats": f"exec python3 -c '{EAT}'",
    "child-eats": f"python3 -c '{EAT}'; exit 3",
    "survives": f"python3 -c '{EAT}'; echo still here; exit 4",
    "breeds": f"exec python3 -c '{BREED}'",
    "burns": "exec python3 -c 'while True: pass'",
    "asks": "id -un; runner-agent service get steady --json",
}

CHECKS: dict[str, Callable[[], None]] = {}


def check(function: Callable[[], None]) -> Callable[[], None]:
    """One of those to run, in the order of the file."""
    CHECKS[function.__name__] = function
    return function


# ---------------------------------------------------------------- asking


def call(service: str, method: str, message: dict[str, object] | None = None) -> Any:
    """What the agent answers. Raises AssertionError for an error."""
    status, body = http_ask("POST", f"/{service}/{method}", json.dumps(message or {}))
    assert status == 200, f"{method}: {status} {body}"
    return json.loads(body)


def http_ask(verb: str, path: str, body: str = "") -> tuple[int, str]:
    """Over the unix socket."""
    connection = http.client.HTTPConnection("localhost", timeout=PATIENCE)
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.sock.settimeout(PATIENCE)
    connection.sock.connect(SOCKET)
    connection.request(verb, path, body or None, {"content-type": "application/json"})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def run(*command: str, check: bool = True, stdin: str = "") -> str:
    """What a command of the machine prints."""
    done = subprocess.run(
        command,
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
        check=False,
    )
    assert not check or done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout}"
    return done.stdout


def until(condition: Callable[[], Any], what: str) -> Any:
    """What it gives once it is true."""
    limit = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < limit, f"{what}: not within {PATIENCE} s"
        time.sleep(0.1)
    return found


def definitions(kind: str) -> dict[str, Any]:
    """Services or tasks, by reference."""
    found = call(PUBLISHED, f"List{kind}s").get(f"{kind.lower()}s", [])
    return {each["metadata"]["reference"]: each for each in found}


def phase(reference: str) -> str:
    """Of a service."""
    return str(definitions("Service")[reference]["status"].get("phase", "")).removeprefix("SERVICE_PHASE_")


def start(reference: str) -> None:
    """A service, up."""
    call(PUBLISHED, "StartService", {"id": definitions("Service")[reference]["id"]})
    until(lambda: phase(reference) == "RUNNING", f"{reference} RUNNING")


def stop(reference: str) -> None:
    """A service, down."""
    call(PUBLISHED, "StopService", {"id": definitions("Service")[reference]["id"]})
    until(lambda: phase(reference) == "STOPPED", f"{reference} STOPPED, is {phase(reference)}")


def outcome(reference: str) -> tuple[str, str]:
    """Phase and message of a task, run now."""
    begun = call(PUBLISHED, "StartTask", {"id": definitions("Task")[reference]["id"]})["taskExecution"]["id"]

    def ended() -> Any:
        status = call(PUBLISHED, "GetTaskExecution", {"id": begun})["taskExecution"].get("status", {})
        over = status.get("phase", "").removeprefix("TASK_EXECUTION_PHASE_") in (
            "SUCCEEDED",
            "FAILED",
            "STOPPED",
        )
        return status if over else None

    status = until(ended, f"the end of {reference}")
    return status["phase"].removeprefix("TASK_EXECUTION_PHASE_"), status.get("failureMessage", "")


def live_run(reference: str) -> Any:
    """What `why` tells of the run of a service that lives."""
    told = call(OURS, "ExplainAutomation", {"reference": reference})
    return next(each for each in told.get("runs", []) if each["state"] == "live")


def folder(reference: str) -> Path:
    """Of its cgroup."""
    return SCOPE / str(live_run(reference)["runId"])


def no_cgroups_but(*references: str) -> None:
    """Those of runs that live, and the one that holds the scope open."""
    wanted = {"anchor", *(folder(each).name for each in references)}
    until(
        lambda: {each.name for each in SCOPE.iterdir() if each.is_dir()} == wanted,
        f"only {wanted} in {SCOPE}",
    )


def main_pid(unit: str) -> int:
    """0 for none."""
    return int(run("systemctl", "show", "--property=MainPID", "--value", unit))


def await_agent(other_than: int = 0) -> None:
    """Until one is ready."""
    until(
        lambda: (
            run("systemctl", "is-active", AGENT, check=False).strip() == "active"
            and main_pid(AGENT) not in (0, other_than)
        ),
        "the agent is ready",
    )


def configure(**limits: str) -> None:
    """Write the configuration with these limits."""
    text = f"workspace: /workspace\nrun_as: dev\nrun_limits: {json.dumps(limits)}\ntask_stop_grace: 5\n"
    Path(CONFIG).write_text(text + "service_stop_grace: 5\n", encoding="utf-8")


# ---------------------------------------------------------------- checks


@check
def it_is_installed_and_comes_up() -> None:
    Path(CONFIG).parent.mkdir(exist_ok=True)
    run("runner-agent", "install", "--user", "dev", "--workspace", "/workspace", "--no-start")
    configure(**LIMITS)
    for unit in (AGENT, LAUNCHER):  # such a machine on a busy host is a slow one
        slow = Path(f"/etc/systemd/system/{unit}.d/slow.conf")
        slow.parent.mkdir(exist_ok=True)
        slow.write_text("[Service]\nTimeoutSec=15min\nWatchdogSec=10min\n", encoding="utf-8")
    run("systemctl", "daemon-reload")
    run("systemctl", "start", AGENT)
    await_agent()
    file = {
        "services": {name: {"name": name, "commands": commands} for name, commands in SERVICES.items()},
        "tasks": {name: {"name": name, "command": command} for name, command in TASKS.items()},
    }
    run("runner-agent", "automations", "update", "-", stdin=json.dumps(file))


@check
def the_scope_hands_its_controllers_on() -> None:
    given = (SCOPE / "cgroup.subtree_control").read_text(encoding="ascii").split()
    assert {"cpu", "memory", "pids"} <= set(given), given
    assert (SCOPE / "cgroup.procs").read_text(encoding="ascii") == ""
    no_cgroups_but()


@check
def each_run_has_a_cgroup_of_its_own_with_its_limits() -> None:
    start("steady")
    place = folder("steady")
    pid = live_run("steady")["pid"]
    assert (
        Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii").strip() == f"0::/{place.relative_to(CGROUPS)}"
    )
    inside = (place / "cgroup.procs").read_text(encoding="ascii").split()
    assert str(holder_of("steady")) not in inside, "it may have to kill all that is there"
    wanted = {"memory.max": str(48 * MIB), "pids.max": "60", "cpu.max": "50000 100000", "cpu.weight": "50"}
    assert {name: (place / name).read_text(encoding="ascii").strip() for name in wanted} == wanted


@check
def what_a_run_uses_is_what_the_kernel_has_counted() -> None:
    start("fat")
    place = folder("fat")
    until(lambda: int((place / "memory.current").read_text()) > 20 * MIB, "memory taken")
    used = live_run("fat")["usage"]
    assert 20 * MIB < int(used["memoryBytes"]) < 48 * MIB, used
    assert int(used["memoryBytes"]) <= int(used["memoryMaxBytes"]) == 48 * MIB
    assert int(used.get("memoryPeakBytes", 0)) >= 20 * MIB, "memory.peak is of Linux 5.19"
    assert (used["processes"], used["processesMax"]) == (1, 60)
    assert used["cpuSeconds"] > 0
    listed = {each["reference"]: each for each in call(OURS, "ListLiveStatus", {"usage": True})["services"]}
    assert int(listed["fat"]["usage"]["memoryMaxBytes"]) == 48 * MIB


@check
def status_and_why_show_it() -> None:
    shown = run("runner-agent", "status")
    assert "M/48M" in shown, shown
    told = run("runner-agent", "why", "fat")
    assert "of 48M (most so far" in told, told


@check
def metrics_tell_it_of_each_run() -> None:
    status, text = http_ask("GET", "/metrics")
    assert status == 200, text
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(lines['runner_agent_run_memory_bytes{reference="fat",role="start"}']) > 20 * MIB
    assert float(lines['runner_agent_run_memory_limit_bytes{reference="fat",role="start"}']) == 48 * MIB
    assert 'runner_agent_run_cpu_seconds_total{reference="steady",role="start"}' in lines
    stop("fat")


@check
def a_run_that_is_out_of_memory_says_so_and_its_limit() -> None:
    state, message = outcome("eats")
    assert state == "FAILED", message
    assert "eats was killed by SIGKILL (out of memory, limit 48 MiB)" in message, message


@check
def so_does_one_whose_child_was_killed() -> None:
    state, message = outcome("child-eats")
    assert state == "FAILED", message
    assert "exited with code 3 (out of memory, limit 48 MiB)" in message, message


@check
def a_service_that_is_out_of_memory_fails_with_the_reason() -> None:
    call(PUBLISHED, "StartService", {"id": definitions("Service")["eaten"]["id"]})
    until(lambda: phase("eaten") == "FAILED", "eaten FAILED")
    message = definitions("Service")["eaten"]["status"]["failureMessage"]
    assert "start was killed by SIGKILL (out of memory, limit 48 MiB)" in message, message


@check
def too_many_processes_are_told_as_that() -> None:
    state, message = outcome("breeds")
    assert state == "FAILED", message
    assert "more processes than its limit of 60" in message, message


@check
def a_limit_of_processors_holds_back() -> None:
    begun = call(PUBLISHED, "StartTask", {"id": definitions("Task")["burns"]["id"]})["taskExecution"]["id"]

    def held_back() -> bool:
        steps: list[Any] = call(OURS, "ListLiveStatus", {"usage": True}).get("steps", [])
        return any(
            each.get("usage", {}).get("heldBackSeconds") for each in steps if each["reference"] == "burns"
        )

    until(held_back, "the kernel holds it back")
    assert "held back for" in run("runner-agent", "why", "burns")
    call(PUBLISHED, "StopTaskExecution", {"id": begun})
    no_cgroups_but("steady")


@check
def what_resists_and_multiplies_is_killed_whole_and_its_cgroup_goes() -> None:
    start("nasty")
    until(lambda: len((folder("nasty") / "cgroup.procs").read_text().split()) > 5, "a tree")
    stop("nasty")
    no_cgroups_but("steady")


@check
def a_run_is_its_user_s_and_asks_the_agent() -> None:
    state, message = outcome("asks")
    assert state == "SUCCEEDED", message
    assert run("stat", "-c", "%U %a", SOCKET).split() == ["dev", "600"]


@check
def a_restart_of_the_agent_keeps_runs_and_starts_more() -> None:
    """Not the trap of a service whose cgroup hands controllers on: 219/CGROUP."""
    pid, before = live_run("steady")["pid"], main_pid(AGENT)
    run("systemctl", "restart", AGENT)
    await_agent(before)
    assert live_run("steady")["pid"] == pid
    assert outcome("quick")[0] == "SUCCEEDED"
    no_cgroups_but("steady")


@check
def a_killed_agent_takes_up_what_runs_and_its_limits_are_in_force() -> None:
    pid, before = live_run("steady")["pid"], main_pid(AGENT)
    os.kill(before, 9)
    await_agent(before)
    assert live_run("steady")["pid"] == pid
    assert "limit 48 MiB" in outcome("eats")[1]


@check
def the_launcher_may_restart_and_die_with_delegated_controllers() -> None:
    killing = ("kill", "--kill-whom=main", "--signal=KILL", LAUNCHER)
    for how in (("restart", LAUNCHER), killing):
        pid, before = live_run("steady")["pid"], main_pid(LAUNCHER)
        run("systemctl", *how)
        until(lambda before=before: main_pid(LAUNCHER) not in (0, before), "another launcher")  # type: ignore[misc]
        assert "219" not in run("systemctl", "show", "--property=ExecMainStatus", "--value", LAUNCHER)
        assert live_run("steady")["pid"] == pid
        assert outcome("quick")[0] == "SUCCEEDED", how[0]


@check
def what_a_killed_holder_held_is_ended_by_the_launcher() -> None:
    start("orphaned")
    place = folder("orphaned")
    os.kill(holder_of("orphaned"), 9)
    until(lambda: phase("orphaned") == "FAILED", "orphaned FAILED")
    until(lambda: not place.exists(), "its cgroup is gone")


@check
def what_holder_and_launcher_left_is_ended_by_the_agent() -> None:
    """With nothing but the cgroup to know it by: it has hidden its environment."""
    start("torn")
    place = folder("torn")
    until(lambda: len((place / "cgroup.procs").read_text().split()) == 2, "both processes")
    holder = holder_of("torn")
    run("systemctl", "stop", LAUNCHER)
    os.kill(holder, 9)
    until(lambda: phase("torn") == "FAILED", "torn FAILED")
    until(lambda: not place.exists(), "its cgroup is gone")
    run("systemctl", "start", LAUNCHER)
    assert outcome("quick")[0] == "SUCCEEDED"


def holder_of(reference: str) -> int:
    """Its number."""
    lines = Path(f"/proc/{live_run(reference)['pid']}/status").read_text(encoding="utf-8").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("PPid:")))


@check
def without_a_limit_on_groups_the_rest_of_a_run_survives() -> None:
    state, message = outcome("survives")
    assert (state, "exited with code 4 (out of memory" in message) == ("FAILED", True), message


@check
def with_oom_group_a_run_is_killed_whole() -> None:
    configure(**LIMITS, oom_group="true")
    before = main_pid(AGENT)
    run("systemctl", "restart", AGENT)
    await_agent(before)
    state, message = outcome("survives")
    assert (state, "was killed by SIGKILL (out of memory" in message) == ("FAILED", True), message


@check
def doctor_knows_the_cgroups() -> None:
    told = run("runner-agent", "doctor", check=False)
    assert "with cpu, memory, pids" in told, told


@check
def limits_that_nobody_enforces_are_told() -> None:
    configure(**LIMITS)
    with Path(CONFIG).open("a", encoding="utf-8") as file:
        file.write("cgroup: none\n")
    before = main_pid(AGENT)
    run("systemctl", "restart", AGENT)
    await_agent(before)
    assert "run_limits are not in force" in run("journalctl", "--unit", AGENT, "--no-pager")
    assert outcome("quick")[0] == "SUCCEEDED"
    assert phase("steady") == "RUNNING"


@check
def a_stop_ends_all_and_leaves_no_cgroup() -> None:
    run("systemctl", "stop", AGENT)
    left = {each.name for each in SCOPE.iterdir() if each.is_dir()} if SCOPE.exists() else {"anchor"}
    assert left <= {"anchor"}, left


def main() -> None:
    """All; what one leaves undone costs others their success, and each says so for itself."""
    for name, function in CHECKS.items():
        began = time.monotonic()
        try:
            function()
            text = ""
        except BaseException:  # noqa: BLE001  the others are to be run all the same
            text = traceback.format_exc() + run("journalctl", "--no-pager", "--lines=25", check=False)
        told = {"name": name, "ok": not text, "seconds": round(time.monotonic() - began, 1), "text": text}
        print(f"{MARK}{json.dumps(told)}", flush=True)


if __name__ == "__main__":
    main()
