"""`why` and `events` over a real agent: the answer a person needs, and a history without gaps."""

from __future__ import annotations

import json
import os
import pwd
import signal
import socket
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.stage import automations, no_traceback, service_yaml, task_yaml
from tests.support.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.e2e.stage import Stage

SLEEP = "echo serving; exec sleep 1000"


def why(stage: Stage, reference: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stage.ok("why", reference, "--json"))
    return found


def test_a_service_that_does_not_become_ready(shared: Stage) -> None:
    """Rule 3.3: what it waits for, since when, who wished it, what `ready` said, what the log says."""
    probe = "echo refused on port 8080; exit 7"
    shared.apply(
        automations(services=(service_yaml("unready", SLEEP, ready=probe, more="readinessTimeout: 5m"),))
    )
    shared.ok("service", "start", "unready")
    wait_until(
        lambda: (
            bool(why(shared, "unready").get("lastProbe", {}).get("ending"))
            and "serving" in why(shared, "unready")["logs"][0].get("lines", [])
        ),
        15,
    )
    told = why(shared, "unready")
    assert told["phase"] == "STARTING"
    assert told["answer"].startswith("waiting for `ready` to exit 0: attempt ")
    assert told["wishedBy"].startswith("uid ")
    assert told["lastProbe"]["ending"] == "ready exited with code 7"
    assert "refused on port 8080" in told["lastProbe"]["lines"]
    assert any("it is given up in" in reason for reason in told["reasons"])
    assert "until" in told
    (start,) = [run for run in told["runs"] if run["role"] == "start"]
    assert start["state"] == "live"
    assert start["pid"] > 1
    text = shared.ok("why", "unready")
    assert text.startswith("service unready is STARTING for ")
    assert "  | refused on port 8080" in text
    shared.ok("service", "stop", "unready", "--wait=60")


def test_who_listens_where_a_service_wants_to_be(shared: Stage) -> None:
    """A `ready` that a stranger's port satisfies; an address in use, told by a start that waits, too."""
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        (shared.workspace / "late").write_text(
            f"echo 'listen tcp :{port}: bind: address already in use'; exit 1"
        )
        shared.apply(
            automations(
                services=(
                    service_yaml("deceived", SLEEP, ready=f"</dev/tcp/127.0.0.1/{port}"),
                    service_yaml("late", "exec bash late", ready="false"),
                )
            )
        )
        shared.ok("service", "start", "deceived", "--wait=60")
        (reason,) = [each for each in why(shared, "deceived")["reasons"] if f"port {port}" in each]
        assert f"held by pid {os.getpid()} (" in reason
        assert f"user {pwd.getpwuid(os.getuid()).pw_name}" in reason
        failed = shared.cli("service", "start", "late", "--wait=60")
        assert failed.returncode == 1
        assert f"port {port}, which its log says was in use, is held by pid {os.getpid()} (" in failed.stderr
    assert not [each for each in why(shared, "deceived").get("reasons", []) if "held by" in each]
    shared.ok("service", "stop", "deceived", "--wait=60")


def test_a_service_that_failed_one_that_is_stopped_and_one_never_asked_for(shared: Stage) -> None:
    """Rules 3.1, 3.5, 3.6."""
    shared.apply(
        automations(
            services=(
                service_yaml("broke", "echo no database; exit 3"),
                service_yaml("idle", SLEEP, more="triggeredBy: [postEnvironmentStart]"),
                service_yaml("halted", SLEEP),
            )
        )
    )
    shared.ok("service", "start", "broke")
    shared.await_phase("broke", "FAILED")
    told = shared.ok("why", "broke")
    assert "start exited with code 3; it is not started again by itself" in told.splitlines()[0]
    assert "  | no database" in told
    assert "it waits for postEnvironmentStart to be fired" in shared.ok("why", "idle")
    shared.ok("service", "start", "halted", "--wait=60")
    shared.ok("service", "stop", "halted", "--wait=60")
    assert "it was stopped, as asked by uid" in shared.ok("why", "halted")


def test_a_stop_that_takes_its_time(stage: Stage) -> None:
    """Rule 3.7: SIGTERM since when, SIGKILL in how long."""
    stage.daemon.environment["RUNNER_AGENT_SERVICE_STOP_GRACE"] = "30"
    stage.start(
        file=automations(
            services=(service_yaml("stubborn", "trap '' TERM; echo deaf; while :; do sleep 0.2; done"),)
        )
    )
    stage.ok("service", "start", "stubborn")
    wait_until(lambda: "deaf" in stage.ok("service", "logs", "stubborn", "--no-follow"), 15)
    stage.ok("service", "stop", "stubborn")
    wait_until(lambda: "SIGTERM was sent" in why(stage, "stubborn")["answer"], 15)
    told = why(stage, "stubborn")
    assert (told["phase"], told["desiredPhase"]) == ("STOPPING", "STOPPED")
    assert "SIGKILL follows in" in told["answer"]
    stage.ok("service", "delete", "stubborn", "--force")


