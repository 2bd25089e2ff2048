"""Changes to a machine, as data: what is there already is no change, and each says what it does before."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runner_agent.cli.exits import FAILED, Quit


@dataclass(frozen=True, slots=True)
class Change:
    """`told` in the imperative, for people. `make` raises Quit or OSError."""

    told: str
    make: Callable[[], None]


def file(path: Path, text: str, mode: int = 0o644) -> Iterator[Change]:
    """Have a file with this text. The mode is that of a new one."""
    try:
        present = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        present = None
    if present != text:
        verb = "write" if present is None else "rewrite"
        yield Change(f"{verb} {path}", lambda: _write(path, text, mode))


def _write(path: Path, text: str, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = stat.S_IMODE(path.stat().st_mode) if path.exists() else mode
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_text(text, encoding="utf-8")
    fresh.chmod(kept)
    fresh.replace(path)


def folder(path: Path, mode: int, owner: str = "", root: Path = Path("/")) -> Iterator[Change]:
    """Have a directory, of a user of the system below `root`. One that is there is left as it is."""
    if not path.is_dir():
        whose = f", owned by {owner}" if owner else ""
        yield Change(f"make {path}, mode {mode:03o}{whose}", lambda: _make_folder(path, mode, owner, root))


def _make_folder(path: Path, mode: int, owner: str, root: Path) -> None:
    whose = account(root, owner) if owner else None
    if owner and whose is None:
        raise Quit(FAILED, f"{path} cannot be made: {root / 'etc/passwd'} has no user {owner}.")
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(mode)
    if whose is not None:
        os.chown(path, *whose)


def account(root: Path, name: str) -> tuple[int, int] | None:
    """The numbers of a user and of its own group, None if there is none; below a root, by that root's files:
    this machine may give the name another number, or none.
    """
    if name == "root":
        return 0, 0
    if root == Path("/"):
        import pwd

        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
        return None
    with suppress(FileNotFoundError):
        for line in (root / "etc/passwd").read_text(encoding="utf-8", errors="replace").splitlines():
            user, _, uid, gid, *_ = (*line.split(":"), "", "", "", "")
            if user == name and uid.isdecimal() and gid.isdecimal():
                return int(uid), int(gid)
    return None


def link(path: Path, target: str) -> Iterator[Change]:
    """Have a symbolic link."""
    if not path.is_symlink() or str(path.readlink()) != target:
        yield Change(f"link {path} to {target}", lambda: _link(path, target))


def _link(path: Path, target: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def gone(path: Path) -> Iterator[Change]:
    """Have nothing there."""
    if os.path.lexists(path):
        yield Change(f"remove {path}", lambda: _remove(path))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
        return
    path.unlink(missing_ok=True)
    if path.parent.name.endswith((".service.d", ".wants")):  # which may hold others
        with suppress(OSError):
            path.parent.rmdir()


def call(*argv: str, advice: str = "") -> Change:
    """Have a program run."""
    return Change(" ".join(argv), lambda: _call(argv, advice))


def _call(argv: Sequence[str], advice: str) -> None:
    ended = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if ended.returncode:
        said = (ended.stderr or ended.stdout).strip() or f"exit code {ended.returncode}"
        raise Quit(FAILED, f"`{' '.join(argv)}` failed: {said}{f' {advice}' if advice else ''}")


def said(*argv: str) -> str:
    """What a program answers, however it ends; "" if there is none."""
    try:
        ended = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return ended.stdout.strip()


def succeeds(*argv: str) -> bool:
    """Whether a question to a program is answered by yes; no, too, if there is no such program."""
    try:
        return not subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode
    except FileNotFoundError:
        return False
