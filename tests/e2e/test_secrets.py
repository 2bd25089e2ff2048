"""Secrets with the whole program: runs get them, shout them in every way, and then everything is searched
(rules 5.2, 5.6, 5.7, 6.5).
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import pytest

from tests.e2e.conftest import staged
from tests.e2e.stage import Stage, execution_path, phase_of, service_path
from tests.support.processes import everything, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner_agent.client.messages import EnvVar, Execution

TOKEN_ID = "aaaaaaaa-0000-4000-8000-000000000001"
PEM_ID = "aaaaaaaa-0000-4000-8000-000000000002"
ALL_ID = "aaaaaaaa-0000-4000-8000-000000000003"
CREDENTIAL_ID = "aaaaaaaa-0000-4000-8000-000000000004"
CONTROL = "this-is-no-secret"
SHOUT = """
import base64, hashlib, json, os, sys, urllib.parse
say = lambda text: os.write(1, text.encode() + b"\\n")
output = open(os.environ["GITPOD_OUTPUT"], "a")
print(sys.argv[1], file=open("proof." + sys.argv[1], "w"))
for name in ("API_TOKEN", "PEM", "FOR_ALL"):
    value = os.environ[name]
    print(name, hashlib.sha256(value.encode()).hexdigest(), file=open("proof." + sys.argv[1], "a"))
    disguises = [value, json.dumps(value), json.dumps(value, ensure_ascii=False)]
    disguises += [urllib.parse.quote(value, safe=""), urllib.parse.quote(value)]
    disguises += [urllib.parse.quote_plus(value)]
    for pad in ("", "x", "xx"):
        disguises.append(base64.b64encode((pad + value + "tail").encode()).decode())
        disguises.append(base64.urlsafe_b64encode((pad + value).encode()).decode())
    for number, disguise in enumerate(disguises):
        say(f"shout {number} {disguise} end")
        print(f"{name}{number}<<SO_FAR\\nit is {disguise}\\nSO_FAR", file=output, flush=True)
    os.write(2, value[:9].encode()); os.write(1, value[9:].encode() + b"\\n")
    for byte in value.encode():
        os.write(1, bytes((byte,)))
    os.write(1, b"\\n")
print("plain=this-is-no-secret", file=output, flush=True)
print(os.environ["API_TOKEN"] + "=a key", file=output, flush=True)
"""


@dataclass(frozen=True)
class Vault:
    """Three folders of secrets beside an agent's state, and what must be nowhere else."""

    stage: Stage
    token: str
    pem: str
    for_all: str
    rotated: str

    @property
    def folder(self) -> Path:
        return self.stage.daemon.base / "vault"

    def put(self, scope: str, secret_id: str, value: str) -> None:
        path = self.folder / scope / secret_id
        path.write_text(value)
        path.chmod(0o600)

    def needles(self) -> list[bytes]:
        """The values in all the disguises of the rule, less what their surroundings change."""
        found: set[str] = set()
        for value in (self.token, self.pem, self.for_all, self.rotated):
            found |= {value, json.dumps(value)[1:-1], quote(value), quote(value, safe=""), quote_plus(value)}
            for pad in ("", "x", "xx"):
                for encode in (base64.b64encode, base64.urlsafe_b64encode):
                    found.add(encode((pad + value).encode()).decode()[4:-4])
            found |= {line for line in value.splitlines() if len(line) >= 16 and line[:5] != "-----"}
        return [needle.encode() for needle in found]


@pytest.fixture
def vault(stage: Stage) -> Vault:
    """An agent not started yet, whose every run is given one of the secrets."""
    made = make_vault(stage)
    stage.daemon.environment["RUNNER_AGENT_SECRET_ENVIRONMENT"] = f"FOR_ALL={ALL_ID}"
    stage.daemon.environment["RUNNER_AGENT_SERVICE_STOP_GRACE"] = "60"  # a stop command shouts, too
    stage.write_file(SHOUT, "shout.py")
    return made


@pytest.fixture(scope="module")
def calm() -> Iterator[Vault]:
    """An agent that the smaller tests share; with systemd's credentials, as a unit of its own would have."""
    with staged() as stage:
        made = make_vault(stage)
        credentials = stage.daemon.base / "credentials"
        credentials.mkdir(mode=0o700)
        path = credentials / f"runner-agent.project_{CREDENTIAL_ID}"
        path.write_text("of-the-credentials")
        path.chmod(0o400)
        stage.daemon.environment["CREDENTIALS_DIRECTORY"] = str(credentials)
        stage.start()
        yield made


