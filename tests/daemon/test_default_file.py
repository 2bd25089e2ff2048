"""The file the agent applies by itself (rules 2.8 and 2.9)."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runner_agent.control.commands import Commands
from runner_agent.daemon.default_file import DefaultFile
from runner_agent.kit.clock import SystemClock
from runner_agent.model.errors import FailedPrecondition, InvalidArgument, RunnerError
from runner_agent.store.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable


class World:
    """A store over any number of starts."""

    def __init__(self, workspace: Path) -> None:
        self.store, self.workspace = MemoryStore(), workspace

    def file(self, named: Path | None = None) -> DefaultFile:
        """As of a new start."""
        clock = SystemClock()
        commands = Commands(self.store, clock, lambda: str(uuid.uuid4()))
        return DefaultFile(self.store, commands, clock, self.workspace, named)

    def write(self, name: str, *references: str, bad: bool = False) -> Path:
        """An automations file with such tasks."""
        path = self.workspace / name
        path.parent.mkdir(exist_ok=True)
        entries = "".join(
            f"  {one}: {{name: {one}, {'comand' if bad else 'command'}: x}}\n" for one in references
        )
        path.write_text(f"tasks:\n{entries}")
        return path

    @property
    def tasks(self) -> set[str]:
        """What is in force."""
        return {one.metadata.reference for one in self.store.tasks()}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_none_is_no_trouble(world: World) -> None:
    file = world.file()
    await file.apply()
    assert (file.state.path, file.state.error) == (None, "")


async def test_the_first_of_the_usual_places(world: World) -> None:
    """Rule 2.8."""
    world.write(".gitpod/automations.yaml", "second")
    world.write(".ona/automations.yml", "first")
    file = world.file()
    await file.apply()
    assert file.state.path == world.workspace / ".ona/automations.yml"
    assert world.tasks == {"first"}


async def test_a_broken_one_is_told_and_the_last_good_one_stays(world: World) -> None:
    """Rule 2.9."""
    world.write(".ona/automations.yaml", "good")
    await world.file().apply()
    world.write(".ona/automations.yaml", "worse", bad=True)
    file = world.file()
    await file.apply()
    assert "comand" in file.state.error
    assert file.state.applied_at is None
    assert world.tasks == {"good"}
    world.write(".ona/automations.yaml", "good", "better")
    await file.apply()
    assert file.state.error == ""
    assert world.tasks == {"good", "better"}


async def test_settings_beat_the_user_s_choice_beats_the_usual_places(world: World) -> None:
    usual, chosen, named = (
        world.write(".ona/automations.yaml", "a"),
        world.write("b.yaml", "b"),
        world.write("c.yaml", "c"),
    )
    first = world.file()
    await first.make_default(chosen)
    assert world.tasks == {"b"}
    again = world.file()
    await again.apply()
    assert again.state.path == chosen
    by_settings = world.file(named)
    await by_settings.apply()
    assert by_settings.state.path == named
    assert world.tasks == {"b", "c"}
    with pytest.raises(FailedPrecondition, match=r"--automations"):
        await by_settings.make_default(usual)


async def test_what_is_not_right_does_not_become_the_default(world: World) -> None:
    good = world.write("good.yaml", "good")
    await world.file().make_default(good)
    for path in (world.workspace / "absent.yaml", world.write("bad.yaml", "x", bad=True)):
        with pytest.raises(RunnerError, match=path.name):
            await world.file().make_default(path)
    with pytest.raises(InvalidArgument, match="absolute"):
        await world.file().make_default(Path("relative.yaml"))
    later = world.file()
    await later.apply()
    assert later.state.path == good


async def test_a_chosen_file_that_has_gone_is_told(world: World) -> None:
    good = world.write("good.yaml", "good")
    await world.file().make_default(good)
    good.unlink()
    file = world.file()
    await file.apply()
    assert "no such file" in file.state.error
    assert world.tasks == {"good"}


async def test_a_file_may_depend_on_what_is_there_already(world: World) -> None:
    """As `update` has it."""
    world.write(".ona/automations.yaml", "base")
    await world.file().apply()
    path = world.workspace / "more.yaml"
    path.write_text("tasks:\n  more: {name: more, command: x, dependsOn: [base]}\n")
    await world.file().make_default(path)
    assert world.tasks == {"base", "more"}


def _absent(path: Path) -> None:
    path.symlink_to("nowhere.yaml")


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _not_text(path: Path) -> None:
    path.write_bytes(b"tasks:\n  t\xff: 1\n")


def _deep(path: Path) -> None:
    path.write_text("[" * 100_000)


def _clash(path: Path) -> None:
    path.write_text("services: {good: {name: G, commands: {start: x}}}")


@pytest.mark.parametrize(
    "broken", [_absent, Path.mkdir, _pipe, _not_text, _deep, _clash], ids=lambda broken: broken.__name__
)
async def test_whatever_stands_there_the_agent_goes_on(world: World, broken: Callable[[Path], None]) -> None:
    """Rule 2.9, and what is mended is in force at the next start."""
    path = world.write(".ona/automations.yaml", "good")
    await world.file().apply()
    path.unlink()
    broken(path)
    file = world.file()
    await file.apply()
    assert file.state.path == path
    assert file.state.error
    assert world.tasks == {"good"}
    path.rmdir() if path.is_dir() else path.unlink()
    world.write(".ona/automations.yaml", "good", "mended")
    again = world.file()
    await again.apply()
    assert (again.state.error, world.tasks) == ("", {"good", "mended"})


async def test_a_file_broken_later_is_told_until_it_is_right_again(world: World) -> None:
    """Rule 2.9: as long as it is broken, whether or not anybody has tried to apply it."""
    path = world.write(".ona/config.yaml", "good")
    file = world.file()
    await file.apply()
    assert (file.state.path, file.state.error) == (path, ""), "rule 2.8: the vendor's name is the first"
    world.write(".ona/config.yaml", "worse", "again", bad=True)
    assert "comand" in file.state.error
    assert file.state.applied_at is not None
    assert world.tasks == {"good"}
    world.write(".ona/config.yaml", "good")
    assert file.state.error == ""
    path.unlink()
    assert file.state.error == ""


async def test_whoever_applies_the_same_file_ends_the_report(world: World, tmp_path: Path) -> None:
    """Rule 2.9."""
    path = world.write(".ona/automations.yaml", "worse", bad=True)
    file = world.file()
    await file.apply()
    world.write(".ona/automations.yaml", "better")
    assert "comand" in file.state.error, "what it says now is not in force yet"
    other = tmp_path / "other.yaml"
    other.write_text("tasks: {}")
    file.applied(other)
    assert "comand" in file.state.error
    link = tmp_path / "link.yaml"
    link.symlink_to(path)
    file.applied(link)
    assert file.state.error == ""
    assert file.state.applied_at is not None


async def test_a_file_written_after_the_start_is_ours_once_applied(world: World) -> None:
    file = world.file()
    await file.apply()
    path = world.write(".ona/automations.yaml", "late")
    file.applied(path)
    assert file.state.path == path


async def test_a_file_that_nobody_named_may_be_renamed(world: World) -> None:
    """The next start would apply the new name; what was chosen stays what it is, though it be gone."""
    path = world.write(".ona/automations.yaml", "worse", bad=True)
    file = world.file()
    await file.apply()
    renamed = path.rename(path.with_name("config.yaml"))
    file.applied(renamed)
    assert (file.state.path, file.state.error) == (renamed, "")
    chosen = world.write("chosen.yaml", "good")
    await file.make_default(chosen)
    chosen.unlink()
    file.applied(renamed)
    assert file.state.path == chosen


async def test_rule_2_8_a_second_one_is_warned_of_by_name(world: World) -> None:
    first, second = world.write(".ona/config.yml", "a"), world.write(".gitpod/automations.yaml", "b")
    file = world.file()
    await file.apply()
    assert file.state.warning.startswith(f"{first} is the default file, and {second} is passed over")
    named = world.file(second)
    await named.apply()
    assert named.state.warning == ""


async def test_what_the_default_file_creates_is_its_own(world: World) -> None:
    """Rule 2.10: an update of the same file may prune it."""
    path = world.write(".ona/config.yaml", "one")
    await world.file().apply()
    assert {one.file for one in world.store.tasks()} == {str(path)}


async def test_rule_2_9_what_does_not_go_with_what_is_defined_is_told_as_bad_text_is(world: World) -> None:
    path = world.write(".ona/automations.yaml", "good")
    file = world.file()
    await file.apply()
    others = world.workspace / "others.yaml"
    others.write_text(
        "services: {web: {name: W, commands: {start: x}}}\n"
        "tasks: {last: {name: L, command: x, dependsOn: [good]}}"
    )
    await world.file().make_default(others)
    path.write_text("tasks: {web: {name: Web, command: echo}}")
    assert file.state.error.startswith(f"{path}: tasks.web: is a service in this environment; ")
    path.write_text("tasks: {good: {name: good, command: echo, dependsOn: [last]}}")
    assert file.state.error.startswith(f"{path}: tasks.")
    assert "good -> last -> good" in file.state.error, "it arises with what is defined only"
    world.write(".ona/automations.yaml", "good")
    assert file.state.error == ""


async def test_rule_2_9_what_was_refused_is_told_until_it_is_applied(world: World) -> None:
    """By whatever: a stop that takes long, a full disk."""
    path = world.write(".ona/automations.yaml", "good")
    file = world.file()
    await file.apply()
    busy = FailedPrecondition("web is being deleted; try again later")
    file.refused(world.write("other.yaml", "good"), busy)
    assert file.state.error == "", "another file says nothing of ours"
    file.refused(path, busy)
    assert file.state.error == f"{path}: {busy}"
    file.applied(path)
    assert file.state.error == ""


async def test_rule_2_9_a_file_written_after_the_start_is_judged_too(world: World) -> None:
    file = world.file()
    await file.apply()
    path = world.write(".ona/automations.yaml", "late", bad=True)
    assert (file.state.path, "comand" in file.state.error) == (path, True)
    world.write(".ona/automations.yaml", "late")
    assert file.state.error == ""


async def test_what_is_no_file_is_named_once(world: World) -> None:
    path = world.workspace / ".ona/automations.yaml"
    path.mkdir(parents=True)
    file = world.file()
    await file.apply()
    assert file.state.error == f"{path}: is no file; name one"
