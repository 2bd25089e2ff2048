"""Services by the command line, on one agent that all these tests share."""

from __future__ import annotations

import json
import re
import signal

import pytest

from tests.e2e.stage import Stage, automations, phase_of, service_yaml
from tests.support.processes import wait_until


def test_start_returns_at_once_and_wait_waits_for_running(shared: Stage) -> None:
    """Interface: `start` returns at once, `--wait` at RUNNING; rule 3.2: with `ready` that is its exit 0."""
    shared.apply(
        automations(services=(service_yaml("gated", "exec sleep 60", ready='test -e "$PWD/gate"; exit $?'),))
    )
    assert shared.cli("service", "start", "gated").returncode == 0
    assert shared.phase("gated") == "STARTING"
    late = shared.cli("service", "start", "gated", "--wait=0.3")
    assert late.returncode == 3
    assert "not RUNNING" in late.stderr
    (shared.workspace / "gate").touch()
    assert shared.cli("service", "start", "gated", "--wait").returncode == 0
    assert shared.phase("gated") == "RUNNING"
    assert shared.cli("service", "stop", "gated", "--wait=60").returncode == 0
    assert shared.phase("gated") == "STOPPED"


def test_a_service_that_fails_says_why_with_its_last_lines(shared: Stage) -> None:
    """Rule 3.5, and exit code 1: the work failed."""
    shared.apply(
        automations(services=(service_yaml("broken", "echo no such database; exit 7", ready="false"),))
    )
    answer = shared.cli("service", "start", "broken", "--wait=60")
    assert answer.returncode == 1
    assert "start exited with code 7" in answer.stderr
    assert "no such database" in answer.stderr


def test_a_killed_start_names_the_signal(shared: Stage) -> None:
    """Rule 3.5."""
    shared.apply(automations(services=(service_yaml("suicidal", "kill -KILL $$"),)))
    shared.ok("service", "start", "suicidal")
    status = shared.await_phase("suicidal", "FAILED").get("status", {})
    assert "start was killed by SIGKILL" in status.get("failureMessage", "")


def test_restart_is_a_new_session(shared: Stage) -> None:
    """Rules 3.6, 3.10 and 3.12."""
    shared.apply(automations(services=(service_yaml("again", "echo session begins; exec sleep 60"),)))
    shared.ok("service", "start", "again", "--wait=60")
    first = shared.service("again")
    shared.ok("service", "restart", "again", "--wait=60")
    second = shared.service("again")
    assert first.get("status", {}).get("session") != second.get("status", {}).get("session")
    wait_until(lambda: shared.ok("service", "logs", "again", "--no-follow").count("session begins") == 2, 5)
    shared.ok("service", "stop", "again", "--wait=60")


@pytest.mark.parametrize("stop", ["", "sleep 0.3"], ids=["SIGTERM", "stop command"])
@pytest.mark.parametrize(
    "restart",
    ["runner-agent service", "gitpod automations service", "setsid runner-agent service"],
    ids=["itself", "the alias", "in a session of its own"],
)
def test_rule_3_6_a_service_may_restart_itself(shared: Stage, restart: str, stop: str) -> None:
    """The client that asks is part of the service, and ends with it."""
    name = f"self-{restart.split(maxsplit=1)[0]}-{len(stop)}"
    again = f"echo session >> {name}; [ $(wc -l < {name}) = 1 ] && {restart} restart {name}; exec sleep 60"
    shared.apply(automations(services=(service_yaml(name, again, stop=stop),)))
    shared.ok("service", "start", name)
    sessions = shared.workspace / name
    wait_until(lambda: sessions.exists() and sessions.read_text().count("session") == 2, 20)
    shared.await_phase(name, "RUNNING")
    assert shared.service(name).get("spec", {}).get("desiredPhase") == "SERVICE_PHASE_RUNNING"
    told = [entry.get("text", "") for entry in shared.agent.timeline(name)]
    assert not [text for text in told if text.startswith("stop asked for")]
    assert [text for text in told if text.startswith("restart asked for")]
    shared.ok("service", "stop", name, "--wait=60")


