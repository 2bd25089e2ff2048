"""What goes in and out of the units besides signals: triggers, credentials, the journal, doctor."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.systemd.installed import AGENT, WORKSPACE

if TYPE_CHECKING:
    from tests.systemd.installed import Installed

pytestmark = [pytest.mark.systemd, pytest.mark.timeout(600)]

SECRET_ID = "6a1de5b0-6f0e-4c63-9b1b-52a0d3b7c9f4"


def _writes(reference: str, event: str) -> dict[str, object]:
    """A task that writes a line each time it is triggered."""
    script = f"echo fired >> {WORKSPACE}/{reference}"
    return {reference: {"name": reference, "command": script, "triggeredBy": [event]}}


def _lines(shared: Installed, reference: str) -> int:
    return len(shared.read(f"{WORKSPACE}/{reference}").splitlines())


def test_rule_6_3_a_trigger_unit_fires(shared: Installed) -> None:
    """postDevcontainerStart each time that somebody says so: the agent knows of no dev container here."""
    shared.apply(tasks=_writes("by-container", "postDevcontainerStart"))
    for times in (1, 2):
        shared.machine.systemctl("start", "runner-agent-trigger@postDevcontainerStart")
        shared.until(lambda times=times: _lines(shared, "by-container") == times, f"firing {times}")  # type: ignore[misc]


def test_rule_6_3_post_environment_start_happens_once_per_boot(shared: Installed) -> None:
    shared.apply(tasks=_writes("by-environment", "postEnvironmentStart"))
    for _ in range(3):
        shared.machine.systemctl("start", "runner-agent-trigger@postEnvironmentStart")
    shared.until(lambda: _lines(shared, "by-environment"), "the firing")
    found = json.loads(shared.cli("task", "list-executions", "by-environment", "--json").stdout)
    assert len(found) == 1


def test_a_trigger_unit_brings_the_agent_up(shared: Installed) -> None:
    shared.machine.systemctl("stop", AGENT)
    shared.machine.systemctl("start", "runner-agent-trigger@beforeSnapshot")
    assert shared.machine.shows(AGENT, "ActiveState") == "active"


def test_an_unknown_event_fails_its_unit_and_says_which_there_are(shared: Installed) -> None:
    unit = "runner-agent-trigger@postLunch.service"
    assert shared.machine.run("systemctl", "start", unit, check=False).returncode != 0
    assert shared.machine.shows(unit, "ExecMainStatus") == "2"
    assert "postDevcontainerStart" in shared.machine.journal("-u", unit)
    shared.machine.systemctl("reset-failed", unit)


def test_a_secret_comes_from_systemd_credentials(shared: Installed) -> None:
    """Rule 5.6: it reaches the run, and neither log nor journal."""
    value = "correct-horse-battery-staple"
    shared.write("/etc/secrets/token", value)
    shared.machine.inside("/etc/secrets/token").chmod(0o600)
    lines = (
        f"LoadCredential=runner-agent.project_{SECRET_ID}:/etc/secrets/token",
        f"Environment=RUNNER_AGENT_SECRET_ENVIRONMENT=TOKEN={SECRET_ID}",
    )
    script = f'echo "it is $TOKEN"; printf %s "$TOKEN" > {WORKSPACE}/token-seen'
    with shared.drop_in("\n".join(lines)):
        shared.apply(tasks={"takes-secret": {"name": "takes-secret", "command": script}})
        shared.cli("task", "start", "takes-secret")
        assert shared.read(f"{WORKSPACE}/token-seen") == value
        assert "it is " in shared.cli("task", "logs", "takes-secret", "--no-follow").stdout
        assert value not in shared.cli("task", "logs", "takes-secret", "--no-follow").stdout
    assert value not in shared.machine.journal()


def test_the_journal_has_reference_and_run_as_fields(shared: Installed) -> None:
    shared.start("told", "trap 'exit 7' TERM; while :; do sleep 0.1; done")
    found = shared.service("told")
    by_name = ("-u", AGENT, "RUNNER_AGENT_REFERENCE=told")
    shared.until(lambda: shared.machine.entries(*by_name), "an entry about it")
    entry = shared.machine.entries(*by_name)[0]
    assert entry["PRIORITY"] == "6"
    assert entry["SYSLOG_IDENTIFIER"] == "runner-agent"
    assert entry["_SYSTEMD_UNIT"] == AGENT
    assert entry["RUNNER_AGENT_SESSION"] == found["status"]["session"]
    run_id = str(entry["RUNNER_AGENT_RUN_ID"])
    assert shared.machine.entries(f"RUNNER_AGENT_RUN_ID={run_id}") != []
    assert "reference=told" in str(entry["MESSAGE"]), "a person reads it without asking for fields"
    shared.machine.run("sh", "-c", f"kill -TERM {shared.pid_of('told')}")
    shared.await_phase("told", "FAILED")
    shared.until(lambda: shared.machine.entries(*by_name, "PRIORITY=4"), "a warning that it failed")
    warning = shared.machine.entries(*by_name, "PRIORITY=4")[-1]
    assert "code 7" in str(warning["RUNNER_AGENT_FAILURE"])


def test_doctor_knows_units_and_scope(shared: Installed) -> None:
    found = json.loads(shared.cli("doctor", "--json").stdout)["findings"]
    told = {each["check"]: each for each in found}
    for check in ("systemd", "units", "launcher", "cgroup"):
        assert told[check]["verdict"] == "ok", told[check]
