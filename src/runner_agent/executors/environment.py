"""The base environment of a user's commands (rule 5.2): what a fresh login would have, not what the agent
happens to have.
"""

import os
import pwd
import shlex
import shutil
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from runner_agent.model.frozen import dataclass

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SHELLS = ("/bin/bash", "/usr/bin/bash")
FALLBACK_SHELL = "/bin/sh"
UPSTREAM = ("gitpod", "ona")
"""Commands that real automations files call, and that we answer where nobody else does."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user as commands need it. `switch`: it is not the agent's own, so identity must be taken on before
    the command.
    """

    uid: int
    gid: int
    groups: tuple[int, ...]
    env: Mapping[str, str]
    switch: bool


def account(name: str, own_environ: Mapping[str, str], own_path: str) -> Account:
    """The account of `name`, or the agent's own for "". `own_path` is where the agent's commands are found,
    folders joined as in PATH: they come last, so that they hide nothing.

    Raises KeyError for an unknown name.
    """
    own = os.getuid()
    entry = pwd.getpwnam(name) if name else _own_entry(own)
    switch = entry is not None and entry.pw_uid != own
    uid = entry.pw_uid if entry else own
    gid = entry.pw_gid if entry else os.getgid()
    login = entry.pw_name if entry else str(own)
    groups = tuple(os.getgrouplist(login, gid)) if switch else tuple(os.getgroups())
    path = SYSTEM_PATH if switch else own_environ.get("PATH", SYSTEM_PATH)
    env = {
        "HOME": (entry.pw_dir if entry else "") or own_environ.get("HOME", "/"),
        "USER": login,
        "LOGNAME": login,
        "SHELL": (entry.pw_shell if entry else "") or FALLBACK_SHELL,
        "PATH": ":".join(dict.fromkeys([*path.split(":"), *filter(None, own_path.split(":"))])),
        "LANG": own_environ.get("LANG", "C.UTF-8"),
    }
    if not switch and own_environ.get("HOME"):
        env["HOME"] = own_environ["HOME"]
    return Account(uid, gid, groups, env, switch)


def command_path(state_dir: Path) -> str:
    """Where the agent's own command is found, then those of upstream, which are written below `state_dir`."""
    folder = state_dir / "bin"
    with suppress(OSError):  # a full disk, say: runs do without
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
        for name in UPSTREAM:
            # -P: a workspace with a `click.py` in it must not be imported from.
            program = f"{shlex.quote(sys.executable)} -P -m runner_agent.cli.compat {name}"
            _write_script(folder / name, f'#!/bin/sh\nexec {program} "$@"\n')
    return f"{Path(sys.executable).parent}:{folder}"


def _write_script(path: Path, text: str) -> None:
    """Replaced whole: a run may be reading it."""
    with suppress(OSError):
        if path.read_text(encoding="utf-8") == text:
            return
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(text, encoding="utf-8")
    fresh.chmod(0o755)
    fresh.replace(path)


def _own_entry(uid: int) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(uid)
    except KeyError:  # a container may run with a uid that has no name
        return None


def find_shell(configured: str, path: str) -> str | None:
    """The shell that runs scripts: the configured one, else bash, else sh (rule 5.1); None if there is
    none. `path` is where to look for one that is configured by name, and for a bash in an unusual place.
    """
    if configured:
        return shutil.which(configured, path=path)
    usual = next((shell for shell in SHELLS if os.access(shell, os.X_OK)), None)
    return usual or shutil.which("bash", path=path) or shutil.which(FALLBACK_SHELL)