def test_list_get_and_status_tell_the_same(shared: Stage) -> None:
    """Interface: columns REFERENCE NAME PHASE, and `-o json|yaml`."""
    shared.apply(automations(services=(service_yaml("told", "exec sleep 60", more="triggeredBy: [manual]"),)))
    shared.ok("service", "start", "told", "--wait=60")
    table = shared.ok("service", "list")
    assert re.search(r"^REFERENCE\s+NAME\s+PHASE", table)
    assert re.search(r"^told\s+told\s+RUNNING\s+\d\d:\d\d:\d\d\s+manual", table, re.MULTILINE)
    listed = {
        each["metadata"]["reference"]: each for each in json.loads(shared.ok("service", "list", "--json"))
    }
    got = json.loads(shared.ok("service", "get", "told", "-o", "json"))
    assert listed["told"] == got
    assert phase_of(got) == "RUNNING"
    assert "phase: SERVICE_PHASE_RUNNING" in shared.ok("service", "get", "told", "-o", "yaml")
    status = json.loads(shared.ok("status", "--json"))
    assert status["agent"]["pid"] == shared.daemon.info().pid
    assert "told" in shared.ok("status")
    assert json.loads(shared.ok("automations", "service", "get", got["id"], "--json")) == got
    shared.ok("service", "stop", "told", "--wait=60")


def test_delete_stops_first_and_force_kills(shared: Stage) -> None:
    """Rule 3.13."""
    shared.apply(
        automations(
            services=(
                service_yaml("mild", "trap 'echo bye; exit' TERM; while :; do sleep 0.05; done"),
                service_yaml("deaf", "trap 'echo heard > deaf' TERM; while :; do sleep 0.05; done"),
            )
        )
    )
    for name in ("mild", "deaf"):
        shared.ok("service", "start", name, "--wait=60")
    assert shared.cli("service", "delete", "mild", "--wait=60").returncode == 0
    assert shared.cli("service", "delete", "deaf", "--force", "--wait=60").returncode == 0
    assert not (shared.workspace / "deaf").exists(), "SIGKILL, and not SIGTERM first"
    for name in ("mild", "deaf"):
        gone = shared.cli("service", "get", name)
        assert gone.returncode == 2
        assert name in gone.stderr


def test_a_stop_command_stops_and_its_code_counts(shared: Stage) -> None:
    """Rule 3.8: instead of SIGTERM; non-zero is FAILED with the code."""
    shared.apply(
        automations(
            services=(
                service_yaml(
                    "kind",
                    "trap 'echo TERM >> kind' TERM; while :; do sleep 0.05; done",
                    stop="echo stopped >> kind",
                ),
                service_yaml("unkind", "exec sleep 60", stop="exit 3"),
            )
        )
    )
    for name in ("kind", "unkind"):
        shared.ok("service", "start", name, "--wait=60")
    assert shared.cli("service", "stop", "kind", "--wait=60").returncode == 0
    assert (shared.workspace / "kind").read_text() == "stopped\n"
    failed = shared.cli("service", "stop", "unkind", "--wait=60")
    assert failed.returncode == 1
    assert "3" in failed.stderr
    assert "stop" in failed.stderr


def test_sigterm_reaches_the_whole_group_and_any_exit_code_is_stopped(shared: Stage) -> None:
    """Rule 3.7."""
    child = "trap 'echo child >> group; exit' TERM; touch child-on; while :; do sleep 0.05; done"
    start = f"trap 'exit 9' TERM; ({child}) & wait"
    shared.apply(automations(services=(service_yaml("group", start, ready="[ -e child-on ]"),)))
    shared.ok("service", "start", "group", "--wait=60")
    shared.ok("service", "stop", "group", "--wait=60")
    assert shared.phase("group") == "STOPPED"
    # Once as one of the group, and once more if it was slower than its leader and so was left behind.
    assert set((shared.workspace / "group").read_text().split()) == {"child"}


