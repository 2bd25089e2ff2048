"""What `doctor` looks at on the machine itself: kernel, cgroups, systemd, shell, limits, clock."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from runner_agent.cli.finding import Finding, broken, ok, remark

if TYPE_CHECKING:
    from runner_agent.daemon.settings import Settings

Look = Callable[[], Finding]

OLDEST_PYTHON = (3, 11)
FEW_FILES = 1024
FEW_WATCHES = 8192
LAUNCH = 1767225600
"""2026-01-01: a clock before that has not been set."""


def looks(settings: Settings) -> Sequence[Look]:
    """In the order to be told."""
    return [
        _versions,
        _python,
        _kernel,
        partial(_cgroup, settings),
        partial(_shell, settings.shell),
        _descriptors,
        _inotify,
        _clock,
    ]


def _versions() -> Finding:
    from runner_agent import __version__

    return ok("version", f"runner-agent {__version__}")


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < OLDEST_PYTHON:
        return broken("python", version, "install Python 3.11 or newer")
    return ok("python", f"{version} at {sys.executable}")


def _kernel() -> Finding:
    release = os.uname().release
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (OSError, AttributeError):
        return broken(
            "kernel",
            f"{release}, without pidfd",
            "use Linux 5.3 or newer; a sandbox must allow pidfd_open",
        )
    if not Path("/proc/self/stat").exists():
        return broken("kernel", f"{release}, without /proc", "mount /proc")
    return ok("kernel", f"{release}, with pidfd")


def _cgroup(settings: Settings) -> Finding:
    """Made and removed: nothing else tells whether it may be."""
    from runner_agent.executors.delegated import SCOPE, controllers, find_home, not_in_force

    home = find_home(settings.cgroup)
    advice = "not needed: without cgroups, runs are ended by walking their process trees"
    if not home:
        lacking = not_in_force(settings.run_limits, home, frozenset())
        none = f"none for runs: {SCOPE} is not here" if settings.cgroup == "auto" else "none for runs"
        return broken("cgroup", none, lacking) if lacking else remark("cgroup", none, advice)
    probe = Path(home) / f"runner-agent-doctor-{os.getpid()}"
    try:
        probe.mkdir()
    except OSError as error:
        return remark("cgroup", f"none can be made in {home}: {(error.strerror or '').lower()}", advice)
    try:
        kill = (probe / "cgroup.kill").exists()
    finally:
        with suppress(OSError):
            probe.rmdir()
    if not kill:
        return remark("cgroup", f"{home}, without cgroup.kill", "not needed; Linux 5.14 has it")
    found = controllers(home)
    if lacking := not_in_force(settings.run_limits, home, found):
        return broken("cgroup", home, lacking)
    counts = ", ".join(sorted(found & {"cpu", "memory", "pids"}))
    return ok("cgroup", f"each run has its own in {home}, {f'with {counts}' if counts else 'not counted'}")


def _shell(configured: str) -> Finding:
    from runner_agent.executors.environment import FALLBACK_SHELL, SYSTEM_PATH, find_shell

    found = find_shell(configured, SYSTEM_PATH)
    if found is None:
        return broken("shell", f"{configured or 'bash and sh'} not found", "install bash, or set `shell`")
    if found == FALLBACK_SHELL and not configured:
        return remark("shell", f"{found}, no bash", "install bash: automations files are written for it")
    return ok("shell", found)


def _descriptors() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < FEW_FILES:
        return remark("open files", f"at most {soft}", f"raise the limit: `ulimit -n {max(hard, FEW_FILES)}`")
    return ok("open files", f"at most {'unlimited' if soft < 0 else soft}")


def _inotify() -> Finding:
    from runner_agent.kit.inotify import Inotify

    try:
        Inotify().close()
    except OSError as error:
        return broken(
            "inotify",
            (error.strerror or "").lower(),
            "raise sysctl fs.inotify.max_user_instances, now too small",
        )
    watches = int(_sysctl("max_user_watches") or FEW_WATCHES)
    told = f"{watches} watches, {_sysctl('max_user_instances') or 'some'} instances a user"
    if watches < FEW_WATCHES:
        return remark("inotify", told, f"sysctl fs.inotify.max_user_watches={FEW_WATCHES}")
    return ok("inotify", told)


def _sysctl(name: str) -> str:
    with suppress(OSError):
        return Path(f"/proc/sys/fs/inotify/{name}").read_text(encoding="ascii").strip()
    return ""


def _clock() -> Finding:
    now = time.time()
    told = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if now < LAUNCH:
        return remark("clock", told, "set the clock: times shown and kept will be wrong")
    return ok("clock", told)
