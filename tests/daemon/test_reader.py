"""What the agent, as root, reads for the user of runs: what he could read himself, by mode bits."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runner_agent.daemon.reader import Reader
from tests.support.machines import ROOT_OR_CI

HIM, HIS_GROUP = 61_234, 61_235
READER = Reader("dev", HIM, frozenset({HIS_GROUP}))

pytestmark = pytest.mark.skipif(not ROOT_OR_CI, reason="only root may give files away")


@pytest.fixture
def place(scratch: Path) -> Path:
    """A folder that everybody may pass through."""
    scratch.chmod(0o755)
    return scratch


def refusal(path: Path, trusted: Path | None = None) -> str:
    file = os.open(path, os.O_RDONLY)
    try:
        return READER.judge(trusted)(file)
    finally:
        os.close(file)


def made(path: Path, mode: int, uid: int = 0, gid: int = 0) -> Path:
    path.write_text("services: {}")
    os.chown(path, uid, gid)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "readable"),
    [
        (0o644, 0, 0, True),
        (0o600, 0, 0, False),
        (0o640, 0, 0, False),
        (0o600, HIM, 0, True),
        (0o044, HIM, 0, False),  # its owner's bits count for its owner
        (0o640, 0, HIS_GROUP, True),
        (0o604, 0, HIS_GROUP, False),
    ],
)
def test_by_mode_bits(place: Path, mode: int, uid: int, gid: int, readable: bool) -> None:
    told = refusal(made(place / "file.yaml", mode, uid, gid))
    assert (told == "") is readable, told


def test_a_link_is_judged_by_what_it_leads_to_and_folders_count(place: Path) -> None:
    private = place / "private"
    private.mkdir(mode=0o700)
    link = place / "link.yaml"
    link.symlink_to(made(private / "open.yaml", 0o644))
    told = refusal(link)
    assert f"it is {private / 'open.yaml'}, which dev cannot read" in told


def test_what_somebody_else_has_chosen_is_read_unless_it_has_another_name(place: Path) -> None:
    chosen = made(place / "chosen.yaml", 0o600)
    assert refusal(chosen, trusted=chosen) == ""
    (place / "second.yaml").hardlink_to(chosen)
    assert refusal(chosen, trusted=chosen)
    link = place / "link.yaml"
    link.symlink_to(made(place / "other.yaml", 0o600))
    assert refusal(link, trusted=link)


def test_a_state_directory_in_a_folder_of_his_is_noticed(place: Path) -> None:
    his = place / "his"
    his.mkdir()
    state = his / "state"
    state.mkdir(mode=0o711)
    assert READER.may_replace(state) is None
    os.chown(his, HIM, HIM)
    assert READER.may_replace(state) == his
