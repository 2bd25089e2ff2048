"""The Debian package as a file: what is in it, that it is well formed, and that every Python can run it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tarfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.packaging.conftest import build_deb
from tests.support.daemon import Daemon
from tests.support.machines import lacking
from tests.support.packages import ROOT, run

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(600)]  # the first one makes what all need

VENV = "opt/runner-agent"
PLACES = (
    "etc/runner-agent",
    VENV,
    "usr/bin/runner-agent",
    "usr/lib/systemd/system",
    "usr/lib/tmpfiles.d",
    "usr/share/doc/runner-agent",
)
VERSIONS = ("3.11", "3.12", "3.13")


@pytest.fixture(scope="module")
def members(package: Path) -> dict[str, tarfile.TarInfo]:
    """What is unpacked, by path without the `./`."""
    with tarfile.open(fileobj=BytesIO(_raw(package, "--fsys-tarfile"))) as content:
        return {
            one.name.removeprefix("./"): one for one in content.getmembers() if one.name not in (".", "./")
        }


@pytest.fixture(scope="module")
def control(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of control file, sums and scripts."""
    folder = tmp_path_factory.mktemp("control")
    run("dpkg-deb", "--control", package, folder)
    return folder


@pytest.fixture(scope="module")
def unpacked(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    run("dpkg-deb", "--extract", package, folder)
    return folder


def _raw(package: Path, action: str) -> bytes:
    return subprocess.run(["dpkg-deb", action, package], capture_output=True, check=True).stdout


def test_the_same_wheels_give_the_same_bytes(package: Path, wheels: Path, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        when = str(int(next(iter(_members(package))).mtime))
        again = build_deb(wheels, tmp_path, SOURCE_DATE_EPOCH=when, TZ="Asia/Kathmandu", LC_ALL="C")
    finally:
        os.umask(before)
    assert again.read_bytes() == package.read_bytes()


def _members(package: Path) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=BytesIO(_raw(package, "--fsys-tarfile"))) as content:
        return content.getmembers()


def test_files_lie_where_the_system_wants_them(members: dict[str, tarfile.TarInfo]) -> None:
    strange = [
        name
        for name in members
        if not any(
            name == place or name.startswith(f"{place}/") or place.startswith(name) for place in PLACES
        )
    ]
    assert strange == []
    assert [name for name in members if name.endswith(".pyc") or "__pycache__" in name] == []
    assert not [name for name in members if name.startswith(f"{VENV}/lib") and "/pip/" in name]


def test_owners_and_modes(members: dict[str, tarfile.TarInfo]) -> None:
    assert {(one.uid, one.gid, one.uname) for one in members.values()} == {(0, 0, "root")}
    for name, one in members.items():
        executable = name == f"{VENV}/bin/runner-agent"
        wanted = 0o755 if one.isdir() or executable else 0o777 if one.issym() else 0o644
        assert one.mode == wanted, f"{name} has mode {one.mode:o}"


def test_links_lead_to_what_is_there(members: dict[str, tarfile.TarInfo]) -> None:
    links = {name: one.linkname for name, one in members.items() if one.issym()}
    assert links == {
        "usr/bin/runner-agent": "/opt/runner-agent/bin/runner-agent",
        f"{VENV}/bin/python3": "/usr/bin/python3",
    }
    assert f"{VENV}/bin/runner-agent" in members


def test_control_says_what_dpkg_and_people_need(control: Path, members: dict[str, tarfile.TarInfo]) -> None:
    text = (control / "control").read_text()
    assert "@" not in re.sub(r"<.*?>", "", text)
    fields = dict(line.split(": ", 1) for line in text.splitlines() if re.match(r"[A-Z]", line))
    assert {"Package", "Version", "Architecture", "Maintainer", "Description", "Section", "Priority"} <= set(
        fields
    )
    assert fields["Depends"] == "python3 (>= 3.11), python3 (<< 3.14)"
    assert len(fields["Description"]) <= 60
    assert abs(int(fields["Installed-Size"]) - sum(one.size for one in members.values()) / 1024) < 5000


def test_sums_are_those_of_all_files(control: Path, unpacked: Path) -> None:
    lines = [line.partition("  ") for line in (control / "md5sums").read_text().splitlines()]
    told = {name: digest for digest, _, name in lines}
    files = {
        str(path.relative_to(unpacked))
        for path in unpacked.rglob("*")
        if path.is_file() and not path.is_symlink()
    }
    assert set(told) == files
    for name in ("usr/lib/systemd/system/runner-agent.service", f"{VENV}/bin/runner-agent"):
        assert told[name] == hashlib.md5((unpacked / name).read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["postinst", "prerm", "postrm"])
def test_scripts_are_plain_sh_that_stops_at_errors(control: Path, name: str) -> None:
    text = (control / name).read_text()
    assert text.startswith("#!/bin/sh\nset -e\n")
    run("sh", "-n", control / name)
    # A question or a list of arguments would come on a descriptor that debconf owns.
    assert not re.search(r"\b(read|echo|printf)\b", text)


def test_licences_of_what_it_brings_are_in_it(unpacked: Path) -> None:
    text = (unpacked / "usr/share/doc/runner-agent/copyright").read_text()
    assert "Apache" in text
    brought = {path.name.partition("-")[0] for path in (unpacked / VENV / "lib").rglob("*.dist-info")}
    assert len(brought) > 10
    named = re.findall(r"^  (\S+) \S+: \S", text, re.MULTILINE)
    assert {re.sub(r"[-_.]+", "_", name).lower() for name in named} == {each.lower() for each in brought} - {
        "runner_agent"
    }


def test_units_name_the_program_at_its_place(unpacked: Path) -> None:
    units = unpacked / "usr/lib/systemd/system"
    text = "".join(path.read_text() for path in units.rglob("*.*") if path.is_file())
    assert "ExecStart=/opt/runner-agent/bin/runner-agent serve" in text
    assert "ExecStart=/opt/runner-agent/bin/python3 -I -S" in text
    assert not re.search(r"@[A-Z]+@", text)
    for script in re.findall(rf"/{VENV}/lib/any/runner_agent/systemd/[\w-]+", text):
        assert (unpacked / script.removeprefix("/")).exists(), script
    assert str(ROOT) not in text


def python(version: str) -> Path:
    """An interpreter that really is that one: version managers leave names that do not run."""
    found = [
        *Path("~/.pyenv/versions").expanduser().glob(f"{version}.*/bin/python3"),
        Path(shutil.which(f"python{version}") or "none"),
    ]
    runs = (each for each in found if each.exists() and _is(each, version))
    return next(runs, None) or lacking(f"there is no Python {version}")


def _is(interpreter: Path, version: str) -> bool:
    ask = f"import sqlite3, sys; sys.exit('%d.%d' % sys.version_info[:2] != '{version}')"
    return subprocess.run([interpreter, "-c", ask], capture_output=True, check=False).returncode == 0


@pytest.fixture(params=VERSIONS)
def agent(request: pytest.FixtureRequest, unpacked: Path, scratch: Path) -> Iterator[Daemon]:
    """What the package installs, run by another Python than the system's, from another place."""
    interpreter = python(request.param)
    venv = scratch / "venv"
    shutil.copytree(unpacked / VENV, venv, symlinks=True)
    (venv / "pyvenv.cfg").write_text(
        (venv / "pyvenv.cfg").read_text().replace("/usr/bin", str(interpreter.parent))
    )
    (venv / "bin/python3").unlink()
    (venv / "bin/python3").symlink_to(interpreter)
    one = Daemon(scratch, program=(str(venv / "bin/python3"), str(venv / "bin/runner-agent")))
    yield one
    one.close()


def test_every_python_it_is_for_runs_it(agent: Daemon) -> None:
    """Ubuntu 24.04 has 3.12, Debian 13 has 3.13: the compiled parts of all are in it."""
    interpreter, command = agent.program
    folders = run(
        interpreter, "-c", "import google, sys, yaml; print(yaml.__with_libyaml__, *sys.path, sep='\\n')"
    )
    assert folders.splitlines()[0] == "True"
    assert f"{agent.base}/venv/lib/any" in {str(Path(each).resolve()) for each in folders.splitlines()[1:]}
    agent.start()
    told = run(interpreter, command, "status", "--json", RUNNER_AGENT_STATE_DIR=str(agent.state))
    assert '"version"' in told
    assert agent.terminate() == 0
