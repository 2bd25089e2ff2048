"""What the tests' machines are made of, each made once in a session: wheels, and the root of a clean Debian.

RUNNER_AGENT_TEST_SUITE=trixie scripts/test -m systemd      the same tests on another Debian than 12
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from tests.support.machines import lacking

ROOT = Path(__file__).resolve().parents[2]
SUITE = os.environ.get("RUNNER_AGENT_TEST_SUITE", "bookworm")
"""By the name that Debian's mirrors know it by."""
_KEPT = Path("~/.cache/runner-agent-tests").expanduser()


def run(*argv: str | Path, **environ: str) -> str:
    """What a command says; all of it is told if it fails."""
    done = subprocess.run(argv, env={**os.environ, **environ}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}\n{done.stdout}{done.stderr}"
    return done.stdout


@functools.cache
def _scratch() -> Path:
    """A folder that goes when the session ends."""
    path = Path(tempfile.mkdtemp(prefix="runner-agent-packages-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


@functools.cache
def tree() -> Path:
    """A copy of all that packages are made from: somebody may be at work on the tree itself."""
    into, hidden = _scratch() / "tree", shutil.ignore_patterns("__pycache__", ".*")
    for name in ("src", "systemd", "scripts", "packaging", "requirements"):
        shutil.copytree(ROOT / name, into / name, ignore=hidden)
    for name in ("pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE"):
        shutil.copy(ROOT / name, into / name)
    return into


def build_wheels(source: Path, *arguments: str | Path, **environ: str) -> None:
    """By the Python that runs the tests, which may have what a build needs."""
    run(source / "scripts/build-wheels", *arguments, PYTHON=sys.executable, **environ)


@functools.cache
def wheels() -> Path:
    """Ours and those it needs, for every Python, in a folder of this session's own.

    Those that are pinned serve the next session again. Two that run at once only ever add to what is kept.
    """
    kept, folder = _KEPT / "wheels", _scratch() / "wheels"
    kept.mkdir(parents=True, exist_ok=True)
    shutil.copytree(kept, folder, ignore=shutil.ignore_patterns(".*"))
    build_wheels(tree(), folder)
    for each in folder.iterdir():
        if not (each.name.startswith("runner_agent-") or (kept / each.name).exists()):
            fresh = kept / f".{each.name}.{os.getpid()}"
            shutil.copy(each, fresh)
            fresh.replace(kept / each.name)
    return folder


@functools.cache
def clean_root() -> Path:
    """A Debian that has systemd and python3, and nothing else that it need not have. Not to be written.

    It is kept: it takes a minute to make, and what has been released does not change.
    """
    if os.geteuid() != 0:
        lacking("a root file system is made by root")
    if shutil.which("mmdebstrap") is None:
        lacking("mmdebstrap not found: apt-get install mmdebstrap")
    root = _KEPT / SUITE
    if not root.exists():
        root.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root.parent) as folder:
            fresh = Path(folder) / "root"
            _debootstrap(fresh)
            with suppress(OSError):  # another session was faster
                fresh.rename(root)
        assert root.exists()
    return root


def _debootstrap(into: Path) -> None:
    """From where this machine gets its own packages."""
    sources = Path("/etc/apt/sources.list.d/debian.sources").read_text()
    mirror = next(line.split()[1] for line in sources.splitlines() if line.startswith("URIs:"))
    lean = [f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in ("man", "locale", "doc")]
    quick = ["--dpkgopt=force-unsafe-io", '--aptopt=Acquire::Languages "none"']
    command = ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", *lean, *quick]
    run(*command, "--include=systemd,systemd-sysv,python3", SUITE, into, mirror)
    # What is installed later is installed whole.
    for left in (into / "etc/dpkg/dpkg.cfg.d").glob("*mmdebstrap*"):
        left.unlink()
