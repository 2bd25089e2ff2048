"""What packages are made of and tried on, made once for all tests here: wheels, .deb, a clean Debian."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.packaging.debian import Debian
from tests.support import packages
from tests.support.machines import lacking
from tests.support.packages import ROOT, build_wheels, run
from tests.support.systemd import Machine, missing

if TYPE_CHECKING:
    from collections.abc import Iterator

NEXT = "9.9.9"
"""The version that a package is upgraded to."""


@pytest.fixture(scope="session")
def tree() -> Path:
    """A copy of all that packages are made from."""
    return packages.tree()


@pytest.fixture(scope="session")
def wheels() -> Path:
    """Ours and those it needs, for every Python."""
    return packages.wheels()


@pytest.fixture(scope="session")
def package(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The .deb of this tree."""
    if shutil.which("dpkg-deb") is None:
        lacking("dpkg-deb not found: a .deb is made on Debian and what descends from it")
    return build_deb(wheels, tmp_path_factory.mktemp("deb"))


@pytest.fixture(scope="session")
def next_package(tree: Path, wheels: Path, package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A later version of it: the same but for its number."""
    folder = tmp_path_factory.mktemp("next")
    for each in wheels.iterdir():
        (folder / each.name).symlink_to(each)
    newer = shutil.copytree(tree, tmp_path_factory.mktemp("newer") / "tree")
    (newer / "src/runner_agent/__init__.py").write_text(f'"""Newer."""\n\n__version__ = "{NEXT}"\n')
    build_wheels(newer, "--own", folder)
    return build_deb(folder, package.parent)


def build_deb(wheels: Path, into: Path, **environ: str) -> Path:
    """Its path, as the script tells it."""
    return Path(run(ROOT / "scripts/build-deb", "--wheels", wheels, into, **environ).strip())


@pytest.fixture(scope="session")
def clean_root() -> Path:
    """Not to be written."""
    return packages.clean_root()


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