def make_vault(stage: Stage) -> Vault:
    body = "\n".join(secrets.token_urlsafe(48) for _ in range(5))
    made = Vault(
        stage,
        token=f'tök "{secrets.token_urlsafe(12)}"/+&= \\{secrets.token_hex(4)}',
        pem=f"-----BEGIN KEY-----\n{body}\n-----END KEY-----\n",
        for_all=secrets.token_urlsafe(24),
        rotated=secrets.token_urlsafe(24),
    )
    scopes = ("user", "project", "organization")
    for scope in scopes:
        (made.folder / scope).mkdir(parents=True)
    made.folder.chmod(0o700)
    made.put("user", TOKEN_ID, f"{made.token}\n")
    made.put("project", TOKEN_ID, "hidden by the user's own")
    made.put("project", PEM_ID, made.pem)
    made.put("organization", ALL_ID, made.for_all)
    places = [f"{scope}={made.folder / scope}" for scope in scopes]
    stage.daemon.environment["RUNNER_AGENT_SECRETS"] = ",".join(places)
    stage.daemon.environment["RUNNER_AGENT_LOG_LEVEL"] = "debug"
    return made


ENV: list[EnvVar] = [
    {"name": "API_TOKEN", "valueFrom": {"secretRef": {"id": TOKEN_ID}}},
    {"name": "PEM", "valueFrom": {"secretRef": {"id": PEM_ID}}},
]


def add_service(stage: Stage, reference: str, start: str, ready: str = "", stop: str = "") -> str:
    made = stage.agent.create_service(
        {"reference": reference, "name": reference},
        {"commands": {"start": start, "ready": ready, "stop": stop}, "env": ENV},
    )
    return made["id"]


def run_task(stage: Stage, reference: str, command: str, env: list[EnvVar]) -> Execution:
    made = stage.agent.create_task(
        {"reference": reference, "name": reference}, {"command": command, "env": env}
    )
    return stage.await_execution(stage.agent.start_task(made["id"])["id"], timeout=40)


def test_rule_5_6_what_runs_shout_is_nowhere_to_be_found(vault: Vault) -> None:
    """While they run, after the agent was killed, secrets were changed and it came back, and at the end."""
    stage = vault.stage
    stage.start()
    go_on = "python3 shout.py again; touch shouted; exec sleep 60"
    service = add_service(
        stage,
        "loud",
        f"python3 shout.py start; while [ ! -e go ]; do sleep 0.1; done; {go_on}",
        ready="python3 shout.py ready",
        stop="python3 shout.py stop",
    )
    stage.agent.start_service(service)
    stage.await_phase("loud", "RUNNING", timeout=30)
    failed = run_task(stage, "fails", 'python3 shout.py task; echo "bad login: $API_TOKEN"; exit 3', ENV)
    assert phase_of(failed) == "FAILED"
    message = failed.get("status", {}).get("failureMessage", "")
    assert "bad login: " in message, message
    posted = {"posted": f"it is {vault.token}", "plain2": CONTROL}
    stage.agent.transport.unary(
        "gitpod.v1.EnvironmentAutomationService/UpdateService",
        {"id": service, "status": {"output": posted}},
    )
    assert stage.service("loud").get("status", {}).get("output", {})["plain2"] == CONTROL
    every_value_arrived(vault, "start", "ready", "task")
    search(vault, api_answers(stage, failed))

    stage.daemon.sigkill()
    vault.put("user", TOKEN_ID, vault.rotated)
    vault.put("project", PEM_ID, "")
    stage.start()
    (stage.workspace / "go").touch()
    wait_until((stage.workspace / "shouted").exists, 30, "the adopted run goes on")
    stage.await_phase("loud", "RUNNING")
    every_value_arrived(vault, "again")
    search(vault, api_answers(stage, failed))
    vault.put("project", PEM_ID, vault.pem)
    stage.agent.stop_service(service)
    stage.await_phase("loud", "STOPPED", timeout=30)
    every_value_arrived(dataclasses.replace(vault, token=vault.rotated), "stop")
    told = [stage.ok("why", "fails"), stage.ok("events", "--json", "--tail", "10000", "--no-follow")]
    search(vault, [*api_answers(stage, failed), *map(str.encode, told)], outputs_too=True)


def every_value_arrived(vault: Vault, *tags: str) -> None:
    """The proof that there was something to hide: each run saw the exact values."""
    values = {"API_TOKEN": vault.token, "PEM": vault.pem, "FOR_ALL": vault.for_all}
    expected = [f"{name} {hashlib.sha256(value.encode()).hexdigest()}" for name, value in values.items()]
    for tag in tags:
        path = vault.stage.workspace / f"proof.{tag}"
        wait_until(lambda: shouted(path) == [tag, *expected], 30, f"{tag} shouts all")  # noqa: B023


def shouted(path: Path) -> list[str]:
    """What a run says it has seen so far."""
    return path.read_text().splitlines() if path.exists() else []


def api_answers(stage: Stage, execution: Execution) -> list[bytes]:
    """What the API and the logs tell of all there is."""
    agent = stage.agent
    service = stage.service("loud")
    things: list[object] = [
        service,
        agent.get_execution(execution["id"]),
        list(agent.services()),
        list(agent.tasks()),
        list(agent.executions()),
        list(agent.firings()),
        list(agent.timeline()),
        agent.get_agent(),
        agent.explain("loud"),
        agent.explain("fails"),
    ]
    log = stage.log(service_path(service)) + stage.log(execution_path(execution))
    assert log.count("shout ") >= 60, "what is no secret is all there"
    told = [json.dumps(things, ensure_ascii=False).encode(), json.dumps(things).encode(), log.encode()]
    assert CONTROL.encode() in told[0], "the search finds what is there"
    assert b"[withheld]" not in told[0], "what is known is hidden, and nothing else is"
    told.append(stage.get_log("/metrics")[2])
    return told


