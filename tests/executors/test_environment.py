"""The base environment of a user's commands (rule 5.2) and the shell that runs them (rule 5.1)."""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

import pytest

from runner_agent.executors import environment
from runner_agent.executors.environment import SYSTEM_PATH, account, find_shell

if TYPE_CHECKING:
    from pathlib import Path


def test_the_agent_s_own_user_keeps_home_path_and_language() -> None:
    own = pwd.getpwuid(os.getuid())
    found = account("", {"HOME": "/my/home", "PATH": "/a:/b", "LANG": "de_DE.UTF-8", "SECRET": "x"}, "/b")
    assert not found.switch
    assert found.env == {
        "HOME": "/my/home",
        "USER": own.pw_name,
        "LOGNAME": own.pw_name,
        "SHELL": own.pw_shell,
        "PATH": "/a:/b",
        "LANG": "de_DE.UTF-8",
    }


def test_another_user_gets_what_a_login_would_give() -> None:
    nobody = pwd.getpwnam("nobody")
    found = account("nobody", {"HOME": "/home/agent", "PATH": "/home/agent/bin"}, "/opt/bin")
    assert found.switch
    assert (found.uid, found.gid) == (nobody.pw_uid, nobody.pw_gid)
    assert nobody.pw_gid in found.groups
    assert found.env["HOME"] == nobody.pw_dir
    assert found.env["PATH"] == f"{SYSTEM_PATH}:/opt/bin"
    assert found.env["LANG"] == "C.UTF-8"


def test_no_empty_part_comes_into_the_path() -> None:
    """It would mean the current directory."""
    assert account("", {"PATH": "/bin"}, "").env["PATH"] == "/bin"


def test_a_user_without_a_name_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may run with any uid."""
    monkeypatch.setattr(os, "getuid", lambda: 61_234)
    found = account("", {"HOME": "/home/x"}, "/bin")
    assert (found.uid, found.switch) == (61_234, False)
    assert found.env["HOME"] == "/home/x"
    assert found.env["USER"] == "61234"


def test_an_unknown_user_is_an_error() -> None:
    with pytest.raises(KeyError):
        account("no-such-user", {}, "")


def test_bash_then_sh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert find_shell("", "") in environment.SHELLS
    monkeypatch.setattr(environment, "SHELLS", ("/no/bash",))
    bash = tmp_path / "bash"
    bash.write_text("#!/bin/sh\n")
    bash.chmod(0o755)
    assert find_shell("", str(tmp_path)) == str(bash)
    assert find_shell("", "/nowhere") == "/bin/sh"
    monkeypatch.setattr(environment, "FALLBACK_SHELL", "/no/sh")
    assert find_shell("", "/nowhere") is None


def test_the_configured_shell_or_none(tmp_path: Path) -> None:
    mine = tmp_path / "mysh"
    mine.write_text("#!/bin/sh\n")
    assert find_shell(str(mine), "/bin") is None
    mine.chmod(0o755)
    assert find_shell(str(mine), "/bin") == str(mine)
    assert find_shell("mysh", str(tmp_path)) == str(mine)
    assert find_shell("mysh", "/bin") is None
