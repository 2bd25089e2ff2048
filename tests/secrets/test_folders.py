"""One folder of secrets: what counts as a value, and what is refused without a word of it (rule 5.6)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from runner_agent.secrets.folders import MOST, Folder, Found, Scope, Unusable

if TYPE_CHECKING:
    from pathlib import Path

ID = "3f0c2b7e-5a0d-4c7b-9f2e-0123456789ab"
VALUE = "hunter2-hunter2"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    home = tmp_path / "user"
    home.mkdir(mode=0o700)
    return Folder(Scope.USER, home)


def put(folder: Folder, content: bytes, mode: int = 0o600) -> Path:
    path = folder.place(ID)
    path.write_bytes(content)
    path.chmod(mode)
    return path


def read(folder: Folder) -> str:
    found = folder.read(ID)
    assert found is not None
    return found.value


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"one line", "one line"),
        (b"one line\n", "one line"),
        (b"one line\r\n", "one line\r"),
        (b"two\nlines", "two\nlines"),
        (b"two\nlines\n", "two\nlines\n"),
        (b"one\n\n", "one\n\n"),
        (b" spaces stay ", " spaces stay "),
        ("schlüssel".encode(), "schlüssel"),
        (b"x" * MOST, "x" * MOST),
    ],
)
def test_a_value_is_the_bytes_of_its_file_less_the_newline_of_a_single_line(
    folder: Folder, content: bytes, value: str
) -> None:
    put(folder, content)
    assert read(folder) == value


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"hunter2\0hunter2", "NUL byte"),
        (b"hunter2\xff\xfe", "is not UTF-8 text"),
        (b"h" * (MOST + 1), f"larger than {MOST} bytes"),
    ],
)
def test_what_no_variable_can_carry_is_refused_without_a_word_of_it(
    folder: Folder, content: bytes, told: str
) -> None:
    put(folder, content)
    with pytest.raises(Unusable) as refused:
        folder.read(ID)
    assert told in str(refused.value)
    error: BaseException | None = refused.value
    while error is not None:  # nor does what led to it carry any
        assert "hunter" not in repr(error)
        assert not isinstance(error, UnicodeError)
        error = error.__context__


def test_a_missing_file_or_folder_is_no_error(folder: Folder, tmp_path: Path) -> None:
    assert folder.read(ID) is None
    assert Folder(Scope.USER, tmp_path / "never-made").read(ID) is None


def test_the_id_is_written_small_and_a_prefix_comes_before(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    folder = Folder(Scope.PROJECT, tmp_path, "runner-agent.project_")
    (tmp_path / f"runner-agent.project_{ID}").write_text(VALUE)
    found = folder.read(ID.upper())
    assert found is not None
    assert found.value == VALUE


def test_links_are_followed_inside_the_folder_only(folder: Folder, tmp_path: Path) -> None:
    """As volumes of secrets are mounted: the name is a link through a link to a folder of this version."""
    version = folder.path / "..2026_01_01"
    version.mkdir()
    (version / ID).write_text(VALUE)
    (folder.path / "..data").symlink_to(version.name)
    folder.place(ID).symlink_to(f"..data/{ID}")
    assert read(folder) == VALUE
    outside = tmp_path / "shadow"
    outside.write_text(VALUE)
    folder.place(ID).unlink()
    folder.place(ID).symlink_to(outside)
    with pytest.raises(Unusable, match="leads out of its folder"):
        folder.read(ID)


def test_the_folder_itself_may_be_a_link(folder: Folder, tmp_path: Path) -> None:
    put(folder, VALUE.encode())
    (tmp_path / "current").symlink_to(folder.path)
    assert read(Folder(Scope.USER, tmp_path / "current")) == VALUE


def test_pipes_and_folders_are_not_read(folder: Folder) -> None:
    os.mkfifo(folder.place(ID))
    with pytest.raises(Unusable, match="no regular file"):
        folder.read(ID)
    folder.place(ID).unlink()
    folder.place(ID).mkdir()
    with pytest.raises(Unusable, match="no regular file"):
        folder.read(ID)


def test_what_everybody_could_have_written_is_refused(folder: Folder) -> None:
    path = put(folder, VALUE.encode(), 0o602)
    with pytest.raises(Unusable, match="can be written by everybody"):
        folder.read(ID)
    path.chmod(0o600)
    folder.path.chmod(0o703)
    with pytest.raises(Unusable, match="folder that everybody can write to"):
        folder.read(ID)
    folder.path.chmod(0o1703)  # only its owner can replace a file in a sticky folder
    assert read(folder) == VALUE


def test_a_strangers_file_is_refused(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    put(folder, VALUE.encode())
    if os.geteuid() == 0:
        os.chown(folder.place(ID), 4321, -1)
        with pytest.raises(Unusable, match="belongs to user 4321"):
            folder.read(ID)
        os.chown(folder.path, 4321, -1)  # the folder's owner may put what is theirs
    assert read(folder) == VALUE


def test_what_everybody_can_read_is_told_if_they_can_reach_it(folder: Folder, tmp_path: Path) -> None:
    put(folder, VALUE.encode(), 0o644)
    found = folder.read(ID)
    assert found is not None
    assert not found.exposed, "the folder is closed to others"
    folder.path.chmod(0o755)
    open_all_the_way = all(parent.stat().st_mode & 0o001 for parent in folder.place(ID).parents)
    found = folder.read(ID)
    assert found is not None
    assert found.exposed is open_all_the_way


def test_reprs_hold_no_value(folder: Folder) -> None:
    put(folder, VALUE.encode())
    assert VALUE not in repr(folder.read(ID)) + repr(Found(VALUE)) + repr(folder)
