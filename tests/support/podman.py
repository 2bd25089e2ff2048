"""A Podman service of the tests' own, asked by Docker's API: an Engine for the tests that ask for one.

    python -m tests.support.podman     one to play with, until Ctrl-C or the end of stdin

Nothing of it is the machine's: files, settings, locks. What it holds lives on without it, like with Docker's
live-restore: each container has a small process of Podman's, conmon, above it. What stays is the empty cgroup
libpod_parent, which all Podmans of a machine share.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.engine import READY, Engine, guard, play, take_down
from tests.support.machines import lacking

if TYPE_CHECKING:
    from collections.abc import Generator

PROGRAMS = ("podman", "conmon", "catatonit", "busybox")


def _limit(kind: int) -> str:
    most = min(resource.getrlimit(kind)[1], 1 << 15)
    return f"{most}:{most}"


# The usual ones are more than what a root without CAP_SYS_RESOURCE may give, such as one in a container.
_SETTINGS = f"""
[containers]
default_ulimits = ["nofile={_limit(resource.RLIMIT_NOFILE)}", "nproc={_limit(resource.RLIMIT_NPROC)}"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
"""


def missing() -> str:
    """What this machine lacks to run one; "" for nothing."""
    if os.geteuid() != 0:
        return "a Podman of the tests' own needs root"
    gone = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"{', '.join(gone)} not found: apt-get install podman catatonit busybox-static" if gone else ""


@dataclass(slots=True)
class Podman(Engine):
    """One, rootful, below `root`."""

    def _command(self, *, live_restore: bool) -> list[str]:
        del live_restore  # there is no other way with it
        (self.root / "containers.conf").write_text(_SETTINGS)
        places = f'graphroot = "{self.root}/data"\nrunroot = "{self.root}/run"\n'
        (self.root / "storage.conf").write_text(f'[storage]\ndriver = "overlay"\n{places}')
        return podman(self.root, "system", "service", "--time=0", self.host)


@contextmanager
def running() -> Generator[Podman]:
    """One that answers; gone afterwards."""
    if reason := missing():
        lacking(reason)
    one = Podman()
    try:
        one.start()
        yield one
    finally:
        one.close()


def podman(root: Path, *words: str) -> list[str]:
    """The command with all of its own places."""
    return [
        *("env", f"CONTAINERS_CONF={root}/containers.conf", f"CONTAINERS_STORAGE_CONF={root}/storage.conf"),
        *("podman", "--tmpdir", f"{root}/tmp", "--network-config-dir", f"{root}/net", *words),
    ]


def _taken_down(root: Path) -> None:
    """Podman itself knows best what it holds. What it leaves has its numbers in the names of cgroups."""
    folder = root / "data/overlay-containers"
    held = [one.name for one in folder.iterdir() if one.is_dir()] if folder.is_dir() else []
    removal = podman(root, "rm", "--all", "--force", "--time=0", "--volumes")
    subprocess.run(removal, check=False, capture_output=True, timeout=READY)
    take_down(root, [f"libpod_parent/libpod-{id_}" for id_ in held])


if __name__ == "__main__":
    if sys.argv[1:2] == ["warden"]:
        guard(Path(sys.argv[2]), _taken_down)
    else:
        play(Podman())
