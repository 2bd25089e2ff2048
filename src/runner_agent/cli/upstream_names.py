"""`gitpod` and `ona` on everybody's PATH, for those who are used to them; another of that name stays."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

from runner_agent.cli import installation as machine
from runner_agent.cli.installation import Change
from runner_agent.cli.terminal import note
from runner_agent.cli.unit_files import this_program
from runner_agent.executors.environment import SYSTEM_PATH, UPSTREAM

FOLDER = "usr/local/bin"
_MARK = "# Written by `runner-agent install --upstream-names`; `runner-agent uninstall` removes it."


def names(root: Path) -> Iterator[Change]:
    """Have both. Says which is another's, and leaves that alone."""
    for name in UPSTREAM:
        path = root / FOLDER / name
        if other := _other(root, path):
            note(f"{other} is there already, and stays: `{name}` is not answered by runner-agent.")
            continue
        program = f"{shlex.quote(str(this_program().python))} -P -m runner_agent.cli.compat {name}"
        yield from machine.file(path, f'#!/bin/sh\n{_MARK}\nexec {program} "$@"\n', 0o755)


def no_names(root: Path) -> Iterator[Change]:
    """Have none of ours."""
    for name in UPSTREAM:
        if _ours(root / FOLDER / name):
            yield from machine.gone(root / FOLDER / name)


def _other(root: Path, path: Path) -> str:
    """What goes by this name and is not ours, "" for nothing."""
    folders = [root / folder.lstrip("/") for folder in SYSTEM_PATH.split(":")]
    found = [folder / path.name for folder in folders]
    if root == Path("/") and (here := shutil.which(path.name)):
        found.append(Path(here))
    return next((str(each) for each in found if _exists(each) and not _ours(each)), "")


def _exists(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def _ours(path: Path) -> bool:
    try:
        return _MARK in path.read_text(encoding="utf-8", errors="replace").splitlines()[1:2]
    except OSError:
        return False
