"""Machines with systemd as PID 1: one shared by tests that leave the agent as it was, new ones for others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.machines import lacking
from tests.support.packages import clean_root, run, wheels
from tests.support.systemd import SHARED, Machine, missing
from tests.systemd.installed import PREFIX, Installed, install_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def roots(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """What `pip install` makes of the wheel, over a clean Debian."""
    if lack := missing():
        lacking(lack)
    machine, program = Machine(clean_root()), tmp_path_factory.mktemp("program")
    try:
        machine.boot()
        install_wheel(machine, wheels())
        machine.run("tar", "-cf", f"{SHARED}/program.tar", PREFIX)
        run("tar", "-C", program, "-xf", machine.shared / "program.tar")
    finally:
        machine.close()
    return program, clean_root()


@pytest.fixture
def machine(roots: tuple[Path, ...]) -> Iterator[Installed]:
    """A machine of the test's own. The wheel is in it, and nothing of it is installed as a service."""
    yield from _booted(roots)


@pytest.fixture(scope="session")
def shared(roots: tuple[Path, ...]) -> Iterator[Installed]:
    """One that all tests share, its agent running. Each takes references of its own, and leaves it so."""
    for installed in _booted(roots):
        installed.install()
        yield installed


def _booted(roots: tuple[Path, ...]) -> Iterator[Installed]:
    machine = Machine(*roots)
    try:
        machine.boot()
        yield Installed(machine)
    finally:
        machine.close()
