"""The folder of cgroups that is given over to us: found, made ready, and what each run in it may use at most.

systemd gives it (Delegate=yes on a scope that nothing else is in), or somebody who made one by hand.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from runner_agent.model.frozen import dataclass

SCOPE = "runner-agent-runs.scope"
"""What `auto` looks for: beside the agent's own cgroup, beside one above it, then where our units make it."""
AUTO, NONE = "auto", "none"
_ANCHOR = "anchor"
_CONTROLLERS = ("cpu", "memory", "pids")
_PERIOD = 100_000
"""Microseconds over which the kernel counts a share of processors."""


@dataclass(frozen=True, slots=True)
class RunLimits:
    """What one run may use at most; 0 is no limit. `memory_max` in bytes, `cpu_max` in processors.

    `cpu_weight` (1 to 10000) counts when processors are short; the kernel gives 100 to whoever has none.
    `pids_max` counts threads too. With `oom_group` a run that is out of memory is killed whole; without, the
    kernel picks one process of it.
    """

    memory_max: int = 0
    cpu_max: float = 0.0
    cpu_weight: int = 0
    pids_max: int = 0
    oom_group: bool = False

    def files(self) -> dict[str, str]:
        """What to write to which file of a run's cgroup."""
        found: dict[str, str] = {}
        if self.memory_max:
            found["memory.max"] = str(self.memory_max)
        if self.oom_group:
            found["memory.oom.group"] = "1"
        if self.cpu_max:
            found["cpu.max"] = f"{round(self.cpu_max * _PERIOD)} {_PERIOD}"
        if self.cpu_weight:
            found["cpu.weight"] = str(self.cpu_weight)
        if self.pids_max:
            found["pids.max"] = str(self.pids_max)
        return found


NO_LIMITS = RunLimits()


def find_home(setting: str) -> str:
    """The folder that a setting means: its path, or for `auto` that of the scope; "" for none."""
    if setting not in (AUTO, NONE):
        return setting
    return next((str(place) for place in _places() if _ours(place)), "") if setting == AUTO else ""


def make_ready(home: str) -> frozenset[str]:
    """Have the kernel count and limit for each cgroup in it, as far as it may; the controllers that do.

    A folder whose cgroups are counted holds no process itself: who holds the scope open goes to a leaf.
    """
    folder = Path(home)
    if folder.name == SCOPE:  # whose processes are in another is not for us to say
        with suppress(OSError):
            for pid in (folder / "cgroup.procs").read_text(encoding="ascii").split():
                (folder / _ANCHOR).mkdir(exist_ok=True)
                (folder / _ANCHOR / "cgroup.procs").write_text(pid, encoding="ascii")
    control = folder / "cgroup.subtree_control"
    for controller in _CONTROLLERS:
        with suppress(OSError):  # not here, or not for us
            control.write_text(f"+{controller}", encoding="ascii")
    return controllers(home)


def controllers(home: str) -> frozenset[str]:
    """Those that count and limit for each cgroup in it."""
    with suppress(OSError):
        return frozenset((Path(home) / "cgroup.subtree_control").read_text(encoding="ascii").split())
    return frozenset()


def not_in_force(limits: RunLimits, home: str, present: frozenset[str]) -> str:
    """Which limits nobody enforces, and what to do about it; "" if all are in force."""
    lacking = [name for name in limits.files() if name.partition(".")[0] not in present]
    if not lacking:
        return ""
    where = f"the cgroup {home} lacks their controllers" if home else "runs have no cgroups"
    return (
        f"run_limits are not in force ({', '.join(lacking)}): {where}; give the agent a delegated cgroup, as "
        f"its systemd units do with {SCOPE}, or take the limits out"
    )


def _places() -> Iterator[Path]:
    own = _own_cgroup()
    if own is not None:
        root, path = own
        for folder in (path, *path.parents):
            yield root / str(folder).lstrip("/") / SCOPE
        yield root / "system.slice" / SCOPE  # we may have been started by hand


def _own_cgroup() -> tuple[Path, Path] | None:
    """Where the version 2 hierarchy is mounted, and the cgroup of this process in it."""
    with suppress(OSError):
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
        own = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), None)
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
        for line in mounts.splitlines():
            fields, _, rest = line.partition(" - ")
            if own is not None and rest.startswith("cgroup2 ") and fields.split()[3] == "/":
                return Path(fields.split()[4]), Path(own)
    return None


def _ours(folder: Path) -> bool:
    return os.access(folder, os.W_OK) and os.access(folder / "cgroup.procs", os.W_OK)