def test_readiness_timeout_brings_down_and_fails_with_the_probe_s_words(shared: Stage) -> None:
    """Rule 3.4."""
    shared.apply(
        automations(
            services=(
                service_yaml(
                    "slow", "exec sleep 60", ready="echo port is closed; exit 1", more="readinessTimeout: 1s"
                ),
            )
        )
    )
    answer = shared.cli("service", "start", "slow", "--wait=60")
    assert answer.returncode == 1
    assert "not ready within 1 s" in answer.stderr
    assert "port is closed" in answer.stderr


def test_ready_is_one_at_a_time_and_never_again_after_running(shared: Stage) -> None:
    """Rule 3.3."""
    ready = """echo x >> attempts
mkdir lock || echo doubled >> attempts
sleep 0.1; rmdir lock
test $(wc -l < attempts) -ge 2"""
    shared.apply(automations(services=(service_yaml("probed", "exec sleep 60", ready=ready),)))
    shared.ok("service", "start", "probed", "--wait=60")
    attempts = (shared.workspace / "attempts").read_text()
    assert attempts == "x\nx\n"
    shared.ok("service", "stop", "probed", "--wait=60")
    assert (shared.workspace / "attempts").read_text() == attempts


def test_logs_follow_to_the_end_and_ctrl_c_detaches(shared: Stage) -> None:
    """Interface: `logs` follows; Ctrl-C is 130 and stops nothing."""
    shared.apply(
        automations(
            services=(
                service_yaml("chatty", "echo hello; while [ ! -e hush ]; do sleep 0.05; done; echo bye"),
            )
        )
    )
    shared.ok("service", "start", "chatty", "--wait=60")
    interrupted = shared.spawn("service", "logs", "chatty")
    assert interrupted.stdout is not None
    while "hello" not in interrupted.stdout.readline():
        pass
    interrupted.send_signal(signal.SIGINT)
    _, errors = interrupted.communicate(timeout=60)
    assert interrupted.returncode == 130, errors
    assert "Traceback" not in errors
    assert shared.phase("chatty") == "RUNNING"
    whole = shared.spawn("service", "logs", "chatty")
    (shared.workspace / "hush").touch()
    said, _ = whole.communicate(timeout=60)
    assert whole.returncode == 0
    assert "bye" in said
    assert "exited with code 0" in said
    assert (
        shared.ok("service", "logs", "chatty", "--no-follow", "--role", "start", "--tail", "2").count("\n")
        == 2
    )


def test_output_is_live_complete_and_cleared_by_a_new_session(shared: Stage) -> None:
    """Rule 5.3, from start, ready and stop."""
    start = """for entry in port=80 gone=1 gone=; do echo $entry >> $GITPOD_OUTPUT; done
exec sleep 60"""
    ready = 'printf "motd<<E\\na\\nb\\nE\\n" >> $GITPOD_OUTPUT'
    stop = "printf 'last=yes' >> $GITPOD_OUTPUT"
    shared.apply(automations(services=(service_yaml("outputs", start, ready=ready, stop=stop),)))
    shared.ok("service", "start", "outputs", "--wait=60")
    status = shared.service("outputs").get("status", {})
    assert status.get("output") == {"port": "80", "motd": "a\nb"}, "published no later than RUNNING"
    shared.ok("service", "stop", "outputs", "--wait=60")
    assert shared.service("outputs").get("status", {}).get("output") == {
        "port": "80",
        "motd": "a\nb",
        "last": "yes",
    }
    shared.ok("service", "start", "outputs", "--wait=60")
    assert "last" not in shared.service("outputs").get("status", {}).get("output", {})
    shared.ok("service", "stop", "outputs", "--wait=60")


def test_update_of_a_running_service_is_for_its_next_session(shared: Stage) -> None:
    """Rule 2.7: the live run keeps the copy it started with, `stop` included."""
    shared.apply(
        automations(services=(service_yaml("evolving", "exec sleep 60", stop="echo old >> evolving"),))
    )
    shared.ok("service", "start", "evolving", "--wait=60")
    shared.apply(
        automations(services=(service_yaml("evolving", "exec sleep 61", stop="echo new >> evolving"),))
    )
    shared.ok("service", "restart", "evolving", "--wait=60")
    shared.ok("service", "stop", "evolving", "--wait=60")
    assert (shared.workspace / "evolving").read_text() == "old\nnew\n"