def test_a_task_that_waits_and_one_that_failed(shared: Stage) -> None:
    """Rules 4.2, 4.4: by label, and by the execution's id too."""
    shared.apply(
        automations(
            services=(service_yaml("gate", SLEEP, ready="test -e open"),),
            tasks=(
                task_yaml("waits", "echo waited", more="dependsOn: [gate]"),
                task_yaml("fails", "echo out of luck; exit 9"),
            ),
        )
    )
    assert "never been started" in shared.ok("why", "waits")
    id_ = shared.ok("task", "start", "waits", "--dont-wait").strip()
    wait_until(lambda: why(shared, id_).get("waitsFor") == ["gate"], 15)
    told = why(shared, id_)
    assert told["kind"] == "KIND_EXECUTION"
    assert 'waiting for step "gate": service "gate" is STARTING' in told["answer"]
    assert [step.get("waitsFor", []) for step in told["steps"]] == [["gate"], ["gate"]]
    (shared.workspace / "open").touch()
    assert shared.await_execution(id_)["id"] == id_
    assert "all 2 steps succeeded" in shared.ok("why", "waits")
    shared.run("fails")
    text = shared.ok("why", "fails")
    assert "fails exited with code 9; last line: out of luck" in text.splitlines()[0]
    shared.ok("service", "stop", "gate", "--wait=60")


def test_nothing_goes_by_that_name(shared: Stage) -> None:
    shared.apply(automations(services=(service_yaml("lonely", SLEEP),)))
    answer = shared.cli("why", "lonley")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "Did you mean 'lonely'?" in answer.stderr


class Followed:
    """`events --json` beside the test, its lines read as they come."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.entries: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.entries.append(json.loads(line))

    def phases(self, reference: str) -> list[str]:
        return [
            one["phase"]
            for one in list(self.entries)
            if one.get("phase") and one.get("reference") == reference
        ]

    def await_phase(self, reference: str, phase: str) -> None:
        wait_until(lambda: phase in self.phases(reference), 20, f"{reference} {phase}: {self.entries}")

    def end(self) -> str:
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(60) == 130
        self._thread.join(20)
        assert self.process.stderr is not None
        return self.process.stderr.read()


@pytest.fixture
def followed(stage: Stage) -> Generator[Followed]:
    """Of an agent with one service; what is followed begins with its creation."""
    stage.start(file=automations(services=(service_yaml("web", SLEEP),)))
    process = stage.spawn("events", "--json", "--tail", "100")
    reader = Followed(process)
    try:
        yield reader
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def test_events_tell_phases_and_who_wished(stage: Stage, followed: Followed) -> None:
    wait_until(lambda: bool(followed.phases("web")), 20)
    stage.ok("service", "start", "web", "--wait=60")
    followed.await_phase("web", "RUNNING")
    stage.ok("service", "stop", "web", "--wait=60")
    followed.await_phase("web", "STOPPING")
    wait_until(lambda: followed.phases("web")[-1] == "STOPPED", 20)
    assert followed.phases("web") == ["STOPPED", "STARTING", "RUNNING", "STOPPING", "STOPPED"]
    asked = [one for one in followed.entries if one["text"].startswith(("start asked", "stop asked"))]
    assert [one["cause"].split()[0] for one in asked] == ["uid", "uid"]
    versions = [int(one["version"]) for one in followed.entries if one.get("reference") == "web"]
    assert versions == sorted(versions)
    no_traceback(followed.end())


def test_events_go_on_through_a_crash_of_the_agent(stage: Stage, followed: Followed) -> None:
    """Rule 7.2: what happened before is kept, what happens after is told, and nothing twice."""
    stage.ok("service", "start", "web", "--wait=60")
    followed.await_phase("web", "RUNNING")
    stage.daemon.sigkill()
    stage.daemon.start()
    stage.ok("service", "stop", "web", "--wait=60")
    wait_until(lambda: followed.phases("web")[-1] == "STOPPED", 30)
    places = [int(one["place"]) for one in followed.entries]
    assert places == sorted(set(places))
    assert followed.phases("web") == ["STOPPED", "STARTING", "RUNNING", "STOPPING", "STOPPED"]
    said = followed.end()
    assert "The agent is back." in said
    no_traceback(said)
    history = stage.ok("events", "web", "--no-follow", "--json").splitlines()
    assert [json.loads(line)["place"] for line in history] == [
        one["place"] for one in followed.entries if one.get("reference") == "web"
    ]


def test_a_file_is_made_the_default_for_good(stage: Stage) -> None:
    """Rule 2.9, `automations update -s`."""
    stage.start()
    path = stage.write_file(automations(services=(service_yaml("first", SLEEP),)), "mine.yaml")
    stage.ok("automations", "update", "-s", str(path))
    assert stage.agent.get_agent().get("automations", {}).get("path") == str(path)
    path.write_text(automations(services=(service_yaml("second", SLEEP),)))
    stage.daemon.terminate()
    stage.daemon.start()
    stage._ids.clear()
    assert stage.phase("second") == "STOPPED"


def test_metrics_are_told_to_the_owner(shared: Stage) -> None:
    shared.ok("status")
    with shared.connection() as http:
        http.request("GET", "/metrics")
        answer = http.getresponse()
        text = answer.read().decode()
    assert (answer.status, answer.getheader("content-type")) == (
        200,
        "text/plain; version=0.0.4; charset=utf-8",
    )
    assert 'runner_agent_api_calls_total{method="GetAgent",code="ok"} ' in text
    assert "runner_agent_resident_memory_bytes " in text
