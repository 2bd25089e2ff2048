"""Automations files: bytes to what they say, or to everything that is wrong with them (rules 2.1 to 2.8).

`read_automations` is a function of its arguments alone; `read_file` and `find_default` are all that touches
the disk.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from runner_agent.control.automations_fields import Faults
from runner_agent.control.documents import Malformed, Node, mark_at
from runner_agent.control.file_errors import FileError, FileErrors, FileWarning
from runner_agent.kit.reading import value_of
from runner_agent.model.specs import AutomationsFile

MAX_BYTES = 1024 * 1024
"""Of a file. Real ones have a few kB."""

DEFAULTS = (
    ".ona/config.yaml",
    ".ona/config.yml",
    ".ona/automations.yaml",
    ".ona/automations.yml",
    ".ona/automations.json",
    ".gitpod/automations.yaml",
    ".gitpod/automations.yml",
)
"""Rule 2.8, in this order."""
STARTER_FILE = ".ona/automations.yaml"
"""Where `automations init` writes: the name that all versions of the vendor's tools know."""
MISPLACED = ("automations.yaml", "automations.yml", "automations.json")
"""Names that people give a file in the workspace itself."""


Judge = Callable[[int], str]
"""Why an open file is not to be read; "" if it may be."""


def trusting(_file: int) -> str:
    """The judge who lets everything pass."""
    return ""


def find_default(workspace: Path) -> Path | None:
    """The first of the default files that is there. A dangling link or a directory counts: reading it tells
    what is wrong.
    """
    return next(_present(workspace, DEFAULTS), None)


def passed_over(workspace: Path) -> str:
    """The warning of rule 2.8 where more than one default file is there, "" elsewhere."""
    first, *others = [*_present(workspace, DEFAULTS)] or [workspace]
    if not others:
        return ""
    names = ", ".join(map(str, others))
    return f"{first} is the default file, and {names} is passed over; keep one of them"


def find_misplaced(workspace: Path) -> Path | None:
    """An automations file in the workspace itself, where nobody looks for it."""
    return next(_present(workspace, MISPLACED), None)


def _present(workspace: Path, names: Iterable[str]) -> Iterator[Path]:
    return (path for name in names if os.path.lexists(path := workspace / name))


def identity(path: Path) -> str:
    """What makes two files the same to `--prune`: the absolute path, links in its folders resolved (2.10)."""
    return str(Path(os.path.realpath(path.absolute().parent)) / path.name)


def read_file(
    path: Path, *, known: Iterable[str] = (), strict: bool = False, judge: Judge = trusting
) -> AutomationsFile:
    """The file at `path`; see `read_automations`. `judge` is asked about what was opened, before it is read.

    Raises FileErrors, also for what cannot be read at all.
    """
    return read_automations(str(path), _bytes(path, judge), known=known, strict=strict)


def read_automations(
    name: str, data: bytes, *, known: Iterable[str] = (), strict: bool = False
) -> AutomationsFile:
    """What `data` says. Raises FileErrors with every fault in it, in the order of the file, and nothing else.

    `name` is for messages; one that ends in `.json` makes it JSON. `known`: references of the environment
    that tasks may depend on besides those of the file. `strict`: accept the triggers of the published
    descriptor only.
    """
    file, _, _ = _read(name, data, known, strict=strict)
    return file


def check_automations(
    name: str, data: bytes, *, strict: bool = False
) -> tuple[AutomationsFile, tuple[FileWarning, ...]]:
    """As `read_automations`, with what is valid and will bite."""
    file, faults, text = _read(name, data, (), strict=strict)
    from runner_agent.control.lints import lint

    return file, lint(name, text, file, faults.fields)


def check_file(path: Path, *, strict: bool = False) -> tuple[AutomationsFile, tuple[FileWarning, ...]]:
    """The file at `path`; see `check_automations`. Raises FileErrors, also for what cannot be read at all."""
    return check_automations(str(path), _bytes(path), strict=strict)


def _read(
    name: str, data: bytes, known: Iterable[str], *, strict: bool
) -> tuple[AutomationsFile, Faults, str]:
    _refuse_size(name, len(data))
    text = _text(name, data)
    from runner_agent.control.automations_schema import Schema

    faults = Faults(name)
    root: Node | None = None
    try:
        root = _parse(name, text)
        file = Schema(faults, strict=strict).file(root, known)
    except Malformed as error:
        fault = FileError(name, error.mark.line, error.mark.column, "", error.message)
        raise FileErrors(_foreign(name, text, root) or (fault,)) from None
    if errors := faults.sorted():
        foreign = _foreign(name, text, root)
        raise FileErrors((*foreign, *(one for one in errors if one.path or not foreign)))
    return file, faults, text


def _foreign(name: str, text: str, root: Node | None) -> tuple[FileError, ...]:
    """What is said first of a file of another format; nothing of any other."""
    from runner_agent.control.foreign import recognise

    message = recognise(name, text, root)
    return (FileError(name, 1, 1, "", message),) if message else ()


def _text(name: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode("utf-8")  # the codec took a byte order mark off `object`
        mark = mark_at(before, len(before))
        message = f"not UTF-8 (byte 0x{error.object[error.start]:02X}){_utf_16(data)}; save the file as UTF-8"
        raise FileErrors((FileError(name, mark.line, mark.column, "", message),)) from None


def _parse(name: str, text: str) -> Node | None:
    """By its name, or, since standard input has none, by what it is."""
    if name.endswith(".json") or (text.lstrip().startswith("{") and _is_json(text)):
        from runner_agent.control.automations_json import read_json

        return read_json(text)
    from runner_agent.control.automations_yaml import read_yaml

    return read_yaml(text)


def _utf_16(data: bytes) -> str:
    return ", but UTF-16" if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else ""


def _is_json(text: str) -> bool:
    try:
        value_of(text)
    except ValueError:
        return False
    return True


def _refuse_size(name: str, size: int) -> None:
    if size > MAX_BYTES:
        raise _whole(name, f"larger than {MAX_BYTES // 1024} KiB; move long scripts into files of their own")


def _bytes(path: Path, judge: Judge = trusting) -> bytes:
    """Little more than a file may have. Raises FileErrors."""
    name = str(path)
    try:
        with path.open("rb") as file:
            if reason := judge(file.fileno()):
                raise _whole(name, reason)
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _whole(name, "no such file; check the path") from None
    except IsADirectoryError:
        raise _whole(name, "is a directory; give the file in it") from None
    except OSError as error:
        raise _whole(name, f"cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # a NUL in the path
        raise _whole(name, f"cannot be read: {error}") from None


def _whole(name: str, message: str) -> FileErrors:
    return FileErrors((FileError(name, 0, 0, "", message),))
