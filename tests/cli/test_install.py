"""`install` below a root that does not run, and the units it writes; on machines that do: tests/systemd."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path, PurePosixPath

import pytest
import yaml

from runner_agent.cli.config_text import CannotEdit, with_settings
from runner_agent.cli.unit_files import AGENT, LAUNCHER, ONCE, UNITS, Program, this_program, unit_files
from runner_agent.daemon.settings import Settings
from runner_agent.launcher import wire

OWN = "etc/systemd/system"


def _cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "runner_agent", *arguments], capture_output=True, text=True, check=False
    )


def _tree(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): str(path.readlink()) if path.is_symlink() else path.read_text()
        for path in root.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def test_installed_below_a_root_twice_and_removed(tmp_path: Path) -> None:
    arguments = ("--root", str(tmp_path), "--workspace", "/work space")
    dry = _cli("install", *arguments, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert _tree(tmp_path) == {}
    first = _cli("install", *arguments)
    assert (first.returncode, first.stdout) == (0, dry.stdout)
    tree = _tree(tmp_path)
    assert {f"{OWN}/{name}" for name in UNITS} <= set(tree)
    assert tree[f"{OWN}/multi-user.target.wants/{AGENT}"] == f"/{OWN}/{AGENT}"
    assert yaml.safe_load(tree["etc/runner-agent/config.yaml"]) == {"workspace": "/work space"}
    assert (tmp_path / "etc/runner-agent/config.yaml").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "var/lib/runner-agent").stat().st_mode & 0o777 == 0o711
    again = _cli("install", *arguments)
    assert (again.returncode, again.stdout) == (0, "")
    assert _tree(tmp_path) == tree
    gone = _cli("uninstall", "--root", str(tmp_path))
    assert gone.returncode == 0, gone.stderr
    assert set(_tree(tmp_path)) == {"etc/runner-agent/config.yaml"}
    assert _cli("uninstall", "--root", str(tmp_path), "--purge").returncode == 0
    assert _tree(tmp_path) == {}


def test_beside_a_package_only_what_is_the_users_is_written(tmp_path: Path) -> None:
    assert _cli("install", "--root", str(tmp_path), "--vendor", "/opt/agent").returncode == 0
    packaged = _tree(tmp_path)
    assert all(path.startswith("usr/lib/") for path in packaged)
    assert _cli("install", "--root", str(tmp_path), "--workspace", "/w").returncode == 0
    added = {path for path in set(_tree(tmp_path)) - set(packaged) if not path.endswith("back-off.conf")}
    assert added == {f"{OWN}/multi-user.target.wants/{AGENT}", "etc/runner-agent/config.yaml"}
    assert _tree(tmp_path)[f"{OWN}/multi-user.target.wants/{AGENT}"] == f"/usr/lib/systemd/system/{AGENT}"


def test_only_root_changes_this_machine() -> None:
    """Told by --dry-run, or refused before anything is done."""
    assert _cli("install", "--dry-run").returncode == 0
    refused = _cli("install", "--workspace", "relative")
    assert refused.returncode == 2
    assert "absolute" in refused.stderr


def test_every_place_is_filled_in() -> None:
    for path, text in unit_files(this_program(), PurePosixPath("/etc")):
        assert re.findall("@[A-Z]+@", text) == [], path


def test_awkward_paths_are_quoted() -> None:
    awkward = Program(('/a b/100%/run"er',), Path("/a b/py"), Path("/a b/lib"), Path("/a b/100%/share"))
    texts = dict(unit_files(awkward, PurePosixPath("u")))
    assert 'ExecStart="/a b/100%%/run\\"er" serve' in texts[f"u/{AGENT}"]
    assert 'ExecStop=+/bin/sh "/a b/100%%/share/stop"' in texts[f"u/{AGENT}"]
    assert 'ExecStart="/a b/py" -I -S' in texts[f"u/{LAUNCHER}"]


def test_the_launchers_unit_starts_what_the_agent_would_start() -> None:
    program = this_program()
    text = dict(unit_files(program, PurePosixPath("u")))[f"u/{LAUNCHER}"]
    line = next(line for line in text.splitlines() if line.startswith("ExecStart="))
    expected = wire.command(str(program.python), str(program.source), "/var/lib/runner-agent")
    assert shlex.split(line.removeprefix("ExecStart=")) == [*expected, "--foreground"]


def test_a_package_made_elsewhere_names_its_final_place() -> None:
    program = Program(
        ("/build/x/bin/runner-agent",), Path("/build/x/bin/python3"), Path("/build/x/lib"), Path("/usr/s")
    )
    assert program.moved(Path("/build/x"), Path("/opt/agent")) == Program(
        ("/opt/agent/bin/runner-agent",),
        Path("/opt/agent/bin/python3"),
        Path("/opt/agent/lib"),
        Path("/usr/s"),
    )


def test_units_never_bind_the_launcher_to_the_agent() -> None:
    """What stops or restarts the one must not stop or restart the other (rule 7.2)."""
    texts = dict(unit_files(this_program(), PurePosixPath("u")))
    for name, text in texts.items():
        keys = {line.partition("=")[0] for line in text.splitlines() if not line.startswith("#")}
        assert not keys & {"Requires", "Requisite", "BindsTo", "PartOf", "PropagatesStopTo"}, name
    assert "Wants=runner-agent-launcher.service" in texts[f"u/{AGENT}"]
    assert "--once boot" in texts[f"u/{ONCE}"]


def test_every_setting_is_told_to_who_operates_it() -> None:
    told = (Path(__file__).parents[2] / "docs/systemd.md").read_text()
    assert [one.name for one in fields(Settings) if f"`{one.name}`" not in told] == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("workspace: /old\n", "workspace: /new\n"),
        ("# mine\ntask_stop_grace: 5s", "# mine\ntask_stop_grace: 5s\nworkspace: /new\n"),
        ("workspace: /old # here\nenvironment:\n  A: b\n", "workspace: /new\nenvironment:\n  A: b\n"),
        ("workspace: '/new'\n", "workspace: '/new'\n"),
        ("", "workspace: /new\n"),
    ],
)
def test_a_setting_is_put_into_a_file_that_is_somebodys(before: str, after: str) -> None:
    assert with_settings(before, {"workspace": "/new"}) == after


@pytest.mark.parametrize("before", ["{workspace: /old}\n", "- a\n", "a: [\n", "workspace:\n  /old\n"])
def test_a_file_that_cannot_be_edited_by_lines_is_left_alone(before: str) -> None:
    with pytest.raises(CannotEdit):
        with_settings(before, {"workspace": "/new"})


def test_upstream_names_are_put_where_no_other_has_them(tmp_path: Path) -> None:
    arguments = ("install", "--root", str(tmp_path), "--upstream-names")
    folder = tmp_path / "usr/local/bin"
    assert _cli(*arguments).returncode == 0
    for name in ("gitpod", "ona"):
        assert (folder / name).stat().st_mode & 0o777 == 0o755
        command = [str(folder / name), "environment", "port", "open", "3000"]
        told = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (told.returncode, told.stdout) == (0, "http://localhost:3000\n")
    assert _cli(*arguments).stdout == "", "done again it changes nothing"
    assert _cli("uninstall", "--root", str(tmp_path)).returncode == 0
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("there", ["file", "link", "elsewhere"])
def test_what_has_an_upstream_name_already_stays(tmp_path: Path, there: str) -> None:
    path = tmp_path / ("usr/bin/ona" if there == "elsewhere" else "usr/local/bin/ona")
    path.parent.mkdir(parents=True)
    if there == "link":
        path.symlink_to("/nowhere/ona")
    else:
        path.write_text("#!/bin/sh\necho theirs\n")
    before = path.lstat().st_ino, path.lstat().st_mtime_ns
    told = _cli("install", "--root", str(tmp_path), "--upstream-names")
    assert told.returncode == 0
    assert f"{path} is there already, and stays" in told.stderr
    assert (tmp_path / "usr/local/bin/gitpod").exists()
    assert _cli("uninstall", "--root", str(tmp_path)).returncode == 0
    assert (path.lstat().st_ino, path.lstat().st_mtime_ns) == before
    assert not (tmp_path / "usr/local/bin/gitpod").exists()


@pytest.mark.parametrize("name", ["only-in-the-image", "nobody"])
def test_folders_are_of_the_user_that_the_root_knows(tmp_path: Path, name: str) -> None:
    """This machine has none of that name, or one of another number."""
    uid, gid = (os.getuid() or 4321), (os.getgid() or 4322)
    _knows(tmp_path, name, uid, gid)
    told = _cli("install", "--root", str(tmp_path), "--user", name, "--workspace", "/w")
    assert (told.returncode, told.stderr.count("\n")) == (0, 1), told.stderr
    assert ((tmp_path / "w").stat().st_uid, (tmp_path / "w").stat().st_gid) == (uid, gid)
    assert _cli("install", "--root", str(tmp_path), "--user", name).stdout == "", (
        "done again it changes nothing"
    )


def test_the_user_is_made_below_the_root_and_its_home_is_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A root that is named from here is found by the programs that work in it, too."""
    uid, gid = (os.getuid() or 4321), (os.getgid() or 4322)
    root, programs = tmp_path / "image", tmp_path / "bin"
    _knows(root, "somebody", 1, 1)
    programs.mkdir()
    maker = programs / "systemd-sysusers"
    maker.write_text(
        '#!/bin/sh\nset -e\ncd /\nroot="${1#--root=}"\ntest -f "$2"\n'
        f'echo "nobody:x:{uid}:{gid}::/home/nobody:/bin/bash" >> "$root/etc/passwd"\n'
    )
    maker.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    monkeypatch.chdir(tmp_path)
    told = _cli("install", "--root", "image", "--user", "nobody", "--workspace", "/w")
    assert told.returncode == 0, told.stderr
    for folder in ("home/nobody", "w"):
        assert ((root / folder).stat().st_uid, (root / folder).stat().st_gid) == (uid, gid)
    assert yaml.safe_load((root / "etc/runner-agent/config.yaml").read_text())["run_as"] == "nobody"


def _knows(root: Path, name: str, uid: int, gid: int) -> None:
    (root / "etc").mkdir(parents=True)
    (root / "etc/passwd").write_text(f"root:x:0:0::/root:/bin/sh\n{name}:x:{uid}:{gid}::/:/bin/sh\n")
