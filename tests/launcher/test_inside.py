"""Looking into a container's files from outside: its links lead nowhere but into itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runner_agent.launcher.inside import Inside
from runner_agent.launcher.mirror import Mirror
from runner_agent.launcher.watched import Watched
from tests.support.machines import ROOT_OR_CI
from tests.support.processes import wait_until


def test_no_link_leads_out(scratch: Path) -> None:
    """Of a process whose root is another folder: absolute links, and climbing ones, stay below it."""
    if not ROOT_OR_CI:
        pytest.skip("only root may change its root")
    root = scratch / "root"
    for folder in ("etc", "tmp"):
        (root / folder).mkdir(parents=True)
    (root / "etc/passwd").write_text("inside")
    (root / "absolute").symlink_to("/etc/passwd")
    (root / "climbing").symlink_to("../../../../etc/passwd")
    (root / "process").symlink_to(Path("/proc/self/root") / "etc/passwd")
    program = "import os, sys; os.chroot(sys.argv[1]); print(flush=True); sys.stdin.read()"
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    with child:
        child.stdout.readline()
        inside = Inside(child.pid)
        try:
            texts = [inside.text(path) for path in ("/etc/passwd", "absolute", "climbing", "process")]
            assert texts == ["inside", "inside", "inside", ""]
            place, opened = inside.make_folder(("/nowhere", "/tmp"), "mine")
            os.close(opened)
            assert place == "/tmp/mine"
            assert (root / "tmp/mine").is_dir()
            inside.remove_folder(place)
            assert not (root / "tmp/mine").exists()
            assert inside.is_folder("/etc")
            assert not inside.is_folder("/etc/passwd")
        finally:
            inside.close()
            child.communicate()


def test_a_file_that_grows_is_cut_or_replaced_is_the_same_outside(scratch: Path) -> None:
    """Rule 5.3: also as editors write it, a new file in place of the old."""
    folder, target = scratch / "there", scratch / "here"
    folder.mkdir()
    source = folder / "out"
    source.write_text("a=1\n")
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    mirror = Mirror(descriptor, "out", str(target))
    try:
        for text in ("a=1\n", "a=1\nb=2\n", "c=3\n"):
            source.write_text(text)
            mirror.copy()
            assert target.read_text() == text
        (folder / "new").write_text("d=4 and more\n")
        (folder / "new").rename(source)
        mirror.copy()
        assert target.read_text() == "d=4 and more\n"
        source.unlink()
        mirror.copy()
        assert target.read_text() == "d=4 and more\n"
    finally:
        mirror.close()
        os.close(descriptor)


def test_how_a_stranger_ended_is_told_exactly() -> None:
    """Where the kernel tells it: 137 is not the same as SIGKILL."""
    child = subprocess.Popen(
        ["sh", "-c", "exec 3<&0; sh -c 'read word <&3; exit 137' & echo $!; wait"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    with child:
        other = Watched(int(child.stdout.readline()))
        try:
            assert other.status() is None
            child.communicate()
            wait_until(other.over, 30)
            assert other.status() in {None, 137 << 8}
            assert other.going()
        finally:
            other.close()
