"""What packages are made of and tried on, made once for all tests here: wheels, .deb, a clean Debian 12."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.packaging.debian import Debian
from tests.support.machines import lacking
from tests.support.systemd import Machine, missing

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
CLEAN_ROOT = Path("~/.cache/runner-agent-tests/bookworm").expanduser()
"""Kept: it takes a minute to make, and Debian 12 does not change."""
NEXT = "9.9.9"
"""The version that a package is upgraded to."""


def run(*argv: str | Path, **environ: str) -> str:
    """What a command says; all of it is told if it fails."""
    done = subprocess.run(argv, env={**os.environ, **environ}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of all that packages are made from: somebody may be at work on the tree itself."""
    return copied(tmp_path_factory.mktemp("tree"))


def copied(into: Path) -> Path:
    """`into`, with what packages are made from in it."""
    hidden = shutil.ignore_patterns("__pycache__", ".*")
    for name in ("src", "systemd", "scripts", "packaging"):
        shutil.copytree(ROOT / name, into / name, ignore=hidden)
    for name in ("pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE"):
        shutil.copy(ROOT / name, into / name)
    return into


def build_wheels(tree: Path, *arguments: str | Path, **environ: str) -> None:
    """By the Python that runs the tests, which may have what a build needs."""
    run(tree / "scripts/build-wheels", *arguments, PYTHON=sys.executable, **environ)


@pytest.fixture(scope="session")
def wheels(tree: Path) -> Path:
    """Ours and those it needs, for every Python. Those of the last time serve again if they are the same."""
    folder = ROOT / "dist/wheels"
    build_wheels(tree, folder)
    return folder


@pytest.fixture(scope="session")
def package(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The .deb of this tree."""
    if shutil.which("dpkg-deb") is None:
        lacking("dpkg-deb not found: a .deb is made on Debian and what descends from it")
    return build_deb(wheels, tmp_path_factory.mktemp("deb"))


@pytest.fixture(scope="session")
def next_package(wheels: Path, package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A later version of it: the same but for its number."""
    folder = tmp_path_factory.mktemp("next")
    for each in wheels.iterdir():
        (folder / each.name).symlink_to(each)
    newer = copied(tmp_path_factory.mktemp("newer"))
    (newer / "src/runner_agent/__init__.py").write_text(f'"""Newer."""\n\n__version__ = "{NEXT}"\n')
    build_wheels(newer, "--own", folder)
    return build_deb(folder, package.parent)


def build_deb(wheels: Path, into: Path, **environ: str) -> Path:
    """Its path, as the script tells it."""
    return Path(run(ROOT / "scripts/build-deb", "--wheels", wheels, into, **environ).strip())


@pytest.fixture(scope="session")
def clean_root() -> Path:
    """A Debian 12 that has systemd and python3, and nothing else that it need not have. Not to be written."""
    if os.geteuid() != 0:
        lacking("a root file system is made by root")
    if shutil.which("mmdebstrap") is None:
        lacking("mmdebstrap not found: apt-get install mmdebstrap")
    if not CLEAN_ROOT.exists():
        CLEAN_ROOT.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CLEAN_ROOT.parent) as folder:
            fresh = Path(folder) / "root"
            _debootstrap(fresh)
            fresh.rename(CLEAN_ROOT)
    return CLEAN_ROOT


def _debootstrap(into: Path) -> None:
    """From where this machine gets its own packages."""
    sources = Path("/etc/apt/sources.list.d/debian.sources").read_text()
    mirror = next(line.split()[1] for line in sources.splitlines() if line.startswith("URIs:"))
    lean = [f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in ("man", "locale", "doc")]
    quick = ["--dpkgopt=force-unsafe-io", '--aptopt=Acquire::Languages "none"']
    command = ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", *lean, *quick]
    run(*command, "--include=systemd,systemd-sysv,python3", "bookworm", into, mirror)
    for left in (into / "etc/dpkg/dpkg.cfg.d").glob(
        "*mmdebstrap*"
    ):  # what is installed later is installed whole
        left.unlink()


@pytest.fixture
def debian(clean_root: Path, package: Path, next_package: Path) -> Iterator[Debian]:
    """Nothing of ours is in it yet."""
    if lack := missing():
        lacking(lack)
    machine = Machine(clean_root)
    try:
        machine.boot()
        yield Debian(machine, package, next_package)
    finally:
        machine.close()
