"""`run_as`: an agent that is root runs commands as somebody who is not, and who tries what he can (rules 5.1,
5.2, 7.3).
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import shutil
import stat
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import staged
from tests.e2e.stage import (
    Stage,
    automations,
    execution_path,
    phase_of,
    service_path,
    service_yaml,
    task_yaml,
)
from tests.support.daemon import PROGRAM
from tests.support.machines import ROOT_OR_CI, lacking
from tests.support.processes import look, wait_until

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not ROOT_OR_CI, reason="only root may run commands as another user"),
]

SECRET_ID = "bbbbbbbb-0000-4000-8000-000000000001"
SECRET = "correct-horse-battery"
PRIVATE = "only-root-may-read-this: it-is-so\n"
HOLDS = "exec sleep 3600"


@dataclass(frozen=True)
class Town:
    """An agent that runs commands as `user`; a place of root's that he cannot enter; a Python he can run."""

    stage: Stage
    user: pwd.struct_passwd
    private: Path
    python: str

    def told(self, reference: str) -> Any:
        """What the probe found, run as a task beside a service: an earlier test may have killed that one."""
        self.stage.ok("service", "start", "neighbour", "--wait=60")
        (self.stage.workspace / "facts.json").write_text(json.dumps(facts(self.stage, self.private)))
        command = f"{self.python} run_as_probe.py facts.json"
        self.stage.apply(automations(tasks=(task_yaml(reference, command),)))
        execution = self.stage.run(reference, 120)
        log = self.stage.log(execution_path(execution))
        assert phase_of(execution) == "SUCCEEDED", log
        return json.loads((self.stage.workspace / "told.json").read_text())


