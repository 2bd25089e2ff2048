"""The wheel: all of the package and its units, nothing else, and enough for a machine without the tree."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.daemon import Daemon
from tests.support.packages import ROOT, build_wheels, run

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(600)]  # the first one makes what all need

FILE = {"tasks": {"hello": {"name": "Hello", "command": "echo hello"}}}


@pytest.fixture(scope="module")
def installed(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of a new virtual environment with the agent in it, got without a network."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin/python")]
    run(*pip, "install", "--quiet", "--no-index", "--find-links", wheels, "runner-agent")
    return folder / "bin"


@pytest.fixture
def agent(installed: Path, scratch: Path) -> Iterator[Daemon]:
    """One that is run from there."""
    one = Daemon(scratch, program=(str(installed / "runner-agent"),))
    yield one
    one.close()


def own_wheel(folder: Path) -> Path:
    return next(folder.glob("runner_agent-*.whl"))


def test_it_holds_the_package_and_the_units_and_nothing_else(wheels: Path, tree: Path) -> None:
    with zipfile.ZipFile(own_wheel(wheels)) as content:
        there = {name for name in content.namelist() if ".dist-info/" not in name}
    expected = {
        *(path.relative_to(tree / "src").as_posix() for path in _files(tree / "src")),
        *(f"runner_agent/{path.relative_to(tree).as_posix()}" for path in _files(tree / "systemd")),
    }
    assert there == expected
    assert "runner_agent/api/schema.binpb" in there


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def test_beside_it_lies_what_is_pinned_and_nothing_else(wheels: Path, tree: Path) -> None:
    """A wheel of another version, left from before, would get into the packages."""
    locks = [(tree / f"requirements/{name}.txt").read_text() for name in ("runtime", "pip")]
    pinned = re.findall(r"^(\S+)==(\S+) ", "\n".join(locks), re.MULTILINE)
    names = (path.name.lower().split("-") for path in wheels.iterdir())
    there = {(name.replace("_", "-"), version) for name, version, *_ in names}
    assert {each for each in there if each[0] != "runner-agent"} == set(pinned)


def test_it_is_the_same_bytes_each_time(wheels: Path, tree: Path, tmp_path: Path) -> None:
    build_wheels(tree, "--own", tmp_path, TZ="Asia/Kathmandu", LC_ALL="C")
    assert own_wheel(tmp_path).read_bytes() == own_wheel(wheels).read_bytes()


def test_what_is_installed_takes_nothing_from_the_tree(installed: Path, tmp_path: Path) -> None:
    told = subprocess.run(
        [installed / "python", "-X", "importtime", "-P", "-m", "runner_agent", "doctor", "--json"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert json.loads(told.stdout)["usable"] is True
    asked = (
        "import runner_agent.cli.root, runner_agent.daemon.run, sys; print(*sys.path, runner_agent.__file__)"
    )
    assert str(ROOT) not in run(installed / "python", "-P", "-c", asked)


def test_it_serves(agent: Daemon) -> None:
    (agent.workspace / "a.json").write_text(json.dumps(FILE))
    agent.start("--automations", str(agent.workspace / "a.json"))
    done = subprocess.run(
        [*agent.program, "task", "start", "hello"],
        env={"PATH": "/usr/bin:/bin", "RUNNER_AGENT_STATE_DIR": str(agent.state)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert agent.terminate() == 0
