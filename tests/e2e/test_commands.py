"""What people type beside `up`, over a real agent: `task start`, `wait`, `down`, several things at once."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

from tests.e2e.stage import automations, phase_of, service_yaml, task_yaml
from tests.support.processes import wait_until

if TYPE_CHECKING:
    from tests.e2e.stage import Stage

FOREVER = "exec sleep 1000"


def test_task_start_shows_the_log_of_what_it_shares_and_joins(shared: Stage) -> None:
    shared.apply(
        automations(
            services=(service_yaml("store", "echo the store is up; exec sleep 1000"),),
            tasks=(
                task_yaml("fetch", "echo fetched; printf 'no end'"),
                task_yaml("make", "echo made", more="dependsOn: [fetch, store]"),
            ),
        )
    )
    told = shared.cli("task", "start", "make")
    assert told.returncode == 0
    assert len(told.stdout.split()) == 1
    lines = told.stderr.splitlines()
    for line in ("fetch | fetched", "fetch | no end", "make | made", "  step store: SUCCEEDED"):
        assert lines.count(line) == 1, told.stderr
    assert lines[-1] == "Task make: SUCCEEDED"
    assert "made" not in shared.cli("task", "start", "make", "--quiet").stderr
    told = shared.cli("logs", "fetch", "--no-follow")
    assert told.stdout.splitlines()[1] == "fetched", "the newest run was a step of make"
    assert "ran last as a step of make" in told.stderr


def test_a_failure_is_told_once(shared: Stage) -> None:
    shared.apply(automations(tasks=(task_yaml("breaks", "echo the disk is flat; exit 4"),)))
    told = shared.cli("task", "start", "breaks")
    assert told.returncode == 1
    assert told.stderr.count("the disk is flat") == 1
    assert told.stderr.splitlines()[-1].startswith("Error: Task breaks failed: ")


def test_a_timeout_leaves_it_running(shared: Stage) -> None:
    shared.apply(automations(tasks=(task_yaml("slow", "while [ ! -e enough ]; do sleep 0.05; done"),)))
    told = shared.cli("task", "start", "slow", "--timeout", "0.5")
    assert told.returncode == 3
    execution = told.stdout.strip()
    assert phase_of(shared.agent.get_execution(execution)) == "RUNNING"
    assert shared.cli("wait", execution[:8], "--for", "ended", "--timeout", "0.3").returncode == 3
    (shared.workspace / "enough").touch()
    assert shared.ok("wait", execution[:8], "--for", "succeeded", "--timeout", "60").startswith(execution[:8])


def test_wait(shared: Stage) -> None:
    listen = "import socket, time\ns = socket.create_server(('127.0.0.1', 0))\n"
    told = "print('at', s.getsockname()[1], flush=True)\ntime.sleep(1000)\n"
    (shared.workspace / "listen.py").write_text(listen + told)
    shared.apply(
        automations(
            services=(
                service_yaml("listens", "exec python3 listen.py", ready="test -e listens-may"),
                service_yaml("breaks-down", "exit 3", ready="false"),
            )
        )
    )
    waiting = shared.spawn("wait", "listens", "--for", "ready", "--timeout", "60")
    shared.ok("start", "listens", "breaks-down")
    assert shared.ok("wait", "listens", "--for", r"log=at \d+", "--timeout", "60").startswith("listens: at ")
    port = shared.ok("wait", "listens", "--for", "port", "--timeout", "60").split()[-1]
    assert f"{port} " in shared.ok("ports")
    assert waiting.poll() is None
    (shared.workspace / "listens-may").touch()
    out, _ = waiting.communicate(timeout=60)
    assert (waiting.returncode, out) == (0, "listens: RUNNING, `ready` succeeded\n")
    never = shared.cli("wait", "breaks-down", "--for", "ready")
    assert never.returncode == 1
    assert "start exited with code 3" in never.stderr
    shared.ok("stop", "listens", "--wait=60")
    assert shared.ok("wait", "listens", "--for", "stopped") == "listens: STOPPED\n"


def test_a_wait_for_a_line_does_not_take_one_of_an_earlier_start(shared: Stage) -> None:
    count_up = "echo $((1 + $(cat count 2>/dev/null || echo 0))) > count"
    script = f"sleep 0.3; {count_up}; echo up $(cat count); {FOREVER}"
    shared.apply(automations(services=(service_yaml("counts", script),)))
    for count in (1, 2, 3):
        shared.ok("restart", "counts")
        told = shared.ok("wait", "counts", "--for", "log=^up", "--timeout", "60")
        assert told == f"counts: up {count}\n"
    shared.ok("service", "stop", "counts", "--wait=60")


def test_a_reader_that_leaves_ends_a_log_that_rests(shared: Stage) -> None:
    """`logs web | head -1`."""
    shared.apply(automations(services=(service_yaml("rests", f"echo one; {FOREVER}"),)))
    shared.ok("service", "start", "rests", "--wait=60")
    follower = shared.spawn("logs", "rests")
    assert follower.stdout is not None
    assert follower.stdout.readline()
    follower.stdout.close()
    assert follower.wait(30) == 0
    assert follower.stderr is not None
    assert follower.stderr.read() == ""
    follower.stderr.close()
    shared.ok("service", "stop", "rests", "--wait=60")


def test_down_ends_everything_in_parallel_and_leaves_the_agent(stage: Stage) -> None:
    names = [f"s{number}" for number in range(4)]
    stubborn = "trap 'sleep 1; exit 0' TERM; touch $RUNNER_AGENT_REFERENCE; while :; do sleep 0.05; done"
    stage.start()
    stage.apply(
        automations(
            services=tuple(service_yaml(name, stubborn, ready=f"test -e {name}") for name in names),
            tasks=(task_yaml("goes-on", FOREVER),),
        )
    )
    stage.ok("start", *names, "--wait=60")
    execution = stage.ok("task", "start", "goes-on", "--dont-wait").strip()
    began = time.monotonic()
    told = stage.cli("down")
    assert told.returncode == 0, told.stderr
    assert time.monotonic() - began < 4 * 1.0 + 10, "side by side"
    assert {stage.phase(name) for name in names} == {"STOPPED"}
    assert phase_of(stage.agent.get_execution(execution)) == "STOPPED"
    assert "the agent stays" in told.stderr
    stage.ok("status")
    assert stage.cli("down").stderr == "Nothing runs.\n"


def test_ctrl_c_on_down_detaches(stage: Stage) -> None:
    stop = "while [ ! -e may ]; do sleep 0.05; done"
    stage.start()
    stage.apply(automations(services=(service_yaml("slow", FOREVER, stop=stop),)))
    stage.ok("service", "start", "slow", "--wait=60")
    going = stage.spawn("down")
    wait_until(lambda: stage.phase("slow") == "STOPPING", 30)
    going.send_signal(signal.SIGINT)
    _, errors = going.communicate(timeout=60)
    assert going.returncode == 130
    assert "No longer waiting; the stopping goes on." in errors
    (stage.workspace / "may").touch()
    stage.await_phase("slow", "STOPPED")