@pytest.fixture(scope="module")
def user() -> Iterator[pwd.struct_passwd]:
    """Somebody with a group besides his own."""
    if shutil.which("useradd") is None:
        lacking("useradd, to make a user")
    name = f"ra-test-{os.getpid()}"
    make = ["useradd", "--system", "--no-create-home", "--user-group", "--groups", "users", name]
    subprocess.run(make, check=True, capture_output=True, timeout=60)
    yield pwd.getpwnam(name)
    subprocess.run(["userdel", name], check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def python(user: pwd.struct_passwd) -> str:
    """One that he can run: the tests' own may lie in somebody's home."""
    candidates = (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3")
    found = next((each for each in candidates if _runs(each, user)), None)
    return found or lacking("a python3 that everybody can run")


def _runs(program: str, user: pwd.struct_passwd) -> bool:
    with suppress(OSError):
        tried = subprocess.run(
            [program, "-c", ""], user=user.pw_uid, group=user.pw_gid, cwd="/", timeout=60, check=False
        )
        return tried.returncode == 0
    return False


@pytest.fixture(scope="module")
def town(user: pwd.struct_passwd, python: str, tmp_path_factory: pytest.TempPathFactory) -> Generator[Town]:
    """Shared by all: each uses references of its own."""
    private = tmp_path_factory.mktemp("private")
    private.chmod(0o700)
    (private / SECRET_ID).write_text(f"{SECRET}\n")
    (private / "notes.yaml").write_text(PRIVATE)
    with staged(RUNNER_AGENT_RUN_AS=user.pw_name, RUNNER_AGENT_SECRETS=f"project={private}") as stage:
        os.chown(stage.workspace, user.pw_uid, user.pw_gid)
        shutil.copy(Path(__file__).with_name("run_as_probe.py"), stage.workspace)
        # An agent that was given more than root's own: nothing of it is for commands.
        stage.daemon.program = ("setpriv", "--inh-caps=+chown,+kill", "--ambient-caps=+chown,+kill", *PROGRAM)
        stage.start(file=automations(services=(service_yaml("neighbour", HOLDS),)))
        yield Town(stage, user, private, python)


def facts(stage: Stage, private: Path) -> dict[str, object]:
    """What he could find out anyhow: /proc shows names and numbers to all."""
    names = {process.name: process.pid for process in stage.daemon.family()}
    told = json.loads(stage.ok("why", "neighbour", "--json"))
    neighbour = look(next(run["pid"] for run in told["runs"] if run["state"] == "live"))
    assert neighbour is not None
    pids = {
        "the agent": stage.daemon.info().pid,
        "the launcher": names["ra-launcher"],
        "the nursery": names["ra-nursery"],
        "a holder": neighbour.parent,  # one that stays: others come and go
    }
    return {
        "pids": pids,
        "state": str(stage.state),
        "secret": str(private / SECRET_ID),
        "private": str(private / "notes.yaml"),
    }


@pytest.fixture(scope="module")
def told(town: Town) -> Any:
    """The probe, once for all that ask what it found."""
    return town.told("probe")


def test_a_run_can_neither_signal_nor_read_nor_trace_agent_launcher_and_holders(told: Any) -> None:
    """Their environments hold tokens and secrets, their memory the orders of all runs."""
    about = ("signal", "ptrace", "descriptor", "environ", "mem", "maps", "fd", "root", "cwd", "syscall")
    tries = {name: how for name, how in told["attempts"].items() if name.split()[0] in about}
    assert len(tries) == 4 * len(about)
    assert {name: how for name, how in tries.items() if how != "denied"} == {}


def test_a_run_gets_at_nothing_that_the_agent_keeps(told: Any) -> None:
    """Token, database, records, orders, logs, secrets, the launcher's socket; nor can it replace any."""
    about = ("list", "read", "write", "move", "connect")
    tries = {name: how for name, how in told["attempts"].items() if name.split()[0] in about}
    assert len(tries) > 30
    assert {name: how for name, how in tries.items() if how not in ("denied", "not there")} == {}
    assert tries["read token"] == tries["read agent.db"] == tries["read the secret"] == "denied"


def test_a_run_is_its_user_and_nothing_more(told: Any, town: Town) -> None:
    """Groups of his too; no capability, even of an agent that was given ambient ones."""
    itself = told["itself"]
    uid, gid = str(town.user.pw_uid), str(town.user.pw_gid)
    assert itself["Uid"] == [uid] * 4
    assert itself["Gid"] == [gid] * 4
    assert set(itself["Groups"]) == {gid, str(grp.getgrnam("users").gr_gid)}
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(itself[name][0], 16) == 0, name
    assert itself["Umask"] == ["0022"]
    assert itself["descriptors"][:3] == [0, 1, 2]
    assert len(itself["descriptors"]) <= 4, "the one of the listing"
    env = itself["environment"]
    assert (env["USER"], env["LOGNAME"], env["HOME"]) == (town.user.pw_name,) * 2 + (town.user.pw_dir,)
    assert not {"RUNNER_AGENT_TOKEN", "RUNNER_AGENT_SECRETS", "RUNNER_AGENT_STATE_DIR"} & set(env)


def test_what_sudo_needs_is_left_to_a_run(told: Any) -> None:
    """A bounding set, and new privileges by exec."""
    assert told["itself"]["NoNewPrivs"] == ["0"]
    assert int(told["itself"]["CapBnd"][0], 16) == int(_status("CapBnd"), 16)


def test_a_setuid_program_works(town: Town) -> None:
    place = town.stage.workspace.parent / "setuid"
    place.mkdir(exist_ok=True)
    program = Path(shutil.copy(shutil.which("id") or "/usr/bin/id", place / "id"))
    program.chmod(0o4755)
    town.stage.apply(automations(tasks=(task_yaml("setuid", f"{program} -u"),)))
    log = town.stage.log(execution_path(town.stage.run("setuid")))
    if os.statvfs(place).f_flag & os.ST_NOSUID:
        lacking(f"a filesystem for {place} that is not mounted nosuid")
    assert "0" in [line for line in log.splitlines() if not line.startswith("runner-agent:")]


def test_limits_are_those_of_the_agent_and_memory_is_given_up_before_it(told: Any, town: Town) -> None:
    itself = told["itself"]
    assert itself["limits"] == Path(f"/proc/{town.stage.daemon.info().pid}/limits").read_text()
    assert itself["oom_score_adj"] == "300"
    assert itself["oom lowered"] == "denied"


def _status(name: str) -> str:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(name))


def test_its_commands_ask_the_agent(told: Any, town: Town) -> None:
    """RUNNER_AGENT_SOCKET: the user's own, 0600, in a folder of the agent's."""
    assert told["agent"].startswith("200 ")
    found = town.stage.daemon.info().socket.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (
        town.user.pw_uid,
        town.user.pw_gid,
        0o600,
    )
    folder = town.stage.daemon.info().socket.parent.stat()
    assert (folder.st_uid, folder.st_mode & 0o022) == (0, 0)


def test_the_agent_reads_no_file_for_one_who_cannot(told: Any, town: Town) -> None:
    """By name or through a link of his: else what is wrong with it would be quoted to him."""
    for how in ("through a link", "by name"):
        assert told[how].startswith("400 "), told[how]
        assert "cannot read" in told[how]
        assert "it-is-so" not in told[how]
        assert "only-root" not in told[how]


def test_a_default_file_that_is_a_link_to_somebody_else_s_is_not_read(town: Town) -> None:
    """Rule 2.9: told, and nothing of it is quoted."""
    with staged(RUNNER_AGENT_RUN_AS=town.user.pw_name) as stage:
        os.chown(stage.workspace, town.user.pw_uid, town.user.pw_gid)
        (stage.workspace / ".ona").mkdir()
        (stage.workspace / ".ona/automations.yaml").symlink_to(town.private / "notes.yaml")
        stage.start()
        error = stage.agent.get_agent().get("automations", {}).get("error", "")
        assert "cannot read" in error
        assert "it-is-so" not in error + stage.daemon.stderr


def test_ready_stop_and_outputs_are_the_user_s_too(town: Town) -> None:
    stage = town.stage
    note = "echo {0}=$(id -u):$(stat -c %u:%a $GITPOD_OUTPUT) >> $GITPOD_OUTPUT"
    stage.apply(
        automations(
            services=(
                service_yaml(
                    "roles",
                    f"{note.format('start')}; {HOLDS}",
                    ready=note.format("ready"),
                    stop=note.format("stop"),
                ),
            )
        )
    )
    stage.ok("service", "start", "roles", "--wait=60")
    stage.ok("service", "stop", "roles", "--wait=60")
    output = stage.service("roles").get("status", {}).get("output", {})
    uid = town.user.pw_uid
    assert dict(output) == dict.fromkeys(("start", "ready", "stop"), f"{uid}:{uid}:600")


def test_an_output_that_leads_elsewhere_is_not_published(town: Town) -> None:
    """Rule 5.3: a link in the place of the file would have the agent publish what only root may read."""
    values = town.private / "values"
    values.write_text("password=hunter22\n")
    script = f"rm $GITPOD_OUTPUT; ln -s {values} $GITPOD_OUTPUT; echo linked"
    town.stage.apply(automations(tasks=(task_yaml("leads-elsewhere", script),)))
    execution = town.stage.run("leads-elsewhere")
    assert phase_of(execution) == "SUCCEEDED", town.stage.log(execution_path(execution))
    assert "hunter22" not in json.dumps(execution)


def test_logs_are_the_user_s_in_folders_he_cannot_enter(town: Town) -> None:
    logs = list((town.stage.state / "logs").rglob("*.log"))
    assert logs
    assert {(log.stat().st_uid, stat.S_IMODE(log.stat().st_mode)) for log in logs} <= {
        (town.user.pw_uid, 0o600)
    }
    assert stat.S_IMODE((town.stage.state / "logs").stat().st_mode) == 0o700


def test_one_who_stops_and_kills_all_he_can_stops_no_holder(town: Town) -> None:
    """Each run begins as root and becomes the user: nobody may catch what is to hold it in between."""
    stage = town.stage
    bully_py = "import os, signal, time\nfor _ in range(600): os.kill(-1, signal.SIGSTOP); time.sleep(0.005)"
    script = f"exec {town.python} -c '{bully_py}'"
    names = [f"caught-{number}" for number in range(8)]
    entries = tuple(service_yaml(name, HOLDS) for name in names)
    stage.apply(automations(services=entries, tasks=(task_yaml("bully", script),)))
    bully = stage.agent.start_task(stage.id_of("bully"))
    for name in names:
        stage.agent.start_service(stage.id_of(name))
    for name in names:
        stage.await_phase(name, "RUNNING", timeout=90)
    holders = [process for process in stage.daemon.family() if process.name == "ra-holder"]
    assert len(holders) > len(names)
    assert "T" not in {process.state for process in holders}
    for name in names:
        stage.agent.stop_service(stage.id_of(name))
    for name in names:
        stage.await_phase(name, "STOPPED", timeout=90)
    assert phase_of(stage.await_execution(bully["id"], 90)) == "SUCCEEDED"


def test_one_who_kills_all_he_can_ends_his_own_runs_and_no_more(town: Town) -> None:
    stage = town.stage
    stage.apply(
        automations(services=(service_yaml("victim", HOLDS),), tasks=(task_yaml("killer", "kill -9 -1"),))
    )
    stage.ok("service", "start", "victim", "--wait=60")
    assert phase_of(stage.run("killer")) in {"SUCCEEDED", "FAILED"}
    victim = stage.await_phase("victim", "FAILED")
    assert "SIGKILL" in victim.get("status", {}).get("failureMessage", ""), stage.log(service_path(victim))
    stage.apply(automations(tasks=(task_yaml("after", "true"),)))
    wait_until(lambda: phase_of(stage.run("after")) == "SUCCEEDED", what="the agent goes on")