def search(vault: Vault, told: list[bytes], *, outputs_too: bool = False) -> None:
    """Find a value anywhere but where it must be: its own file, and the environment of the runs given it.

    The file that a run itself writes its outputs to lives as long as the run; with `outputs_too` it must be
    gone.
    """
    stage = vault.stage
    needles = vault.needles()
    places = [("an answer", text) for text in told]
    places += [("the agent's own log", (stage.daemon.base / "stderr").read_bytes())]
    places += list(files(stage.state, outputs=outputs_too))
    assert any(name.endswith("agent.db") for name, _ in places)
    for process in everything():
        for name in ("cmdline", "environ"):
            try:
                content = Path(f"/proc/{process.pid}/{name}").read_bytes()
            except OSError:
                continue
            if not (name == "environ" and b"\0RUNNER_AGENT_RUN_ID=" in content):
                places.append((f"{name} of {process.name}", content))
    found = {(place, needle) for place, content in places for needle in needles if needle in content}
    assert not found


def files(folder: Path, *, outputs: bool) -> Iterator[tuple[str, bytes]]:
    for path in folder.rglob("*"):
        if path.is_file() and (outputs or path.suffix != ".output"):
            try:
                yield str(path), path.read_bytes()
            except FileNotFoundError:
                continue  # a run's, that has just gone


def test_rules_5_6_5_7_a_secret_that_is_nowhere_fails_the_run_and_says_who_was_asked(calm: Vault) -> None:
    stage = calm.stage
    lost = "bbbbbbbb-0000-4000-8000-000000000001"
    execution = run_task(
        stage, "lost", "echo ran", [{"name": "GONE", "valueFrom": {"secretRef": {"id": lost}}}, *ENV]
    )
    assert phase_of(execution) == "FAILED"
    message = execution.get("status", {}).get("failureMessage", "")
    log = stage.log(execution_path(execution))
    for told in (message, log):
        assert f"variable GONE refers to secret {lost}" in told
        for scope in ("user", "project", "organization"):
            assert f"{scope} ({calm.folder / scope})" in told
    assert "ran" not in log.splitlines()
    (calm.folder / "project" / lost).write_text("here it is")
    (calm.folder / "project" / lost).chmod(0o600)
    again = stage.await_execution(stage.agent.start_task(stage.id_of("lost"))["id"])
    assert phase_of(again) == "SUCCEEDED"


def test_rule_5_6_each_run_reads_anew(calm: Vault) -> None:
    """A secret that is rotated reaches the next run; the one of before stays hidden in it."""
    stage = calm.stage
    command = 'printf %s "$API_TOKEN" | sha256sum >> seen; echo "now $API_TOKEN"; cat old 2>/dev/null; true'
    first = run_task(stage, "reads", command, ENV)
    (stage.workspace / "old").write_text(f"then {calm.token} end\n")
    calm.put("user", TOKEN_ID, "rotated-to-another-value")
    second = stage.await_execution(stage.agent.start_task(stage.id_of("reads"))["id"])
    assert phase_of(first) == phase_of(second) == "SUCCEEDED"
    assert len(set((stage.workspace / "seen").read_text().splitlines())) == 2
    log = stage.log(execution_path(second))
    assert "rotated-to-another-value" not in log
    assert calm.token not in log
    assert "then " in log
    assert " end" in log


def test_rule_5_6_one_run_does_not_print_what_another_got(calm: Vault) -> None:
    stage = calm.stage
    run_task(stage, "gets", 'printf %s "$PEM" > leaked', ENV)
    other = run_task(
        stage, "prints", "cat leaked; echo end; (echo 'out<<E'; cat leaked; echo E) >> $GITPOD_OUTPUT", []
    )
    log = stage.log(execution_path(other))
    assert "end" in log.splitlines()
    told = log + json.dumps(other)
    assert '"out"' in told
    assert not [line for line in calm.pem.splitlines()[1:-1] if line in told]


def test_systemd_credentials_are_a_store(calm: Vault) -> None:
    """As `LoadCredential=runner-agent.project:/folder` hands them over: $CREDENTIALS_DIRECTORY."""
    env: list[EnvVar] = [{"name": "API_TOKEN", "valueFrom": {"secretRef": {"id": CREDENTIAL_ID}}}]
    command = '[ "$API_TOKEN" = of-the-credentials ] && [ -z "$CREDENTIALS_DIRECTORY" ]'
    execution = run_task(calm.stage, "credentials", command, env)
    assert phase_of(execution) == "SUCCEEDED", calm.stage.log(execution_path(execution))
