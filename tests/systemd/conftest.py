"""Machines with systemd as PID 1: one shared by tests that leave the agent as it was, new ones for others."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support.systemd import SHARED, Machine, missing
from tests.systemd.installed import PREFIX, WORKSPACE, Installed, build_wheel, install_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


TRACES = ("/var/lib/runner-agent", "/etc/runner-agent")
"""Of an agent on the machine whose root is borrowed."""


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of this tree."""
    if lack := missing():
        if os.environ.get("CI"):
            pytest.fail(lack)
        pytest.skip(lack)
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def program(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pip install` makes of the wheel, to be unpacked on the other machines."""
    machine, packed = Machine(), tmp_path_factory.mktemp("program") / "program.tar"
    try:
        machine.boot()
        machine.run("rm", "-rf", PREFIX)
        install_wheel(machine, wheel)
        machine.run("tar", "-C", PREFIX, "-cf", f"{SHARED}/program.tar", ".")
        shutil.move(machine.shared / "program.tar", packed)
    finally:
        machine.close()
    return packed


@pytest.fixture
def machine(program: Path) -> Iterator[Installed]:
    """A machine of the test's own. The wheel is in it, and nothing of it is installed as a service."""
    yield from _booted(program)


@pytest.fixture(scope="session")
def shared(program: Path) -> Iterator[Installed]:
    """One that all tests share, its agent running. Each takes references of its own, and leaves it so."""
    for installed in _booted(program):
        installed.install()
        yield installed


def _booted(program: Path) -> Iterator[Installed]:
    machine = Machine()
    try:
        machine.boot()
        machine.run("rm", "-rf", PREFIX, WORKSPACE, *TRACES)
        machine.inside(PREFIX).mkdir()
        shutil.copy(program, machine.shared / program.name)
        machine.run("tar", "-C", PREFIX, "-xf", f"{SHARED}/{program.name}")
        yield Installed(machine)
    finally:
        machine.close()
