"""What docs/install.md says to do is done, in a machine that has nothing of ours yet."""

from __future__ import annotations

import json
import re
import shutil
from typing import cast

import pytest
import yaml

from tests.packaging.debian import AGENT, STATE, Debian
from tests.support.packages import ROOT
from tests.support.systemd import SHARED

pytestmark = pytest.mark.timeout(600)  # the first one makes what all need

PACKAGE = re.compile(r"[\w./-]*runner-agent_[\d.]+_amd64\.deb")
WORKSPACE = "/workspaces/project"
PROJECT = {
    "tasks": {
        "fetch": {"name": "Fetch", "command": "echo fetched > fetched", "triggeredBy": ["prebuild"]},
        "greet": {"name": "Greet", "command": "id -un > greeted", "triggeredBy": ["postMachineStart"]},
    }
}
SUDO = """#!/bin/sh
[ "$1" != -u ] || { user=$2; shift 2; exec runuser -u "$user" -- "$@"; }
exec "$@"
"""
# A fetch of the project, and one of the package.
GIT = f'#!/bin/sh\nmkdir -p "$3/.ona" && cp {SHARED}/project.json "$3/.ona/automations.json"\n'
CURL = f'#!/bin/sh\nwhile [ "$1" != --output ]; do shift; done\ncp {SHARED}/now.deb "$2"\n'


def block(name: str) -> str:
    """The code under `<!-- tried: name -->`."""
    text = (ROOT / "docs/install.md").read_text()
    found = re.search(rf"<!-- tried: {name} -->\n```\w+\n(.*?)\n```", text, re.DOTALL)
    assert found, f"docs/install.md has no block that is tried as {name}"
    return found[1]


def test_every_tried_block_is_tried() -> None:
    text = (ROOT / "docs/install.md").read_text()
    assert set(re.findall(r"<!-- tried: (\S+) -->", text)) == {"deb", "cloud-init", "packer"}


def test_places_and_settings_are_real() -> None:
    """Whatever setting the guide's files name is one."""
    from runner_agent.daemon.settings import Settings

    written = cast("dict[str, list[dict[str, str]]]", yaml.safe_load(block("cloud-init")))
    first, *_ = written["write_files"]
    assert set(yaml.safe_load(first["content"])) <= set(Settings.__dataclass_fields__)


@pytest.fixture
def outfitted(debian: Debian) -> Debian:
    """With what such machines have, as far as the guide needs it."""
    for name, text in (("sudo", SUDO), ("git", GIT), ("curl", CURL)):
        path = debian.machine.inside(f"/usr/local/bin/{name}")
        path.write_text(text)
        path.chmod(0o755)
    (debian.machine.shared / "project.json").write_text(json.dumps(PROJECT))
    return debian


def settings(debian: Debian) -> dict[str, object]:
    text = debian.machine.inside("/etc/runner-agent/config.yaml").read_text()
    return cast("dict[str, object]", yaml.safe_load(text))


def shell(debian: Debian, line: str) -> None:
    debian.machine.run("sh", "-ec", line, cwd=SHARED, timeout=300)


@pytest.mark.systemd
def test_the_deb(outfitted: Debian) -> None:
    for line in block("deb").splitlines():
        shell(outfitted, PACKAGE.sub("./now.deb", line))
    assert outfitted.active()
    assert settings(outfitted) == {"workspace": WORKSPACE, "run_as": "dev"}
    assert WORKSPACE in outfitted.agent("status")


@pytest.mark.systemd
def test_cloud_init(outfitted: Debian) -> None:
    machine = outfitted.machine
    config = cast("dict[str, list[object]]", yaml.safe_load(block("cloud-init")))
    for file in cast("list[dict[str, str]]", config["write_files"]):
        path = machine.inside(file["path"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file["content"])
        path.chmod(int(file["permissions"], 8))
    for command in cast("list[list[str]]", config["runcmd"]):
        machine.run(*command, timeout=300)
    assert outfitted.active()
    assert WORKSPACE in outfitted.agent("status")
    assert machine.run("stat", "-c", "%U", WORKSPACE).stdout.strip() == "dev"


@pytest.mark.systemd
def test_packer(outfitted: Debian) -> None:
    """Rule 1.1 and 6.5: what was prebuilt is in the image; who the machine was is not."""
    machine = outfitted.machine
    shutil.copy(machine.shared / "now.deb", machine.inside("/tmp/runner-agent.deb"))
    inline = block("packer").partition("inline = [")[2].partition("]\n")[0]
    before = ""
    for line in re.findall(r'^ *"(.*)",$', inline, re.MULTILINE):
        if " prebuild " in line:
            before = str(outfitted.info()["environmentId"])
        shell(outfitted, line)
    assert before
    assert "<testsuite" in machine.inside("/tmp/prebuild.xml").read_text()
    assert machine.inside(f"{WORKSPACE}/fetched").exists()
    assert not machine.inside(f"{WORKSPACE}/greeted").exists()
    assert not outfitted.there(f"{STATE}/token")
    assert settings(outfitted) == {"workspace": WORKSPACE, "run_as": "dev"}

    machine.reboot()
    outfitted.until(outfitted.active, "the agent is up")
    outfitted.until(machine.inside(f"{WORKSPACE}/greeted").exists, "the machine's start is told of")
    assert machine.inside(f"{WORKSPACE}/greeted").read_text() == "dev\n"
    assert outfitted.info()["environmentId"] not in ("", before)
    executions = json.loads(outfitted.agent("task", "list-executions", "fetch", "--json"))
    assert "SUCCEEDED" in json.dumps(executions)
    assert machine.systemctl("is-enabled", AGENT) == "enabled"
